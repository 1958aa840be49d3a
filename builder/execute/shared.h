#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "builder/build.h"
#include "builder/execute/agents.h"
#include "builder/execute/base_images.h"
#include "builder/execute/remote_cache.h"
#include "builder/execute/tree_digest.h"

namespace skiff::builder {

// A layer that a step has made, or that the cache had.
struct MadeLayer {
  std::string diff_id;
  int64_t created_at = 0;
  bool cached = false;
  int64_t size = 0;
  bool keep = true;  // False: what it was made of changed meanwhile.
};

// Bytes of the files of its layers: the document is this number, and for a base image, after a line
// feed, its configuration.
int64_t SizeOf(const engine::CacheEntry& entry);
// A use is written down once an hour at most: it costs a commit.
Status NoteUse(engine::Engine& engine, engine::CacheEntry& entry, int64_t now);
// Where the folder of a layer without parents lies.
Result<std::string> FolderOf(engine::WritableLayer& layer);

// What the builds of one command share. Thread safe.
class Builder::Shared {
 public:
  Shared(engine::Engine& engine, BuilderOptions options)
      : engine_(engine),
        options_(std::move(options)),
        remote_cache_(engine, options_.registry, options_.now),
        base_images_(engine, options_.registry, options_.now) {}

  engine::Engine& engine() { return engine_; }
  const BuilderOptions& options() const { return options_; }
  int64_t now() const { return options_.now(); }
  RemoteCache& remote_cache() { return remote_cache_; }
  void CountLayer() { ++layers_made_; }
  int layers_made() const { return layers_made_; }

  // Runs `make` for the first caller with this key; the others wait for what comes out.
  Result<MadeLayer> Once(const std::string& key, const std::function<Result<MadeLayer>()>& make);
  // The same for the descriptions of base images.
  Result<ImageDescription> DescribeOnce(const std::string& key,
                                        const std::function<Result<ImageDescription>()>& make);
  BaseImages& base_images() { return base_images_; }
  // Digests of the files of a folder. They are saved with SaveDigests().
  DigestStore& Digests(const std::string& folder);
  // Of the agent, or of one with the keys, which is started at its first use.
  Result<std::string> SocketOf(const BuildAgent& agent);
  // What cannot be saved costs time in the next build, nothing else.
  void SaveDigests();

 private:
  template <typename T>
  using Table = std::map<std::string, std::shared_future<Result<T>>>;
  template <typename T>
  Result<T> OnceIn(Table<T>& table, const std::string& key, const std::function<Result<T>()>& make);

  struct StartedAgent {
    std::unique_ptr<engine::WritableLayer> layer;  // Holds the folder of its socket.
    KeyAgent agent;
  };
  Result<StartedAgent> StartAgent(const BuildAgent& agent);

  engine::Engine& engine_;
  BuilderOptions options_;
  RemoteCache remote_cache_;
  BaseImages base_images_;
  std::atomic<int> layers_made_ = 0;
  std::mutex mutex_;
  Table<MadeLayer> layers_;
  Table<ImageDescription> images_;
  std::map<std::string, std::unique_ptr<DigestStore>> digests_;
  std::mutex agents_mutex_;
  std::map<std::vector<std::string>, StartedAgent> agents_;  // By the files of their keys.
};

}  // namespace skiff::builder
