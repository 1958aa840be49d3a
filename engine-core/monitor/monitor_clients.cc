// What clients ask of a running container: exec, attach, signals, sizes.
#include <fcntl.h>
#include <sys/socket.h>

#include <utility>

#include "engine-core/monitor/monitor.h"

namespace skiff::engine::monitor {
namespace {

// The container's environment with the entries of `more` above it.
std::vector<std::string> MergeEnvironment(const std::vector<std::string>& base,
                                          const std::vector<std::string>& more) {
  std::vector<std::string> merged = base;
  for (const std::string& entry : more) {
    const std::string_view key = std::string_view(entry).substr(0, entry.find('=') + 1);
    if (key.empty()) continue;
    bool replaced = false;
    for (std::string& existing : merged) {
      if (!existing.starts_with(key)) continue;
      existing = entry;
      replaced = true;
    }
    if (!replaced) merged.push_back(entry);
  }
  return merged;
}

std::optional<Nanoseconds> Timeout(const Request& request) {
  if (!request.timeout_ns) return std::nullopt;
  return Nanoseconds(*request.timeout_ns);
}

std::string JoinArgs(const std::vector<std::string>& args) {
  std::string text;
  for (const std::string& arg : args) {
    if (!text.empty()) text += ' ';
    text += arg;
  }
  return text;
}

bool ValidSignal(int signal) {
  return signal > 0 && signal <= 64;
}

}  // namespace

void Monitor::Refuse(ClientId client, Error error) {
  Do(Reply{client, std::move(error)});
}

void Monitor::OnRequest(ClientId client, Request request) {
  if (request.signal != 0 && !ValidSignal(request.signal)) {
    return Refuse(client, Error(Code::kInvalidArgument, "invalid signal number"));
  }
  switch (request.verb) {
    case Verb::kPing:
      return Do(Reply{client, std::nullopt});
    case Verb::kStop:
      return Post(StopRequest{client, request.signal, Timeout(request)});
    case Verb::kRestart:
      return Post(RestartRequest{client, request.signal, Timeout(request)});
    case Verb::kKill:
      if (request.signal == 0) return Refuse(client, Error(Code::kInvalidArgument, "no signal"));
      return Post(KillRequest{client, request.signal});
    case Verb::kPause:
      return Post(PauseRequest{client, true});
    case Verb::kUnpause:
      return Post(PauseRequest{client, false});
    case Verb::kRename:
      return Post(RenameRequest{client, request.name});
    case Verb::kExec:
      return StartExec(client, std::move(request));
    case Verb::kAttach:
      return StartAttach(client, std::move(request));
    case Verb::kResize:
    case Verb::kSignal:
      return OnSessionRequest(client, request);
    case Verb::kNetwork: {
      AnswerMessage answer;
      if (message_.network_namespace) {
        Result<Fd> copy = message_.network_namespace.Duplicate();
        if (!copy) return Refuse(client, std::move(copy).error());
        answer.network = std::move(*copy);
        return control_.Send(client, answer);
      }
      return Refuse(client,
                    Error(Code::kFailedPrecondition, "the container is in the host's network"));
    }
    case Verb::kNames:
      message_.spec.dns.tables = std::move(request.tables);
      message_.spec.dns.upstreams = std::move(request.upstreams);
      message_.spec.dns.endpoints = std::move(request.endpoints);
      message_.spec.dns.forward = request.forward;
      network_.UpdateNames(message_.spec.dns);
      return Do(Reply{client, std::nullopt});
  }
  Refuse(client, Error(Code::kUnsupported, "this monitor does not know the request"));
}

void Monitor::OnClientGone(ClientId client) {
  const auto exec = execs_.find(client);
  if (exec != execs_.end()) exec->second->OnClientGone();
  const auto session = attached_.find(client);
  if (session == attached_.end()) return;
  AttachSession gone = std::move(session->second);
  attached_.erase(session);
  if (gone.output) pump_.RemoveSink(gone.output.get());
  if (gone.error) pump_.RemoveSink(gone.error.get());
}

// ---- Exec --------------------------------------------------------------------------------------

void Monitor::StartExec(ClientId client, Request request) {
  const ContainerState& state = core_.state();
  if (state.status == ContainerStatus::kPaused) {
    return Refuse(client, Error(Code::kFailedPrecondition,
                                "Container " + message_.spec.id +
                                    " is paused, unpause the container before exec"));
  }
  if (state.status == ContainerStatus::kRestarting) {
    return Refuse(client, Error(Code::kFailedPrecondition,
                                "Container " + message_.spec.id +
                                    " is restarting, wait until the container is running"));
  }
  if (state.status != ContainerStatus::kRunning || !init_running_) {
    return Refuse(client, Error(Code::kFailedPrecondition,
                                "container " + message_.spec.id + " is not running"));
  }
  if (request.args.empty() || execs_.contains(client) || attached_.contains(client)) {
    return Refuse(client, Error(Code::kInvalidArgument, "no exec command specified"));
  }
  const RuntimeSpec& spec = message_.spec;
  const std::string command = JoinArgs(request.args);
  ExecSession::Request exec;
  exec.spec.args = std::move(request.args);
  // As docker: a terminal has a type, unless the container or the request names one.
  exec.spec.environment =
      request.tty ? MergeEnvironment({"TERM=xterm"}, spec.environment) : spec.environment;
  exec.spec.environment = MergeEnvironment(exec.spec.environment, request.environment);
  exec.spec.cwd = request.cwd.empty() ? spec.cwd : request.cwd;
  exec.spec.user = request.user.empty() ? spec.user : request.user;
  exec.spec.tty = request.tty;
  exec.spec.privileged = request.privileged;
  exec.input = std::move(request.input);
  exec.output = std::move(request.output);
  exec.error = std::move(request.error);
  exec.size = {request.rows, request.columns};

  ExecSession::Listener listener;
  listener.started = [this, client, command](int terminal) {
    Journal("exec_start: " + command, {{"name", core_.name()}});
    AnswerMessage answer;
    answer.answer = Answer::kStarted;
    if (terminal >= 0) answer.terminal = Fd(::fcntl(terminal, F_DUPFD_CLOEXEC, 0));
    control_.Send(client, answer);
  };
  listener.failed = [this, client](int exit_code, const std::string& text) {
    AnswerMessage answer;
    answer.answer = Answer::kError;
    answer.error = Error(Code::kFailedPrecondition, text);
    answer.exit_code = exit_code;
    control_.Send(client, answer);
    Finished(execs_[client].get());
  };
  listener.ended = [this, client](int exit_code) {
    Journal("exec_die", {{"exitCode", std::to_string(exit_code)}, {"name", core_.name()}});
    AnswerMessage answer;
    answer.answer = Answer::kExited;
    answer.exit_code = exit_code;
    control_.Send(client, answer);
    Finished(execs_[client].get());
  };
  auto session = std::make_unique<ExecSession>(loop_.get(), &scratch_, std::move(listener));
  const Status started = session->Start(spec, init_.pidfd.get(), std::move(exec));
  if (!started) return Refuse(client, started.error());
  LaterRelease();
  processes_[session->pid()] = session.get();
  execs_[client] = std::move(session);
}

// The session is on the stack: it is destroyed when the loop comes round.
void Monitor::Finished(ExecSession* session) {
  if (session == nullptr) return;
  if (session == probe_.get()) {
    ended_sessions_.push_back(std::move(probe_));
  } else {
    for (auto it = execs_.begin(); it != execs_.end(); ++it) {
      if (it->second.get() != session) continue;
      ended_sessions_.push_back(std::move(it->second));
      execs_.erase(it);
      break;
    }
  }
  loop_->AddTimer(Now(), [this] { PurgeSessions(); });
}

// A session whose process is still to be reaped is still known to processes_.
void Monitor::PurgeSessions() {
  std::erase_if(ended_sessions_, [this](const std::unique_ptr<ExecSession>& ended) {
    return !processes_.contains(ended->pid());
  });
}

// ---- Attach ------------------------------------------------------------------------------------

Status Monitor::AdoptLaunchClient() {
  if (!message_.attach_input && !message_.attach_output && !message_.attach_error) return {};
  SKIFF_ASSIGN(Fd copy, channel_.Duplicate());
  SKIFF_ASSIGN(const ClientId client, control_.Adopt(std::move(copy)));
  return Connect(client, std::move(message_.attach_input), std::move(message_.attach_output),
                 std::move(message_.attach_error), /*first=*/true);
}

void Monitor::StartAttach(ClientId client, Request request) {
  if (!core_.state().running() || !init_running_) {
    return Refuse(client, Error(Code::kFailedPrecondition,
                                "container " + message_.spec.id + " is not running"));
  }
  if (execs_.contains(client) || attached_.contains(client)) {
    return Refuse(client, Error(Code::kInvalidArgument, "the connection has a session already"));
  }
  AnswerMessage answer;
  answer.answer = Answer::kStarted;
  if (message_.spec.tty) {
    // The log needs the output too, so the client gets a socket in place of the master side.
    Result<std::pair<Fd, Fd>> ends = MakeSocketPair(SOCK_STREAM);
    if (!ends) return Refuse(client, std::move(ends).error());
    Result<Fd> copy = ends->first.Duplicate();
    if (!copy) return Refuse(client, std::move(copy).error());
    answer.terminal = std::move(ends->second);
    request.input = std::move(*copy);
    request.output = std::move(ends->first);
    request.error.Reset();
  }
  const Status connected = Connect(client, std::move(request.input), std::move(request.output),
                                   std::move(request.error), /*first=*/false);
  if (!connected) return Refuse(client, connected.error());
  control_.Send(client, answer);
}

Status Monitor::Connect(ClientId client, Fd input, Fd output, Fd error, bool first) {
  AttachSession session;
  session.client = client;
  const auto sink = [this](Fd fd) -> std::unique_ptr<OutputSink> {
    if (!fd) return nullptr;
    Result<Stream> stream = Stream::Open(std::move(fd), /*for_writing=*/true);
    // A pipe whose reader has gone already (ENXIO): output nobody wants.
    if (!stream) return nullptr;
    return std::make_unique<OutputSink>(loop_.get(), std::move(*stream),
                                        [this] { pump_.Drained(); });
  };
  session.output = sink(std::move(output));
  session.error = sink(std::move(error));
  if (input && message_.spec.open_stdin && stdin_) {
    SKIFF_ASSIGN(Stream from, Stream::Open(std::move(input), /*for_writing=*/false));
    SKIFF_ASSIGN(Fd end, stdin_.Duplicate());
    SKIFF_ASSIGN(Stream to, Stream::Own(std::move(end)));
    const auto ended = [this, client, first] {
      const auto found = attached_.find(client);
      if (found != attached_.end()) found->second.input.reset();
      // Docker's StdinOnce: the end of the input of the client that came with the launch is the
      // container's. A terminal has no such end.
      if (first && !message_.spec.tty) stdin_.Reset();
    };
    session.input =
        std::make_unique<StreamCopy>(loop_.get(), &scratch_, std::move(from), std::move(to), ended);
  }
  if (session.output) pump_.AddSink(LogStream::kStdout, session.output.get());
  if (session.error) pump_.AddSink(LogStream::kStderr, session.error.get());
  StreamCopy* copy = session.input.get();
  attached_[client] = std::move(session);
  if (copy != nullptr) copy->Start();
  return {};
}

void Monitor::EndAttachSessions(std::map<ClientId, AttachSession> sessions, int exit_code) {
  for (auto& [client, session] : sessions) {
    AnswerMessage answer;
    answer.answer = Answer::kExited;
    answer.exit_code = exit_code;
    const auto rest = [this](OutputSink* sink, Fd* place) {
      if (sink == nullptr) return;
      const std::string pending = sink->TakePending();
      pump_.RemoveSink(sink);
      if (pending.empty()) return;
      Result<Fd> file = MemoryFile(pending);
      // Without memory for it the end of the output is lost to this client; the log has it.
      if (file) *place = std::move(*file);
    };
    rest(session.output.get(), &answer.rest_of_output);
    rest(session.error.get(), &answer.rest_of_error);
    control_.Send(client, answer);
  }
}

void Monitor::OnSessionRequest(ClientId client, const Request& request) {
  // No answer: the client of a session reads only how it ends.
  const TerminalSize size = {request.rows, request.columns};
  const auto exec = execs_.find(client);
  if (exec != execs_.end()) {
    if (request.verb == Verb::kSignal) return exec->second->Signal(request.signal);
    static_cast<void>(exec->second->Resize(size));  // One without a terminal has no size.
    return;
  }
  if (!attached_.contains(client)) return;
  if (request.verb == Verb::kSignal) return Post(KillRequest{0, request.signal});
  if (terminal_) static_cast<void>(SetTerminalSize(terminal_.get(), size));
}

}  // namespace skiff::engine::monitor
