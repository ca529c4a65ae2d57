// The part of the C interface that accounts for records.
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "feed/account.h"
#include "tensorflow/c_api.h"

namespace {

using headrace::Code;
using headrace::Status;
using headrace::feed::Account;
using headrace::feed::Accounts;

int Report(const Status& status, char** error) {
  *error = status.ok() ? nullptr : ::strdup(status.message().c_str());
  return static_cast<int>(status.code());
}

Status Missing(const char* name) {
  return Status(Code::kNotFound, std::string("no account '") + name + "' is open");
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

}  // extern "C"
