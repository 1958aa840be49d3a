#include <fcntl.h>
#include <sys/xattr.h>

#include <span>
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

Result<UnpackAnswer> Talk(int channel, std::span<const int> descriptors,
                          const transfer::UnpackRequest& request) {
  SKIFF_TRY(SendMessage(channel, transfer::EncodeRequest(request), descriptors));
  SKIFF_ASSIGN(const ReceivedMessage message, ReceiveMessage(channel, transfer::kMaximumMessage));
  if (message.data.empty()) {
    return Fail(Code::kUnavailable, "skiff-transfer ended before it was done");
  }
  return transfer::DecodeAnswer(message.data);
}

Result<UnpackAnswer> Request(const std::string& program, std::span<const int> descriptors,
                             const transfer::UnpackRequest& request) {
  SKIFF_ASSIGN(transfer::Process process, transfer::Process::Start(program));
  auto answer = Talk(process.channel(), descriptors, request);
  SKIFF_TRY(process.End());
  return answer;
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
  std::vector<int> descriptors = {tar_fd, folder_fd};
  if (blob_fd >= 0) descriptors.push_back(blob_fd);
  SKIFF_ASSIGN(const UnpackAnswer answer,
               Request(program, descriptors, {limits, blob_fd >= 0, std::nullopt}));
  if (answer.layer.diff_id.empty()) return Fail(Code::kInternal, "skiff-transfer named no digest");
  SKIFF_TRY(MarkOpaque(folder_fd, answer.opaque));
  return answer.layer;
}

Result<UnpackedLayer> UnpackInto(const std::string& program, int tar_fd, int root_fd,
                                 const UnpackTarget& target, const UnpackLimits& limits) {
  const int descriptors[] = {tar_fd, root_fd};
  SKIFF_ASSIGN(const UnpackAnswer answer, Request(program, descriptors, {limits, false, target}));
  return answer.layer;
}

}  // namespace skiff::engine
