// Lines over a Unix socket.
#ifndef HEADRACE_FEED_LINE_SOCKET_H_
#define HEADRACE_FEED_LINE_SOCKET_H_

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "base/status.h"

namespace headrace::feed {

// A connection. Lines end with '\n' on the wire, and have none here.
// Ownership: owns the socket.
// Thread safety: one thread receives, any send; Shutdown() from any.
// Errors: UNAVAILABLE the connection is at its end; DEADLINE_EXCEEDED; INVALID_ARGUMENT a line is
// longer than kMaxLine.
class LineSocket {
 public:
  static constexpr std::size_t kMaxLine = std::size_t{16} << 20;

  explicit LineSocket(int socket) : socket_(socket) {}
  ~LineSocket();
  LineSocket(const LineSocket&) = delete;
  LineSocket& operator=(const LineSocket&) = delete;

  // Tries until `timeout` while nobody listens there.
  static Status Connect(const std::string& path, std::chrono::milliseconds timeout,
                        std::unique_ptr<LineSocket>* socket);

  // Waits while the other side reads nothing, until Shutdown().
  Status Send(std::string line);
  Status Receive(std::string* line);
  Status Receive(std::string* line, std::chrono::milliseconds timeout);
  // Both sides see the end; whoever waits here is woken.
  void Shutdown();

 private:
  Status Receive(std::string* line, const std::chrono::steady_clock::time_point* deadline);

  const int socket_;
  std::mutex sending_;
  std::string received_;      // of the receiving thread
  std::size_t searched_ = 0;  // no '\n' before
};

// Where connections come in.
// Ownership: owns the socket and its path, which it removes.
// Thread safety: one thread accepts; Shutdown() from any.
class LineListener {
 public:
  // Removes what a dead process left under `path`. INVALID_ARGUMENT for a path that is too long for
  // a socket.
  static Status Listen(const std::string& path, std::unique_ptr<LineListener>* listener);
  ~LineListener();
  LineListener(const LineListener&) = delete;
  LineListener& operator=(const LineListener&) = delete;

  // Waits. UNAVAILABLE after Shutdown().
  Status Accept(std::unique_ptr<LineSocket>* socket);
  void Shutdown();

 private:
  LineListener(int socket, std::string path) : socket_(socket), path_(std::move(path)) {}

  const int socket_;
  const std::string path_;
};

}  // namespace headrace::feed

#endif  // HEADRACE_FEED_LINE_SOCKET_H_
