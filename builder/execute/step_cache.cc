// What need not be done again.
#include <fmt/format.h>

#include <algorithm>

#include "base/failpoint.h"
#include "base/text.h"
#include "builder/execute/session.h"

namespace skiff::builder {
bool BuildSession::UsesCache(const PlannedStage& stage) const {
  if (settings_.no_cache) return false;
  return std::ranges::none_of(settings_.no_cache_stages, [&](const std::string& name) {
    return EqualsIgnoreCase(name, stage.name) || EqualsIgnoreCase(name, stage.title);
  });
}

Result<std::optional<MadeLayer>> BuildSession::FindLayer(const std::string& key) {
  SKIFF_ASSIGN(std::optional<engine::CacheEntry> entry, shared_.engine().FindCacheEntry(key));
  if (!entry || entry->layers.size() != 1) {
    SKIFF_ASSIGN(std::optional<MadeLayer> elsewhere, shared_.remote_cache().Find(key));
    if (elsewhere) Remember(key, *elsewhere);
    return elsewhere;
  }
  MadeLayer made;
  made.diff_id = entry->layers[0];
  made.created_at = entry->created_at;
  made.cached = true;
  made.size = SizeOf(*entry);
  SKIFF_TRY(NoteUse(shared_.engine(), *entry, shared_.now()));
  Remember(key, made);
  return made;
}

void BuildSession::Remember(const std::string& key, const MadeLayer& made) {
  const std::lock_guard lock(known_mutex_);
  known_.insert_or_assign(key, made);
}

Result<std::unique_ptr<engine::WritableLayer>> BuildSession::CreateLayer(
    const std::vector<std::string>& parents) {
  SKIFF_TRY(shared_.remote_cache().Fetch(parents, progress_));
  return shared_.engine().CreateLayer(parents);
}

Status BuildSession::KeepLayer(const std::string& key, const MadeLayer& made) {
  SKIFF_TRY(Failpoint("build.keep_layer"));
  Remember(key, made);
  SKIFF_TRY(shared_.remote_cache().Fetch({made.diff_id}, progress_));
  return shared_.engine().PutCacheEntry(
      {key, std::to_string(made.size), {made.diff_id}, made.created_at, shared_.now()});
}

Result<MadeLayer> BuildSession::Commit(engine::WritableLayer& layer) {
  engine::CommitLayerOptions options;
  if (plan_.source_date_epoch) options.latest_time = *plan_.source_date_epoch * 1'000'000'000;
  SKIFF_TRY(Failpoint("build.commit_layer"));
  shared_.CountLayer();
  SKIFF_ASSIGN(const engine::Layer committed, shared_.engine().CommitLayer(layer, options));
  MadeLayer made;
  made.diff_id = committed.diff_id;
  made.created_at = options.latest_time.value_or(shared_.now());
  made.size = committed.size;
  return made;
}

std::string BuildSession::EntryKey(const std::string& key) const {
  return StepKey("step").Add(key).Add(plan_.source_date_epoch.value_or(-1)).Finish();
}

Result<MadeLayer> BuildSession::Cached(const StepPlace& place, const std::string& key,
                                       const std::function<Result<MadeLayer>()>& make) {
  const std::string id = EntryKey(key);
  const bool cache = UsesCache(place.stage);
  const std::string once =
      fmt::format("{} {}{}", id, caches_given_up_, cache ? "" : " anew");
  auto result = shared_.Once(once, [&]() -> Result<MadeLayer> {
    if (cache) {
      SKIFF_ASSIGN(const auto known, FindLayer(id));
      if (known) return *known;
    }
    SKIFF_ASSIGN(const MadeLayer made, make());
    if (made.keep) SKIFF_TRY(KeepLayer(id, made));
    return made;
  });
  // Another build of this command may have made it.
  if (result && result->keep) Remember(id, *result);
  return result;
}

}  // namespace skiff::builder
