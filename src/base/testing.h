// Fakes for tests of whoever connects to somebody.
#ifndef HEADRACE_BASE_TESTING_H_
#define HEADRACE_BASE_TESTING_H_

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

namespace headrace::testing {

// How much of it a test does: `usual`, times HEADRACE_TEST_SCALE if that is in the environment (as
// scripts/soak.sh sets it).
inline std::int64_t Scaled(std::int64_t usual) {
  const char* scale = std::getenv("HEADRACE_TEST_SCALE");
  return scale == nullptr ? usual : usual * std::strtoll(scale, nullptr, 10);
}
// Of what a test draws: HEADRACE_TEST_SEED, else another one each time. It is printed.
inline unsigned Seed() {
  const char* given = std::getenv("HEADRACE_TEST_SEED");
  const unsigned seed = given != nullptr ? std::stoul(given) : std::random_device()();
  std::cout << "seed " << seed << " (HEADRACE_TEST_SEED)\n";
  return seed;
}
// What a test has counted or measured goes into GoogleTest's report.
inline void Report(const std::string& name, double value) {
  ::testing::Test::RecordProperty(name, std::to_string(value));
}

// Listens at a port of this machine that the system chooses, until it is closed.
class Listener {
 public:
  Listener() {
    sockaddr_in own{};
    own.sin_family = AF_INET;
    own.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(own);
    EXPECT_EQ(bind(number_, reinterpret_cast<sockaddr*>(&own), size), 0);
    EXPECT_EQ(listen(number_, 100), 0);
    EXPECT_EQ(getsockname(number_, reinterpret_cast<sockaddr*>(&own), &size), 0);
    address_ = "127.0.0.1:" + std::to_string(ntohs(own.sin_port));
  }
  ~Listener() { Close(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  const std::string& address() const { return address_; }
  void Close() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string address_;
};

}  // namespace headrace::testing

#endif  // HEADRACE_BASE_TESTING_H_
