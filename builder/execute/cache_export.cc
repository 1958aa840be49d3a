// Caches elsewhere (--cache-from, --cache-to): an image of the layers that steps have made, whose
// configuration tells their keys. Nothing of it is kept here.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/failpoint.h"
#include "builder/execute/session.h"

namespace skiff::builder {
namespace {

constexpr size_t kMaximumCacheLayers = 500;  // As many as an image that can be read again.

std::string ExportTitle(const CacheTarget& target) {
  if (target.kind == CacheKind::kFolder) return "exporting cache to client directory";
  return "exporting cache to " + target.type;
}

}  // namespace

// What cannot be read costs time, nothing else: its step says why.
void BuildSession::ReadCaches() {
  if (settings_.no_cache) return;
  for (const CachePlace& place : settings_.caches.sources) {
    const int progress =
        progress_.Begin(fmt::format("importing cache manifest from {}", place.Shown()));
    const Status read = shared_.remote_cache().Read(place);
    progress_.End(progress, read ? StepOutcome::kDone : StepOutcome::kFailed,
                  read ? "" : read.error().Text());
  }
}

std::vector<engine::CachedStep> BuildSession::KnownSteps(const std::vector<std::string>* layers) {
  std::vector<engine::CachedStep> steps;
  const std::lock_guard lock(known_mutex_);
  for (const auto& [key, made] : known_) {
    if (layers != nullptr && std::ranges::count(*layers, made.diff_id) == 0) continue;
    steps.push_back({key, made.diff_id, made.size, made.created_at});
  }
  return steps;
}

Status BuildSession::WriteCache(const CacheTarget& target, std::vector<engine::CachedStep> steps,
                                int progress) {
  SKIFF_TRY(Failpoint("build.write_cache"));
  if (target.kind == CacheKind::kUnreachable) {
    return Fail(Code::kUnsupported,
                fmt::format("caches of the type {} are not supported", target.type));
  }
  engine::ImageDocument document;
  const Platform& platform = plan_.result().image.platform;
  document.os = platform.os;
  document.architecture = platform.architecture;
  document.variant = platform.variant;
  document.cache = std::move(steps);
  std::set<std::string> layers;
  for (const engine::CachedStep& step : document.cache) layers.insert(step.diff_id);
  document.diff_ids.assign(layers.begin(), layers.end());
  if (document.diff_ids.empty()) {
    progress_.Detail(progress, "no step has made a layer: nothing to write");
    return {};
  }
  if (document.diff_ids.size() > kMaximumCacheLayers) {
    return Fail(Error(Code::kExhausted, fmt::format("the cache has {} layers, more than {}",
                                                    document.diff_ids.size(),
                                                    kMaximumCacheLayers))
                    .With("mode=min has those of the image only"));
  }
  SKIFF_TRY(shared_.remote_cache().Fetch(document.diff_ids, progress_));
  engine::ImagePlace place;
  place.folder = target.folder;
  place.reference = target.folder.empty() ? target.reference : target.name;
  if (target.folder.empty() && shared_.options().registry) {
    SKIFF_ASSIGN(place.access, shared_.options().registry(target.reference));
  }
  SKIFF_ASSIGN(const engine::PushedImage sent,
               shared_.engine().SendImages(place, {{{engine::WriteImageDocument(document), {}}}}));
  progress_.Detail(progress, "writing cache manifest " + sent.digest);
  return {};
}

Status BuildSession::WriteCaches(const std::vector<std::unique_ptr<BuildSession>>& sessions,
                                 const std::vector<BuiltImage>& images) {
  BuildSession& writer = *sessions.front();
  for (const CacheTarget& target : writer.settings_.caches.targets) {
    if (target.kind == CacheKind::kInline) continue;
    std::map<std::string, engine::CachedStep> steps;  // By key: platforms have some in common.
    for (size_t i = 0; i < sessions.size(); ++i) {
      const auto known =
          sessions[i]->KnownSteps(target.every_stage ? nullptr : &images[i].layers);
      for (const engine::CachedStep& step : known) steps.emplace(step.key, step);
    }
    std::vector<engine::CachedStep> all;
    for (auto& [key, step] : steps) all.push_back(std::move(step));
    const int progress = writer.progress_.Begin(ExportTitle(target));
    const Status written = writer.WriteCache(target, std::move(all), progress);
    writer.progress_.End(progress, written ? StepOutcome::kDone : StepOutcome::kFailed,
                         written ? "" : written.error().Text());
    // A service that cannot be reached from here is none of the build's failures.
    const bool passed_over = target.ignore_error || target.kind == CacheKind::kUnreachable;
    if (!written && !passed_over) return written;
  }
  return {};
}

}  // namespace skiff::builder
