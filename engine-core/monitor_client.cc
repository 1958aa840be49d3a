#include "engine-core/monitor_client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "engine-core/monitor/liveness.h"
#include "engine-core/monitor/protocol.h"

namespace skiff::engine {
namespace {

using monitor::Answer;
using monitor::AnswerMessage;
using monitor::Request;
using monitor::RequestStreams;
using monitor::Verb;

constexpr size_t kMaxState = 1u << 20;
// Milliseconds.
constexpr int kLongestListen = 10'000;
constexpr int kListenStep = 2;

Result<Fd> TryConnect(const std::string& run_dir) {
  const auto unavailable = [&run_dir] {
    return Fail(Code::kUnavailable, "no monitor answers in '" + run_dir + "'");
  };
  const Result<Fd> folder = OpenFile(run_dir, O_PATH | O_DIRECTORY);
  if (!folder) return unavailable();
  Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return FailErrno("cannot make a socket");
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(folder->get()) + "/control.sock";
  std::memcpy(address.sun_path, path.data(), path.size());
  int connected = 0;
  do {
    connected =
        ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  } while (connected != 0 && errno == EINTR);
  if (connected == 0) return socket;
  if (errno == ENOENT || errno == ECONNREFUSED || errno == ECONNRESET) return unavailable();
  return FailErrno("cannot connect to the monitor in '" + run_dir + "'");
}

// A monitor holds its lock a few milliseconds before it listens and after it has stopped to: one
// whose launcher was killed is met in between. Its end is an event, its first listening is none.
Result<Fd> Connect(const std::string& run_dir) {
  for (int waited = 0;; waited += kListenStep) {
    Result<Fd> connected = TryConnect(run_dir);
    if (connected || connected.error().code != Code::kUnavailable || waited >= kLongestListen) {
      return connected;
    }
    const Result<Fd> process = monitor::OpenMonitor(run_dir);
    if (!process) return connected;
    pollfd end = {process->get(), POLLIN, 0};
    if (::poll(&end, 1, kListenStep) > 0) return connected;
  }
}

Result<AnswerMessage> ReceiveOne(const Fd& socket) {
  SKIFF_ASSIGN(std::optional<AnswerMessage> answer, monitor::ReceiveAnswer(socket.get(), 0));
  if (!answer) return Fail(Code::kUnavailable, "the container's monitor has ended");
  return std::move(*answer);
}

Result<AnswerMessage> Ask(const std::string& run_dir, const Request& request) {
  SKIFF_ASSIGN(const Fd socket, Connect(run_dir));
  SKIFF_TRY(monitor::SendRequest(socket.get(), request));
  SKIFF_ASSIGN(AnswerMessage answer, ReceiveOne(socket));
  if (answer.error) return Fail(std::move(*answer.error));
  return answer;
}

Status Tell(const std::string& run_dir, const Request& request) {
  SKIFF_ASSIGN(const AnswerMessage answer, Ask(run_dir, request));
  return {};
}

// The client's side of an exec or attach: one connection whose next message is the end.
class MonitorSession : public Session {
 public:
  MonitorSession(Fd socket, Fd terminal)
      : socket_(std::move(socket)), terminal_(std::move(terminal)) {}

  // One that could not be executed: it is over already.
  static std::unique_ptr<MonitorSession> Ended(Fd socket, Fd terminal, int exit_code) {
    auto session = std::make_unique<MonitorSession>(std::move(socket), std::move(terminal));
    // Nothing more is read: exit_fd() is readable from now on.
    ::shutdown(session->socket_.get(), SHUT_RD);
    session->exit_code_ = exit_code;
    return session;
  }

  // Where the rest of the output goes that the monitor could not hand on before it ended.
  Status KeepStreams(const StandardStreams& streams) {
    if (streams.output >= 0) {
      output_ = Fd(::fcntl(streams.output, F_DUPFD_CLOEXEC, 0));
      if (!output_) return FailErrno("cannot duplicate a standard stream");
    }
    if (streams.error >= 0) {
      error_ = Fd(::fcntl(streams.error, F_DUPFD_CLOEXEC, 0));
      if (!error_) return FailErrno("cannot duplicate a standard stream");
    }
    return {};
  }

