#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/engine.h"
#include "engine-core/image/layer_store.h"
#include "engine-core/image/manifest.h"
#include "engine-core/image_config.h"
#include "engine-core/references.h"
#include "engine-core/store/store.h"

namespace skiff::engine::image {

// A container that uses an image: what stands in the way of removing it.
struct ImageUser {
  std::string container_id;
  std::string image_id;
  bool running = false;
};

// What nothing needs any more: rows are erased, files may go once that is committed.
struct Released {
  std::vector<std::string> layers;  // Hexadecimal.
  std::vector<std::string> blobs;
  int64_t bytes = 0;
};

// What is put together to an image.
struct NewImage {
  std::string config;                         // Bytes.
  std::vector<store::LayerBlob> layer_blobs;  // One for each layer, or none at all.
  std::string manifest;                       // Bytes, "" for none.
  std::string index;                          // Bytes of the list it was chosen from.
  std::string parent;
};

// Images and references of one root, as rows over a LayerStore. What it changes is pending until
// Store::Commit(). Thread safe as the store is.
class ImageStore {
 public:
  ImageStore(store::Store& store, LayerStore& layers) : store_(store), layers_(layers) {}

  LayerStore& layers() { return layers_; }

  // A plain tar becomes an image of one layer.
  Result<std::string> Import(int tar_fd, const ImportOptions& options);
  // Its layers must be there. Returns the id; one that is known keeps what it had.
  Result<std::string> Put(const NewImage& image);

  Result<std::vector<Image>> List();
  // Reference, full id with or without "sha256:", unique prefix of an id.
  Result<store::Ptr<store::ImageRecord>> Find(std::string_view ref);
  Result<Image> Inspect(std::string_view ref);
  // Ids of the images of other platforms that a name stands for; none of anything else.
  Result<std::vector<std::string>> OtherPlatforms(std::string_view ref);
  Result<std::string> ReadConfig(std::string_view ref);
  // A name without digest for Tag(): kInvalidArgument with docker's texts.
  static Result<Reference> ParseTag(std::string_view reference);
  Status Tag(std::string_view ref, std::string_view new_reference);
  // docker's rules and texts (reference/engine 4.9).
  Result<RemovedImage> Remove(std::string_view ref, bool force,
                              const std::vector<ImageUser>& users);
  // What neither an image, nor the build cache, nor one of `layers_in_use` needs.
  Result<Released> Release(const std::vector<std::string>& layers_in_use);
  // Digests (hexadecimal) of every blob an image needs.
  Result<std::vector<std::string>> NeededBlobs();
  // The blob a layer is known by, of whatever image (an empty one: it was made here); nothing when
  // it is not there.
  Result<std::optional<store::LayerBlob>> KnownLayer(const std::string& hex);
  // One for each layer; of rows of the first schema they are read from the manifest.
  Result<std::vector<store::LayerBlob>> LayerBlobs(const store::ImageRecord& record) const;

 private:
  using PlatformSets = std::map<std::string, store::ReferenceRecord>;  // By name.

  // Takes the image out of the names that stand for it beside another; kFailedPrecondition unless
  // `force`.
  Status LeavePlatformSets(const std::string& id, bool force);
  // Those of the sets `before` that nothing names or uses any more.
  Status RemoveOtherPlatforms(const PlatformSets& before, const std::vector<ImageUser>& users,
                              RemovedImage& removed);
  Result<Image> Describe(const store::ImageRecord& record);
  Result<int64_t> SizeOf(const std::vector<std::string>& layer_ids);

  store::Store& store_;
  LayerStore& layers_;
};

}  // namespace skiff::engine::image
