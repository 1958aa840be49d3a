// The images of the fake engine: layers are folders in the temporary directory, each for itself.
#include <fcntl.h>

#include <cstdlib>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/identity.h"
#include "engine-core/fake/state.h"
#include "engine-core/image/pack_tree.h"
#include "engine-core/image_config.h"

namespace skiff::engine {
namespace {

// Shows what is written to it, not what lies below.
class FakeLayer : public WritableLayer {
 public:
  FakeLayer(std::string id, std::vector<std::string> parents)
      : id_(std::move(id)),
        parents_(std::move(parents)),
        folder_(std::filesystem::temp_directory_path() / ("skiff-fake-layer-" + RandomHex(8))) {}
  ~FakeLayer() override {
    // A leftover in the temporary directory hurts nobody.
    [[maybe_unused]] const Status removed = RemoveTree(folder_);
  }

  const std::string& id() const override { return id_; }
  const std::vector<std::string>& parents() const override { return parents_; }
  Result<Fd> OpenRoot() override {
    SKIFF_TRY(MakeDirectories(folder_, 0755));
    return OpenFile(folder_, O_RDONLY | O_DIRECTORY);
  }
  Result<Fd> OpenWritten() override { return OpenRoot(); }

 private:
  std::string id_;
  std::vector<std::string> parents_;
  std::string folder_;
};

std::string JoinWords(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += " " + word;
  return out;
}

tl::unexpected<Error> FailMissingImage(std::string_view ref) {
  return Fail(Code::kNotFound, "No such image: " + WithTag(ref));
}

}  // namespace

Result<std::string> FakeEngine::ImportImage(int, const ImportOptions& options) {
  {
    const std::lock_guard lock(shared_->mutex);
    SKIFF_TRY(shared_->Record("ImportImage " + options.reference));
  }
  AddImage(options.reference, options.config);
  SKIFF_ASSIGN(const Image image, InspectImage(options.reference));
  return image.id;
}

Result<std::vector<Image>> FakeEngine::ListImages() {
  const std::lock_guard lock(shared_->mutex);
  std::vector<Image> found;
  for (const auto& [id, image] : shared_->images) found.push_back(image);
  return found;
}

Result<Image> FakeEngine::InspectImage(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  const Image* image = shared_->FindImage(ref);
  if (image == nullptr) return Fail(Code::kNotFound, "No such image: " + WithTag(ref));
  return *image;
}

Status FakeEngine::TagImage(std::string_view ref, std::string_view new_reference) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("TagImage " + std::string(ref) + " " + std::string(new_reference)));
  Image* image = shared_->FindImage(ref);
  if (image == nullptr) return Fail(Code::kNotFound, "No such image: " + WithTag(ref));
  const std::string tagged = WithTag(new_reference);
  for (auto& [id, other] : shared_->images) std::erase(other.references, tagged);
  image->references.push_back(tagged);
  return {};
}

Result<RemovedImage> FakeEngine::RemoveImage(std::string_view ref, bool force) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("RemoveImage " + std::string(ref)));
  const Image* image = shared_->FindImage(ref);
  if (image == nullptr) return Fail(Code::kNotFound, "No such image: " + WithTag(ref));
  for (const auto& [id, container] : shared_->containers) {
    if (container.image_id == image->id && !force) {
      return Fail(Code::kFailedPrecondition, "conflict: unable to remove repository reference \"" +
                                                 std::string(ref) + "\" (must force)");
    }
  }
  RemovedImage removed{image->references, {image->id}, 0};
  shared_->image_configs.erase(image->id);
  shared_->images.erase(std::string(image->id));
  return removed;
}

void FakeEngine::AddRemoteImage(const std::string& reference, const ImageConfig& config) {
  const std::lock_guard lock(shared_->mutex);
  Image image;
  image.id = "sha256:" + HexId(shared_->next_id++);
  image.architecture = "amd64";
  image.os = "linux";
  image.created_at = shared_->Now();
  image.config = config;
  shared_->remote_images[WithTag(reference)] = std::move(image);
}

