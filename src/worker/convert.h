// Between the control plane's messages and the feed's.
#ifndef HEADRACE_WORKER_CONVERT_H_
#define HEADRACE_WORKER_CONVERT_H_

#include <string>

#include "feed/message.h"
#include "headrace/control.pb.h"

namespace headrace::worker {

feed::ModelKind ToFeed(v1::ModelKind model);
feed::message::Lease ToFeed(const v1::Grant& grant);
// What a training process is told of its orders.
feed::message::Orders ToFeed(const v1::Orders& orders);
// Equal for orders that look the same to it.
std::string Key(const v1::Orders& orders);

v1::Report ToProto(const feed::message::Report& report);
v1::Telemetry ToProto(const feed::message::Telemetry& telemetry);

}  // namespace headrace::worker

#endif  // HEADRACE_WORKER_CONVERT_H_
