#include "engine-core/image/layer_draft.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "base/root_path.h"
#include "engine-core/image/merged_root.h"
#include "engine-core/image/pack_tree.h"

namespace skiff::engine::image {
namespace {

// "/" belongs to root with mode 0755 in every container: archives of layers don't carry it.
Status ResetRoot(int upper_fd) {
  if (::fchown(upper_fd, 0, 0) != 0 || ::fchmod(upper_fd, 0755) != 0) {
    return FailErrno("cannot set the owner and mode of the layer's root");
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<LayerDraft>> LayerDraft::Make(LayerStore& layers,
                                                     const std::vector<std::string>& parents) {
  SKIFF_ASSIGN(WorkFolder work, WorkFolder::Make(layers.layout()));
  std::unique_ptr<LayerDraft> draft(new LayerDraft(layers, std::move(work)));
  const std::string folder = draft->folder();
  draft->id_ = folder.substr(folder.rfind('/') + 1);
  draft->parents_ = parents;
  for (const std::string& parent : parents) {
    const std::string hex = DigestHex(parent);
    SKIFF_ASSIGN(const bool known, layers.HasLayer(hex));
    if (!known) return Fail(Code::kNotFound, "no such layer: " + parent);
    draft->layer_ids_.push_back(hex);
  }
  SKIFF_TRY(layers.PrepareLayer(*draft->work_, "layer"));
  for (const std::string& path : {Work(folder), Nothing(folder)}) {
    if (::mkdir(path.c_str(), 0755) != 0) return FailErrno("cannot make '" + path + "'");
  }
  return draft;
}

Result<Fd> LayerDraft::OpenRoot() {
  if (!work_) return Fail(Code::kFailedPrecondition, "the layer has been committed");
  if (parents_.empty()) return OpenFile(Upper(folder()), O_RDONLY | O_DIRECTORY);
  const Layout& layout = layers_.layout();
  return OpenWritableRoot(layout.lower_folders(layer_ids_), {Upper(folder()), Work(folder())},
                          layout.tmp());
}

Result<Fd> LayerDraft::OpenWritten() {
  if (!work_) return Fail(Code::kFailedPrecondition, "the layer has been committed");
  return OpenFile(Upper(folder()), O_RDONLY | O_DIRECTORY);
}

Status LayerDraft::ExpectMounts(const std::vector<std::string>& targets) {
  SKIFF_ASSIGN(const Fd root, OpenRoot());
  for (std::string& path : MissingPlaces(root.get(), targets)) {
    if (std::ranges::count(mount_places_, path) == 0) mount_places_.push_back(std::move(path));
  }
  return NoteFoldersAbove(root.get());
}

Status LayerDraft::NoteFoldersAbove(int root_fd) {
  SKIFF_ASSIGN(const Fd upper, OpenFile(Upper(folder()), O_RDONLY | O_DIRECTORY));
  for (const std::string& place : mount_places_) {
    for (std::string path = place.substr(0, place.rfind('/')); !path.empty();
         path = path.substr(0, path.rfind('/'))) {
      const auto known = [&](const FolderAbove& above) { return above.path == path; };
      if (std::ranges::any_of(folders_above_, known)) continue;
      // One that the step has written to already stays.
      if (OpenInRoot(upper.get(), path, O_PATH)) break;
      const auto there = OpenInRoot(root_fd, path, O_PATH);
      if (!there) continue;
      struct stat info {};
      if (::fstat(there->get(), &info) != 0) return FailErrno("cannot read '" + path + "'");
      folders_above_.push_back({path, info.st_mode, info.st_uid, info.st_gid});
    }
  }
  return {};
}

// What is left of folders that were copied for the places of mounts only.
Status LayerDraft::RemoveCopiedFolders(int upper_fd) const {
  std::vector<FolderAbove> deepest = folders_above_;
  std::ranges::sort(deepest, std::ranges::greater(), &FolderAbove::path);
  for (const FolderAbove& above : deepest) {
    const auto there = OpenInRoot(upper_fd, above.path, O_RDONLY | O_DIRECTORY);
    if (!there) continue;
    struct stat info {};
    if (::fstat(there->get(), &info) != 0) return FailErrno("cannot read '" + above.path + "'");
    const bool same =
        info.st_mode == above.mode && info.st_uid == above.uid && info.st_gid == above.gid;
    const bool opaque = ::fgetxattr(there->get(), "trusted.overlay.opaque", nullptr, 0) > 0;
    if (!same || opaque) continue;
    const size_t slash = above.path.rfind('/');
    const std::string folder = slash == 0 ? "/" : above.path.substr(0, slash);
    SKIFF_ASSIGN(const Fd parent, OpenInRoot(upper_fd, folder, O_RDONLY | O_DIRECTORY));
    const std::string name = above.path.substr(slash + 1);
    if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOTEMPTY) {
      return FailErrno("cannot remove '" + above.path + "'");
    }
  }
  return {};
}

Result<Layer> LayerDraft::Commit(const CommitLayerOptions& options) {
  if (!work_) return Fail(Code::kFailedPrecondition, "the layer has been committed");
  SKIFF_ASSIGN(const Fd upper, OpenFile(Upper(folder()), O_RDONLY | O_DIRECTORY));
  SKIFF_TRY(RemoveMountPlaces(upper.get(), mount_places_));
  SKIFF_TRY(RemoveCopiedFolders(upper.get()));
  SKIFF_TRY(ResetRoot(upper.get()));
  Sha256 hash;
  PackOptions pack;
  pack.latest_time = options.latest_time;
  std::vector<Fd> below;
  for (const std::string& id : layer_ids_) {
    SKIFF_ASSIGN(Fd layer, OpenFile(layers_.layout().layer_diff(id), O_PATH | O_DIRECTORY));
    below.push_back(std::move(layer));
  }
  pack.hides_nothing = [&below](const std::string& path) {
    return std::ranges::none_of(below, [&](const Fd& layer) {
      const auto there = OpenInRoot(layer.get(), path, O_PATH | O_NOFOLLOW);
      return there || there.error().code != Code::kNotFound;
    });
  };
  int64_t tar_size = 0;
  SKIFF_ASSIGN(const PackedTree tree,
               PackTree(upper.get(), pack, [&](std::string_view data) -> Status {
                 tar_size += static_cast<int64_t>(data.size());
                 hash.Update(data);
                 return {};
               }));
  const std::string id = hash.FinishHex();
  SKIFF_TRY(Failpoint("image.commit_layer"));
  SKIFF_TRY(layers_.PutLayer(id, folder() + "/layer", tree.content_size, tar_size));
  work_.reset();
  return Layer{DigestOf(id), tree.content_size, tree.entries == 0};
}

}  // namespace skiff::engine::image
