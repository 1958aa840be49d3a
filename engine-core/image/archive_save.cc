#include "engine-core/image/archive_save.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>

#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/image/compress.h"
#include "engine-core/image/layer_jobs.h"
#include "engine-core/image/pack_tree.h"
#include "engine-core/image_config.h"

namespace skiff::engine::image {
namespace {

using OrderedJson = nlohmann::ordered_json;

// One `save`: what is written once though several images have it.
class Saver {
 public:
  Saver(ImageStore& images, int fd, const SaveOptions& options)
      : images_(images),
        options_(options),
        stream_([fd](std::string_view data) { return WriteAll(fd, data, "the archive"); }) {}

  Status Add(const std::string& ref);
  Status Add(const SentImages& images);
  Status Write();

 private:
  struct Chosen {
    std::string id;
    SendableSet set;
    size_t main = 0;  // Of the set: the image of that id.
    std::vector<Reference> names;
  };
  // A blob to be written: its bytes, or the layer of an image.
  struct Content {
    std::string bytes;
    std::shared_ptr<const SendableImage> image;
    size_t layer = 0;
  };

  Result<SendableSet> SetOf(const std::string& ref, const std::string& id);
  Chosen& Choose(SendableSet set, const std::string& id);
  Status AddNames(const std::string& ref, Chosen& chosen);
  void AddBytes(const std::string& bytes);
  void AddBlobs(const std::shared_ptr<const SendableImage>& image);
  Status WriteBlob(const std::string& digest, const Content& content);
  std::string IndexJson() const;
  std::string ManifestJson() const;

