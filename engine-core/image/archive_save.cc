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
    store::Ptr<store::ImageRecord> record;
    SendableImage image;
    std::vector<Reference> names;
  };
  // A blob to be written: its bytes, its file, or a layer to pack.
  struct Content {
    std::string bytes;
    std::string blob;
    std::string layer;
    int64_t size = 0;
  };

  Result<SendableImage> Sendable(const store::ImageRecord& record);
  Status WriteBlob(const std::string& digest, const Content& content);
  std::string IndexJson() const;
  std::string ManifestJson() const;

  ImageStore& images_;
  SaveOptions options_;
  TarStream stream_;
  std::vector<Chosen> chosen_;
  std::map<std::string, Content> blobs_;  // By digest: sorted, so that the order is fixed.
};

Result<SendableImage> Saver::Sendable(const store::ImageRecord& record) {
  if (options_.annotations.empty()) return MakeSendable(images_, record);
  SKIFF_ASSIGN(const std::string config,
               images_.layers().ReadBlob(record.image.id, kMaximumConfig));
  return MakeSendable(images_, config, record.layer_ids, options_.annotations.manifest);
}

Status Saver::Add(const std::string& ref) {
  SKIFF_ASSIGN(const auto record, images_.Find(ref));
  auto known = std::ranges::find_if(
      chosen_, [&](const Chosen& other) { return other.record->image.id == record->image.id; });
  if (known == chosen_.end()) {
    SKIFF_ASSIGN(SendableImage image, Sendable(*record));
    chosen_.push_back({record, std::move(image), {}});
    known = std::prev(chosen_.end());
    const SendableImage& made = known->image;
    blobs_[made.manifest.config.digest] = {made.config, "", "", 0};
    blobs_[DigestOf(Sha256Hex(made.manifest_bytes))] = {made.manifest_bytes, "", "", 0};
    for (size_t i = 0; i < made.manifest.layers.size(); ++i) {
      const Descriptor& layer = made.manifest.layers[i];
      Content content;
      content.size = layer.size;
      if (images_.layers().HasBlob(DigestHex(layer.digest))) {
        content.blob = layer.digest;
      } else {
        content.layer = record->layer_ids[i];
      }
      blobs_[layer.digest] = std::move(content);
    }
  }
  if (!options_.names.empty()) {
    known->names.clear();
    for (const std::string& text : options_.names) {
      SKIFF_ASSIGN(const Reference name, ParseReference(text));
      known->names.push_back(name);
    }
    return {};
  }
  const auto reference = ParseReference(ref);
  if (!reference || !reference->digest.empty()) return {};
  // An id names no tag.
  SKIFF_ASSIGN(const Image image, images_.Inspect(record->image.id));
  if (std::ranges::count(image.references, reference->Familiar()) == 0) return {};
  if (std::ranges::count(known->names, *reference) == 0) known->names.push_back(*reference);
  return {};
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
    Descriptor entry;
    entry.media_type = chosen.image.manifest.media_type;
    entry.digest = DigestOf(Sha256Hex(chosen.image.manifest_bytes));
    entry.size = static_cast<int64_t>(chosen.image.manifest_bytes.size());
    const Image& image = chosen.record->image;
    entry.platform = {image.os, image.architecture, image.variant};
    entry.annotations = options_.annotations.descriptor;
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
    entry["Config"] = "blobs/sha256/" + DigestHex(chosen.image.manifest.config.digest);
    entry["RepoTags"] = nullptr;
    for (const Reference& name : chosen.names) entry["RepoTags"].push_back(name.Familiar());
    entry["Layers"] = OrderedJson::array();
    for (const Descriptor& layer : chosen.image.manifest.layers) {
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
  std::vector<store::LayerBlob> blobs;
  for (const std::string& hex : layer_ids) {
    SKIFF_ASSIGN(const auto known, images.KnownLayer(hex));
    blobs.push_back(known.value_or(store::LayerBlob()));
  }
  SKIFF_ASSIGN(const auto described, DescribeLayers(images.layers(), layer_ids, blobs));
  SetManifest(out, DigestOf(Sha256Hex(config)), described, annotations);
  return out;
}

Status SaveArchive(ImageStore& images, int fd, const std::vector<std::string>& refs,
                   const SaveOptions& options) {
  Saver saver(images, fd, options);
  for (const std::string& ref : refs) SKIFF_TRY(saver.Add(ref));
  return saver.Write();
}

}  // namespace skiff::engine::image
