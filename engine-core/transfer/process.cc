#include "engine-core/transfer/process.h"

#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdlib>

#include "base/failpoint.h"
#include "engine-core/transfer/protocol.h"

namespace skiff::engine::transfer {
namespace {

// The child sees the channel as descriptor 3; everything else of ours is close-on-exec.
Result<pid_t> Spawn(const std::string& program, int channel) {
  posix_spawn_file_actions_t actions;
  if (const int result = ::posix_spawn_file_actions_init(&actions); result != 0) {
    return FailErrno(result, "cannot start '" + program + "'");
  }
  int result = ::posix_spawn_file_actions_adddup2(&actions, channel, kChannel);
  pid_t pid = -1;
  if (result == 0) {
    std::string name = "skiff-transfer";
    std::array<char*, 2> arguments = {name.data(), nullptr};
    const char* failpoints = std::getenv("SKIFF_FAILPOINTS");
    std::string armed = "SKIFF_FAILPOINTS=" + std::string(failpoints == nullptr ? "" : failpoints);
    std::array<char*, 2> environment = {failpoints == nullptr ? nullptr : armed.data(), nullptr};
    result = ::posix_spawn(&pid, program.c_str(), &actions, nullptr, arguments.data(),
                           environment.data());
  }
  ::posix_spawn_file_actions_destroy(&actions);
  if (result != 0) return FailErrno(result, "cannot start '" + program + "'");
  return pid;
}

}  // namespace

Result<Process> Process::Start(const std::string& program) {
  SKIFF_ASSIGN(auto channel, MakeSocketPair(SOCK_SEQPACKET));
  SKIFF_TRY(Failpoint("transfer.spawn"));
  SKIFF_ASSIGN(const pid_t pid, Spawn(program, channel.second.get()));
  return Process(std::move(channel.first), pid);
}

Status Process::End() {
  channel_.Reset();
  const pid_t pid = std::exchange(pid_, -1);
  if (pid < 0) return {};
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno("cannot await skiff-transfer");
  }
  return {};
}

Process::~Process() {
  // What it was asked for has failed already; a zombie less is all that is wanted here.
  [[maybe_unused]] const Status ended = End();
}

}  // namespace skiff::engine::transfer
