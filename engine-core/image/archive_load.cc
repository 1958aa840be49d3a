#include "engine-core/image/archive_load.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "base/failpoint.h"
#include "base/identity.h"
#include "base/root_path.h"
#include "engine-core/image/elsewhere.h"
#include "engine-core/image/layer_jobs.h"
#include "engine-core/image/work_folder.h"
#include "engine-core/references.h"

namespace skiff::engine::image {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaximumListing = 20u << 20;  // manifest.json and index.json.
constexpr int kMaximumNesting = 4;             // Of lists in lists.
constexpr const char* kImageName = "io.containerd.image.name";

// One image as the archive describes it.
struct Found {
  std::string config;
  std::vector<std::string> layers;     // Paths in the archive.
  std::optional<Manifest> manifest;    // What it is called by in a registry.
  std::string manifest_bytes;
  std::vector<Reference> references;
};

tl::unexpected<Error> FailArchive(const std::string& why) {
  return Fail(Code::kInvalidArgument, "cannot load images: " + why);
}

std::string BlobPath(const std::string& digest) {
  return "blobs/sha256/" + DigestHex(digest);
}

class Loader {
 public:
  Loader(ImageStore& images, store::Store& store, const LoadOptions& options, WorkFolder work)
      : images_(images), store_(store), options_(options), work_(std::move(work)) {}

  Result<std::vector<LoadedImage>> Load(int fd);
  // Of the layout in the folder `fd`, by a tag or a digest.
  Result<OfferedImage> Ask(int fd, const std::string& name);
  Status TakeLayers(int fd, const std::string& name, std::set<std::string> diff_ids);

 private:
  Status OpenRoot(int fd);
  bool Exists(const std::string& path) const { return OpenInRoot(root_.get(), path, O_PATH).has_value(); }
  Result<Fd> Open(const std::string& path) const;
  Result<std::string> Read(const std::string& path, size_t limit) const;
  Result<std::string> ReadDigest(const Descriptor& descriptor, size_t limit) const;
  Result<std::vector<Found>> FindDocker();
  Result<Found> FindDockerImage(const Json& entry);
  Result<std::vector<Found>> FindOci();
  Status ReadManifests(const std::string& json, int depth);
  Result<Found> FindOciImage(const Descriptor& entry, int depth);
  Result<Descriptor> Choose(int fd, const std::string& name);
  Result<LoadedImage> Take(const Found& found);
  Result<PreparedLayer> TakeLayer(const Found& found, const ImageDocument& document, size_t index);

