#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "builder/build.h"
#include "builder/cache_place.h"
#include "engine-core/image_config.h"

namespace skiff::builder {

struct MadeLayer;

// What caches elsewhere know (--cache-from). Steps are found by their keys; a layer comes when
// something has to stand on it, so that what only leads to other steps is never fetched. The engine
// keeps what was found and is here, and learns nothing else from others. Thread safe.
class RemoteCache {
 public:
  using AccessOf = std::function<Result<engine::RegistryAccess>(const std::string& reference)>;

  RemoteCache(engine::Engine& engine, AccessOf access, std::function<int64_t()> now)
      : engine_(engine), access_(std::move(access)), now_(std::move(now)) {}

  // Reads what a place knows, once. The image of this name here comes before the registry's.
  // kNotFound, kUnavailable, kPermissionDenied; kUnsupported: there is no cache of ours in it.
  Status Read(const CachePlace& place);
  Result<std::optional<MadeLayer>> Find(const std::string& key);
  // Brings here what of these layers only a cache has. A place that cannot give one it has promised
  // is given up: its other steps are not found any more, and what was planned on them has to be
  // planned again. kCancelled and kExhausted are nobody's fault.
  Status Fetch(const std::vector<std::string>& layers, BuildProgress& progress);
  // How many places have been given up so far.
  int given_up() const { return given_up_; }

 private:
  struct Source {
    engine::ImagePlace place;
    std::string shown;
    bool given_up = false;
  };
  struct Step {
    std::string diff_id;
    int64_t size = 0;
    int64_t created_at = 0;
  };

  Status ReadOnce(const CachePlace& place);
  Result<engine::ImagePlace> PlaceOf(const CachePlace& place) const;
  Result<bool> ReadLocalImage(const CachePlace& place);
  void Learn(const std::vector<engine::CachedStep>& steps, std::optional<Source> source);
  Status Keep(const std::string& key, const Step& step);
  void GiveUp(size_t source);
  // The first that has not been given up. With mutex_.
  std::optional<size_t> SourceOf(const std::string& diff_id) const;

  engine::Engine& engine_;
  AccessOf access_;
  std::function<int64_t()> now_;
  std::atomic<int> given_up_ = 0;
  std::mutex read_mutex_, fetch_mutex_;  // One at a time reads, one fetches.
  std::map<std::string, Status> read_;   // By the place as text.
  std::mutex mutex_;                     // Of what follows.
  std::vector<Source> sources_;
  std::map<std::string, Step> steps_;          // By key.
  std::set<std::string> found_;                // Keys that a step of this command had.
  // Sources of layers that may not be here.
  std::map<std::string, std::vector<size_t>> elsewhere_;
};

}  // namespace skiff::builder
