#pragma once

#include "base/error.h"
#include "engine-core/transfer/protocol.h"

namespace skiff::engine::transfer {

// Reads the stream and fills the folder (UnpackLayer's contract). Runs inside the confined program;
// in tests also outside of it.
// With `target` UnpackInto's contract.
Result<UnpackAnswer> Unpack(int tar_fd, int folder_fd, int blob_fd, const UnpackLimits& limits,
                            const std::optional<UnpackTarget>& target = {});

}  // namespace skiff::engine::transfer