  ImageStore& images_;
  store::Store& store_;
  LoadOptions options_;
  WorkFolder work_;
  Fd root_;
  std::map<std::string, std::string> manifests_;  // Bytes by the digest of the configuration.
};

Status Loader::OpenRoot(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return FailErrno("cannot read the archive");
  if (S_ISDIR(info.st_mode)) {
    SKIFF_ASSIGN(root_, OpenFileAt(fd, ".", O_RDONLY | O_DIRECTORY));
    return {};
  }
  LayerStore& layers = images_.layers();
  SKIFF_ASSIGN(const std::string archive, layers.PrepareLayer(work_, "archive"));
  SKIFF_TRY(layers.Unpack(fd, archive, -1));
  SKIFF_ASSIGN(root_, OpenFile(archive + "/diff", O_RDONLY | O_DIRECTORY));
  return {};
}

// Old archives have links for layers that occur twice.
Result<Fd> Loader::Open(const std::string& path) const {
  auto file = OpenInRoot(root_.get(), path, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (file.error().code != Code::kNotFound) return file;
    return FailArchive("'" + path + "' is not in the archive");
  }
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return FailErrno("cannot read '" + path + "'");
  if (!S_ISREG(info.st_mode)) return FailArchive("'" + path + "' is no file");
  return file;
}

Result<std::string> Loader::Read(const std::string& path, size_t limit) const {
  SKIFF_ASSIGN(const Fd file, Open(path));
  return ReadAll(file.get(), limit, path);
}

Result<std::string> Loader::ReadDigest(const Descriptor& descriptor, size_t limit) const {
  SKIFF_ASSIGN(std::string bytes, Read(BlobPath(descriptor.digest), limit));
  if (DigestOf(Sha256Hex(bytes)) != descriptor.digest) {
    return Fail(Code::kCorrupted, "cannot load images: the content of " + descriptor.digest +
                                      " has another digest");
  }
  return bytes;
}

Result<Found> Loader::FindDockerImage(const Json& entry) {
  Found found;
  const std::string config = entry.value("Config", "");
  SKIFF_ASSIGN(found.config, Read(config, kMaximumConfig));
  if (const auto layers = entry.find("Layers"); layers != entry.end() && layers->is_array()) {
    if (layers->size() > kMaximumLayers) return FailArchive("an image has too many layers");
    for (const Json& layer : *layers) found.layers.push_back(layer.get<std::string>());
  }
  if (const auto tags = entry.find("RepoTags"); tags != entry.end() && tags->is_array()) {
    for (const Json& tag : *tags) {
      SKIFF_ASSIGN(Reference reference, ImageStore::ParseTag(tag.get<std::string>()));
      found.references.push_back(std::move(reference));
    }
  }
  const auto manifest = manifests_.find(DigestOf(Sha256Hex(found.config)));
  if (manifest == manifests_.end()) return found;
  SKIFF_ASSIGN(found.manifest, ReadManifest(manifest->second, ""));
  found.manifest_bytes = manifest->second;
  return found;
}

// An archive of docker since 25 is an OCI layout as well: its manifests are kept.
Status Loader::ReadManifests(const std::string& json, int depth) {
  SKIFF_ASSIGN(const Index index, ReadIndex(json, ""));
  for (const Descriptor& entry : index.manifests) {
    if (!Exists(BlobPath(entry.digest))) continue;
    SKIFF_ASSIGN(const std::string bytes, ReadDigest(entry, kMaximumManifest));
    SKIFF_ASSIGN(const std::string type, MediaTypeOf(bytes));
    if (IsIndexType(type)) {
      if (depth < kMaximumNesting) SKIFF_TRY(ReadManifests(bytes, depth + 1));
      continue;
    }
    SKIFF_ASSIGN(const Manifest manifest, ReadManifest(bytes, ""));
    manifests_[manifest.config.digest] = bytes;
  }
  return {};
}

Result<std::vector<Found>> Loader::FindDocker() {
  SKIFF_ASSIGN(const std::string text, Read("manifest.json", kMaximumListing));
  if (Exists("index.json")) {
    SKIFF_ASSIGN(const std::string index, Read("index.json", kMaximumManifest));
    SKIFF_TRY(ReadManifests(index, 0));
  }
  std::vector<Found> all;
  try {
    const Json json = Json::parse(text);
    if (!json.is_array()) return FailArchive("manifest.json is no list");
    for (const Json& entry : json) {
      SKIFF_ASSIGN(Found found, FindDockerImage(entry));
      all.push_back(std::move(found));
    }
  } catch (const Json::exception& error) {
    return FailArchive(std::string("manifest.json: ") + error.what());
  }
  return all;
}

Result<Found> Loader::FindOciImage(const Descriptor& entry, int depth) {
  SKIFF_ASSIGN(std::string bytes, ReadDigest(entry, kMaximumManifest));
  SKIFF_ASSIGN(const std::string type, MediaTypeOf(bytes));
  if (IsIndexType(type)) {
    if (depth >= kMaximumNesting) return FailArchive("lists are nested too deeply");
    SKIFF_ASSIGN(const Index index, ReadIndex(bytes, ""));
    SKIFF_ASSIGN(const Descriptor chosen, ChoosePlatform(index, options_.platform));
    return FindOciImage(chosen, depth + 1);
  }
  Found found;
  SKIFF_ASSIGN(found.manifest, ReadManifest(bytes, ""));
  found.manifest_bytes = std::move(bytes);
  SKIFF_ASSIGN(found.config, ReadDigest(found.manifest->config, kMaximumConfig));
  for (const Descriptor& layer : found.manifest->layers) {
    found.layers.push_back(BlobPath(layer.digest));
  }
  return found;
}

Result<std::vector<Found>> Loader::FindOci() {
  SKIFF_ASSIGN(const std::string text, Read("index.json", kMaximumManifest));
  SKIFF_ASSIGN(const Index index, ReadIndex(text, ""));
  std::map<std::string, Found> by_digest;  // One image may have several names.
  std::vector<std::string> order;
  for (const Descriptor& entry : index.manifests) {
    if (!by_digest.contains(entry.digest)) {
      SKIFF_ASSIGN(Found found, FindOciImage(entry, 0));
      by_digest[entry.digest] = std::move(found);
      order.push_back(entry.digest);
    }
    const auto full = entry.annotations.find(kImageName);
    const auto ref = entry.annotations.find(kRefNameAnnotation);
    std::string name;
    if (full != entry.annotations.end()) {
      name = full->second;
    } else if (ref != entry.annotations.end() &&
               ref->second.find_first_of(":/") != std::string::npos) {
      name = ref->second;  // A tag alone names no repository.
    }
    if (name.empty()) continue;
    if (auto reference = ImageStore::ParseTag(name)) {
      by_digest[entry.digest].references.push_back(std::move(*reference));
    }
  }
  std::vector<Found> all;
  for (const std::string& digest : order) all.push_back(std::move(by_digest[digest]));
  return all;
}

Result<PreparedLayer> Loader::TakeLayer(const Found& found, const ImageDocument& document,
                                        size_t index) {
  SKIFF_ASSIGN(const Fd file, Open(found.layers[index]));
  PreparedLayer layer;
  layer.number = index;
  layer.diff_id = document.diff_ids[index];
  if (found.manifest && index < found.manifest->layers.size()) {
    layer.blob_digest = found.manifest->layers[index].digest;
    layer.media_type = found.manifest->layers[index].media_type;
  }
  SKIFF_TRY(PrepareFromFile(images_.layers(), work_, file, layer));
  return layer;
}

Result<LoadedImage> Loader::Take(const Found& found) {
  SKIFF_ASSIGN(const ImageDocument document, ReadImageDocument(found.config));
  if (document.diff_ids.size() != found.layers.size()) {
    return FailArchive("invalid manifest, layers length mismatch: expected " +
                       std::to_string(document.diff_ids.size()) + ", got " +
                       std::to_string(found.layers.size()));
  }
  NewImage image;
  image.config = found.config;
  image.manifest = found.manifest_bytes;
  std::vector<size_t> wanted;
  image.layer_blobs.resize(found.layers.size());
  for (size_t i = 0; i < found.layers.size(); ++i) {
    SKIFF_ASSIGN(const auto known, images_.KnownLayer(DigestHex(document.diff_ids[i])));
    const std::string& digest =
        found.manifest && i < found.manifest->layers.size() ? found.manifest->layers[i].digest : "";
    // Known, and as the blob it is to be called by.
    if (known && (digest.empty() || known->digest == digest)) {
      image.layer_blobs[i] = *known;
    } else {
      wanted.push_back(i);
    }
  }
  SKIFF_TRY(RunLayerJobs(wanted, [&](size_t i) -> Status {
    SKIFF_ASSIGN(const PreparedLayer layer, TakeLayer(found, document, i));
    image.layer_blobs[i] = {layer.blob_digest, layer.blob_size, layer.media_type};
    return KeepLayer(images_.layers(), layer);
  }));
  SKIFF_TRY(Failpoint("image.load"));
  LoadedImage loaded;
  SKIFF_ASSIGN(loaded.id, images_.Put(image));
  for (const Reference& reference : found.references) {
    SKIFF_TRY(store_.PutReference(reference.Canonical(), loaded.id));
    loaded.references.push_back(reference.Familiar());
  }
  return loaded;
}

Result<std::vector<LoadedImage>> Loader::Load(int fd) {
  SKIFF_TRY(OpenRoot(fd));
  std::vector<Found> all;
  if (Exists("manifest.json")) {
    SKIFF_ASSIGN(all, FindDocker());
  } else if (Exists("index.json")) {
    SKIFF_ASSIGN(all, FindOci());
  } else {
    return Fail(Error(Code::kInvalidArgument,
                      "cannot load images: there is neither manifest.json nor index.json")
                    .With("a root file system is imported by 'skiff image import'"));
  }
  std::vector<LoadedImage> loaded;
  for (const Found& found : all) {
    SKIFF_ASSIGN(LoadedImage one, Take(found));
    loaded.push_back(std::move(one));
  }
  return loaded;
}

// "": the only one, or the one that is called "latest".
Result<Descriptor> Loader::Choose(int fd, const std::string& name) {
  SKIFF_TRY(OpenRoot(fd));
  SKIFF_ASSIGN(const std::string text, Read("index.json", kMaximumManifest));
  SKIFF_ASSIGN(const Index index, ReadIndex(text, ""));
  if (name.empty() && index.manifests.size() == 1) return index.manifests[0];
  if (IsDigest(name)) {
    // It need not be named in the list, as long as it is there.
    Descriptor entry;
    entry.digest = name;
    return entry;
  }
  const std::string wanted = name.empty() ? "latest" : name;
  std::string known;
  for (const Descriptor& entry : index.manifests) {
    const auto ref = entry.annotations.find(kRefNameAnnotation);
    if (ref == entry.annotations.end()) continue;
    if (ref->second == wanted) return entry;
    known += (known.empty() ? "" : ", ") + ref->second;
  }
  return Fail(Error(Code::kNotFound, "the OCI layout has no image '" + wanted + "'")
                  .With(known.empty() ? "no image of it has a tag" : "it has " + known));
}

Result<OfferedImage> Loader::Ask(int fd, const std::string& name) {
  SKIFF_ASSIGN(const Descriptor entry, Choose(fd, name));
  SKIFF_ASSIGN(Found found, FindOciImage(entry, 0));
  return OfferedImage{entry.digest, std::move(found.config)};
}

Status Loader::TakeLayers(int fd, const std::string& name, std::set<std::string> diff_ids) {
  SKIFF_ASSIGN(const Descriptor entry, Choose(fd, name));
  SKIFF_ASSIGN(const Found found, FindOciImage(entry, 0));
  SKIFF_ASSIGN(const ImageDocument document, ReadImageDocument(found.config));
  std::vector<size_t> wanted;
  for (size_t i = 0; i < document.diff_ids.size() && i < found.layers.size(); ++i) {
    if (diff_ids.erase(document.diff_ids[i]) > 0) wanted.push_back(i);
  }
  if (!diff_ids.empty()) {
    return Fail(Code::kNotFound, "the OCI layout has no layer " + *diff_ids.begin());
  }
  return RunLayerJobs(wanted, [&](size_t i) -> Status {
    SKIFF_ASSIGN(PreparedLayer layer, TakeLayer(found, document, i));
    layer.blob_path.clear();  // It goes with the work folder.
    return KeepLayer(images_.layers(), layer);
  });
}

Result<Loader> LoaderOf(ImageStore& images, store::Store& store, const LoadOptions& options) {
  SKIFF_ASSIGN(WorkFolder work, WorkFolder::Make(images.layers().layout()));
  return Loader(images, store, options, std::move(work));
}

}  // namespace

Result<std::vector<LoadedImage>> LoadArchive(ImageStore& images, store::Store& store, int fd,
                                             const LoadOptions& options) {
  SKIFF_ASSIGN(Loader loader, LoaderOf(images, store, options));
  return loader.Load(fd);
}

Result<OfferedImage> AskLayout(ImageStore& images, store::Store& store, int fd,
                               const std::string& name, const LoadOptions& options) {
  SKIFF_ASSIGN(Loader loader, LoaderOf(images, store, options));
  return loader.Ask(fd, name);
}

Status TakeFromLayout(ImageStore& images, store::Store& store, int fd, const std::string& name,
                      const std::vector<std::string>& diff_ids, const LoadOptions& options) {
  SKIFF_ASSIGN(const std::set<std::string> missing, MissingLayers(images, diff_ids));
  if (missing.empty()) return {};
  SKIFF_ASSIGN(Loader loader, LoaderOf(images, store, options));
  return loader.TakeLayers(fd, name, missing);
}

}  // namespace skiff::engine::image
