#include "engine-core/embedded/deferred_session.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

namespace skiff::engine::embedded {
namespace {

Result<Fd> CopyOf(int fd) {
  if (fd < 0) return Fd();
  Fd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy.valid()) return FailErrno("cannot duplicate a descriptor");
  return copy;
}

Status AddTo(const Fd& epoll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return FailErrno("cannot watch a descriptor");
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<DeferredState>> DeferredState::Make(const StandardStreams& streams,
                                                           bool tty) {
  auto state = std::make_shared<DeferredState>();
  state->epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  state->failed_ = Fd(::eventfd(0, EFD_CLOEXEC));
  if (!state->epoll_.valid() || !state->failed_.valid()) {
    return FailErrno("cannot make an event descriptor");
  }
  SKIFF_TRY(AddTo(state->epoll_, state->failed_.get()));
  if (tty) {
    SKIFF_ASSIGN(auto ends, MakeSocketPair(SOCK_STREAM));
    state->terminal_launch_ = std::move(ends.first);
    state->terminal_client_ = std::move(ends.second);
    return state;
  }
  SKIFF_ASSIGN(state->input_, CopyOf(streams.input));
  SKIFF_ASSIGN(state->output_, CopyOf(streams.output));
  SKIFF_ASSIGN(state->error_output_, CopyOf(streams.error));
  const bool silent =
      !state->input_.valid() && !state->output_.valid() && !state->error_output_.valid();
  if (silent) {
    // A monitor takes a client that came with the launch by its streams; one without any only wants
    // to know how the container ends.
    SKIFF_ASSIGN(state->output_, OpenFile("/dev/null", O_WRONLY));
  }
  return state;
}

StandardStreams DeferredState::launch_streams() const {
  if (terminal_launch_.valid()) return {terminal_launch_.get(), terminal_launch_.get(), -1};
  return client_streams();
}

StandardStreams DeferredState::client_streams() const {
  return {input_.get(), output_.get(), error_output_.get()};
}

void DeferredState::CloseLaunchSide() {
  terminal_launch_.Reset();
}

void DeferredState::Fulfil(std::unique_ptr<Session> session) {
  const std::lock_guard lock(mutex_);
  // Without it only exit_fd() would stay silent; Wait() still works.
  if (!AddTo(epoll_, session->exit_fd())) {
    const uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(failed_.get(), &one, sizeof one);
  }
  session_ = std::move(session);
  changed_.notify_all();
}

void DeferredState::Fail(const Error& error) {
  const std::lock_guard lock(mutex_);
  error_ = error;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(failed_.get(), &one, sizeof one);
  changed_.notify_all();
}

Result<Session*> DeferredState::Await() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return session_ != nullptr || error_.has_value(); });
  if (error_) return skiff::Fail(*error_);
  return session_.get();
}

Session* DeferredState::Now() {
  const std::lock_guard lock(mutex_);
  return session_.get();
}

int DeferredSession::terminal_fd() const {
  const Session* session = state_->Now();
  return session == nullptr ? -1 : session->terminal_fd();
}

Status DeferredSession::Resize(TerminalSize size) {
  Session* session = state_->Now();
  if (session == nullptr) {
    return Fail(Code::kFailedPrecondition, "the container has not been started yet");
  }
  return session->Resize(size);
}

Status DeferredSession::Signal(int signal_number) {
  Session* session = state_->Now();
  if (session == nullptr) {
    return Fail(Code::kFailedPrecondition, "the container has not been started yet");
  }
  return session->Signal(signal_number);
}

Result<int> DeferredSession::Wait() {
  SKIFF_ASSIGN(Session * session, state_->Await());
  return session->Wait();
}

}  // namespace skiff::engine::embedded
