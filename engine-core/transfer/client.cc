#include <fcntl.h>
#include <sys/xattr.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/root_path.h"
#include "engine-core/transfer.h"
#include "engine-core/transfer/process.h"
#include "engine-core/transfer/protocol.h"

namespace skiff::engine {
namespace {

using transfer::UnpackAnswer;

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
  SKIFF_ASSIGN(transfer::Process process, transfer::Process::Start(program));
  auto answer = Talk(process.channel(), tar_fd, folder_fd, blob_fd, limits);
  SKIFF_TRY(process.End());
  if (!answer) return Fail(std::move(answer).error());
  SKIFF_TRY(MarkOpaque(folder_fd, answer->opaque));
  return std::move(answer->layer);
}

}  // namespace skiff::engine
