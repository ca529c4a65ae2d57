// Answers as lines for people.
#ifndef HEADRACE_MASTER_TEXT_H_
#define HEADRACE_MASTER_TEXT_H_

#include <string>

#include "headrace/control.pb.h"

namespace headrace::master {

std::string Text(const v1::JobStatus& status);
std::string Text(const v1::Ledger& ledger);

}  // namespace headrace::master

#endif  // HEADRACE_MASTER_TEXT_H_
