#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

// What --cache-from and --cache-to say (`cache_from`, `cache_to` of Compose files): places where
// steps of builds, and the layers they made, are kept for other machines.
namespace skiff::builder {

enum class CacheKind {
  kRegistry,     // An image in a registry: one with its cache inside, or one made for that.
  kFolder,       // An OCI layout in a folder.
  kInline,       // In the image that is built; only as a target.
  kUnreachable,  // Of a service that nobody here speaks to (gha, s3, azblob): passed over.
};

struct CachePlace {
  CacheKind kind = CacheKind::kRegistry;
  std::string type;       // As written: "gha".
  std::string reference;  // Of kRegistry.
  std::string folder;     // Of kFolder, absolute.
  std::string name;       // In the folder: a tag or, when read, a digest.
  // As progress calls it: "registry.test/app:cache", "/tmp/cache".
  const std::string& Shown() const;
};

struct CacheTarget : CachePlace {
  bool every_stage = false;   // mode=max: also steps whose layers the image does not have.
  bool ignore_error = false;  // The build succeeds although this was not written.
};

// "type=registry,ref=NAME", "type=local,src=FOLDER[,tag=T|,digest=D]"; without an equals sign names
// of images. kInvalidArgument, with BuildKit's words where it has some.
Result<std::vector<CachePlace>> ParseCacheSources(std::string_view text,
                                                  const std::string& working_dir);
// "type=registry,ref=NAME[,mode=max]", "type=local,dest=FOLDER[,tag=T][,mode=max]", "type=inline",
// each with ignore-error=true; without an equals sign a name of an image.
Result<CacheTarget> ParseCacheTarget(std::string_view text, const std::string& working_dir);

struct CachePlaces {
  std::vector<CachePlace> sources;
  std::vector<CacheTarget> targets;
};
// All of both lists. The build argument BUILDKIT_INLINE_CACHE (1, true) is a target of its own.
Result<CachePlaces> ParseCachePlaces(
    const std::vector<std::string>& from, const std::vector<std::string>& to,
    const std::map<std::string, std::string, std::less<>>& arguments,
    const std::string& working_dir);

}  // namespace skiff::builder
