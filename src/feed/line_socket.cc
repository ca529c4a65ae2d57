#include "feed/line_socket.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <thread>
#include <utility>

namespace headrace::feed {

namespace {

using Clock = std::chrono::steady_clock;

std::string Reason(int error) {
  return std::generic_category().message(error);
}

Status AddressOf(const std::string& path, sockaddr_un* address) {
  *address = {};
  address->sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address->sun_path)) {
    return {Code::kInvalidArgument, "'" + path + "' is no path for a socket: 1 to " +
                                        std::to_string(sizeof(address->sun_path) - 1) +
                                        " bytes; choose a shorter folder"};
  }
  std::memcpy(address->sun_path, path.data(), path.size());
  return {};
}

}  // namespace

LineSocket::~LineSocket() {
  close(socket_);
}

Status LineSocket::Connect(const std::string& path, std::chrono::milliseconds timeout,
                           std::unique_ptr<LineSocket>* socket) {
  sockaddr_un address;
  Status status = AddressOf(path, &address);
  if (!status.ok()) return status;
  const Clock::time_point deadline = Clock::now() + timeout;
  for (;;) {
    auto made = std::make_unique<LineSocket>(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect(made->socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0) {
      *socket = std::move(made);
      return {};
    }
    const int error = errno;
    const bool retry =
        error == ENOENT || error == ECONNREFUSED || error == EAGAIN || error == EINTR;
    if (!retry || Clock::now() >= deadline) {
      return {Code::kUnavailable, "nobody listens at '" + path + "': " + Reason(error)};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

Status LineSocket::Send(std::string line) {
  line.push_back('\n');
  if (line.size() > kMaxLine) {
    return {Code::kInvalidArgument, "a line of " + std::to_string(line.size()) +
                                        " bytes; at most " + std::to_string(kMaxLine) +
                                        " may be sent"};
  }
  std::lock_guard<std::mutex> lock(sending_);
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t sent = send(socket_, rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno != EINTR) {
      return {Code::kUnavailable, "the connection is closed: " + Reason(errno)};
    }
  }
  return {};
}

Status LineSocket::Receive(std::string* line) {
  return Receive(line, nullptr);
}

Status LineSocket::Receive(std::string* line, std::chrono::milliseconds timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  return Receive(line, &deadline);
}

Status LineSocket::Receive(std::string* line, const Clock::time_point* deadline) {
  for (;;) {
    const std::size_t end = received_.find('\n', searched_);
    if (end != std::string::npos) {
      line->assign(received_, 0, end);
      received_.erase(0, end + 1);
      searched_ = 0;
      return {};
    }
    searched_ = received_.size();
    if (searched_ >= kMaxLine) {
      return {Code::kInvalidArgument,
              "a line of more than " + std::to_string(kMaxLine) + " bytes came in"};
    }
    if (deadline != nullptr) {
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(*deadline - Clock::now()).count();
      pollfd waits{socket_, POLLIN, 0};
      const int ready = poll(&waits, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
      if (ready == 0) return {Code::kDeadlineExceeded, "nothing came in time"};
      if (ready < 0) continue;  // EINTR
    }
    char buffer[16384];
    const ssize_t got = recv(socket_, buffer, sizeof(buffer), 0);
    if (got > 0) {
      received_.append(buffer, static_cast<std::size_t>(got));
    } else if (got == 0) {
      return {Code::kUnavailable, "the other side closed the connection"};
    } else if (errno != EINTR) {
      return {Code::kUnavailable, "the connection is closed: " + Reason(errno)};
    }
  }
}

void LineSocket::Shutdown() {
  shutdown(socket_, SHUT_RDWR);
}

Status LineListener::Listen(const std::string& path, std::unique_ptr<LineListener>* listener) {
  sockaddr_un address;
  Status status = AddressOf(path, &address);
  if (!status.ok()) return status;
  unlink(path.c_str());
  const int made = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made < 0 || bind(made, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(made, 8) != 0) {
    const int error = errno;
    if (made >= 0) close(made);
    return {Code::kUnavailable, "cannot listen at '" + path + "': " + Reason(error)};
  }
  listener->reset(new LineListener(made, path));
  return {};
}

LineListener::~LineListener() {
  close(socket_);
  unlink(path_.c_str());
}

Status LineListener::Accept(std::unique_ptr<LineSocket>* socket) {
  for (;;) {
    const int made = accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
    if (made >= 0) {
      *socket = std::make_unique<LineSocket>(made);
      return {};
    }
    if (errno == EINTR || errno == ECONNABORTED) continue;
    return {Code::kUnavailable, "no longer listening: " + Reason(errno)};
  }
}

void LineListener::Shutdown() {
  shutdown(socket_, SHUT_RDWR);
}

}  // namespace headrace::feed
