#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/engine.h"
#include "engine-core/layout.h"
#include "engine-core/store/store.h"

namespace skiff::engine::image {

// A container that uses an image: what stands in the way of removing it.
struct ImageUser {
  std::string container_id;
  std::string image_id;
  bool running = false;
};

// Images, references and layers of one root: rows in the store, blobs and layer folders on disk.
// What it changes is pending until Store::Commit(). Thread safe as the store is.
class ImageStore {
 public:
  ImageStore(const Layout& layout, store::Store& store, std::string transfer_program)
      : layout_(layout), store_(store), transfer_program_(std::move(transfer_program)) {}

  // `announce(layer id)` is called before a layer's folder gets its name, so that nobody takes it
  // for garbage before its row is there.
  Result<std::string> Import(int tar_fd, const ImportOptions& options,
                             const std::function<Status(const std::string&)>& announce);
  Result<std::vector<Image>> List();
  // Reference, full id with or without "sha256:", unique prefix of an id.
  Result<store::Ptr<store::ImageRecord>> Find(std::string_view ref);
  Result<Image> Inspect(std::string_view ref);
  Status Tag(std::string_view ref, std::string_view new_reference);
  // docker's rules and texts (reference/engine 4.9).
  Result<RemovedImage> Remove(std::string_view ref, bool force,
                              const std::vector<ImageUser>& users);
  // Layers no image and none of `in_use` needs any more: their rows are erased, their ids returned.
  // The folders may go once that is committed.
  Result<std::vector<std::string>> ReleaseLayers(const std::vector<std::string>& in_use);

 private:
  Result<Image> Describe(const store::ImageRecord& record);
  Status KeepBlob(const std::string& bytes, std::string* digest);
  Status PutLayer(const std::string& id, const std::string& prepared, int64_t size,
                  const std::function<Status(const std::string&)>& announce);

  Layout layout_;
  store::Store& store_;
  std::string transfer_program_;
};

}  // namespace skiff::engine::image
