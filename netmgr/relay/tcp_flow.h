#pragma once

#include <cstddef>

#include "base/fd.h"
#include "netmgr/fd_watcher.h"

namespace skiff::net {

// One relayed TCP connection: bytes move from socket to pipe to socket inside the kernel (splice),
// an end that was half-closed by one side is half-closed towards the other.
class TcpFlow {
 public:
  // `target` has a connect(2) under way. Watches both.
  static Result<TcpFlow> Create(Fd client, Fd target, FdWatcher* watcher);

  int client() const { return client_.get(); }
  int target() const { return target_.get(); }

  // Moves what can be moved. False: the flow is over, call Close() and forget it.
  bool OnEvent();
  void Close(FdWatcher* watcher);

 private:
  struct Direction {
    Pipe pipe;
    size_t window = 64 << 10;  // Bytes it may hold, when its pages are full ones.
    size_t held = 0;           // Bytes in the pipe.
    bool full = false;         // The source had more than the pipe takes: drain it first.
    bool ended = false;        // The source has sent its end.
    bool shut = false;         // The end was passed on.
  };

  TcpFlow(Fd client, Fd target, FdWatcher* watcher)
      : watcher_(watcher), client_(std::move(client)), target_(std::move(target)) {}
  bool FinishConnect();
  bool Move(Direction& direction, int from, int to);
  static void Grow(Direction& direction);
  bool Fill(Direction& direction, int from);
  bool Drain(Direction& direction, int to);
  void Rewatch();

  FdWatcher* watcher_;
  Fd client_;
  Fd target_;
  bool connecting_ = true;
  Direction up_;    // Client to target.
  Direction down_;  // Target to client.
};

}  // namespace skiff::net
