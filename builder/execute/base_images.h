#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/error.h"
#include "builder/build.h"
#include "engine-core/engine.h"

namespace skiff::builder {

// What an image is built on: the bytes of its configuration, and its layers (diff ids).
struct BaseImage {
  std::string config;
  std::vector<std::string> layers;
};

// The base images of one command. For this machine's platform a name means the image the engine has
// by it, whatever that is for, or else the registry's, which gets the name here. For another one it
// means the engine's only when it is for that platform; the registry's is then part of the build
// cache, without a name, so that what runs here by the name stays what it is. Thread safe.
class BaseImages {
 public:
  using AccessOf = std::function<Result<engine::RegistryAccess>(const std::string& reference)>;

  BaseImages(engine::Engine& engine, AccessOf access, std::function<int64_t()> now)
      : engine_(engine), access_(std::move(access)), now_(std::move(now)) {}

  // `anew`: the registry is asked though it is known here. kNotFound, kUnavailable.
  Result<BaseImage> Find(const std::string& reference, const Platform& platform, bool anew);
  // The same with its layers here.
  Result<BaseImage> Take(const std::string& reference, const Platform& platform);

 private:
  // One in a registry.
  struct Offered {
    engine::ImagePlace place;  // Of that content and no later one.
    BaseImage image;
  };

  Result<BaseImage> FindForHost(const std::string& reference, const Platform& platform, bool anew);
  Result<std::optional<BaseImage>> FindHere(const std::string& reference, const Platform& platform);
  Result<std::optional<BaseImage>> FindCached(const std::string& key);
  Result<BaseImage> Read(const std::string& id);
  Result<Offered> Ask(const std::string& reference, const Platform& platform);
  Status Keep(const std::string& key, const BaseImage& image);

  engine::Engine& engine_;
  AccessOf access_;
  std::function<int64_t()> now_;
  std::mutex fetch_mutex_;  // Of those for other platforms one at a time comes.
  std::mutex mutex_;
  std::map<std::string, Offered> offered_;  // By key.
};

}  // namespace skiff::builder
