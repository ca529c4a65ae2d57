#include "base/reach.h"

#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <system_error>
#include <thread>
#include <utility>

namespace headrace {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kBetween{50};

class Socket {
 public:
  explicit Socket(int number) : number_(number) {}
  ~Socket() {
    if (number_ >= 0) close(number_);
  }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int number() const { return number_; }

 private:
  const int number_;
};

std::string LocalHost(int number) {
  sockaddr_storage address{};
  socklen_t size = sizeof(address);
  std::array<char, NI_MAXHOST> host{};
  if (getsockname(number, reinterpret_cast<sockaddr*>(&address), &size) != 0) return "";
  if (getnameinfo(reinterpret_cast<sockaddr*>(&address), size, host.data(), host.size(), nullptr, 0,
                  NI_NUMERICHOST) != 0) {
    return "";
  }
  return host.data();
}

// "" or why not.
std::string Connect(const addrinfo& to, Clock::time_point deadline, std::string* local_host) {
  const Socket socket_to(
      socket(to.ai_family, to.ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, to.ai_protocol));
  if (socket_to.number() < 0) return std::generic_category().message(errno);
  if (connect(socket_to.number(), to.ai_addr, to.ai_addrlen) != 0) {
    if (errno != EINPROGRESS) return std::generic_category().message(errno);
    pollfd waiting{socket_to.number(), POLLOUT, 0};
    const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
    if (poll(&waiting, 1, left > 0 ? static_cast<int>(left) : 0) == 0) return "no answer";
    int error = 0;
    socklen_t size = sizeof(error);
    getsockopt(socket_to.number(), SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0) return std::generic_category().message(error);
  }
  *local_host = LocalHost(socket_to.number());
  return "";
}

std::string TryOnce(const std::string& host, const std::string& port, Clock::time_point deadline,
                    std::string* local_host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) {
    return gai_strerror(error);
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  std::string why;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    why = Connect(*one, deadline, local_host);
    if (why.empty()) return "";
  }
  return why;
}

}  // namespace

Status ReachOnce(const std::string& address, milliseconds deadline, std::string* local_host) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == address.size()) {
    return Status(Code::kInvalidArgument, "'" + address + "' is no address: give host:port");
  }
  const std::string why = TryOnce(address.substr(0, colon), address.substr(colon + 1),
                                  Clock::now() + deadline, local_host);
  return why.empty() ? Status() : Status(Code::kUnavailable, why);
}

Status Reach(const std::string& address, milliseconds deadline, std::string* local_host) {
  const auto until = Clock::now() + deadline;
  while (true) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now());
    Status status = ReachOnce(address, left, local_host);
    if (status.code() != Code::kUnavailable) return status;
    if (Clock::now() + kBetween >= until) {
      std::string message = "nobody can be reached at " + address + " (";
      message.append(status.message())
          .append(") for ")
          .append(std::to_string(deadline.count()))
          .append(" ms");
      return Status(Code::kUnavailable, std::move(message));
    }
    std::this_thread::sleep_for(kBetween);
  }
}

}  // namespace headrace
