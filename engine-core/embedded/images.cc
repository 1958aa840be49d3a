// Images, and layers in the making.
#include <algorithm>

#include "base/failpoint.h"
#include "base/trace.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/image/download.h"
#include "engine-core/image/image_store.h"

namespace skiff::engine::embedded {

// Held by an operation, and by a layer in the making as long as it lives. What an operation leaves
// pending is covered until the commit.
class EmbeddedEngine::ImageUse {
 public:
  ImageUse(EmbeddedEngine* engine, std::shared_ptr<FileLock> lock)
      : engine_(engine), lock_(std::move(lock)) {}
  ~ImageUse() {
    const std::lock_guard lock(engine_->images_mutex_);
    if (!engine_->images_used_) engine_->images_used_ = std::move(lock_);
  }
  ImageUse(const ImageUse&) = delete;
  ImageUse& operator=(const ImageUse&) = delete;

 private:
  EmbeddedEngine* engine_;
  std::shared_ptr<FileLock> lock_;
};

// What CreateLayer hands out.
class EmbeddedEngine::EngineLayer : public WritableLayer {
 public:
  EngineLayer(EmbeddedEngine* engine, std::shared_ptr<ImageUse> use,
              std::unique_ptr<image::LayerDraft> draft)
      : engine_(engine), use_(std::move(use)), draft_(std::move(draft)) {
    const std::lock_guard lock(engine_->images_mutex_);
    engine_->drafts_[draft_->id()] = draft_.get();
  }
  ~EngineLayer() override {
    const std::lock_guard lock(engine_->images_mutex_);
    engine_->drafts_.erase(draft_->id());
  }

  const std::string& id() const override { return draft_->id(); }
  const std::vector<std::string>& parents() const override { return draft_->parents(); }
  Result<Fd> OpenRoot() override { return draft_->OpenRoot(); }
  Result<Fd> OpenWritten() override { return draft_->OpenWritten(); }

