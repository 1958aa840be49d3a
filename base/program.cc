#include "base/program.h"

#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "base/fd.h"
#include "base/text.h"

namespace skiff {
namespace {

Result<std::string> FindProgram(const ProgramCall& call) {
  const std::string& name = call.arguments[0];
  if (name.find('/') != std::string::npos) return name;
  const auto path = call.environment.find("PATH");
  if (path != call.environment.end()) {
    for (const std::string_view folder : Split(path->second, ':')) {
      const std::string place = std::string(folder) + "/" + name;
      if (!folder.empty() && ::access(place.c_str(), X_OK) == 0) return place;
    }
  }
  return Fail(Code::kNotFound, "exec: \"" + name + "\": executable file not found in $PATH");
}

struct Streams {
  Pipe in, out, err;  // No err: the caller's.
};

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> list;
  for (std::string& word : words) list.push_back(word.data());
  list.push_back(nullptr);
  return list;
}

int AddActions(posix_spawn_file_actions_t* actions, const ProgramCall& call,
               const Streams& streams) {
  int result = ::posix_spawn_file_actions_adddup2(actions, streams.in.read.get(), STDIN_FILENO);
  if (result == 0) {
    result = ::posix_spawn_file_actions_adddup2(actions, streams.out.write.get(), STDOUT_FILENO);
  }
  if (result == 0 && streams.err.write) {
    result = ::posix_spawn_file_actions_adddup2(actions, streams.err.write.get(), STDERR_FILENO);
  }
  if (result == 0 && !call.folder.empty()) {
    result = ::posix_spawn_file_actions_addchdir_np(actions, call.folder.c_str());
  }
  return result;
}

Result<pid_t> Start(const std::string& program, const ProgramCall& call, const Streams& streams) {
  std::vector<std::string> arguments = call.arguments;
  std::vector<std::string> variables;
  for (const auto& [name, value] : call.environment) variables.push_back(name + "=" + value);
  posix_spawn_file_actions_t actions;
  if (const int result = ::posix_spawn_file_actions_init(&actions); result != 0) {
    return FailErrno(result, "cannot start '" + program + "'");
  }
  int result = AddActions(&actions, call, streams);
  pid_t pid = -1;
  if (result == 0) {
    result = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, Pointers(arguments).data(),
                           Pointers(variables).data());
  }
  ::posix_spawn_file_actions_destroy(&actions);
  if (result != 0) return FailErrno(result, "cannot start '" + program + "'");
  return pid;
}

// False at the end.
Result<bool> Take(int fd, size_t limit, std::string& text, const std::string& name) {
  std::array<char, 65536> buffer;
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got < 0 && errno == EINTR) return true;
  if (got < 0) return FailErrno("cannot read what '" + name + "' says");
  text.append(buffer.data(), static_cast<size_t>(got));
  if (text.size() > limit) return Fail(Code::kExhausted, "'" + name + "' says too much");
  return got > 0;
}

// What it writes, until it closes both.
Status Collect(const ProgramCall& call, Streams& streams, ProgramOutcome& outcome) {
  while (streams.out.read || streams.err.read) {
    pollfd fds[] = {{streams.out.read.get(), POLLIN, 0},
                    {streams.err.read.get(), POLLIN, 0},
                    {call.cancel_fd, POLLIN, 0}};
    if (::poll(fds, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot await '" + call.arguments[0] + "'");
    }
    if (fds[2].revents != 0) return Fail(Code::kCancelled, "cancelled");
    if (fds[0].revents != 0) {
      SKIFF_ASSIGN(const bool more,
                   Take(fds[0].fd, call.limit, outcome.out, call.arguments[0]));
      if (!more) streams.out.read.Reset();
    }
    if (fds[1].revents != 0) {
      SKIFF_ASSIGN(const bool more,
                   Take(fds[1].fd, call.limit, outcome.err, call.arguments[0]));
      if (!more) streams.err.read.Reset();
    }
  }
  return {};
}

}  // namespace

Result<ProgramOutcome> RunProgram(const ProgramCall& call) {
  SKIFF_ASSIGN(const std::string program, FindProgram(call));
  Streams streams;
  SKIFF_ASSIGN(streams.in, MakePipe());
  SKIFF_ASSIGN(streams.out, MakePipe());
  SKIFF_ASSIGN(streams.err, MakePipe());
  SKIFF_ASSIGN(const pid_t pid, Start(program, call, streams));
  streams.in.read.Reset();
  streams.out.write.Reset();
  streams.err.write.Reset();
  // One that does not want its input says why with its exit code.
  [[maybe_unused]] const Status written = WriteAll(streams.in.write.get(), call.input, program);
  streams.in.write.Reset();
  ProgramOutcome outcome;
  const Status collected = Collect(call, streams, outcome);
  if (!collected) ::kill(pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno("cannot await '" + program + "'");
  }
  SKIFF_TRY(collected);
  outcome.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return outcome;
}

Result<BackgroundProgram> BackgroundProgram::Start(const ProgramCall& call) {
  SKIFF_ASSIGN(const std::string program, FindProgram(call));
  Streams streams;
  SKIFF_ASSIGN(streams.in, MakePipe());
  SKIFF_ASSIGN(streams.out, MakePipe());
  BackgroundProgram started;
  SKIFF_ASSIGN(started.pid_, skiff::Start(program, call, streams));
  started.in_ = std::move(streams.in.write);
  started.out_ = std::move(streams.out.read);
  started.name_ = call.arguments[0];
  return started;
}

BackgroundProgram::BackgroundProgram(BackgroundProgram&& other) noexcept
    : in_(std::move(other.in_)),
      out_(std::move(other.out_)),
      pid_(std::exchange(other.pid_, -1)),
      name_(std::move(other.name_)) {}

BackgroundProgram::~BackgroundProgram() {
  if (pid_ < 0) return;
  in_.Reset();
  out_.Reset();
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) continue;
}

Result<std::string> BackgroundProgram::ReadLine(int cancel_fd) {
  std::string line;
  for (;;) {
    pollfd fds[] = {{out_.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot await '" + name_ + "'");
    }
    if (fds[1].revents != 0) return Fail(Code::kCancelled, "cancelled");
    char next = 0;
    const ssize_t got = ::read(out_.get(), &next, 1);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read what '" + name_ + "' says");
    if (got == 0) return Fail(Code::kUnavailable, "'" + name_ + "' has ended");
    if (next == '\n') return line;
    line += next;
  }
}

}  // namespace skiff
