#include "engine-core/image/archive_save.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/failpoint.h"
#include "base/identity.h"
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
  Status Write();

 private:
  struct Chosen {
    std::string id;
    SendableSet set;
    size_t main = 0;  // Of the set: the image of that id.
    std::vector<Reference> names;
  };
  // A blob to be written: its bytes, its file, or a layer to pack.
  struct Content {
    std::string bytes;
    std::string blob;
    std::string layer;
    int64_t size = 0;
  };

  Result<SendableImage> Sendable(const std::string& id);
  Result<Chosen> Choose(const std::string& ref, const std::string& id);
  Status AddNames(const std::string& ref, Chosen& chosen);
  void AddBytes(const std::string& bytes);
  void AddBlobs(const SendableImage& image);
  Status WriteBlob(const std::string& digest, const Content& content);
  std::string IndexJson() const;
  std::string ManifestJson() const;

  ImageStore& images_;
  SaveOptions options_;
  TarStream stream_;
  std::vector<Chosen> chosen_;
  std::map<std::string, Content> blobs_;  // By digest: sorted, so that the order is fixed.
};

Result<SendableImage> Saver::Sendable(const std::string& id) {
  SKIFF_ASSIGN(const auto record, images_.Find(id));
  const auto annotations = options_.annotations.find(id);
  if (annotations == options_.annotations.end()) return MakeSendable(images_, *record);
  SKIFF_ASSIGN(const std::string config, images_.layers().ReadBlob(id, kMaximumConfig));
  return MakeSendable(images_, config, record->layer_ids, annotations->second.manifest);
}

void Saver::AddBytes(const std::string& bytes) {
  blobs_[DigestOf(Sha256Hex(bytes))] = {bytes, "", "", 0};
}

void Saver::AddBlobs(const SendableImage& image) {
  AddBytes(image.config);
  AddBytes(image.manifest_bytes);
  for (size_t i = 0; i < image.manifest.layers.size(); ++i) {
    const Descriptor& layer = image.manifest.layers[i];
    Content content;
    content.size = layer.size;
    if (images_.layers().HasBlob(DigestHex(layer.digest))) {
      content.blob = layer.digest;
    } else {
      content.layer = image.layer_ids[i];
    }
    blobs_[layer.digest] = std::move(content);
  }
}

Result<Saver::Chosen> Saver::Choose(const std::string& ref, const std::string& id) {
  std::vector<std::string> ids = options_.other_platforms;
  ids.push_back(id);
  if (options_.platform.empty()) {
    SKIFF_ASSIGN(const std::vector<std::string> others, images_.OtherPlatforms(ref));
    ids.insert(ids.end(), others.begin(), others.end());
  }
  std::vector<SendableImage> images;
  std::vector<std::map<std::string, std::string>> annotations;
  for (const std::string& one : ids) {
    SKIFF_ASSIGN(SendableImage image, Sendable(one));
    AddBlobs(image);
    images.push_back(std::move(image));
    const auto it = options_.annotations.find(one);
    annotations.push_back(it == options_.annotations.end() ? std::map<std::string, std::string>()
                                                           : it->second.descriptor);
  }
  Chosen chosen;
  chosen.id = id;
  SKIFF_ASSIGN(chosen.set, MakeSet(std::move(images), annotations, options_.list_annotations));
  if (!chosen.set.list.empty()) AddBytes(chosen.set.list);
  const auto is_main = [&](const SendableImage& image) {
    return image.manifest.config.digest == id;
  };
  chosen.main = static_cast<size_t>(std::ranges::find_if(chosen.set.images, is_main) -
                                    chosen.set.images.begin());
  return chosen;
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
  if (!reference || !reference->digest.empty()) return {};
  // An id names no tag.
  SKIFF_ASSIGN(const Image image, images_.Inspect(chosen.id));
  if (std::ranges::count(image.references, reference->Familiar()) == 0) return {};
  if (std::ranges::count(chosen.names, *reference) == 0) chosen.names.push_back(*reference);
  return {};
}

Status Saver::Add(const std::string& ref) {
  SKIFF_ASSIGN(const auto record, images_.Find(ref));
  const std::string& id = record->image.id;
  SKIFF_ASSIGN(Chosen chosen, Choose(ref, id));
  auto known = std::ranges::find_if(chosen_, [&](const Chosen& other) {
    return other.set.top.digest == chosen.set.top.digest;
  });
  if (known == chosen_.end()) {
    chosen_.push_back(std::move(chosen));
    known = std::prev(chosen_.end());
  }
  return AddNames(ref, *known);
}

Status Saver::WriteBlob(const std::string& digest, const Content& content) {
  const std::string path = "blobs/sha256/" + DigestHex(digest);
  if (content.blob.empty() && content.layer.empty()) return stream_.File(path, content.bytes, 0);
  SKIFF_TRY(Failpoint("image.save_blob"));
  TarEntry entry;
  entry.path = path;
  entry.mode = 0644;
  entry.size = content.size;
  SKIFF_TRY(stream_.Header(entry));
  if (content.blob.empty()) {
    SKIFF_TRY(PackLayer(images_.layers(), content.layer,
                        [&](std::string_view data) { return stream_.Content(data); }));
  } else {
    SKIFF_TRY(StreamBlob(images_.layers(), content.blob,
                         [&](std::string_view data) { return stream_.Content(data); }));
  }
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

Status StreamBlob(LayerStore& layers, const std::string& digest, const ByteSink& sink) {
  SKIFF_ASSIGN(const Fd file, layers.OpenBlob(digest));
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

// As they can be sent: the blob a layer is known by, or else its uncompressed tar.
Result<std::vector<Descriptor>> DescribeLayers(LayerStore& layers,
                                               const std::vector<std::string>& layer_ids,
                                               const std::vector<store::LayerBlob>& blobs) {
  std::vector<Descriptor> out;
  for (size_t i = 0; i < layer_ids.size(); ++i) {
    const store::LayerBlob& blob = blobs[i];
    if (!blob.digest.empty() && layers.HasBlob(DigestHex(blob.digest))) {
      out.push_back({blob.media_type, blob.digest, blob.size, {}, {}});
      continue;
    }
    SKIFF_ASSIGN(const int64_t size, PackedSize(layers, layer_ids[i]));
    out.push_back({std::string(kOciLayer), DigestOf(layer_ids[i]), size, {}, {}});
  }
  return out;
}

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

Result<SendableImage> MakeSendable(ImageStore& images, const store::ImageRecord& record) {
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
  SKIFF_ASSIGN(const auto again, DescribeLayers(layers, record.layer_ids, blobs));
  SetManifest(out, record.image.id, again);
  return out;
}

Result<SendableImage> MakeSendable(ImageStore& images, const std::string& config,
                                   const std::vector<std::string>& layer_ids,
                                   const std::map<std::string, std::string>& annotations) {
  SendableImage out;
  out.config = config;
  out.layer_ids = layer_ids;
  std::vector<store::LayerBlob> blobs;
  for (const std::string& hex : layer_ids) {
    SKIFF_ASSIGN(const auto known, images.KnownLayer(hex));
    blobs.push_back(known.value_or(store::LayerBlob()));
  }
  SKIFF_ASSIGN(const auto described, DescribeLayers(images.layers(), layer_ids, blobs));
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

Status SaveArchive(ImageStore& images, int fd, const std::vector<std::string>& refs,
                   const SaveOptions& options) {
  Saver saver(images, fd, options);
  for (const std::string& ref : refs) SKIFF_TRY(saver.Add(ref));
  return saver.Write();
}

}  // namespace skiff::engine::image
