#include "cli/credential_helper.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/text.h"

namespace skiff::cli {
namespace {

constexpr size_t kMaximumOutput = 1 << 20;

std::string FindProgram(const std::string& name, const std::string& path) {
  for (const std::string_view folder : Split(path, ':')) {
    const std::string place = std::string(folder) + "/" + name;
    if (!folder.empty() && ::access(place.c_str(), X_OK) == 0) return place;
  }
  return "";
}

Result<pid_t> Start(const std::string& program, std::vector<std::string> arguments,
                    const std::map<std::string, std::string>& environment, int input, int output) {
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  const auto pointers = [](std::vector<std::string>& words) {
    std::vector<char*> list;
    for (std::string& word : words) list.push_back(word.data());
    list.push_back(nullptr);
    return list;
  };
  posix_spawn_file_actions_t actions;
  if (const int result = ::posix_spawn_file_actions_init(&actions); result != 0) {
    return FailErrno(result, "cannot start '" + program + "'");
  }
  int result = ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  if (result == 0) result = ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t pid = -1;
  if (result == 0) {
    result = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, pointers(arguments).data(),
                           pointers(variables).data());
  }
  ::posix_spawn_file_actions_destroy(&actions);
  if (result != 0) return FailErrno(result, "cannot start '" + program + "'");
  return pid;
}

}  // namespace

Result<std::string> RunCredentialHelper(const std::string& name, const std::string& action,
                                        const std::string& input,
                                        const std::map<std::string, std::string>& environment) {
  const std::string file = "docker-credential-" + name;
  const auto path = environment.find("PATH");
  const std::string program = FindProgram(file, path == environment.end() ? "" : path->second);
  if (name.find('/') != std::string::npos || program.empty()) {
    return Fail(Code::kNotFound, "error getting credentials - err: exec: \"" + file +
                                     "\": executable file not found in $PATH");
  }
  SKIFF_ASSIGN(Pipe in, MakePipe());
  SKIFF_ASSIGN(Pipe out, MakePipe());
  SKIFF_ASSIGN(const pid_t pid,
               Start(program, {file, action}, environment, in.read.get(), out.write.get()));
  in.read.Reset();
  out.write.Reset();
  // One that does not want its input says why with its exit code.
  [[maybe_unused]] const Status written = WriteAll(in.write.get(), input, file);
  in.write.Reset();
  auto output = ReadAll(out.read.get(), kMaximumOutput, file);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno("cannot await '" + file + "'");
  }
  if (!output) return output;
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return Fail(Code::kUnavailable, file + ": " + std::string(Trim(*output)));
  }
  return output;
}

}  // namespace skiff::cli
