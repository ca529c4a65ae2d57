// Which version of the control plane's protocol each side of a call speaks.
#ifndef HEADRACE_PROTO_VERSION_H_
#define HEADRACE_PROTO_VERSION_H_

#include <grpcpp/grpcpp.h>

#include <string>

#include "base/status.h"

namespace headrace::v1 {

// Raised with each change that the other side must know of.
inline constexpr int kControlProtocol = 1;

// Both sides say their version in each call's metadata (headrace/control.proto), so that also a
// master that another release replaced in the middle of a job is noticed.
//
// Errors: UNIMPLEMENTED, naming both programs, both versions and what to do.

// `program`: the caller's name, "headrace-worker". `protocol`: another than this one in tests only.
void Introduce(const std::string& program, grpc::ClientContext* context,
               int protocol = kControlProtocol);
// In the caller, once the call was answered with OK: may the answer be believed?
Status CheckMaster(const std::string& program, const grpc::ClientContext& context);
// In the master, before a call has any effect. The caller is told the master's version anyway.
Status CheckCaller(grpc::CallbackServerContext* context);

}  // namespace headrace::v1

#endif  // HEADRACE_PROTO_VERSION_H_