Result<std::string> FakeEngine::ReadImageConfig(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  const Image* image = shared_->FindImage(ref);
  if (image == nullptr) return FailMissingImage(ref);
  const auto bytes = shared_->image_configs.find(image->id);
  if (bytes != shared_->image_configs.end()) return bytes->second;
  ImageDocument document;
  document.architecture = image->architecture;
  document.os = image->os;
  document.config = image->config;
  document.diff_ids = image->layers;
  return WriteImageDocument(document);
}

Result<int64_t> FakeEngine::CollectGarbage() {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("CollectGarbage"));
  return 0;
}

Result<std::unique_ptr<WritableLayer>> FakeEngine::CreateLayer(
    const std::vector<std::string>& parents) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("CreateLayer" + JoinWords(parents)));
  for (const std::string& parent : parents) {
    if (!shared_->layers.contains(parent)) {
      return Fail(Code::kNotFound, "no such layer: " + parent);
    }
  }
  return std::make_unique<FakeLayer>("layer-" + std::to_string(shared_->next_id++), parents);
}

Result<Layer> FakeEngine::CommitLayer(WritableLayer& layer, const CommitLayerOptions& options) {
  SKIFF_ASSIGN(const Fd root, layer.OpenRoot());
  Sha256 hash;
  image::PackOptions pack;
  pack.latest_time = options.latest_time;
  SKIFF_ASSIGN(const PackedTree tree,
               image::PackTree(root.get(), pack, [&](std::string_view data) -> Status {
                 hash.Update(data);
                 return {};
               }));
  const std::string id = "sha256:" + hash.FinishHex();
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("CommitLayer " + layer.id()));
  shared_->layers.insert(id);
  return Layer{id, tree.content_size, tree.entries == 0};
}

Result<bool> FakeEngine::UnpackArchive(int /*tar_fd*/, WritableLayer& layer) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("UnpackArchive " + layer.id()));
  return Fail(Code::kUnsupported, "the fake engine unpacks nothing");
}

Result<std::string> FakeEngine::CreateImage(const ImageSpec& spec) {
  SKIFF_ASSIGN(const ImageDocument document, ReadImageDocument(spec.config));
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("CreateImage" + JoinWords(spec.references)));
  for (const std::string& layer : document.diff_ids) {
    if (!shared_->layers.contains(layer)) return Fail(Code::kNotFound, "no such layer: " + layer);
  }
  Image image;
  image.id = "sha256:" + Sha256Hex(spec.config);
  image.created_at = document.created_at.value_or(0);
  image.architecture = document.architecture;
  image.variant = document.variant;
  image.os = document.os;
  image.layers = document.diff_ids;
  image.config = document.config;
  image.parent = spec.parent;
  if (const auto known = shared_->images.find(image.id); known != shared_->images.end()) {
    image.references = known->second.references;
  }
  for (const std::string& reference : spec.references) {
    const std::string tagged = WithTag(reference);
    for (auto& [id, other] : shared_->images) std::erase(other.references, tagged);
    std::erase(image.references, tagged);
    image.references.push_back(tagged);
  }
  const std::string id = image.id;
  shared_->image_configs[id] = spec.config;
  shared_->images[id] = std::move(image);
  return id;
}

Result<std::string> FakeEngine::CommitContainer(std::string_view ref,
                                                const CommitContainerOptions& options) {
  {
    const std::lock_guard lock(shared_->mutex);
    SKIFF_TRY(shared_->Record("CommitContainer " + std::string(ref) + " " + options.reference));
    SKIFF_TRY(shared_->Find(ref));
  }
  ImageConfig config;
  if (options.changes) SKIFF_TRY(options.changes(config));
  AddImage(options.reference, config);
  SKIFF_ASSIGN(const Image image, InspectImage(options.reference));
  return image.id;
}

Result<std::optional<CacheEntry>> FakeEngine::FindCacheEntry(std::string_view key) {
  const std::lock_guard lock(shared_->mutex);
  const auto it = shared_->cache.find(std::string(key));
  if (it == shared_->cache.end()) return std::optional<CacheEntry>();
  return std::optional<CacheEntry>(it->second);
}

Result<std::vector<CacheEntry>> FakeEngine::ListCacheEntries() {
  const std::lock_guard lock(shared_->mutex);
  std::vector<CacheEntry> all;
  for (const auto& [key, entry] : shared_->cache) all.push_back(entry);
  return all;
}

