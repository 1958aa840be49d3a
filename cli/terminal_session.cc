#include "cli/terminal_session.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/fd.h"
#include "cli/signals.h"

namespace skiff::cli {
namespace {

// A process that ignores this many requests to stop is left alone (docker run).
constexpr int kLastRequest = 3;
constexpr size_t kBufferSize = 32 * 1024;

// Reads what is there; "" at the end of the file or when the other side of a terminal is gone.
Result<std::string> ReadSome(int fd, std::string_view what) {
  std::array<char, kBufferSize> buffer;
  for (;;) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count >= 0) return std::string(buffer.data(), static_cast<size_t>(count));
    const int error = errno;
    if (error == EINTR) continue;
    if (error == EIO) return std::string();  // A pseudo terminal whose processes have all gone.
    return FailErrno(error, "cannot read from " + std::string(what));
  }
}

// One pass of copying between a person's terminal and that of a process.
class TerminalCopy {
 public:
  TerminalCopy(const SessionOptions& options, const std::string& keys, engine::Session& session,
               SignalRouter& signals)
      : options_(options), filter_(keys), session_(session), signals_(signals) {}

  // Until the process has ended and its output is drained, or the person detached.
  Status Run() {
    bool ended = false;
    while (!output_closed_ && !filter_.detached()) {
      std::array<pollfd, 4> set = {{{session_.terminal_fd(), POLLIN, 0},
                                    {input_open_ ? options_.in : -1, POLLIN, 0},
                                    {signals_.fd(), POLLIN, 0},
                                    {ended ? -1 : session_.exit_fd(), POLLIN, 0}}};
      // After the end only what is still in the terminal's buffer counts.
      const int ready = poll(set.data(), set.size(), ended ? 0 : -1);
      if (ready < 0) {
        const int error = errno;
        if (error == EINTR) continue;
        return FailErrno(error, "cannot wait for the terminal");
      }
      if (ended && set[0].revents == 0) return {};
      if (set[0].revents != 0) SKIFF_TRY(CopyOutput());
      if (set[1].revents != 0) SKIFF_TRY(CopyInput());
      if (set[2].revents != 0) SKIFF_TRY(PassSignals());
      if (set[3].revents != 0) ended = true;
    }
    return {};
  }
  bool detached() const { return filter_.detached(); }

 private:
  Status CopyOutput() {
    SKIFF_ASSIGN(const std::string data,
                 ReadSome(session_.terminal_fd(), "the container's terminal"));
    output_closed_ = data.empty();
    return WriteAll(options_.out, data, "the terminal");
  }

  Status CopyInput() {
    SKIFF_ASSIGN(const std::string data, ReadSome(options_.in, "the terminal"));
    if (data.empty()) {
      // The end of a pipe that stands for a keyboard: what ctrl-d would send.
      input_open_ = false;
      return WriteAll(session_.terminal_fd(), "\x04", "the container's terminal");
    }
    const std::string rest = filter_.Pass(data);
    if (rest.empty()) return {};
    auto written = WriteAll(session_.terminal_fd(), rest, "the container's terminal");
    if (!written && written.error().sys_errno == EIO) {
      input_open_ = false;  // The process has gone; its end is about to be told.
      return {};
    }
    return written;
  }

  Status PassSignals() {
    while (const int number = signals_.Take()) {
      Status passed;
      if (number == SIGWINCH) {
        passed = session_.Resize(SizeOf(options_.in));
      } else if (options_.forward_signals) {
        passed = session_.Signal(number);
      }
      // It may have ended meanwhile; the exit descriptor tells.
      if (!passed && passed.error().code != Code::kNotFound &&
          passed.error().code != Code::kFailedPrecondition &&
          passed.error().code != Code::kUnavailable) {
        return passed;
      }
    }
    return {};
  }

  const SessionOptions& options_;
  DetachFilter filter_;
  engine::Session& session_;
  SignalRouter& signals_;
  bool input_open_ = true;
  bool output_closed_ = false;
};