 private:
  EmbeddedEngine* engine_;
  std::shared_ptr<ImageUse> use_;
  std::unique_ptr<image::LayerDraft> draft_;
};

Result<std::shared_ptr<EmbeddedEngine::ImageUse>> EmbeddedEngine::UseImages() {
  SKIFF_TRY(OpenForChange());
  const std::lock_guard lock(images_mutex_);
  std::shared_ptr<FileLock> held = images_used_ ? images_used_ : images_owned_;
  if (!held) {
    SKIFF_ASSIGN(FileLock shared,
                 FileLock::Acquire(layout_.lock("images"), FileLock::Mode::kShared));
    held = std::make_shared<FileLock>(std::move(shared));
    images_used_ = held;
  }
  return std::make_shared<ImageUse>(this, std::move(held));
}

Result<bool> EmbeddedEngine::OwnImages() {
  const std::lock_guard lock(images_mutex_);
  if (images_owned_) return images_owned_.use_count() == 1;
  // What this process left pending is in the rows it sees; only its own operations in flight hold
  // the lock beyond this.
  images_used_.reset();
  auto alone = FileLock::TryAcquire(layout_.lock("images"), FileLock::Mode::kExclusive);
  if (alone) {
    images_owned_ = std::make_shared<FileLock>(std::move(*alone));
    return true;
  }
  if (alone.error().code != Code::kFailedPrecondition) return Fail(std::move(alone).error());
  SKIFF_ASSIGN(FileLock shared, FileLock::Acquire(layout_.lock("images"), FileLock::Mode::kShared));
  images_used_ = std::make_shared<FileLock>(std::move(shared));
  return false;
}

Status EmbeddedEngine::AnnounceArtifact(image::Artifact kind, const std::string& hex) {
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  Intent intent;
  intent.kind = kind == image::Artifact::kLayer ? Intent::Kind::kLayer : Intent::Kind::kBlob;
  intent.id = hex;
  return intents_.Append(intent);
}

Result<image::Released> EmbeddedEngine::ReleaseArtifacts() {
  SKIFF_ASSIGN(const bool alone, OwnImages());
  // Whoever uses them may need just these; the next removal finds them.
  if (!alone) return image::Released();
  SKIFF_ASSIGN(const auto records, store_.Containers());
  std::vector<std::string> in_use;
  for (const auto& record : records) {
    in_use.insert(in_use.end(), record->layers.begin(), record->layers.end());
  }
  SKIFF_ASSIGN(image::Released released, images_.Release(in_use));
  {
    const std::lock_guard lock(pending_mutex_);
    image::Released& doomed = doomed_artifacts_;
    doomed.layers.insert(doomed.layers.end(), released.layers.begin(), released.layers.end());
    doomed.blobs.insert(doomed.blobs.end(), released.blobs.begin(), released.blobs.end());
  }
  // Said before their rows go: without one they are garbage that nobody would know of.
  for (const std::string& hex : released.layers) {
    SKIFF_TRY(AnnounceArtifact(image::Artifact::kLayer, hex));
  }
  for (const std::string& hex : released.blobs) {
    SKIFF_TRY(AnnounceArtifact(image::Artifact::kBlob, hex));
  }
  return released;
}

// ---- What is there -----------------------------------------------------------------------------

Result<std::vector<Image>> EmbeddedEngine::ListImages() {
  SKIFF_TRY(Open());
  return images_.List();
}

Result<Image> EmbeddedEngine::InspectImage(std::string_view ref) {
  SKIFF_TRY(Open());
  return images_.Inspect(ref);
}

Result<std::string> EmbeddedEngine::ReadImageConfig(std::string_view ref) {
  SKIFF_TRY(Open());
  return images_.ReadConfig(ref);
}

Status EmbeddedEngine::TagImage(std::string_view ref, std::string_view new_reference) {
  SKIFF_ASSIGN(const auto use, UseImages());
  SKIFF_TRY(images_.Tag(ref, new_reference));
  Journal("image", "tag", std::string(ref), {{"name", std::string(new_reference)}});
  return {};
}

Result<RemovedImage> EmbeddedEngine::RemoveImage(std::string_view ref, bool force) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto records, store_.Containers());
  std::vector<image::ImageUser> users;
  for (const auto& record : records) {
    users.push_back({record->id, record->image_id, StateOf(*record).running()});
  }
  SKIFF_TRY(Failpoint("engine.image.remove"));
  SKIFF_ASSIGN(RemovedImage removed, images_.Remove(ref, force, users));
  if (!removed.deleted.empty()) {
    SKIFF_ASSIGN(const image::Released released, ReleaseArtifacts());
    for (const std::string& layer : released.layers) {
      removed.deleted.push_back(image::DigestOf(layer));
    }
    removed.freed = released.bytes;
  }
  for (const std::string& name : removed.untagged) Journal("image", "untag", name, {});
  for (const std::string& id : removed.deleted) Journal("image", "delete", id, {});
  return removed;
}

Result<int64_t> EmbeddedEngine::CollectGarbage() {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const image::Released released, ReleaseArtifacts());
  SKIFF_ASSIGN(const int64_t downloads, image::RemoveDownloads(layout_, 0));
  return released.bytes + downloads;
}

// ---- Making ------------------------------------------------------------------------------------

Result<std::unique_ptr<WritableLayer>> EmbeddedEngine::CreateLayer(
    const std::vector<std::string>& parents) {
  const TraceSpan span("engine.create_layer");
  SKIFF_ASSIGN(auto use, UseImages());
  SKIFF_ASSIGN(auto draft, image::LayerDraft::Make(layers_, parents));
  return std::make_unique<EngineLayer>(this, std::move(use), std::move(draft));
}

Result<Layer> EmbeddedEngine::CommitLayer(WritableLayer& layer, const CommitLayerOptions& options) {
  const TraceSpan span("engine.commit_layer");
  image::LayerDraft* draft = nullptr;
  {
    const std::lock_guard lock(images_mutex_);
    const auto it = drafts_.find(layer.id());
    if (it == drafts_.end()) return Fail(Code::kNotFound, "no such layer: " + layer.id());
    draft = it->second;
  }
  return draft->Commit(options);
}