Status FakeEngine::PutCacheEntry(const CacheEntry& entry) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("PutCacheEntry " + entry.key));
  shared_->cache[entry.key] = entry;
  return {};
}

Status FakeEngine::RemoveCacheEntry(std::string_view key) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("RemoveCacheEntry " + std::string(key)));
  shared_->cache.erase(std::string(key));
  return {};
}

Result<std::vector<LoadedImage>> FakeEngine::LoadImages(int, const LoadOptions&) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("LoadImages"));
  return std::vector<LoadedImage>();
}

Status FakeEngine::SaveImages(int, const std::vector<std::string>& refs, const SaveOptions&) {
  const std::lock_guard lock(shared_->mutex);
  return shared_->Record("SaveImages" + JoinWords(refs));
}

Status FakeEngine::ArchiveImages(int, const SentImages& images, const SaveOptions&) {
  const std::lock_guard lock(shared_->mutex);
  return shared_->Record("ArchiveImages " + std::to_string(images.images.size()));
}

Status FakeEngine::ExportContainer(std::string_view ref, int) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("ExportContainer " + std::string(ref)));
  return shared_->Find(ref).transform([](const Container*) {});
}

Status FakeEngine::ReadEvents(const EventOptions&, const std::function<bool(const Event&)>&) {
  const std::lock_guard lock(shared_->mutex);
  return shared_->Record("ReadEvents");
}

Result<ContainerUsage> FakeEngine::ReadUsage(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("ReadUsage " + std::string(ref)));
  return ContainerUsage();
}

Result<PathInfo> FakeEngine::StatPath(std::string_view ref, const std::string& path) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("StatPath " + std::string(ref) + " " + path));
  return Fail(Code::kNotFound,
              "Could not find the file " + path + " in container " + std::string(ref));
}

Status FakeEngine::ReadArchive(std::string_view ref, const std::string& path,
                               const std::string& name, int) {
  const std::lock_guard lock(shared_->mutex);
  return shared_->Record("ReadArchive " + std::string(ref) + " " + path + " as " + name);
}

Status FakeEngine::WriteArchive(std::string_view ref, const std::string& folder, int,
                                const WriteArchiveOptions&) {
  const std::lock_guard lock(shared_->mutex);
  return shared_->Record("WriteArchive " + std::string(ref) + " " + folder);
}

Result<int64_t> FakeEngine::WrittenSize(std::string_view ref) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Find(ref));
  return 0;
}

Status FakeEngine::SyncPaths(std::string_view ref, const std::vector<SyncedPath>& paths) {
  const std::lock_guard lock(shared_->mutex);
  std::string call = "SyncPaths " + std::string(ref);
  for (const SyncedPath& path : paths) call += " " + path.target;
  return shared_->Record(call);
}

Result<int64_t> FakeEngine::UnpackFiles(int, int, Owner) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("UnpackFiles"));
  return 0;
}

Status FakeEngine::ExportLayer(WritableLayer& layer, int fd) {
  SKIFF_ASSIGN(const Fd root, layer.OpenRoot());
  image::PackOptions options;
  options.layer = false;
  SKIFF_TRY(image::PackTree(root.get(), options, [fd](std::string_view data) {
    return WriteAll(fd, data, "the archive");
  }));
  return {};
}

Result<PulledImage> FakeEngine::PullImage(std::string_view ref, const PullOptions& options) {
  const std::lock_guard lock(shared_->mutex);
  const std::string tagged = WithTag(ref);
  SKIFF_TRY(shared_->Record("PullImage " + tagged));
  const auto remote = shared_->remote_images.find(tagged);
  if (remote == shared_->remote_images.end()) {
    return Fail(Code::kNotFound, "manifest for " + tagged + " not found: manifest unknown");
  }
  Image image = remote->second;
  const bool changed = !shared_->images.contains(image.id);
  for (auto& [id, other] : shared_->images) std::erase(other.references, tagged);
  if (!changed) image.references = shared_->images[image.id].references;
  image.references.push_back(tagged);
  const std::string id = image.id;
  shared_->images[id] = std::move(image);
  if (options.progress) options.progress({"", "Pulled", 0, 0});
  return PulledImage{id, "sha256:" + HexId(0), changed};
}

