#include "builder/execute/remote_cache.h"

#include <fmt/format.h>

#include "base/failpoint.h"
#include "builder/execute/shared.h"
#include "engine-core/image_config.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

// The steps a configuration tells of, or why there are none.
Result<std::vector<engine::CachedStep>> StepsOf(const std::string& config) {
  SKIFF_ASSIGN(auto steps, engine::ReadCachedSteps(config));
  if (steps.empty()) {
    return Fail(Error(Code::kUnsupported, "there is no cache in the image that could be used")
                    .With("--cache-to, or --build-arg BUILDKIT_INLINE_CACHE=1 when it is built, "
                          "puts one there"));
  }
  return steps;
}

// The name that means this content and no later one.
Result<std::string> Pinned(const engine::ImagePlace& place, const std::string& digest) {
  if (!place.folder.empty()) return digest;
  SKIFF_ASSIGN(engine::Reference reference, engine::ParseReference(place.reference));
  reference.tag.clear();
  reference.digest = digest;
  return reference.Canonical();
}

}  // namespace

Result<engine::ImagePlace> RemoteCache::PlaceOf(const CachePlace& place) const {
  engine::ImagePlace out;
  out.folder = place.folder;
  out.reference = place.folder.empty() ? place.reference : place.name;
  if (place.folder.empty() && access_) {
    SKIFF_ASSIGN(out.access, access_(place.reference));
  }
  return out;
}

Status RemoteCache::Keep(const std::string& key, const Step& step) {
  return engine_.PutCacheEntry(
      {key, std::to_string(step.size), {step.diff_id}, step.created_at, now_()});
}

// False: there is none, or none with a cache.
Result<bool> RemoteCache::ReadLocalImage(const CachePlace& place) {
  const auto config = engine_.ReadImageConfig(place.reference);
  if (!config) {
    if (config.error().code == Code::kNotFound) return false;
    return Fail(config.error());
  }
  SKIFF_ASSIGN(const auto steps, engine::ReadCachedSteps(*config));
  Learn(steps, std::nullopt);
  return !steps.empty();
}

// Without a source: the layers are here.
void RemoteCache::Learn(const std::vector<engine::CachedStep>& steps,
                        std::optional<Source> source) {
  const std::lock_guard lock(mutex_);
  const size_t number = sources_.size();
  const bool is_source = source.has_value();
  if (source) sources_.push_back(std::move(*source));
  for (const engine::CachedStep& step : steps) {
    steps_.emplace(step.key, Step{step.diff_id, step.size, step.created_at});
    if (is_source) elsewhere_[step.diff_id].push_back(number);
  }
}

Status RemoteCache::ReadOnce(const CachePlace& place) {
  if (place.kind == CacheKind::kUnreachable) {
    return Fail(Code::kUnsupported,
                fmt::format("caches of the type {} are not supported", place.type));
  }
  if (place.kind == CacheKind::kRegistry) {
    SKIFF_ASSIGN(const bool local, ReadLocalImage(place));
    if (local) return {};
  }
  SKIFF_ASSIGN(engine::ImagePlace from, PlaceOf(place));
  SKIFF_TRY(Failpoint("build.read_cache"));
  SKIFF_ASSIGN(const engine::OfferedImage offered, engine_.AskForImage(from));
  SKIFF_ASSIGN(const auto steps, StepsOf(offered.config));
  // What is fetched later is of what was read now.
  SKIFF_ASSIGN(from.reference, Pinned(from, offered.digest));
  Learn(steps, Source{std::move(from), place.Shown()});
  return {};
}

Status RemoteCache::Read(const CachePlace& place) {
  const std::lock_guard lock(read_mutex_);
  const std::string id = place.type + " " + place.Shown() + " " + place.name;
  const auto known = read_.find(id);
  if (known != read_.end()) return known->second;
  return read_.emplace(id, ReadOnce(place)).first->second;
}

Result<std::optional<MadeLayer>> RemoteCache::Find(const std::string& key) {
  Step step;
  bool elsewhere = false;
  {
    const std::lock_guard lock(mutex_);
    const auto it = steps_.find(key);
    if (it == steps_.end()) return std::optional<MadeLayer>();
    step = it->second;
    elsewhere = SourceOf(step.diff_id).has_value();
    if (elsewhere) found_.insert(key);
  }
  SKIFF_ASSIGN(const bool here, engine_.HasLayer(step.diff_id));
  if (!here && !elsewhere) return std::optional<MadeLayer>();
  if (here) SKIFF_TRY(Keep(key, step));
  MadeLayer made;
  made.diff_id = step.diff_id;
  made.created_at = step.created_at;
  made.size = step.size;
  made.cached = true;
  return std::optional(std::move(made));
}

std::optional<size_t> RemoteCache::SourceOf(const std::string& diff_id) const {
  const auto it = elsewhere_.find(diff_id);
  if (it == elsewhere_.end()) return std::nullopt;
  for (const size_t source : it->second) {
    if (!sources_[source].given_up) return source;
  }
  return std::nullopt;
}

void RemoteCache::GiveUp(size_t source) {
  const std::lock_guard lock(mutex_);
  if (!std::exchange(sources_[source].given_up, true)) ++given_up_;
}

Status RemoteCache::Fetch(const std::vector<std::string>& layers, BuildProgress& progress) {
  const std::lock_guard fetching(fetch_mutex_);
  std::map<size_t, std::vector<std::string>> wanted;  // By source.
  std::map<size_t, Source> sources;
  for (const std::string& layer : layers) {
    SKIFF_ASSIGN(const bool here, engine_.HasLayer(layer));
    const std::lock_guard lock(mutex_);
    const auto source = SourceOf(layer);
    if (here || !source) continue;
    wanted[*source].push_back(layer);
    sources.emplace(*source, sources_[*source]);
  }
  for (const auto& [number, diff_ids] : wanted) {
    const Source& source = sources.at(number);
    const int step = progress.Begin(fmt::format("[internal] fetching {} cached layer{} from {}",
                                                diff_ids.size(), diff_ids.size() == 1 ? "" : "s",
                                                source.shown));
    Status fetched = Failpoint("build.fetch_cache");
    if (fetched) fetched = engine_.FetchLayers(source.place, diff_ids);
    if (fetched) {
      progress.End(step, StepOutcome::kDone, "");
    } else {
      const Code code = fetched.error().code;
      const bool at_fault = code != Code::kCancelled && code != Code::kExhausted;
      progress.End(step, StepOutcome::kFailed,
                   fetched.error().Text() + (at_fault ? "; building without this cache" : ""));
      if (at_fault) GiveUp(number);
      return fetched;
    }
    std::map<std::string, Step> here;
    {
      const std::lock_guard lock(mutex_);
      const std::set<std::string> fresh(diff_ids.begin(), diff_ids.end());
      for (const std::string& key : found_) {
        if (const Step& known = steps_.at(key); fresh.contains(known.diff_id)) {
          here.emplace(key, known);
        }
      }
    }
    for (const auto& [key, known] : here) SKIFF_TRY(Keep(key, known));
  }
  return {};
}

}  // namespace skiff::builder
