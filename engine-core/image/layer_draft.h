#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine-core/image/layer_store.h"
#include "engine-core/images.h"

namespace skiff::engine::image {

// The embedded engine's WritableLayer: a work folder with what overlayfs wants (`layer`/diff above,
// `work`), which becomes the layer's folder as it is.
class LayerDraft : public WritableLayer {
 public:
  // `parents`: diff ids; kNotFound for one that is not there.
  static Result<std::unique_ptr<LayerDraft>> Make(LayerStore& layers,
                                                  const std::vector<std::string>& parents);

  const std::string& id() const override { return id_; }
  const std::vector<std::string>& parents() const override { return parents_; }
  Result<Fd> OpenRoot() override;
  Result<Fd> OpenWritten() override;

  // Folders, for a container: hexadecimal ids bottom first, and the upper and work folder.
  const std::vector<std::string>& layer_ids() const { return layer_ids_; }
  // Other threads ask for these of all drafts, also of one that is being committed.
  const std::string& folder() const { return folder_; }
  static std::string Upper(const std::string& folder) { return folder + "/layer/diff"; }
  static std::string Work(const std::string& folder) { return folder + "/work"; }
  // What to put below when there is no parent: overlayfs wants one.
  static std::string Nothing(const std::string& folder) { return folder + "/nothing"; }

  // Before a container with mounts at `targets` is started: those that are not there yet, and
  // folders above them, are taken out again by Commit() unless something else was put there.
  Status ExpectMounts(const std::vector<std::string>& targets);
  Result<Layer> Commit(const CommitLayerOptions& options);

 private:
  LayerDraft(LayerStore& layers, WorkFolder work)
      : layers_(layers), work_(std::move(work)), folder_(work_->path()) {}

  // A folder of the layers below, as it was before the places of mounts made overlayfs copy it.
  struct FolderAbove {
    std::string path;
    uint32_t mode = 0, uid = 0, gid = 0;
  };
  Status NoteFoldersAbove(int root_fd);
  Status RemoveCopiedFolders(int upper_fd) const;

  LayerStore& layers_;
  std::optional<WorkFolder> work_;  // None: committed.
  const std::string folder_;
  std::string id_;
  std::vector<std::string> parents_;
  std::vector<std::string> layer_ids_;
  std::vector<std::string> mount_places_;
  std::vector<FolderAbove> folders_above_;
};

}  // namespace skiff::engine::image
