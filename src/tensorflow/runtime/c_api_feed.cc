// The part of the C interface that hands out record ranges and accounts for records.
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "feed/account.h"
#include "feed/range_queue.h"
#include "tensorflow/c_api.h"

namespace {

using headrace::Code;
using headrace::Status;
using headrace::feed::Account;
using headrace::feed::Accounts;
using headrace::feed::RangeQueue;
using headrace::feed::RangeQueues;

int Report(const Status& status, char** error) {
  *error = status.ok() ? nullptr : ::strdup(status.message().c_str());
  return static_cast<int>(status.code());
}

Status Missing(const char* name) {
  return Status(Code::kNotFound, std::string("no account '") + name + "' is open");
}

Status NoQueue(const char* name) {
  return Status(Code::kNotFound, std::string("no queue of record ranges '") + name + "' is open");
}

}  // namespace

extern "C" {

int headrace_account_open(const char* name, char** error) {
  std::shared_ptr<Account> account;
  return Report(Accounts::Get().Open(name, &account), error);
}

void headrace_account_close(const char* name) {
  Accounts::Get().Close(name);
}

int headrace_account_applied(const char* name, const int64_t* identities, size_t count,
                             char** error) {
  const auto account = Accounts::Get().Find(name);
  if (account == nullptr) return Report(Missing(name), error);
  return Report(account->Applied({identities, identities + count}), error);
}

int headrace_account_end(const char* name, const char* by, char** error) {
  const auto account = Accounts::Get().Find(name);
  if (account == nullptr) return Report(Missing(name), error);
  account->End(by);
  return Report(Status(), error);
}

int headrace_account_take(const char* name, char** json, char** error) {
  *json = nullptr;
  const auto account = Accounts::Get().Find(name);
  if (account == nullptr) return Report(Missing(name), error);
  const headrace::feed::Settled settled = account->Take();
  const nlohmann::json result = {{"trained", settled.trained},
                                 {"dropped", settled.dropped},
                                 {"outstanding", account->outstanding()}};
  *json = ::strdup(result.dump().c_str());
  return Report(Status(), error);
}

int headrace_ranges_open(const char* name, char** error) {
  std::shared_ptr<RangeQueue> queue;
  return Report(RangeQueues::Get().Open(name, &queue), error);
}

int headrace_ranges_push(const char* name, const char* path, int64_t file, int64_t begin,
                         int64_t end, char** error) {
  const auto queue = RangeQueues::Get().Find(name);
  if (queue == nullptr) return Report(NoQueue(name), error);
  queue->Push({path, file, begin, end});
  return Report(Status(), error);
}

int headrace_ranges_flush(const char* name, char** error) {
  const auto queue = RangeQueues::Get().Find(name);
  if (queue == nullptr) return Report(NoQueue(name), error);
  queue->Flush();
  return Report(Status(), error);
}

int headrace_ranges_finish(const char* name, char** error) {
  const auto queue = RangeQueues::Get().Find(name);
  if (queue == nullptr) return Report(NoQueue(name), error);
  queue->Finish();
  return Report(Status(), error);
}

void headrace_ranges_close(const char* name) {
  RangeQueues::Get().Close(name);
}

}  // extern "C"
