// Answers as lines for people, and as one line of JSON for tools.
#ifndef HEADRACE_MASTER_TEXT_H_
#define HEADRACE_MASTER_TEXT_H_

#include <string>

#include "headrace/control.pb.h"

namespace headrace::master {

std::string Text(const v1::JobStatus& status);
// all: every range and every record in quarantine; else the first ones of each list, and how many
// more there are.
std::string Text(const v1::Ledger& ledger, bool all);
// With the names of the proto, and all fields.
std::string Json(const google::protobuf::Message& message);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_TEXT_H_
