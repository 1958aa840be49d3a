#include "netmgr/relay/tcp_flow.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>

namespace skiff::net {
namespace {

// What a pipe is grown to once it held much: fewer turns between the two sockets.
constexpr size_t kGrownWindow = 256 << 10;

bool WouldBlock() {
  return errno == EAGAIN || errno == EWOULDBLOCK;
}

}  // namespace

Result<TcpFlow> TcpFlow::Create(Fd client, Fd target, FdWatcher* watcher) {
  TcpFlow flow(std::move(client), std::move(target), watcher);
  SKIFF_ASSIGN(flow.up_.pipe, MakePipe(O_NONBLOCK));
  SKIFF_ASSIGN(flow.down_.pipe, MakePipe(O_NONBLOCK));
  flow.Rewatch();
  return flow;
}

bool TcpFlow::FinishConnect() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(target_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0 || error != 0) {
    // Refused or unreachable: the client learns it as the container's own refusal would show, by a
    // reset instead of an orderly end.
    const linger reset = {1, 0};
    ::setsockopt(client_.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return false;
  }
  sockaddr_storage peer = {};
  size = sizeof peer;
  if (::getpeername(target_.get(), reinterpret_cast<sockaddr*>(&peer), &size) != 0) {
    return errno == ENOTCONN;  // Still connecting.
  }
  connecting_ = false;
  return true;
}

void TcpFlow::Grow(Direction& direction) {
  if (direction.window >= kGrownWindow) return;
  // Refused (a limit on what one user's pipes hold): it stays as it is, which is only slower.
  ::fcntl(direction.pipe.write.get(), F_SETPIPE_SZ, static_cast<int>(kGrownWindow));
  direction.window = kGrownWindow;
}

bool TcpFlow::Fill(Direction& direction, int from) {
  while (!direction.ended && !direction.full && direction.held < direction.window) {
    const ssize_t n = ::splice(from, nullptr, direction.pipe.write.get(), nullptr,
                               direction.window - direction.held,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
      direction.held += static_cast<size_t>(n);
    } else if (n == 0) {
      direction.ended = true;
    } else if (WouldBlock()) {
      // With bytes in the pipe it may be the pipe that is full (in pages, not in bytes).
      direction.full = direction.held > 0;
      if (direction.held >= direction.window / 4) Grow(direction);
      return true;
    } else if (errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool TcpFlow::Drain(Direction& direction, int to) {
  while (direction.held > 0) {
    const ssize_t n = ::splice(direction.pipe.read.get(), nullptr, to, nullptr, direction.held,
                               SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (n > 0) {
      direction.held -= static_cast<size_t>(n);
    } else if (n < 0 && WouldBlock()) {
      return true;
    } else if (n == 0 || errno != EINTR) {
      return false;
    }
  }
  direction.full = false;
  if (direction.ended && !direction.shut) {
    direction.shut = true;
    // ENOTCONN: the other side is gone altogether, which the other direction notices.
    if (::shutdown(to, SHUT_WR) != 0 && errno != ENOTCONN) return false;
  }
  return true;
}

bool TcpFlow::Move(Direction& direction, int from, int to) {
  for (;;) {
    const size_t before = direction.held;
    if (!Fill(direction, from)) return false;
    const bool moved = direction.held > before;
    if (!Drain(direction, to)) return false;
    if (!moved || direction.held > 0 || direction.ended) return true;
  }
}

void TcpFlow::Rewatch() {
  const auto reads = [](const Direction& direction) {
    return !direction.ended && !direction.full && direction.held < direction.window ? EPOLLIN : 0u;
  };
  const auto writes = [](const Direction& direction) { return direction.held > 0 ? EPOLLOUT : 0u; };
  if (connecting_) {
    // Not the client: a hang-up would be reported again and again until the connect is decided.
    watcher_->Watch(target_.get(), EPOLLOUT);
    return;
  }
  watcher_->Watch(client_.get(), reads(up_) | writes(down_));
  watcher_->Watch(target_.get(), reads(down_) | writes(up_));
}

bool TcpFlow::OnEvent() {
  if (connecting_ && !FinishConnect()) return false;
  if (!connecting_) {
    if (!Move(up_, client_.get(), target_.get())) return false;
    if (!Move(down_, target_.get(), client_.get())) return false;
    if (up_.shut && down_.shut) return false;
  }
  Rewatch();
  return true;
}

void TcpFlow::Close(FdWatcher* watcher) {
  watcher->Unwatch(client_.get());
  watcher->Unwatch(target_.get());
  client_.Reset();
  target_.Reset();
}

}  // namespace skiff::net
