// Whether somebody listens at an address, before a program that would wait there without a word.
#ifndef HEADRACE_BASE_REACH_H_
#define HEADRACE_BASE_REACH_H_

#include <chrono>
#include <string>

#include "base/status.h"

namespace headrace {

// Connects to `address` ("host:port"), again and again until the deadline, and hangs up.
// *local_host: this machine's own address on the way there, as digits.
// Errors: INVALID_ARGUMENT no address; UNAVAILABLE with the address and why, after the deadline.
Status Reach(const std::string& address, std::chrono::milliseconds deadline,
             std::string* local_host);
// The same, once: UNAVAILABLE with why not ("Connection refused").
Status ReachOnce(const std::string& address, std::chrono::milliseconds deadline,
                 std::string* local_host);

}  // namespace headrace

#endif  // HEADRACE_BASE_REACH_H_
