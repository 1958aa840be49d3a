#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/event_loop.h"
#include "base/fd.h"
#include "engine-core/monitor/events.h"
#include "engine-core/monitor/protocol.h"

namespace skiff::engine::monitor {

// The control socket <run_dir>/control.sock and its connections. Only root and the monitor's own
// user are served. A connection is dropped when it sends nonsense or does not take its answers;
// the number of connections is bounded.
class ControlServer {
 public:
  struct Handler {
    std::function<void(ClientId, Request)> request;
    // The client has closed its end, or was dropped.
    std::function<void(ClientId)> gone;
  };

  ControlServer(EventLoop* loop, Handler handler);
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

  Status Listen(const std::string& run_dir);
  // A connection that exists already: the launcher's channel.
  Result<ClientId> Adopt(Fd socket);
  // Unknown clients (gone meanwhile) are ignored.
  void Send(ClientId client, const AnswerMessage& answer);
  // After Send: closes the connection.
  void Close(ClientId client);
  // No further connections: the socket's name goes.
  void StopListening();

 private:
  struct Connection {
    Fd socket;
    bool asked = false;
  };
  void Accept();
  void Receive(ClientId client);
  void Drop(ClientId client);
  void MakeRoom();
  void RestFromAccepting();

  EventLoop* loop_;
  Handler handler_;
  Fd listener_;
  std::string path_;
  EventLoop::TimerId rest_timer_ = 0;
  ClientId next_ = 1;
  std::map<ClientId, Connection> connections_;
};

}  // namespace skiff::engine::monitor
