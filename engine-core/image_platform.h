#pragma once

#include "engine-core/images.h"

namespace skiff::engine {

// Whether an image for `have` is one where `wanted` is asked for: the same system and architecture,
// and no later variant.
bool PlatformMatches(const Platform& wanted, const Platform& have);

// What the image is for.
inline Platform PlatformOf(const Image& image) {
  return {image.os, image.architecture, image.variant};
}

// The image for `platform` (empty: the one the name means) among those that a name stands for.
// kNotFound: there is none, with docker's text.
Result<Image> FindImageFor(Images& images, const std::string& name, const Platform& platform);

}  // namespace skiff::engine
