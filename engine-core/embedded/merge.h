#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/types.h"

namespace skiff::engine::embedded {

struct MergedConfig {
  ContainerConfig config;            // Complete: nothing is inherited any more.
  std::vector<std::string> command;  // Entrypoint and command as they run.
};

// What a container asks for over what its image says (reference/engine 3.1): environment by key, a
// command dropped by a new entrypoint, labels, exposed ports and volumes united, defaults filled
// in. Pure. Labels of an image under a prefix that tools keep for themselves (com.docker.compose.)
// are left out: an image could otherwise claim to belong to somebody's project.
// kInvalidArgument: nothing to run, a malformed port or volume of the image.
Result<MergedConfig> MergeImageConfig(const ContainerConfig& request, const ImageConfig& image);

// What is wrong in a request no matter what exists: targets, modes that exclude each other, names
// of signals and limits. Each text as docker has it where docker has one.
Status ValidateConfig(const ContainerConfig& config);

}  // namespace skiff::engine::embedded