std::vector<int> ForwardedSignals() {
  return {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
}

}  // namespace

TerminalSession::TerminalSession(SessionOptions options, std::string keys)
    : options_(std::move(options)), keys_(std::move(keys)) {}
TerminalSession::~TerminalSession() = default;

Result<std::unique_ptr<TerminalSession>> TerminalSession::Create(SessionOptions options) {
  SKIFF_ASSIGN(std::string keys, ParseDetachKeys(options.detach_keys));
  return std::unique_ptr<TerminalSession>(new TerminalSession(std::move(options), std::move(keys)));
}

engine::StandardStreams TerminalSession::streams() const {
  // With a terminal the bytes go through Drive; without, the process gets the descriptors.
  if (options_.tty) return {};
  return {options_.interactive ? options_.in : -1, options_.out, options_.err};
}

engine::TerminalSize TerminalSession::size() const {
  if (!options_.tty) return {};
  const engine::TerminalSize size = SizeOf(options_.in);
  return size.columns != 0 ? size : SizeOf(options_.out);
}

Result<int> TerminalSession::Drive(engine::Session& session) {
  if (options_.tty && session.terminal_fd() >= 0) return DriveTerminal(session);
  return DriveStreams(session);
}

Result<int> TerminalSession::DriveTerminal(engine::Session& session) {
  std::vector<int> routed = ForwardedSignals();
  routed.push_back(SIGWINCH);
  SKIFF_ASSIGN(const auto signals, SignalRouter::Create(std::move(routed)));
  std::unique_ptr<RawMode> raw;
  if (options_.interactive && IsTerminal(options_.in)) {
    SKIFF_ASSIGN(raw, RawMode::Enter(options_.in));
  }
  // The process may have been made before anybody knew this terminal; not being able to tell it the
  // size is no reason to stop.
  if (const engine::TerminalSize known = size(); known.columns != 0) {
    const Status ignored = session.Resize(known);
    static_cast<void>(ignored);
  }
  SessionOptions options = options_;
  if (!options.interactive) options.in = -1;
  TerminalCopy copy(options, keys_, session, *signals);
  SKIFF_TRY(copy.Run());
  detached_ = copy.detached();
  if (detached_) return 0;
  return session.Wait();
}

Result<int> TerminalSession::DriveStreams(engine::Session& session) {
  SKIFF_ASSIGN(const auto signals, SignalRouter::Create(ForwardedSignals()));
  int requests = 0;
  for (;;) {
    // The end of whoever reads our output (`run ... | head`) is an error on the pipe, asked for by
    // no event. The process itself may never write again, or not care.
    std::array<pollfd, 3> set = {
        {{session.exit_fd(), POLLIN, 0}, {signals->fd(), POLLIN, 0}, {options_.out, 0, 0}}};
    if (poll(set.data(), set.size(), -1) < 0) {
      const int error = errno;
      if (error == EINTR) continue;
      return FailErrno(error, "cannot wait for the process");
    }
    if (set[0].revents != 0) return session.Wait();
    if ((set[2].revents & POLLERR) != 0) {
      // As docker's client, which ends by SIGPIPE: the process goes on.
      detached_ = true;
      return 128 + SIGPIPE;
    }
    while (const int number = signals->Take()) {
      if (!options_.forward_signals) return Fail(Code::kCancelled, "interrupted");
      const bool request = number == SIGINT || number == SIGTERM;
      if (request && ++requests == kLastRequest) {
        return Fail(Code::kCancelled, "got 3 SIGTERM/SIGINTs, forcefully exiting");
      }
      const Status passed = session.Signal(number);
      if (!passed && passed.error().code != Code::kNotFound &&
          passed.error().code != Code::kFailedPrecondition) {
        return Fail(passed.error());
      }
    }
  }
}

}  // namespace skiff::cli