  int terminal_fd() const override { return terminal_.get(); }
  int exit_fd() const override { return socket_.get(); }

  Status Resize(TerminalSize size) override {
    Request request;
    request.verb = Verb::kResize;
    request.rows = size.rows;
    request.columns = size.columns;
    return SendQuietly(request);
  }

  Status Signal(int signal_number) override {
    Request request;
    request.verb = Verb::kSignal;
    request.signal = signal_number;
    return SendQuietly(request);
  }

  Result<int> Wait() override {
    while (!exit_code_) {
      SKIFF_ASSIGN(const AnswerMessage answer, ReceiveOne(socket_));
      if (answer.answer != Answer::kExited) continue;
      exit_code_ = answer.exit_code;
      SKIFF_TRY(CopyRest(answer.rest_of_output, output_));
      SKIFF_TRY(CopyRest(answer.rest_of_error, error_));
    }
    return *exit_code_;
  }

 private:
  // The end may have come first: that is no error of the caller's.
  Status SendQuietly(const Request& request) {
    const Status sent = monitor::SendRequest(socket_.get(), request);
    if (!sent && sent.error().sys_errno != EPIPE && sent.error().sys_errno != ECONNRESET)
      return sent;
    return {};
  }

  static Status CopyRest(const Fd& from, const Fd& to) {
    if (!from || !to) return {};
    SKIFF_ASSIGN(const std::string rest, ReadAll(from.get(), 64u << 20, "the rest of the output"));
    const Status written = WriteAll(to.get(), rest, "the rest of the output");
    if (!written && written.error().sys_errno != EPIPE) return written;
    return {};
  }