Result<bool> EmbeddedEngine::UnpackArchive(int tar_fd, WritableLayer& layer) {
  SKIFF_ASSIGN(const Fd root, layer.OpenRoot());
  const auto unpacked =
      UnpackLayer(layers_.transfer_program(), tar_fd, root.get(), /*blob_fd=*/-1, {});
  if (unpacked) return true;
  const Error& error = unpacked.error();
  const bool is_none = error.code == Code::kInvalidArgument &&
                       error.message.find("Unrecognized archive format") != std::string::npos;
  if (is_none) return false;
  return Fail(error);
}

Status EmbeddedEngine::ExpectMounts(const ContainerRecord& record) {
  const std::lock_guard lock(images_mutex_);
  for (const auto& [id, draft] : drafts_) {
    if (draft->folder() != record.writable_layer) continue;
    // /proc, /dev and /sys of an image without them stay, as BuildKit leaves them.
    std::vector<std::string> targets = {"/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
    for (const MountRequest& mount : record.config.mounts) targets.push_back(mount.target);
    return draft->ExpectMounts(targets);
  }
  return {};
}

Result<std::string> EmbeddedEngine::CreateImage(const ImageSpec& spec) {
  SKIFF_ASSIGN(auto use, UseImages());
  std::vector<Reference> references;
  for (const std::string& text : spec.references) {
    SKIFF_ASSIGN(Reference reference, image::ImageStore::ParseTag(text));
    references.push_back(std::move(reference));
  }
  for (const std::string& id : spec.other_platforms) SKIFF_TRY(images_.Find(id));
  image::NewImage made;
  made.config = spec.config;
  made.parent = spec.parent;
  SKIFF_TRY(Failpoint("engine.image.create"));
  auto id = images_.Put(made);
  if (!id) {
    use.reset();
    return GiveUp(std::move(id).error());
  }
  for (const Reference& reference : references) {
    SKIFF_TRY(store_.PutReference(reference.Canonical(), *id, spec.other_platforms));
    Journal("image", "tag", *id, {{"name", reference.Familiar()}});
  }
  Journal("image", "create", *id, {});
  return id;
}

Result<std::string> EmbeddedEngine::ImportImage(int tar_fd, const ImportOptions& options) {
  SKIFF_ASSIGN(auto use, UseImages());
  auto id = images_.Import(tar_fd, options);
  use.reset();
  if (!id) return GiveUp(std::move(id).error());
  Journal("image", "import", *id, {{"name", options.reference}});
  return id;
}

// ---- Build cache -------------------------------------------------------------------------------

Result<std::optional<CacheEntry>> EmbeddedEngine::FindCacheEntry(std::string_view key) {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto entries, store_.CacheEntries());
  const auto it =
      std::ranges::find_if(entries, [&](const auto& entry) { return entry->key == key; });
  if (it == entries.end()) return std::optional<CacheEntry>();
  return std::optional<CacheEntry>(**it);
}

Result<std::vector<CacheEntry>> EmbeddedEngine::ListCacheEntries() {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto entries, store_.CacheEntries());
  std::vector<CacheEntry> all;
  for (const auto& entry : entries) all.push_back(*entry);
  return all;
}

Status EmbeddedEngine::PutCacheEntry(const CacheEntry& entry) {
  SKIFF_ASSIGN(const auto use, UseImages());
  for (const std::string& layer : entry.layers) {
    SKIFF_ASSIGN(const bool known, layers_.HasLayer(image::DigestHex(layer)));
    if (!known) return Fail(Code::kNotFound, "no such layer: " + layer);
  }
  return store_.Put(entry);
}

Status EmbeddedEngine::RemoveCacheEntry(std::string_view key) {
  SKIFF_TRY(OpenForChange());
  return store_.EraseCacheEntry(std::string(key));
}

}  // namespace skiff::engine::embedded
