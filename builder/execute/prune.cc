// What builds keep, given back.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "builder/build.h"
#include "builder/execute/shared.h"
#include "builder/execute/source_tree.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kLockSuffix = ".lock";

Result<std::set<std::string>> LayersOfImages(engine::Engine& engine) {
  std::set<std::string> layers;
  SKIFF_ASSIGN(const std::vector<engine::Image> images, engine.ListImages());
  for (const engine::Image& image : images) layers.insert(image.layers.begin(), image.layers.end());
  return layers;
}

// Bytes of the regular files below the folder.
Result<int64_t> TreeSize(int folder, const std::string& path) {
  int64_t size = 0;
  SKIFF_ASSIGN(const std::vector<std::string> names, NamesIn(folder, path));
  for (const std::string& name : names) {
    struct stat info {};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISREG(info.st_mode)) size += info.st_size;
    if (!S_ISDIR(info.st_mode)) continue;
    SKIFF_ASSIGN(const Fd child, OpenFileAt(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    SKIFF_ASSIGN(const int64_t below, TreeSize(child.get(), path + "/" + name));
    size += below;
  }
  return size;
}

// The folders of one cache mount that no step uses just now.
Result<int64_t> PruneMount(const std::string& base, int64_t unused_since) {
  int64_t size = 0;
  SKIFF_ASSIGN(const Fd folder, OpenFile(base, O_RDONLY | O_DIRECTORY));
  SKIFF_ASSIGN(const std::vector<std::string> names, NamesIn(folder.get(), base));
  for (const std::string& name : names) {
    if (!name.ends_with(kLockSuffix)) continue;
    struct stat info {};
    if (::fstatat(folder.get(), name.c_str(), &info, 0) != 0) continue;
    if (unused_since != 0 && info.st_mtim.tv_sec >= unused_since / 1'000'000'000) continue;
    const std::string path = base + "/" + name.substr(0, name.size() - kLockSuffix.size());
    const auto lock = FileLock::TryAcquire(base + "/" + name, FileLock::Mode::kExclusive);
    if (!lock) continue;
    const auto data = OpenFile(path, O_RDONLY | O_DIRECTORY);
    if (data) {
      SKIFF_ASSIGN(const int64_t bytes, TreeSize(data->get(), path));
      size += bytes;
    }
    SKIFF_TRY(RemoveTree(path));
    ::unlinkat(folder.get(), name.c_str(), 0);
  }
  // Stays while a step uses it.
  ::rmdir(base.c_str());
  return size;
}

Result<int64_t> PruneMounts(const std::string& folder, int64_t unused_since) {
  int64_t size = 0;
  const auto mounts = OpenFile(folder, O_RDONLY | O_DIRECTORY);
  if (!mounts) return size;  // There never were any.
  SKIFF_ASSIGN(const std::vector<std::string> names, NamesIn(mounts->get(), folder));
  for (const std::string& name : names) {
    SKIFF_ASSIGN(const int64_t bytes, PruneMount(folder + "/" + name, unused_since));
    size += bytes;
  }
  return size;
}

}  // namespace

Result<PrunedCache> PruneCache(engine::Engine& engine, const std::string& cache_folder,
                               const PruneOptions& options) {
  PrunedCache pruned;
  SKIFF_TRY(Failpoint("build.prune"));
  // First what can be made again at once: contents of cache mounts, digests.
  if (options.mounts) {
    SKIFF_ASSIGN(pruned.bytes, PruneMounts(cache_folder + "/mounts", options.unused_since));
    if (options.unused_since == 0) SKIFF_TRY(RemoveTree(cache_folder + "/digests"));
  }
  SKIFF_ASSIGN(std::vector<engine::CacheEntry> entries, engine.ListCacheEntries());
  SKIFF_ASSIGN(const std::set<std::string> used, LayersOfImages(engine));
  std::ranges::sort(entries, {}, &engine::CacheEntry::used_at);
  if (!options.all) {
    std::erase_if(entries, [&](const engine::CacheEntry& entry) {
      return std::ranges::any_of(
          entry.layers, [&](const std::string& layer) { return used.contains(layer); });
    });
  }
  // Several entries may name one layer: it goes with the last of them.
  std::map<std::string, int> users;
  int64_t total = 0;
  for (const engine::CacheEntry& entry : entries) {
    if (!entry.layers.empty() && users[entry.layers[0]]++ == 0) total += SizeOf(entry);
  }
  for (const engine::CacheEntry& entry : entries) {
    if (options.keep_size && total <= *options.keep_size) break;
    if (options.unused_since != 0 && entry.used_at >= options.unused_since) continue;
    SKIFF_TRY(engine.RemoveCacheEntry(entry.key));
    pruned.entries.push_back(entry.key);
    if (!entry.layers.empty() && --users[entry.layers[0]] == 0) total -= SizeOf(entry);
  }
  SKIFF_ASSIGN(const int64_t collected, engine.CollectGarbage());
  pruned.bytes += collected;
  return pruned;
}

Status Builder::Finish() {
  if (!shared_->options().cache_limit || shared_->layers_made() == 0) return {};
  PruneOptions options;
  options.keep_size = shared_->options().cache_limit;
  options.mounts = false;
  // Most of the time nothing has to go.
  SKIFF_ASSIGN(const std::vector<engine::CacheEntry> entries,
               shared_->engine().ListCacheEntries());
  int64_t most = 0;
  for (const engine::CacheEntry& entry : entries) most += SizeOf(entry);
  if (most <= *options.keep_size) return {};
  SKIFF_TRY(PruneCache(shared_->engine(), shared_->options().cache_folder, options));
  return {};
}

}  // namespace skiff::builder