Result<PushedImage> FakeEngine::PushImage(std::string_view ref, const PushOptions&) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("PushImage " + WithTag(ref)));
  if (shared_->FindImage(ref) == nullptr) {
    return Fail(Code::kNotFound,
                "An image does not exist locally with the tag: " + std::string(ref));
  }
  return PushedImage{"sha256:" + HexId(0), 0};
}

void FakeEngine::AddRemoteFile(const std::string& url, const std::string& content) {
  const std::lock_guard lock(shared_->mutex);
  shared_->remote_files[url] = content;
}

Result<Downloaded> FakeEngine::DownloadFile(const std::string& url, int fd,
                                            const DownloadOptions& options) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("DownloadFile " + url));
  const auto it = shared_->remote_files.find(url);
  if (it == shared_->remote_files.end()) {
    return Fail(Code::kNotFound, "invalid response status 404");
  }
  Downloaded done;
  done.digest = "sha256:" + Sha256Hex(it->second);
  done.size = static_cast<int64_t>(it->second.size());
  done.etag = '"' + done.digest + '"';
  done.changed = options.etag != done.etag;
  if (done.changed) SKIFF_TRY(WriteAll(fd, it->second, "what is downloaded"));
  return done;
}

Result<std::string> FakeEngine::ResolveImage(std::string_view ref, const RegistryAccess&) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("ResolveImage " + std::string(ref)));
  return "sha256:" + Sha256Hex(ref);
}

namespace {

std::string TextOf(const ImagePlace& place) {
  return place.folder.empty() ? place.reference : place.folder + ":" + place.reference;
}

}  // namespace

Result<int64_t> FakeEngine::LayerSize(std::string_view diff_id) {
  SKIFF_ASSIGN(const bool known, HasLayer(diff_id));
  if (!known) return Fail(Code::kNotFound, "no such layer: " + std::string(diff_id));
  return int64_t{0};
}

Result<bool> FakeEngine::HasLayer(std::string_view diff_id) {
  const std::lock_guard lock(shared_->mutex);
  return std::ranges::any_of(shared_->images, [&](const auto& entry) {
    return std::ranges::count(entry.second.layers, diff_id) > 0;
  });
}

Result<OfferedImage> FakeEngine::AskForImage(const ImagePlace& place) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("AskForImage " + TextOf(place)));
  const auto it = shared_->sent_images.find(TextOf(place));
  if (it == shared_->sent_images.end()) {
    return Fail(Code::kNotFound, "manifest for " + TextOf(place) + " not found: manifest unknown");
  }
  return OfferedImage{"sha256:" + Sha256Hex(it->second), it->second};
}

Result<RegistryArtifact> FakeEngine::FetchArtifact(std::string_view ref,
                                                   const std::vector<std::string>&,
                                                   const RegistryAccess&) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("FetchArtifact " + std::string(ref)));
  return Fail(Code::kNotFound, "manifest for " + std::string(ref) + " not found: manifest unknown");
}

Status FakeEngine::FetchLayers(const ImagePlace& place, const std::vector<std::string>& diff_ids) {
  const std::lock_guard lock(shared_->mutex);
  return shared_->Record("FetchLayers " + TextOf(place) + " " + std::to_string(diff_ids.size()));
}

Result<PushedImage> FakeEngine::SendImages(const ImagePlace& place, const SentImages& sent) {
  const std::lock_guard lock(shared_->mutex);
  for (const SentImage& image : sent.images) {
    SKIFF_TRY(shared_->Record("SendImage " + TextOf(place)));
    shared_->sent_images[TextOf(place)] = image.config;
  }
  const std::string& config = sent.images.front().config;
  return PushedImage{"sha256:" + Sha256Hex(config), static_cast<int64_t>(config.size())};
}

Result<std::string> FakeEngine::LogIn(std::string_view host, const RegistryAccess& access) {
  const std::lock_guard lock(shared_->mutex);
  SKIFF_TRY(shared_->Record("LogIn " + std::string(host) + " " + access.credentials.username));
  return std::string();
}

}  // namespace skiff::engine
