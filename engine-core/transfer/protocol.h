#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/error.h"
#include "engine-core/transfer.h"

// Messages between a command and skiff-transfer: one request with descriptors, one answer, over
// SOCK_SEQPACKET in base/wire.h's format. Both ends come from one build; the version catches a
// mixed installation.
namespace skiff::engine::transfer {

inline constexpr int kVersion = 1;
inline constexpr int kChannel = 3;  // Descriptor number in the program.
inline constexpr size_t kMaximumMessage = 1 << 20;

struct UnpackRequest {
  UnpackLimits limits;
  bool has_blob = false;  // A third descriptor comes along.
  // Into a tree in use; absent: a layer.
  std::optional<UnpackTarget> target;
};
std::string EncodeRequest(const UnpackRequest& request);
Result<UnpackRequest> DecodeRequest(std::string_view data);

struct UnpackAnswer {
  UnpackedLayer layer;
  // Folders that hide what lies below them: the command marks them, since that attribute needs a
  // capability the program does not keep.
  std::vector<std::string> opaque;
};
std::string EncodeAnswer(const Result<UnpackAnswer>& answer);
Result<UnpackAnswer> DecodeAnswer(std::string_view data);

}  // namespace skiff::engine::transfer
