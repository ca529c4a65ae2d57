#include "master/server_watch.h"

#include <spdlog/spdlog.h>

#include <utility>

namespace headrace::master {

ServerWatch::ServerWatch(const std::vector<std::string>& addresses, Options options)
    : options_(std::move(options)) {
  for (const std::string& address : addresses) looks_.emplace_back().address = address;
  if (!looks_.empty()) thread_ = std::thread([this] { Run(); });
}

ServerWatch::~ServerWatch() {
  {
    std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  cv_.notify_all();
  if (thread_.joinable()) thread_.join();
}

std::vector<ServerLook> ServerWatch::looks() const {
  std::lock_guard<std::mutex> lock(mu_);
  return looks_;
}

void ServerWatch::Run() {
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopping_) {
    for (ServerLook& look : looks_) {
      lock.unlock();
      const Status reached = options_.reach(look.address);
      const std::int64_t now_ms = options_.now_ms();
      lock.lock();
      if (stopping_) return;
      const auto state = reached.ok() ? ServerLook::State::kAnswers : ServerLook::State::kSilent;
      look.why = reached.message();
      if (std::exchange(look.state, state) == state) continue;
      look.since_ms = now_ms;
      if (!reached.ok()) {
        spdlog::warn("the parameter server {} does not answer: {}", look.address, look.why);
      }
    }
    cv_.wait_for(lock, options_.every, [this] { return stopping_; });
  }
}

}  // namespace headrace::master
