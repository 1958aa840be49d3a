#include "builder/execute/base_images.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "builder/execute/shared.h"
#include "builder/execute/step_key.h"
#include "engine-core/image_config.h"
#include "engine-core/image_platform.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

engine::Platform ToEngine(const Platform& platform) {
  return {platform.os, platform.architecture, platform.variant};
}

std::string KeyOf(const std::string& reference, const Platform& platform) {
  return StepKey("base").Add(reference).Add(FormatFullPlatform(platform)).Finish();
}

}  // namespace

Result<BaseImage> BaseImages::Read(const std::string& id) {
  BaseImage image;
  SKIFF_ASSIGN(image.config, engine_.ReadImageConfig(id));
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(image.config));
  image.layers = document.diff_ids;
  return image;
}

Result<BaseImage> BaseImages::FindForHost(const std::string& reference, const Platform& platform,
                                          bool anew) {
  if (!anew) {
    auto known = Read(reference);
    if (known || known.error().code != Code::kNotFound) return known;
  }
  engine::PullOptions options;
  options.platform = ToEngine(platform);
  if (access_) {
    SKIFF_ASSIGN(options.access, access_(reference));
  }
  SKIFF_ASSIGN(const engine::PulledImage pulled, engine_.PullImage(reference, options));
  return Read(pulled.id);
}

Result<std::optional<BaseImage>> BaseImages::FindHere(const std::string& reference,
                                                      const Platform& platform) {
  const auto named = engine_.InspectImage(reference);
  if (!named) {
    if (named.error().code != Code::kNotFound) return Fail(named.error());
    return std::optional<BaseImage>();
  }
  // An id is what it is.
  const auto fits = [&](const engine::Image& image) {
    return engine::PlatformMatches(ToEngine(platform), engine::PlatformOf(image));
  };
  if (fits(*named) || reference.starts_with("sha256:")) {
    SKIFF_ASSIGN(BaseImage image, Read(named->id));
    return std::optional(std::move(image));
  }
  for (const std::string& id : named->other_platforms) {
    SKIFF_ASSIGN(const engine::Image other, engine_.InspectImage(id));
    if (!fits(other)) continue;
    SKIFF_ASSIGN(BaseImage image, Read(id));
    return std::optional(std::move(image));
  }
  return std::optional<BaseImage>();
}

Result<std::optional<BaseImage>> BaseImages::FindCached(const std::string& key) {
  SKIFF_ASSIGN(auto entry, engine_.FindCacheEntry(key));
  if (!entry) return std::optional<BaseImage>();
  const size_t end = entry->document.find('\n');
  if (end == std::string::npos) return std::optional<BaseImage>();
  for (const std::string& layer : entry->layers) {
    SKIFF_ASSIGN(const bool here, engine_.HasLayer(layer));
    if (!here) return std::optional<BaseImage>();
  }
  SKIFF_TRY(NoteUse(engine_, *entry, now_()));
  return std::optional(BaseImage{entry->document.substr(end + 1), entry->layers});
}

Result<BaseImages::Offered> BaseImages::Ask(const std::string& reference,
                                            const Platform& platform) {
  Offered offered;
  offered.place.reference = reference;
  offered.place.platform = ToEngine(platform);
  if (access_) {
    SKIFF_ASSIGN(offered.place.access, access_(reference));
  }
  SKIFF_ASSIGN(engine::OfferedImage image, engine_.AskForImage(offered.place));
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(image.config));
  SKIFF_ASSIGN(engine::Reference pinned, engine::ParseReference(reference));
  pinned.tag.clear();
  pinned.digest = image.digest;
  offered.place.reference = pinned.Canonical();
  offered.image = {std::move(image.config), document.diff_ids};
  return offered;
}

Result<BaseImage> BaseImages::Find(const std::string& reference, const Platform& platform,
                                   bool anew) {
  if (IsOfHost(platform)) return FindForHost(reference, platform, anew);
  const std::string key = KeyOf(reference, platform);
  if (!anew) {
    SKIFF_ASSIGN(auto here, FindHere(reference, platform));
    if (!here) {
      SKIFF_ASSIGN(here, FindCached(key));
    }
    if (here) return std::move(*here);
  }
  auto offered = Ask(reference, platform);
  if (!offered) {
    Error error = std::move(offered.error());
    if (const auto named = engine_.InspectImage(reference)) {
      error.notes.push_back({fmt::format("the image of this name here is for {}, not {}",
                                         FormatPlatform({named->os, named->architecture,
                                                         named->variant, ""}),
                                         FormatPlatform(platform)),
                             {}});
    }
    return Fail(std::move(error));
  }
  const std::lock_guard lock(mutex_);
  return offered_.insert_or_assign(key, std::move(*offered)).first->second.image;
}

Status BaseImages::Keep(const std::string& key, const BaseImage& image) {
  SKIFF_TRY(Failpoint("build.keep_base"));
  int64_t size = 0;
  for (const std::string& layer : image.layers) {
    SKIFF_ASSIGN(const int64_t bytes, engine_.LayerSize(layer));
    size += bytes;
  }
  return engine_.PutCacheEntry(
      {key, std::to_string(size) + "\n" + image.config, image.layers, now_(), now_()});
}

Result<BaseImage> BaseImages::Take(const std::string& reference, const Platform& platform) {
  if (IsOfHost(platform)) return FindForHost(reference, platform, false);
  const std::string key = KeyOf(reference, platform);
  const std::lock_guard fetching(fetch_mutex_);
  std::optional<Offered> offered;
  {
    const std::lock_guard lock(mutex_);
    if (const auto it = offered_.find(key); it != offered_.end()) offered = it->second;
  }
  if (!offered) {
    SKIFF_ASSIGN(BaseImage image, Find(reference, platform, false));
    const std::lock_guard lock(mutex_);
    const auto it = offered_.find(key);
    if (it == offered_.end()) return image;
    offered = it->second;
  }
  SKIFF_TRY(engine_.FetchLayers(offered->place, offered->image.layers));
  SKIFF_TRY(Keep(key, offered->image));
  const std::lock_guard lock(mutex_);
  offered_.erase(key);
  return offered->image;
}

}  // namespace skiff::builder
