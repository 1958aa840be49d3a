#include "engine-core/image/image_store.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"
#include "engine-core/image/work_folder.h"
#include "engine-core/references.h"
#include "engine-core/transfer.h"

namespace skiff::engine::image {
namespace {

constexpr size_t kShortId = 12;

std::string ShortId(const std::string& image_id) {
  return image_id.substr(kDigestPrefix.size(), kShortId);
}

std::string LayerMediaType(const std::string& compression) {
  const bool plain = compression.empty();
  return std::string(kOciLayer) + (plain ? "" : "+" + compression);
}

// "No such image: x:tag"
tl::unexpected<Error> FailMissing(std::string_view ref) {
  const auto parsed = ParseReference(ref);
  return Fail(Code::kNotFound,
              "No such image: " + (parsed ? parsed->Familiar() : std::string(ref)));
}

tl::unexpected<Error> Conflict(const std::string& text) {
  return Fail(Code::kFailedPrecondition, "conflict: " + text);
}

}  // namespace

Result<int64_t> ImageStore::SizeOf(const std::vector<std::string>& layer_ids) {
  int64_t size = 0;
  for (const std::string& id : layer_ids) {
    SKIFF_ASSIGN(const int64_t layer, layers_.LayerSize(id));
    size += layer;
  }
  return size;
}

Result<std::string> ImageStore::Put(const NewImage& image) {
  SKIFF_ASSIGN(const ImageDocument document, ReadImageDocument(image.config));
  store::ImageRecord record;
  for (const std::string& diff_id : document.diff_ids) {
    record.layer_ids.push_back(DigestHex(diff_id));
    SKIFF_ASSIGN(const bool known, layers_.HasLayer(record.layer_ids.back()));
    if (!known) return Fail(Code::kNotFound, "no such layer: " + diff_id);
  }
  Image& out = record.image;
  SKIFF_ASSIGN(out.id, layers_.KeepBytes(image.config));
  for (const auto& [bytes, digest] :
       {std::pair(&image.manifest, &record.manifest), std::pair(&image.index, &record.index)}) {
    if (bytes->empty()) continue;
    SKIFF_ASSIGN(*digest, layers_.KeepBytes(*bytes));
  }
  record.layer_blobs = image.layer_blobs;
  record.layer_blobs.resize(record.layer_ids.size());
  const auto known = Find(out.id);
  if (known && record.manifest.empty()) {
    // Made here once more: what it came as before is worth keeping.
    record.manifest = (*known)->manifest;
    record.index = (*known)->index;
    SKIFF_ASSIGN(record.layer_blobs, LayerBlobs(**known));
  }
  // A layer that did not come as we would pack it is nothing without the blob it came as.
  for (size_t i = 0; i < record.layer_ids.size(); ++i) {
    if (!record.layer_blobs[i].digest.empty()) continue;
    SKIFF_ASSIGN(const auto blob, KnownLayer(record.layer_ids[i]));
    if (blob) record.layer_blobs[i] = *blob;
  }
  out.created_at = document.created_at.value_or(0);
  SKIFF_ASSIGN(out.size, SizeOf(record.layer_ids));
  out.architecture = document.architecture;
  out.variant = document.variant;
  out.os = document.os;
  out.layers = document.diff_ids;
  out.author = document.author;
  out.comment = document.history.empty() ? "" : document.history.back().comment;
  out.config = document.config;
  out.parent = image.parent;
  std::string id = out.id;
  SKIFF_TRY(Failpoint("image.row"));
  SKIFF_TRY(store_.Put(std::move(record)));
  return id;
}

Result<std::string> ImageStore::Import(int tar_fd, const ImportOptions& options) {
  std::string reference;
  if (!options.reference.empty()) {
    SKIFF_ASSIGN(const Reference parsed, ParseReference(options.reference));
    if (!parsed.digest.empty()) {
      return Fail(Code::kInvalidArgument, "cannot import digest reference");
    }
    reference = parsed.Canonical();
  }
  SKIFF_ASSIGN(const WorkFolder work, WorkFolder::Make(layers_.layout()));
  SKIFF_ASSIGN(const std::string prepared, layers_.PrepareLayer(work, "layer"));
  const std::string blob_path = work.path() + "/blob";
  SKIFF_ASSIGN(const Fd blob, OpenFile(blob_path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  SKIFF_ASSIGN(const UnpackedLayer layer, layers_.Unpack(tar_fd, prepared, blob.get()));
  SKIFF_TRY(layers_.KeepFile(blob_path, layer.blob_digest));
  SKIFF_TRY(layers_.PutLayer(layer.diff_id, prepared, layer.content_size));

  ImageDocument document;
  const Platform platform = options.platform.empty() ? HostPlatform() : options.platform;
  document.architecture = platform.architecture;
  document.variant = platform.variant;
  document.os = platform.os;
  document.created_at = NowNanoseconds();
  document.config = options.config;
  document.diff_ids = {DigestOf(layer.diff_id)};
  HistoryEntry entry;
  entry.created_at = document.created_at;
  entry.comment = options.message;
  document.history = {std::move(entry)};
  NewImage image;
  image.config = WriteImageDocument(document);
  image.layer_blobs = {
      {DigestOf(layer.blob_digest), layer.blob_size, LayerMediaType(layer.compression)}};
  Manifest manifest;
  manifest.media_type = kOciManifest;
  manifest.config = {std::string(kOciConfig),
                     DigestOf(Sha256Hex(image.config)),
                     static_cast<int64_t>(image.config.size()),
                     {},
                     {}};
  for (const store::LayerBlob& blob_row : image.layer_blobs) {
    manifest.layers.push_back({blob_row.media_type, blob_row.digest, blob_row.size, {}, {}});
  }
  image.manifest = WriteManifest(manifest);
  SKIFF_ASSIGN(std::string id, Put(image));
  if (!reference.empty()) SKIFF_TRY(store_.PutReference(reference, id));
  return id;
}

Result<std::vector<store::LayerBlob>> ImageStore::LayerBlobs(
    const store::ImageRecord& record) const {
  if (record.layer_blobs.size() == record.layer_ids.size()) return record.layer_blobs;
  std::vector<store::LayerBlob> blobs;
  SKIFF_ASSIGN(const std::string json, layers_.ReadBlob(record.manifest, kMaximumManifest));
  SKIFF_ASSIGN(const Manifest manifest, ReadManifest(json, ""));
  for (const Descriptor& layer : manifest.layers) {
    blobs.push_back({layer.digest, layer.size, layer.media_type});
  }
  blobs.resize(record.layer_ids.size());
  return blobs;
}

Result<Image> ImageStore::Describe(const store::ImageRecord& record) {
  Image image = record.image;
  SKIFF_ASSIGN(const auto references, store_.References());
  for (const auto& [name, id] : references) {
    if (id != image.id) continue;
    SKIFF_ASSIGN(const Reference parsed, ParseReference(name));
    (parsed.digest.empty() ? image.references : image.digests).push_back(parsed.Familiar());
  }
  SKIFF_ASSIGN(const auto sets, store_.PlatformSets());
  for (const auto& [name, set] : sets) {
    if (std::ranges::count(set.other_platforms, image.id) == 0) continue;
    SKIFF_ASSIGN(const Reference parsed, ParseReference(name));
    image.platform_of.push_back(parsed.Familiar());
  }
  return image;
}

Result<std::vector<Image>> ImageStore::List() {
  SKIFF_ASSIGN(const auto records, store_.Images());
  std::vector<Image> images;
  for (const auto& record : records) {
    SKIFF_ASSIGN(Image image, Describe(*record));
    images.push_back(std::move(image));
  }
  std::ranges::sort(images, [](const Image& a, const Image& b) {
    return a.created_at != b.created_at ? a.created_at > b.created_at : a.id < b.id;
  });
  return images;
}

Result<store::Ptr<store::ImageRecord>> ImageStore::Find(std::string_view ref) {
  SKIFF_ASSIGN(const auto records, store_.Images());
  const auto by_id = [&](std::string_view id) -> store::Ptr<store::ImageRecord> {
    const auto it =
        std::ranges::find_if(records, [&](const auto& record) { return record->image.id == id; });
    return it == records.end() ? nullptr : *it;
  };
  if (auto record = by_id(ref)) return record;
  if (auto record = by_id(std::string(kDigestPrefix) + std::string(ref))) return record;
  const auto parsed = ParseReference(ref);
  if (parsed) {
    SKIFF_ASSIGN(const auto references, store_.References());
    const auto it = references.find(parsed->Canonical());
    if (it != references.end()) {
      if (auto record = by_id(it->second)) return record;
    }
  }
  std::string_view prefix = ref;
  if (prefix.starts_with(kDigestPrefix)) prefix.remove_prefix(kDigestPrefix.size());
  const bool hexadecimal = !prefix.empty() && std::ranges::all_of(prefix, [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
  });
  store::Ptr<store::ImageRecord> found;
  for (const auto& record : records) {
    if (!hexadecimal || !record->image.id.substr(kDigestPrefix.size()).starts_with(prefix)) {
      continue;
    }
    if (found) {
      return Fail(Code::kInvalidArgument,
                  "multiple IDs found with provided prefix: " + std::string(ref));
    }
    found = record;
  }
  if (found) return found;
  const bool digest = ref.starts_with(kDigestPrefix);
  if (!parsed && !digest) return Fail(parsed.error());
  return FailMissing(ref);
}

Result<std::string> ImageStore::ReadConfig(std::string_view ref) {
  SKIFF_ASSIGN(const auto record, Find(ref));
  return layers_.ReadBlob(record->image.id, kMaximumConfig);
}

Result<Image> ImageStore::Inspect(std::string_view ref) {
  SKIFF_ASSIGN(const auto record, Find(ref));
  SKIFF_ASSIGN(Image image, Describe(*record));
  for (const std::string& id : record->layer_ids) {
    SKIFF_ASSIGN(const int64_t size, layers_.LayerSize(id));
    image.layer_sizes.push_back(size);
  }
  SKIFF_ASSIGN(image.other_platforms, OtherPlatforms(ref));
  return image;
}

Result<std::vector<std::string>> ImageStore::OtherPlatforms(std::string_view ref) {
  const auto parsed = ParseReference(ref);
  if (!parsed) return std::vector<std::string>();
  SKIFF_ASSIGN(const auto sets, store_.PlatformSets());
  const auto it = sets.find(parsed->Canonical());
  return it == sets.end() ? std::vector<std::string>() : it->second.other_platforms;
}

Result<Reference> ImageStore::ParseTag(std::string_view reference) {
  SKIFF_ASSIGN(Reference parsed, ParseReference(reference));
  if (!parsed.digest.empty()) {
    return Fail(Code::kInvalidArgument, "refusing to create a tag with a digest reference");
  }
  if (parsed.FamiliarName() == "sha256") {
    return Fail(Code::kInvalidArgument,
                "refusing to create an ambiguous tag using digest algorithm as name");
  }
  return parsed;
}

Status ImageStore::Tag(std::string_view ref, std::string_view new_reference) {
  SKIFF_ASSIGN(const auto record, Find(ref));
  SKIFF_ASSIGN(const Reference parsed, ParseTag(new_reference));
  SKIFF_ASSIGN(std::vector<std::string> others, OtherPlatforms(ref));
  return store_.PutReference(parsed.Canonical(), record->image.id, std::move(others));
}

Result<RemovedImage> ImageStore::Remove(std::string_view ref, bool force,
                                        const std::vector<ImageUser>& users) {
  SKIFF_ASSIGN(const auto record, Find(ref));
  const std::string& id = record->image.id;
  SKIFF_ASSIGN(const auto references, store_.References());
  SKIFF_ASSIGN(const PlatformSets sets_before, store_.PlatformSets());
  std::vector<std::string> own;      // Tags.
  std::vector<std::string> digests;  // "name@sha256:...": they go with the last tag.
  for (const auto& [name, image] : references) {
    if (image == id) (name.find('@') == std::string::npos ? own : digests).push_back(name);
  }
  const ImageUser* stopped = nullptr;
  const ImageUser* running = nullptr;
  for (const ImageUser& user : users) {
    if (user.image_id != id) continue;
    (user.running ? running : stopped) = &user;
  }
  const ImageUser* user = running != nullptr ? running : stopped;
  const bool is_other = std::ranges::any_of(sets_before, [&](const auto& entry) {
    return std::ranges::count(entry.second.other_platforms, id) > 0;
  });

  std::string bare(ref);
  if (bare.starts_with(kDigestPrefix)) bare = bare.substr(kDigestPrefix.size());
  const auto parsed = ParseReference(ref);
  const bool by_name = parsed && std::ranges::count(own, parsed->Canonical()) > 0;
  const bool by_digest = parsed && std::ranges::count(digests, parsed->Canonical()) > 0;
  RemovedImage removed;
  const auto untag = [&](const std::string& name) -> Status {
    SKIFF_ASSIGN(const Reference reference, ParseReference(name));
    removed.untagged.push_back(reference.Familiar());
    return store_.EraseReference(name);
  };
  if (by_name) {
    if (own.size() == 1 && user != nullptr && !force) {
      return Conflict("unable to remove repository reference \"" + std::string(ref) +
                      "\" (must force) - container " + user->container_id.substr(0, kShortId) +
                      " is using its referenced image " + ShortId(id));
    }
    SKIFF_TRY(untag(parsed->Canonical()));
    // Another name may stand for it, too.
    if (own.size() > 1 || user != nullptr || is_other) {
      SKIFF_TRY(RemoveOtherPlatforms(sets_before, users, removed));
      return removed;
    }
  } else if (by_digest && own.size() + digests.size() > 1) {
    SKIFF_TRY(untag(parsed->Canonical()));
    SKIFF_TRY(RemoveOtherPlatforms(sets_before, users, removed));
    return removed;
  } else {
    if (running != nullptr) {
      return Conflict("unable to delete " + ShortId(id) +
                      " (cannot be forced) - image is being used by running container " +
                      running->container_id.substr(0, kShortId));
    }
    if (own.size() > 1 && !force) {
      return Conflict("unable to delete " + ShortId(id) +
                      " (must be forced) - image is referenced in multiple repositories");
    }
    if (stopped != nullptr && !force) {
      return Conflict("unable to delete " + ShortId(id) +
                      " (must be forced) - image is being used by stopped container " +
                      stopped->container_id.substr(0, kShortId));
    }
    SKIFF_TRY(LeavePlatformSets(id, force));
    for (const std::string& name : own) SKIFF_TRY(untag(name));
  }
  for (const std::string& name : digests) SKIFF_TRY(untag(name));
  SKIFF_TRY(store_.EraseImage(id));
  removed.deleted.push_back(id);
  SKIFF_TRY(RemoveOtherPlatforms(sets_before, users, removed));
  return removed;
}

Status ImageStore::LeavePlatformSets(const std::string& id, bool force) {
  SKIFF_ASSIGN(const PlatformSets sets, store_.PlatformSets());
  for (const auto& [name, set] : sets) {
    if (std::ranges::count(set.other_platforms, id) == 0) continue;
    if (!force) {
      SKIFF_ASSIGN(const Reference reference, ParseReference(name));
      return Conflict("unable to delete " + ShortId(id) +
                      " (must be forced) - image is one of the platforms of " +
                      reference.Familiar());
    }
    std::vector<std::string> rest = set.other_platforms;
    std::erase(rest, id);
    SKIFF_TRY(store_.PutReference(name, set.image_id, std::move(rest)));
  }
  return {};
}

Status ImageStore::RemoveOtherPlatforms(const PlatformSets& before,
                                        const std::vector<ImageUser>& users,
                                        RemovedImage& removed) {
  SKIFF_ASSIGN(const auto references, store_.References());
  SKIFF_ASSIGN(const PlatformSets sets, store_.PlatformSets());
  std::set<std::string> kept;
  for (const auto& [name, id] : references) kept.insert(id);
  for (const auto& [name, set] : sets) {
    kept.insert(set.other_platforms.begin(), set.other_platforms.end());
  }
  for (const ImageUser& user : users) kept.insert(user.image_id);
  for (const auto& [name, set] : before) {
    for (const std::string& id : set.other_platforms) {
      if (!kept.insert(id).second) continue;
      SKIFF_TRY(store_.EraseImage(id));
      removed.deleted.push_back(id);
    }
  }
  return {};
}

Result<std::optional<store::LayerBlob>> ImageStore::KnownLayer(const std::string& hex) {
  SKIFF_ASSIGN(const bool known, layers_.HasLayer(hex));
  if (!known) return std::optional<store::LayerBlob>();
  SKIFF_ASSIGN(const auto images, store_.Images());
  for (const auto& image : images) {
    const auto it = std::ranges::find(image->layer_ids, hex);
    if (it == image->layer_ids.end()) continue;
    SKIFF_ASSIGN(const auto blobs, LayerBlobs(*image));
    const store::LayerBlob& blob = blobs[static_cast<size_t>(it - image->layer_ids.begin())];
    if (layers_.HasBlob(DigestHex(blob.digest))) return std::optional(blob);
  }
  return std::optional(store::LayerBlob());
}

Result<std::vector<std::string>> ImageStore::NeededBlobs() {
  std::vector<std::string> needed;
  SKIFF_ASSIGN(const auto images, store_.Images());
  for (const auto& image : images) {
    for (const std::string* digest : {&image->image.id, &image->manifest, &image->index}) {
      if (!digest->empty()) needed.push_back(DigestHex(*digest));
    }
    SKIFF_ASSIGN(const auto blobs, LayerBlobs(*image));
    for (const store::LayerBlob& blob : blobs) {
      if (!blob.digest.empty()) needed.push_back(DigestHex(blob.digest));
    }
  }
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  for (const auto& layer : layers) {
    if (!layer->packed.digest.empty()) needed.push_back(DigestHex(layer->packed.digest));
  }
  return needed;
}

Result<Released> ImageStore::Release(const std::vector<std::string>& layers_in_use) {
  std::set<std::string> needed(layers_in_use.begin(), layers_in_use.end());
  SKIFF_ASSIGN(const auto images, store_.Images());
  for (const auto& image : images) needed.insert(image->layer_ids.begin(), image->layer_ids.end());
  SKIFF_ASSIGN(const auto cached, store_.CacheEntries());
  for (const auto& entry : cached) {
    for (const std::string& layer : entry->layers) needed.insert(DigestHex(layer));
  }
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  Released released;
  for (const auto& layer : layers) {
    if (needed.contains(layer->id)) continue;
    SKIFF_TRY(store_.EraseLayer(layer->id));
    released.layers.push_back(layer->id);
    released.bytes += layer->size;
  }
  SKIFF_ASSIGN(const auto blobs, NeededBlobs());
  const std::set<std::string> kept(blobs.begin(), blobs.end());
  SKIFF_ASSIGN(const auto names, layers_.BlobNames());
  for (const std::string& name : names) {
    if (kept.contains(name)) continue;
    released.blobs.push_back(name);
    SKIFF_ASSIGN(const int64_t size, layers_.BlobSize(name));
    released.bytes += size;
  }
  return released;
}

}  // namespace skiff::engine::image
