#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/engine.h"

namespace skiff::engine::embedded {

// Between a client that attached to a container that does not run yet and the start that will give
// it a session. Shared by both; any thread.
class DeferredState {
 public:
  // Copies of the client's descriptors.
  static Result<std::shared_ptr<DeferredState>> Make(const StandardStreams& streams, bool tty);

  // What the launch gets.
  StandardStreams launch_streams() const;
  // The client's side of the terminal, for the session.
  Fd TakeTerminal() { return std::move(terminal_client_); }
  StandardStreams client_streams() const;

  void Fulfil(std::unique_ptr<Session> session);
  void Fail(const Error& error);
  // The launch has its copies.
  void CloseLaunchSide();

  Result<Session*> Await();
  Session* Now();
  int exit_fd() const { return epoll_.get(); }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::unique_ptr<Session> session_;
  std::optional<Error> error_;
  Fd epoll_;
  Fd failed_;
  Fd input_, output_, error_output_;
  Fd terminal_launch_, terminal_client_;
};

// The client's handle.
class DeferredSession : public Session {
 public:
  explicit DeferredSession(std::shared_ptr<DeferredState> state) : state_(std::move(state)) {}

  int terminal_fd() const override;
  Status Resize(TerminalSize size) override;
  Status Signal(int signal_number) override;
  int exit_fd() const override { return state_->exit_fd(); }
  Result<int> Wait() override;

 private:
  std::shared_ptr<DeferredState> state_;
};

}  // namespace skiff::engine::embedded
