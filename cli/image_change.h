#pragma once

#include <string_view>

#include "base/error.h"
#include "engine-core/types.h"

namespace skiff::cli {

// One Dockerfile instruction of `import --change`: CMD ENTRYPOINT ENV EXPOSE LABEL ONBUILD
// STOPSIGNAL USER VOLUME WORKDIR. CMD, ENTRYPOINT and VOLUME take a JSON list or words.
Status ApplyImageChange(std::string_view text, engine::ImageConfig& config);

}  // namespace skiff::cli
