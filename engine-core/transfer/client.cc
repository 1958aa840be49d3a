#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/failpoint.h"
#include "base/fd.h"
#include "base/root_path.h"
#include "engine-core/transfer.h"
#include "engine-core/transfer/protocol.h"

namespace skiff::engine {
namespace {

using transfer::UnpackAnswer;

// The child sees the channel as descriptor 3; everything else of ours is close-on-exec.
Result<pid_t> Spawn(const std::string& program, int channel) {
  posix_spawn_file_actions_t actions;
  if (const int result = ::posix_spawn_file_actions_init(&actions); result != 0) {
    return FailErrno(result, "cannot start '" + program + "'");
  }
  int result = ::posix_spawn_file_actions_adddup2(&actions, channel, transfer::kChannel);
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

Result<UnpackAnswer> Talk(int channel, int tar_fd, int folder_fd, int blob_fd,
                          const UnpackLimits& limits) {
  std::vector<int> descriptors = {tar_fd, folder_fd};
  if (blob_fd >= 0) descriptors.push_back(blob_fd);
  SKIFF_TRY(SendMessage(channel, transfer::EncodeRequest({limits, blob_fd >= 0}), descriptors));
  SKIFF_ASSIGN(const ReceivedMessage message, ReceiveMessage(channel, transfer::kMaximumMessage));
  if (message.data.empty()) {
    return Fail(Code::kUnavailable, "skiff-transfer ended before it was done");
  }
  return transfer::DecodeAnswer(message.data);
}

Status MarkOpaque(int folder_fd, const std::vector<std::string>& folders) {
  for (const std::string& path : folders) {
    SKIFF_ASSIGN(const Fd folder, OpenInRoot(folder_fd, path.empty() ? "." : path,
                                             O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    if (::fsetxattr(folder.get(), "trusted.overlay.opaque", "y", 1, 0) != 0) {
      return FailErrno("cannot mark '" + path + "' as opaque");
    }
  }
  return {};
}

}  // namespace

Result<UnpackedLayer> UnpackLayer(const std::string& program, int tar_fd, int folder_fd,
                                  int blob_fd, const UnpackLimits& limits) {
  SKIFF_ASSIGN(auto channel, MakeSocketPair(SOCK_SEQPACKET));
  SKIFF_TRY(Failpoint("transfer.spawn"));
  SKIFF_ASSIGN(const pid_t pid, Spawn(program, channel.second.get()));
  channel.second.Reset();
  auto answer = Talk(channel.first.get(), tar_fd, folder_fd, blob_fd, limits);
  channel.first.Reset();
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return FailErrno("cannot await skiff-transfer");
  }
  if (!answer) return Fail(std::move(answer).error());
  SKIFF_TRY(MarkOpaque(folder_fd, answer->opaque));
  return std::move(answer->layer);
}

}  // namespace skiff::engine
