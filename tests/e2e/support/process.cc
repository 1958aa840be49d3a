#include "tests/e2e/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <ostream>

namespace skiff::e2e {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void Die(const char* what) {
  perror(what);
  std::abort();
}

void Open(Pipe& pipe) {
  Result<Pipe> made = MakePipe();
  if (!made) Die("pipe");
  pipe = std::move(*made);
}

// In the child: never returns.
[[noreturn]] void Execute(const std::vector<std::string>& command, const ProcessOptions& options,
                          int input, int output, int error) {
  if (options.terminal) {
    setsid();
    ioctl(input, TIOCSCTTY, 0);
  }
  dup2(input, 0);
  dup2(output, 1);
  dup2(options.merge_error ? output : error, 2);
  if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) _exit(125);
  std::vector<std::string> pairs;
  for (const auto& [key, value] : options.environment) pairs.push_back(key + "=" + value);
  std::vector<char*> environment, arguments;
  for (std::string& pair : pairs) environment.push_back(pair.data());
  environment.push_back(nullptr);
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  execvpe(arguments[0], arguments.data(), environment.data());
  perror(arguments[0]);
  _exit(127);
}

// False at the end of the stream.
bool ReadSome(Fd& fd, std::string& into) {
  char buffer[16384];
  const ssize_t count = read(fd.get(), buffer, sizeof buffer);
  if (count > 0) {
    into.append(buffer, static_cast<size_t>(count));
    return true;
  }
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) return true;
  return false;  // 0, or EIO of a terminal nobody has open any more.
}

milliseconds Left(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now());
  return left > 0ms ? left : 0ms;
}

}  // namespace

std::ostream& operator<<(std::ostream& stream, const Outcome& outcome) {
  stream << "exit code " << outcome.exit_code << (outcome.timed_out ? " (timed out)" : "")
         << (outcome.output_held ? " (output held open after its end)" : "") << " after "
         << outcome.elapsed.count() << " ms\n--- output:\n"
         << outcome.out;
  if (!outcome.err.empty()) stream << "\n--- error:\n" << outcome.err;
  return stream << "\n---";
}

Process Process::Start(const std::vector<std::string>& command, const ProcessOptions& options) {
  Process process;
  Pipe in, out, err;
  Fd terminal;
  if (options.terminal) {
    int controller = -1, peer = -1;
    struct winsize size = {24, 80, 0, 0};
    if (openpty(&controller, &peer, nullptr, nullptr, &size) != 0) Die("openpty");
    process.out_ = Fd(controller);
    fcntl(controller, F_SETFD, FD_CLOEXEC);
    terminal = Fd(peer);
    fcntl(peer, F_SETFD, FD_CLOEXEC);
  } else {
    Open(in);
    Open(out);
    Open(err);
  }
  process.started_ = Clock::now();
  const pid_t pid = fork();
  if (pid < 0) Die("fork");
  if (pid == 0) {
    if (options.terminal) {
      Execute(command, options, terminal.get(), terminal.get(), terminal.get());
    }
    Execute(command, options, in.read.get(), out.write.get(), err.write.get());
  }
  process.pid_ = pid;
  process.pidfd_ = Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (options.terminal) {
    process.input_ = std::move(*process.out_.Duplicate());
  } else {
    process.input_ = std::move(in.write);
    process.out_ = std::move(out.read);
    process.err_ = std::move(err.read);
  }
  if (!options.input.empty()) process.Write(options.input);
  if (!options.keep_input_open && !options.terminal) process.input_.Reset();
  return process;
}

Process::~Process() {
  if (pid_ > 0 && pidfd_.valid() && !reaped_) {
    kill(pid_, SIGKILL);
    int status = 0;
    while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
  }
}