  ImageStore& images_;
  SaveOptions options_;
  TarStream stream_;
  std::vector<Chosen> chosen_;
  std::map<std::string, Content> blobs_;  // By digest: sorted, so that the order is fixed.
};

void Saver::AddBytes(const std::string& bytes) {
  blobs_[DigestOf(Sha256Hex(bytes))] = {bytes, nullptr, 0};
}

void Saver::AddBlobs(const std::shared_ptr<const SendableImage>& image) {
  AddBytes(image->config);
  AddBytes(image->manifest_bytes);
  for (size_t i = 0; i < image->manifest.layers.size(); ++i) {
    blobs_[image->manifest.layers[i].digest] = {"", image, i};
  }
}

Result<SendableSet> Saver::SetOf(const std::string& ref, const std::string& id) {
  SKIFF_ASSIGN(std::vector<std::string> ids, images_.OtherPlatforms(ref));
  ids.insert(ids.begin(), id);
  std::vector<SendableImage> images;
  for (const std::string& one : ids) {
    SKIFF_ASSIGN(const auto record, images_.Find(one));
    const bool wanted = options_.platform.empty() ||
                        PlatformMatches(options_.platform, PlatformOf(record->image));
    if (!wanted) continue;
    SKIFF_ASSIGN(SendableImage image, MakeSendable(images_, *record, options_.compression));
    images.push_back(std::move(image));
  }
  if (images.empty()) {
    return Fail(Code::kNotFound, "no image of " + ref + " is for " + options_.platform.Text());
  }
  const std::vector<std::map<std::string, std::string>> no_annotations(images.size());
  return MakeSet(std::move(images), no_annotations, {});
}

// `id`: of the image that is meant where there can be but one.
Saver::Chosen& Saver::Choose(SendableSet set, const std::string& id) {
  for (Chosen& known : chosen_) {
    if (known.set.top.digest == set.top.digest) return known;
  }
  for (const SendableImage& image : set.images) {
    AddBlobs(std::make_shared<const SendableImage>(image));
  }
  if (!set.list.empty()) AddBytes(set.list);
  const auto main = std::ranges::find_if(set.images, [&](const SendableImage& image) {
    return image.manifest.config.digest == id;
  });
  const auto number =
      main == set.images.end() ? 0 : static_cast<size_t>(main - set.images.begin());
  return chosen_.emplace_back(Chosen{id, std::move(set), number, {}});
}

Status Saver::AddNames(const std::string& ref, Chosen& chosen) {
  if (!options_.names.empty()) {
    chosen.names.clear();
    for (const std::string& text : options_.names) {
      SKIFF_ASSIGN(const Reference name, ParseReference(text));
      chosen.names.push_back(name);
    }
    return {};
  }
  const auto reference = ParseReference(ref);
  if (ref == chosen.id || !reference || !reference->digest.empty()) return {};
  // Part of an id names no tag.
  SKIFF_ASSIGN(const Image image, images_.Inspect(chosen.id));
  if (std::ranges::count(image.references, reference->Familiar()) == 0) return {};
  if (std::ranges::count(chosen.names, *reference) == 0) chosen.names.push_back(*reference);
  return {};
}

Status Saver::Add(const std::string& ref) {
  SKIFF_ASSIGN(const auto record, images_.Find(ref));
  const std::string& id = record->image.id;
  SKIFF_ASSIGN(SendableSet set, SetOf(ref, id));
  return AddNames(ref, Choose(std::move(set), id));
}

Status Saver::Add(const SentImages& images) {
  SKIFF_ASSIGN(SendableSet set, MakeSet(images_, images, options_.compression));
  const std::string id = DigestOf(Sha256Hex(images.images[images.main].config));
  return AddNames(id, Choose(std::move(set), id));
}

Status Saver::WriteBlob(const std::string& digest, const Content& content) {
  const std::string path = "blobs/sha256/" + DigestHex(digest);
  if (!content.image) return stream_.File(path, content.bytes, 0);
  SKIFF_TRY(Failpoint("image.save_blob"));
  TarEntry entry;
  entry.path = path;
  entry.mode = 0644;
  entry.size = content.image->manifest.layers[content.layer].size;
  SKIFF_TRY(stream_.Header(entry));
  SKIFF_TRY(StreamLayer(images_.layers(), *content.image, content.layer,
                        [&](std::string_view data) { return stream_.Content(data); }));
  return stream_.EndContent();
}

std::string Saver::IndexJson() const {
  Index index;
  index.media_type = kOciIndex;
  for (const Chosen& chosen : chosen_) {
    Descriptor entry = chosen.set.top;
    if (chosen.names.empty()) index.manifests.push_back(entry);
    for (const Reference& name : chosen.names) {
      entry.annotations["io.containerd.image.name"] = name.Canonical();
      entry.annotations[kRefNameAnnotation] = name.tag;
      index.manifests.push_back(entry);
    }
  }
  return WriteIndex(index);
}

std::string Saver::ManifestJson() const {
  OrderedJson all = OrderedJson::array();
  for (const Chosen& chosen : chosen_) {
    OrderedJson entry = OrderedJson::object();
    const Manifest& manifest = chosen.set.images[chosen.main].manifest;
    entry["Config"] = "blobs/sha256/" + DigestHex(manifest.config.digest);
    entry["RepoTags"] = nullptr;
    for (const Reference& name : chosen.names) entry["RepoTags"].push_back(name.Familiar());
    entry["Layers"] = OrderedJson::array();
    for (const Descriptor& layer : manifest.layers) {
      entry["Layers"].push_back("blobs/sha256/" + DigestHex(layer.digest));
    }
    all.push_back(std::move(entry));
  }
  return all.dump();
}

Status Saver::Write() {
  for (const char* path : {"blobs/", "blobs/sha256/"}) {
    TarEntry folder;
    folder.path = path;
    folder.type = '5';
    folder.mode = 0755;
    SKIFF_TRY(stream_.Header(folder));
  }
  for (const auto& [digest, content] : blobs_) SKIFF_TRY(WriteBlob(digest, content));
  SKIFF_TRY(stream_.File("index.json", IndexJson(), 0));
  if (options_.format == ArchiveFormat::kDocker) {
    SKIFF_TRY(stream_.File("manifest.json", ManifestJson(), 0));
  }
  SKIFF_TRY(stream_.File("oci-layout", R"({"imageLayoutVersion":"1.0.0"})", 0));
  return stream_.Finish();
}

}  // namespace

namespace {

Status StreamFile(const Fd& file, const std::string& digest, const ByteSink& sink) {
  std::string buffer(1 << 18, '\0');
  Sha256 hash;
  while (true) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read the blob " + digest);
    if (got == 0) break;
    const std::string_view data(buffer.data(), static_cast<size_t>(got));
    hash.Update(data);
    SKIFF_TRY(sink(data));
  }
  if (DigestOf(hash.FinishHex()) != digest) {
    return Fail(Code::kCorrupted, "the blob " + digest + " is damaged on disk");
  }
  return {};
}

}  // namespace

