#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace skiff {

// Owns one file descriptor. The only place that calls close(2).
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) Reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { Reset(); }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  explicit operator bool() const { return valid(); }
  int Release() { return std::exchange(fd_, -1); }
  void Reset(int fd = -1);

  // A second descriptor of the same open file, close-on-exec.
  Result<Fd> Duplicate() const;

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};

// All of these set close-on-exec.
Result<Fd> OpenFile(const std::string& path, int flags, mode_t mode = 0);
Result<Fd> OpenFileAt(int dir_fd, const std::string& path, int flags, mode_t mode = 0);
Result<Pipe> MakePipe(int flags = 0);
// type: SOCK_STREAM or SOCK_SEQPACKET, possibly with SOCK_NONBLOCK.
Result<std::pair<Fd, Fd>> MakeSocketPair(int type);

// Whole-buffer transfers on blocking descriptors; EINTR is retried. `what` names the object in
// errors.
Status WriteAll(int fd, std::string_view data, std::string_view what);
// Reads to the end of file; fails with kExhausted past `limit` bytes.
Result<std::string> ReadAll(int fd, size_t limit, std::string_view what);
Result<std::string> ReadFile(const std::string& path, size_t limit = 64u << 20);
Status SetNonBlocking(int fd, bool on);

// One message with descriptors (SCM_RIGHTS) over a unix socket. At most kMaxPassedFds descriptors.
inline constexpr size_t kMaxPassedFds = 250;  // The kernel takes 253.
Status SendMessage(int socket, std::string_view data, std::span<const int> fds, int flags = 0);
struct ReceivedMessage {
  std::string data;  // Empty: the peer closed the socket.
  std::vector<Fd> fds;
};
Result<ReceivedMessage> ReceiveMessage(int socket, size_t limit, int flags = 0);

}  // namespace skiff