bool Process::Pump(milliseconds limit) {
  pollfd fds[3];
  int count = 0;
  if (out_.valid()) fds[count++] = {out_.get(), POLLIN, 0};
  if (err_.valid()) fds[count++] = {err_.get(), POLLIN, 0};
  if (count == 0) return false;
  if (!reaped_) fds[count++] = {pidfd_.get(), POLLIN, 0};
  if (poll(fds, static_cast<nfds_t>(count), static_cast<int>(limit.count())) <= 0) return true;
  for (int i = 0; i < count; ++i) {
    if (fds[i].revents == 0) continue;
    if (fds[i].fd == out_.get() && !ReadSome(out_, outcome_.out)) out_.Reset();
    if (fds[i].fd == err_.get() && !ReadSome(err_, outcome_.err)) err_.Reset();
    if (fds[i].fd == pidfd_.get()) Reap();
  }
  return out_.valid() || err_.valid();
}

bool Process::Reap() {
  if (reaped_) return true;
  int status = 0;
  rusage usage{};
  if (wait4(pid_, &status, WNOHANG, &usage) != pid_) return false;
  outcome_.peak_bytes = int64_t{usage.ru_maxrss} * 1024;
  reaped_ = true;
  outcome_.exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  outcome_.elapsed = std::chrono::duration_cast<milliseconds>(Clock::now() - started_);
  return true;
}

bool Process::Await(const std::function<bool()>& condition, milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    if (!Pump(std::min(Left(deadline), milliseconds(20)))) return condition();
  }
  return true;
}

bool Process::AwaitOutput(std::string_view text, milliseconds limit) {
  return Await(
      [&] {
        return outcome_.out.find(text) != std::string::npos ||
               outcome_.err.find(text) != std::string::npos;
      },
      limit);
}

void Process::Write(std::string_view text) {
  // A reader that has gone is the program's affair, not the test's.
  struct sigaction ignore = {}, old = {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, &old);
  while (!text.empty()) {
    const ssize_t count = write(input_.get(), text.data(), text.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    text.remove_prefix(static_cast<size_t>(count));
  }
  sigaction(SIGPIPE, &old, nullptr);
}

void Process::Signal(int signal_number) {
  kill(pid_, signal_number);
}

void Process::Resize(unsigned short rows, unsigned short columns) {
  const struct winsize size = {rows, columns, 0, 0};
  ioctl(out_.get(), TIOCSWINSZ, &size);
}

Outcome Process::Finish(milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  bool more = true;
  while (!Reap()) {
    if (Clock::now() >= deadline) {
      outcome_.timed_out = true;
      kill(pid_, SIGKILL);
    }
    if (more) {
      more = Pump(std::min(Left(deadline), milliseconds(100)));
    } else {
      pollfd end = {pidfd_.get(), POLLIN, 0};
      poll(&end, 1, static_cast<int>(Left(deadline).count()));
    }
  }
  // A terminal is not at its end while this test itself holds it open for input.
  if (input_.valid()) input_.Reset();
  const Clock::time_point grace = Clock::now() + 2s;
  while (Pump(50ms)) {
    if (Clock::now() < grace) continue;
    outcome_.output_held = true;
    break;
  }
  return outcome_;
}

Outcome RunCommand(const std::vector<std::string>& command, const ProcessOptions& options,
                   milliseconds limit) {
  ProcessOptions with_environment = options;
  if (with_environment.environment.empty()) with_environment.environment = CleanEnvironment();
  return Process::Start(command, with_environment).Finish(limit);
}

bool Eventually(const std::function<bool()>& condition, milliseconds limit) {
  const Clock::time_point deadline = Clock::now() + limit;
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    poll(nullptr, 0, 10);
  }
  return true;
}

bool HasEnded(pid_t pid) {
  const auto stat = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!stat) return true;
  const size_t name = stat->rfind(") ");
  return name != std::string::npos && (*stat)[name + 2] == 'Z';
}

std::map<std::string, std::string> CleanEnvironment() {
  std::map<std::string, std::string> result;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view pair = *entry;
    const size_t equals = pair.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view key = pair.substr(0, equals);
    if (key.starts_with("COMPOSE_") || key.starts_with("DOCKER_") || key.starts_with("SKIFF_") ||
        key == "NO_COLOR" || key == "TERM") {
      continue;
    }
    result.emplace(key, pair.substr(equals + 1));
  }
  result["TERM"] = "xterm";
  return result;
}

}  // namespace skiff::e2e