Status StreamBlob(LayerStore& layers, const std::string& digest, const ByteSink& sink) {
  SKIFF_ASSIGN(const Fd file, layers.OpenBlob(digest));
  return StreamFile(file, digest, sink);
}

Status StreamLayer(LayerStore& layers, const SendableImage& image, size_t number,
                   const ByteSink& sink) {
  const std::string& digest = image.manifest.layers[number].digest;
  if (const auto it = image.files.find(digest); it != image.files.end()) {
    SKIFF_ASSIGN(const Fd file, OpenFile(it->second, O_RDONLY));
    return StreamFile(file, digest, sink);
  }
  if (layers.HasBlob(DigestHex(digest))) return StreamBlob(layers, digest, sink);
  return PackLayer(layers, image.layer_ids[number], sink);
}

Status PackLayer(LayerStore& layers, const std::string& hex, const ByteSink& sink) {
  SKIFF_ASSIGN(const Fd folder,
               OpenFile(layers.layout().layer_diff(hex), O_RDONLY | O_DIRECTORY));
  Sha256 hash;
  SKIFF_TRY(PackTree(folder.get(), {}, [&](std::string_view data) -> Status {
    hash.Update(data);
    return sink(data);
  }));
  if (hash.FinishHex() != hex) {
    return Fail(Error(Code::kCorrupted, "the layer " + DigestOf(hex) + " has changed on disk")
                    .With("it was made here and nothing else holds its content"));
  }
  return {};
}

Result<int64_t> PackedSize(LayerStore& layers, const std::string& hex) {
  int64_t size = 0;
  SKIFF_TRY(PackLayer(layers, hex, [&](std::string_view data) -> Status {
    size += static_cast<int64_t>(data.size());
    return {};
  }));
  return size;
}

namespace {

// Layers of one image as they can be sent.
class LayerDescriber {
 public:
  LayerDescriber(LayerStore& layers, const LayerCompression& compression, SendableImage& image)
      : layers_(layers), compression_(compression), image_(image) {}

  // `blobs`: what each came as.
  Result<std::vector<Descriptor>> Describe(const std::vector<store::LayerBlob>& blobs) {
    const std::vector<std::string>& ids = image_.layer_ids;
    std::vector<Descriptor> out(ids.size());
    std::vector<size_t> wanted;
    std::map<std::string, size_t> first;  // One layer twice in an image is compressed once.
    for (size_t i = 0; i < ids.size(); ++i) {
      SKIFF_ASSIGN(const store::LayerBlob blob, Choose(ids[i], blobs[i]));
      out[i] = {blob.media_type, blob.digest, blob.size, {}, {}};
      if (blob.digest.empty() && first.emplace(ids[i], i).second) wanted.push_back(i);
    }
    if (wanted.empty()) return out;
    SKIFF_ASSIGN(WorkFolder work, WorkFolder::Make(layers_.layout()));
    image_.work = std::make_shared<const WorkFolder>(std::move(work));
    SKIFF_TRY(RunLayerJobs(wanted, [&](size_t i) -> Status {
      SKIFF_ASSIGN(out[i], Make(ids[i], blobs[i]));
      return {};
    }));
    for (size_t i = 0; i < out.size(); ++i) {
      if (out[i].digest.empty()) out[i] = out[first[ids[i]]];
    }
    return out;
  }

 private:
  bool Compresses() const {
    return compression_.kind == CompressionKind::kGzip ||
           compression_.kind == CompressionKind::kZstd;
  }
  bool IsKept() const {
    return compression_.kind == CompressionKind::kGzip && !compression_.level;
  }
  bool IsHere(const store::LayerBlob& blob) const {
    return layers_.HasBlob(DigestHex(blob.digest));
  }

