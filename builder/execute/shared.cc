#include "builder/execute/shared.h"

#include "base/descriptor.h"
#include "base/identity.h"
#include "base/text.h"

namespace skiff::builder {

int64_t SizeOf(const engine::CacheEntry& entry) {
  return ParseNumber<int64_t>(entry.document.substr(0, entry.document.find('\n'))).value_or(0);
}

Status NoteUse(engine::Engine& engine, engine::CacheEntry& entry, int64_t now) {
  constexpr int64_t kInterval = int64_t{3600} * 1'000'000'000;
  if (now - entry.used_at <= kInterval) return {};
  entry.used_at = now;
  return engine.PutCacheEntry(entry);
}

Result<std::string> FolderOf(engine::WritableLayer& layer) {
  SKIFF_ASSIGN(const Fd root, layer.OpenRoot());
  return PathOfDescriptor(root.get(), "the folder of a layer");
}

template <typename T>
Result<T> Builder::Shared::OnceIn(Table<T>& table, const std::string& key,
                                  const std::function<Result<T>()>& make) {
  std::promise<Result<T>> promise;
  {
    std::unique_lock lock(mutex_);
    if (const auto it = table.find(key); it != table.end()) {
      const auto other = it->second;
      lock.unlock();
      return other.get();
    }
    table.emplace(key, promise.get_future().share());
  }
  Result<T> made = make();
  promise.set_value(made);
  return made;
}

Result<MadeLayer> Builder::Shared::Once(const std::string& key,
                                        const std::function<Result<MadeLayer>()>& make) {
  return OnceIn(layers_, key, make);
}

Result<ImageDescription> Builder::Shared::DescribeOnce(
    const std::string& key, const std::function<Result<ImageDescription>()>& make) {
  return OnceIn(images_, key, make);
}

DigestStore& Builder::Shared::Digests(const std::string& folder) {
  const std::lock_guard lock(mutex_);
  auto& store = digests_[folder];
  if (!store) {
    store = std::make_unique<DigestStore>(options_.cache_folder + "/digests/" +
                                          Sha256Hex(folder).substr(0, 32));
  }
  return *store;
}

Result<Builder::Shared::StartedAgent> Builder::Shared::StartAgent(const BuildAgent& agent) {
  SKIFF_ASSIGN(auto layer, engine_.CreateLayer({}));
  KeyAgent::Options options;
  options.keys = agent.keys;
  options.environment = options_.environment;
  SKIFF_ASSIGN(options.folder, FolderOf(*layer));
  options.cancel_fd = options_.cancel_fd;
  SKIFF_ASSIGN(KeyAgent started, KeyAgent::Start(options));
  return StartedAgent{std::move(layer), std::move(started)};
}

Result<std::string> Builder::Shared::SocketOf(const BuildAgent& agent) {
  if (agent.keys.empty()) return agent.socket;
  const std::lock_guard lock(agents_mutex_);
  auto it = agents_.find(agent.keys);
  if (it == agents_.end()) {
    SKIFF_ASSIGN(StartedAgent started, StartAgent(agent));
    it = agents_.emplace(agent.keys, std::move(started)).first;
  }
  return it->second.agent.socket();
}

void Builder::Shared::SaveDigests() {
  const std::lock_guard lock(mutex_);
  for (const auto& [folder, store] : digests_) {
    [[maybe_unused]] const Status saved = store->Save();
  }
}

}  // namespace skiff::builder
