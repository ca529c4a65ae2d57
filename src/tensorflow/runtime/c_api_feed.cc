// The part of the C interface that hands out record ranges and accounts for records.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "feed/account.h"
#include "feed/range_queue.h"
#include "tensorflow/c_api.h"
#include "tensorflow/c_api_result.h"
#include "tensorflow/runtime/convert.h"

namespace {

using headrace::Code;
using headrace::Status;
using headrace::feed::Account;
using headrace::feed::Accounts;
using headrace::feed::RangeQueue;
using headrace::feed::RangeQueues;

int Report(const Status& status, char** error) {
  return headrace::ReportToCaller(headrace::ToAbsl(status), error);
}

Status Missing(const char* name) {
  return Status(Code::kNotFound, std::string("no account '") + name + "' is open");
}

Status NoQueue(const char* name) {
  return Status(Code::kNotFound, std::string("no queue of record ranges '") + name + "' is open");
}

// Calls `call` with the entry of that name, or reports `missing`.
template <typename Registry, typename Call>
int On(Registry& registry, const char* name, Status (*missing)(const char*), char** error,
       Call call) {
  const auto entry = registry.Find(name);
  return Report(entry == nullptr ? missing(name) : call(*entry), error);
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
  return On(Accounts::Get(), name, Missing, error, [&](Account& account) {
    return account.Applied({identities, identities + count});
  });
}

int headrace_account_end(const char* name, const char* by, char** error) {
  return On(Accounts::Get(), name, Missing, error, [&](Account& account) {
    account.End(by);
    return Status();
  });
}

int headrace_account_take(const char* name, char** json, char** error) {
  *json = nullptr;
  return On(Accounts::Get(), name, Missing, error, [&](Account& account) {
    const headrace::feed::Settled settled = account.Take();
    const nlohmann::json result = {{"trained", settled.trained},
                                   {"dropped", settled.dropped},
                                   {"outstanding", account.outstanding()}};
    *json = headrace::CopyForCaller(result.dump());
    return Status();
  });
}

int headrace_ranges_open(const char* name, char** error) {
  std::shared_ptr<RangeQueue> queue;
  return Report(RangeQueues::Get().Open(name, &queue), error);
}

int headrace_ranges_push(const char* name, const char* path, int64_t file, int64_t begin,
                         int64_t end, char** error) {
  return On(RangeQueues::Get(), name, NoQueue, error, [&](RangeQueue& queue) {
    queue.Push({path, file, begin, end, nullptr});
    return Status();
  });
}

int headrace_ranges_flush(const char* name, char** error) {
  return On(RangeQueues::Get(), name, NoQueue, error, [](RangeQueue& queue) {
    queue.Flush();
    return Status();
  });
}

int headrace_ranges_finish(const char* name, char** error) {
  return On(RangeQueues::Get(), name, NoQueue, error, [](RangeQueue& queue) {
    queue.Finish();
    return Status();
  });
}

void headrace_ranges_close(const char* name) {
  RangeQueues::Get().Close(name);
}

}  // extern "C"