  // The blob that serves; an empty one: it has to be made.
  Result<store::LayerBlob> Choose(const std::string& hex, const store::LayerBlob& came_as) {
    const bool plain = came_as.media_type == kOciLayer;
    if (IsHere(came_as) && !(Compresses() && plain)) return came_as;
    const bool may_be_packed = compression_.kind == CompressionKind::kDefault || IsKept();
    if (!may_be_packed) return store::LayerBlob();
    return layers_.PackedLayer(hex);
  }

  Result<Descriptor> Make(const std::string& hex, const store::LayerBlob& came_as) {
    if (Compresses()) return Compress(hex, came_as);
    SKIFF_ASSIGN(int64_t size, layers_.TarSize(hex));
    if (size == 0) {
      SKIFF_ASSIGN(size, PackedSize(layers_, hex));
    }
    return Descriptor{std::string(kOciLayer), DigestOf(hex), size, {}, {}};
  }

  Result<Descriptor> Compress(const std::string& hex, const store::LayerBlob& came_as) {
    const std::string path = image_.work->path() + "/packed-" + hex;
    SKIFF_ASSIGN(const Fd file, OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
    store::LayerBlob blob;
    Sha256 hash;
    SKIFF_ASSIGN(const auto compressor,
                 Compressor::Make(compression_, [&](std::string_view data) -> Status {
                   hash.Update(data);
                   blob.size += static_cast<int64_t>(data.size());
                   return WriteAll(file.get(), data, path);
                 }));
    const ByteSink sink = [&](std::string_view data) { return compressor->Write(data); };
    SKIFF_TRY(IsHere(came_as) ? StreamBlob(layers_, came_as.digest, sink)
                              : PackLayer(layers_, hex, sink));
    SKIFF_TRY(compressor->Finish());
    SKIFF_TRY(Failpoint("image.compress_layer"));
    blob.digest = DigestOf(hash.FinishHex());
    blob.media_type = std::string(kOciLayer) + "+" + std::string(MediaSuffix(compression_.kind));
    if (IsKept()) {
      SKIFF_TRY(layers_.KeepFile(path, DigestHex(blob.digest)));
      SKIFF_TRY(layers_.NotePacked(hex, blob));
    } else {
      const std::lock_guard lock(mutex_);
      image_.files[blob.digest] = path;
    }
    return Descriptor{blob.media_type, blob.digest, blob.size, {}, {}};
  }

  LayerStore& layers_;
  const LayerCompression& compression_;
  SendableImage& image_;
  std::mutex mutex_;  // Of image_.files.
};

void SetManifest(SendableImage& image, const std::string& config_digest,
                 std::vector<Descriptor> layers,
                 const std::map<std::string, std::string>& annotations = {}) {
  image.manifest = {};
  image.manifest.media_type = kOciManifest;
  image.manifest.config = {std::string(kOciConfig), config_digest,
                           static_cast<int64_t>(image.config.size()), {}, {}};
  image.manifest.layers = std::move(layers);
  image.manifest.annotations = annotations;
  image.manifest_bytes = WriteManifest(image.manifest);
}

}  // namespace

Result<SendableImage> MakeSendable(ImageStore& images, const store::ImageRecord& record,
                                   const LayerCompression& compression) {
  SendableImage out;
  out.layer_ids = record.layer_ids;
  LayerStore& layers = images.layers();
  SKIFF_ASSIGN(out.config, layers.ReadBlob(record.image.id, kMaximumConfig));
  SKIFF_ASSIGN(const auto blobs, images.LayerBlobs(record));
  if (!record.manifest.empty()) {
    SKIFF_ASSIGN(out.manifest_bytes, layers.ReadBlob(record.manifest, kMaximumManifest));
    SKIFF_ASSIGN(out.manifest, ReadManifest(out.manifest_bytes, ""));
    const bool whole = std::ranges::all_of(out.manifest.layers, [&](const Descriptor& layer) {
      return layers.HasBlob(DigestHex(layer.digest));
    });
    if (whole) return out;
  }
  SKIFF_ASSIGN(const auto again, LayerDescriber(layers, compression, out).Describe(blobs));
  SetManifest(out, record.image.id, again);
  return out;
}

Result<SendableImage> MakeSendable(ImageStore& images, const std::string& config,
                                   const std::vector<std::string>& layer_ids,
                                   const LayerCompression& compression,
                                   const std::map<std::string, std::string>& annotations) {
  SendableImage out;
  out.config = config;
  out.layer_ids = layer_ids;
  std::vector<store::LayerBlob> blobs;
  for (const std::string& hex : layer_ids) {
    SKIFF_ASSIGN(const auto known, images.KnownLayer(hex));
    blobs.push_back(known.value_or(store::LayerBlob()));
  }
  SKIFF_ASSIGN(const auto described, LayerDescriber(images.layers(), compression, out).Describe(blobs));
  SetManifest(out, DigestOf(Sha256Hex(config)), described, annotations);
  return out;
}

Result<SendableSet> MakeSet(std::vector<SendableImage> images,
                            const std::vector<std::map<std::string, std::string>>& annotations,
                            const ListAnnotations& list_annotations) {
  struct Item {
    SendableImage image;
    Descriptor entry;
  };
  std::vector<Item> items;
  for (size_t i = 0; i < images.size(); ++i) {
    SKIFF_ASSIGN(const ImageDocument document, ReadImageDocument(images[i].config));
    Descriptor entry;
    entry.media_type = images[i].manifest.media_type;
    entry.digest = DigestOf(Sha256Hex(images[i].manifest_bytes));
    entry.size = static_cast<int64_t>(images[i].manifest_bytes.size());
    entry.platform = {document.os, document.architecture, document.variant};
    entry.annotations = annotations[i];
    items.push_back({std::move(images[i]), std::move(entry)});
  }
  const auto platform = [](const Item& item) { return item.entry.platform.Text(); };
  std::ranges::sort(items, {}, platform);
  const auto twice = std::ranges::adjacent_find(items, {}, platform);
  if (twice != items.end()) {
    return Fail(Code::kInvalidArgument,
                "two images of a list are for " + twice->entry.platform.Text());
  }
  SendableSet set;
  for (Item& item : items) {
    set.images.push_back(std::move(item.image));
    set.entries.push_back(std::move(item.entry));
  }
  set.top = set.entries.front();
  if (items.size() == 1) return set;
  set.list = WriteIndex({std::string(kOciIndex), set.entries, list_annotations.list});
  set.top = {};
  set.top.media_type = kOciIndex;
  set.top.digest = DigestOf(Sha256Hex(set.list));
  set.top.size = static_cast<int64_t>(set.list.size());
  set.top.annotations = list_annotations.descriptor;
  return set;
}

Result<std::vector<std::string>> LayersOfConfig(const std::string& config) {
  SKIFF_ASSIGN(const ImageDocument document, ReadImageDocument(config));
  std::vector<std::string> layers;
  for (const std::string& id : document.diff_ids) layers.push_back(DigestHex(id));
  return layers;
}

Result<SendableSet> MakeSet(ImageStore& images, const SentImages& sent,
                            const LayerCompression& compression) {
  std::vector<SendableImage> sendable;
  std::vector<std::map<std::string, std::string>> of_entries;
  for (const SentImage& one : sent.images) {
    SKIFF_ASSIGN(const std::vector<std::string> layers, LayersOfConfig(one.config));
    SKIFF_ASSIGN(SendableImage image, MakeSendable(images, one.config, layers, compression,
                                                   one.annotations.manifest));
    sendable.push_back(std::move(image));
    of_entries.push_back(one.annotations.descriptor);
  }
  return MakeSet(std::move(sendable), of_entries, sent.annotations);
}

Status SaveArchive(ImageStore& images, int fd, const std::vector<std::string>& refs,
                   const SaveOptions& options) {
  Saver saver(images, fd, options);
  for (const std::string& ref : refs) SKIFF_TRY(saver.Add(ref));
  return saver.Write();
}

Status SaveArchive(ImageStore& images, int fd, const SentImages& sent,
                   const SaveOptions& options) {
  Saver saver(images, fd, options);
  SKIFF_TRY(saver.Add(sent));
  return saver.Write();
}

}  // namespace skiff::engine::image
