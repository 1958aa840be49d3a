#include "builder/execute/shared.h"

#include "base/descriptor.h"
#include "base/identity.h"

namespace skiff::builder {

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

Status Builder::Shared::Pull(const std::string& reference, const Platform& platform) {
  engine::PullOptions options;
  options.platform = {platform.os, platform.architecture, platform.variant};
  if (options_.registry) {
    SKIFF_ASSIGN(options.access, options_.registry(reference));
  }
  SKIFF_TRY(engine_.PullImage(reference, options));
  return {};
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
