#include "base/fd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace skiff {

void Fd::Reset(int fd) {
  // close(2) is not retried on EINTR: Linux has released the descriptor already.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Fd> Fd::Duplicate() const {
  const int copy = ::fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return FailErrno("cannot duplicate a file descriptor");
  return Fd(copy);
}

Result<Fd> OpenFileAt(int dir_fd, const std::string& path, int flags, mode_t mode) {
  for (;;) {
    const int fd = ::openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR) return FailErrno("cannot open '" + path + "'");
  }
}

Result<Fd> OpenFile(const std::string& path, int flags, mode_t mode) {
  return OpenFileAt(AT_FDCWD, path, flags, mode);
}

Result<Pipe> MakePipe(int flags) {
  int ends[2];
  if (::pipe2(ends, flags | O_CLOEXEC) != 0) return FailErrno("cannot make a pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<std::pair<Fd, Fd>> MakeSocketPair(int type) {
  int ends[2];
  if (::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends) != 0) {
    return FailErrno("cannot make a socket pair");
  }
  return std::pair<Fd, Fd>(Fd(ends[0]), Fd(ends[1]));
}

Status WriteAll(int fd, std::string_view data, std::string_view what) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot write " + std::string(what));
    }
    data.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Result<std::string> ReadAll(int fd, size_t limit, std::string_view what) {
  std::string out;
  struct stat info = {};
  if (::fstat(fd, &info) == 0 && S_ISREG(info.st_mode)) {
    out.reserve(std::min<size_t>(static_cast<size_t>(info.st_size) + 1, limit + 1));
  }
  for (;;) {
    const size_t have = out.size();
    const size_t room = std::max<size_t>(out.capacity() - have, 4096);
    out.resize(have + room);
    const ssize_t n = ::read(fd, out.data() + have, room);
    if (n < 0) {
      out.resize(have);
      if (errno == EINTR) continue;
      return FailErrno("cannot read " + std::string(what));
    }
    out.resize(have + static_cast<size_t>(n));
    if (n == 0) return out;
    if (out.size() > limit) {
      return Fail(Code::kExhausted, "cannot read " + std::string(what) + ": it is larger than " +
                                        std::to_string(limit) + " bytes");
    }
  }
}

Result<std::string> ReadFile(const std::string& path, size_t limit) {
  SKIFF_ASSIGN(const Fd fd, OpenFile(path, O_RDONLY));
  return ReadAll(fd.get(), limit, "'" + path + "'");
}

Status SetNonBlocking(int fd, bool on) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return FailErrno("cannot read the flags of a file descriptor");
  const int wanted = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
  if (wanted != flags && ::fcntl(fd, F_SETFL, wanted) != 0) {
    return FailErrno("cannot set the flags of a file descriptor");
  }
  return {};
}

Status SendMessage(int socket, std::string_view data, std::span<const int> fds, int flags) {
  if (fds.size() > kMaxPassedFds) {
    return Fail(Code::kInternal, "cannot pass more than 32 file descriptors at once");
  }
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)] = {};
  iovec part = {const_cast<char*>(data.data()), data.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  for (;;) {
    const ssize_t n = ::sendmsg(socket, &message, flags | MSG_NOSIGNAL);
    if (n == static_cast<ssize_t>(data.size())) return {};
    if (n >= 0) return Fail(Code::kUnavailable, "cannot send a whole message to a socket");
    if (errno != EINTR) return FailErrno("cannot send a message");
  }
}

Result<ReceivedMessage> ReceiveMessage(int socket, size_t limit, int flags) {
  ReceivedMessage result;
  result.data.resize(limit);
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * kMaxPassedFds)];
  iovec part = {result.data.data(), result.data.size()};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t n = 0;
  do {
    n = ::recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return FailErrno("cannot receive a message");
  result.data.resize(static_cast<size_t>(n));
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
      result.fds.emplace_back(fd);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return Fail(Code::kUnavailable, "cannot receive a message: it is too large");
  }
  return result;
}

}  // namespace skiff