  Fd socket_;
  Fd terminal_;
  Fd output_;
  Fd error_;
  std::optional<int> exit_code_;
};

// What could not be executed says so where its errors would have gone, as docker does.
Result<std::unique_ptr<Session>> FailedExec(Fd socket, const AnswerMessage& answer, bool tty,
                                            const StandardStreams& streams) {
  std::string text = answer.error->message;
  Fd terminal;
  if (tty) {
    text += "\r\n";
    SKIFF_ASSIGN(auto ends, MakeSocketPair(SOCK_STREAM));
    SKIFF_TRY(WriteAll(ends.first.get(), text, "an error message"));
    terminal = std::move(ends.second);
  } else if (streams.error >= 0) {
    text += "\n";
    // A closed standard error is the caller's wish.
    static_cast<void>(WriteAll(streams.error, text, "an error message"));
  }
  return MonitorSession::Ended(std::move(socket), std::move(terminal), answer.exit_code);
}

}  // namespace

bool MonitorClient::Alive() const {
  return monitor::LockIsHeld(run_dir_);
}

Status MonitorClient::KillMonitor() const {
  const Result<Fd> process = monitor::OpenMonitor(run_dir_);
  if (!process) return process.error().code == Code::kNotFound ? Status() : Fail(process.error());
  if (::syscall(SYS_pidfd_send_signal, process->get(), SIGKILL, nullptr, 0) != 0 &&
      errno != ESRCH) {
    return FailErrno("cannot kill the monitor in '" + run_dir_ + "'");
  }
  return {};
}

Result<ContainerState> MonitorClient::ReadState() const {
  SKIFF_ASSIGN(const std::string text, ReadFile(run_dir_ + "/state.json", kMaxState));
  return StateFromJson(text);
}

Status MonitorClient::Stop(int signal_number, std::optional<Nanoseconds> timeout) const {
  Request request;
  request.verb = Verb::kStop;
  request.signal = signal_number;
  if (timeout) request.timeout_ns = timeout->count();
  const Status told = Tell(run_dir_, request);
  // kUnavailable with the lock held: it is ending by itself just now.
  if (!told && (told.error().code != Code::kUnavailable || !Alive())) return told;
  return AwaitMonitorExit(run_dir_, -1);
}

Status MonitorClient::Kill(int signal_number) const {
  Request request;
  request.verb = Verb::kKill;
  request.signal = signal_number;
  return Tell(run_dir_, request);
}

Status MonitorClient::Restart(int signal_number, std::optional<Nanoseconds> timeout) const {
  Request request;
  request.verb = Verb::kRestart;
  request.signal = signal_number;
  if (timeout) request.timeout_ns = timeout->count();
  return Tell(run_dir_, request);
}

Status MonitorClient::Pause() const {
  Request request;
  request.verb = Verb::kPause;
  return Tell(run_dir_, request);
}

Status MonitorClient::Unpause() const {
  Request request;
  request.verb = Verb::kUnpause;
  return Tell(run_dir_, request);
}

Status MonitorClient::Rename(std::string_view name) const {
  Request request;
  request.verb = Verb::kRename;
  request.name = std::string(name);
  return Tell(run_dir_, request);
}

Result<std::unique_ptr<Session>> MonitorClient::Exec(const ExecConfig& config,
                                                     const StandardStreams& streams,
                                                     TerminalSize size) const {
  SKIFF_ASSIGN(Fd socket, Connect(run_dir_));
  Request request;
  request.verb = Verb::kExec;
  request.args = config.command;
  request.environment = config.environment;
  request.user = config.user;
  request.cwd = config.working_dir;
  request.tty = config.tty;
  request.privileged = config.privileged;
  request.rows = size.rows;
  request.columns = size.columns;
  RequestStreams passed;
  if (!config.tty) passed = {streams.input, streams.output, streams.error};
  SKIFF_TRY(monitor::SendRequest(socket.get(), request, passed));
  SKIFF_ASSIGN(AnswerMessage answer, ReceiveOne(socket));
  if (answer.error && answer.exit_code != 0) {
    return FailedExec(std::move(socket), answer, config.tty, streams);
  }
  if (answer.error) return Fail(std::move(*answer.error));
  return std::make_unique<MonitorSession>(std::move(socket), std::move(answer.terminal));
}

Result<std::unique_ptr<Session>> MonitorClient::Attach(const StandardStreams& streams) const {
  SKIFF_ASSIGN(Fd socket, Connect(run_dir_));
  Request request;
  request.verb = Verb::kAttach;
  SKIFF_TRY(
      monitor::SendRequest(socket.get(), request, {streams.input, streams.output, streams.error}));
  SKIFF_ASSIGN(AnswerMessage answer, ReceiveOne(socket));
  if (answer.error) return Fail(std::move(*answer.error));
  auto session = std::make_unique<MonitorSession>(std::move(socket), std::move(answer.terminal));
  SKIFF_TRY(session->KeepStreams(streams));
  return session;
}

Result<Fd> MonitorClient::NetworkNamespace() const {
  Request request;
  request.verb = Verb::kNetwork;
  SKIFF_ASSIGN(AnswerMessage answer, Ask(run_dir_, request));
  if (!answer.network) return Fail(Code::kUnavailable, "the monitor sent no network namespace");
  return std::move(answer.network);
}

Status MonitorClient::UpdateNames(const DnsSpec& dns) const {
  Request request;
  request.verb = Verb::kNames;
  request.tables = dns.tables;
  request.upstreams = dns.upstreams;
  request.endpoints = dns.endpoints;
  request.forward = dns.forward;
  return Tell(run_dir_, request);
}

std::unique_ptr<Session> SessionOfLaunch(Fd channel, const StandardStreams& streams, Fd terminal) {
  auto session = std::make_unique<MonitorSession>(std::move(channel), std::move(terminal));
  // Without a copy of a stream only the rest of the output after a stuck reader would be lost.
  static_cast<void>(session->KeepStreams(streams));
  return session;
}

Status AwaitMonitorExit(const std::string& run_dir, int cancel_fd) {
  for (;;) {
    const Result<Fd> process = monitor::OpenMonitor(run_dir);
    if (!process && process.error().code == Code::kNotFound) return {};
    if (!process) return tl::unexpected(process.error());
    pollfd watched[] = {{process->get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    if (::poll(watched, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot wait for the end of a monitor");
    }
    // Its locks went before; another one that owns the directory by now is not waited for.
    if (watched[0].revents != 0) return {};
    if (watched[1].revents != 0) return Fail(Code::kCancelled, "waiting was cancelled");
  }
}

}  // namespace skiff::engine
