#include "engine-core/image/image_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"
#include "engine-core/image/config_json.h"
#include "engine-core/image/work_folder.h"
#include "engine-core/references.h"
#include "engine-core/transfer.h"

namespace skiff::engine::image {
namespace {

constexpr size_t kShortId = 12;
constexpr std::string_view kDigestPrefix = "sha256:";

int64_t NowNanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::string ShortId(const std::string& image_id) {
  return image_id.substr(kDigestPrefix.size(), kShortId);
}

std::string Architecture() {
  utsname name{};
  if (::uname(&name) != 0) return "amd64";
  const std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  return machine;
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

Status ImageStore::KeepBlob(const std::string& bytes, std::string* digest) {
  const std::string hex = Sha256Hex(bytes);
  *digest = std::string(kDigestPrefix) + hex;
  SKIFF_TRY(Failpoint("image.blob"));
  return WriteFileAtomically(layout_.blob(hex), bytes, 0600, Durability::kDurable);
}

Status ImageStore::PutLayer(const std::string& id, const std::string& prepared, int64_t size,
                            const std::function<Status(const std::string&)>& announce) {
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  const bool known =
      std::ranges::any_of(layers, [&](const auto& layer) { return layer->id == id; });
  if (known && ::access(layout_.layer_diff(id).c_str(), F_OK) == 0) return {};
  SKIFF_TRY(announce(id));
  // The content has to outlive the row that speaks of it.
  SKIFF_ASSIGN(const Fd folder, OpenFile(prepared, O_RDONLY | O_DIRECTORY));
  if (::syncfs(folder.get()) != 0) return FailErrno("cannot sync '" + prepared + "'");
  SKIFF_TRY(Failpoint("image.layer"));
  if (::rename(prepared.c_str(), layout_.layer(id).c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) return FailErrno("cannot keep the layer " + id);
    // A leftover without a row, or of another command that imports the same just now: its content
    // cannot be trusted, ours can.
    SKIFF_TRY(RemoveTree(layout_.layer(id)));
    if (::rename(prepared.c_str(), layout_.layer(id).c_str()) != 0) {
      return FailErrno("cannot keep the layer " + id);
    }
  }
  SKIFF_TRY(SyncDirectory(layout_.layers()));
  return store_.Put(store::LayerRecord{id, size, NowNanoseconds()});
}

Result<std::string> ImageStore::Import(int tar_fd, const ImportOptions& options,
                                       const std::function<Status(const std::string&)>& announce) {
  std::string reference;
  if (!options.reference.empty()) {
    SKIFF_ASSIGN(const Reference parsed, ParseReference(options.reference));
    if (!parsed.digest.empty()) {
      return Fail(Code::kInvalidArgument, "cannot import digest reference");
    }
    reference = parsed.Canonical();
  }
  SKIFF_ASSIGN(const WorkFolder work, WorkFolder::Make(layout_));
  const std::string prepared = work.path() + "/layer";
  SKIFF_TRY(MakeDirectories(prepared, 0700));
  const std::string diff = prepared + "/diff";
  if (::mkdir(diff.c_str(), 0755) != 0 || ::chmod(diff.c_str(), 0755) != 0) {
    return FailErrno("cannot make '" + diff + "'");
  }
  SKIFF_ASSIGN(const Fd folder, OpenFile(diff, O_RDONLY | O_DIRECTORY));
  const std::string blob_path = work.path() + "/blob";
  SKIFF_ASSIGN(const Fd blob, OpenFile(blob_path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  SKIFF_ASSIGN(const UnpackedLayer layer,
               UnpackLayer(transfer_program_, tar_fd, folder.get(), blob.get(), {}));
  if (::fsync(blob.get()) != 0) return FailErrno("cannot sync '" + blob_path + "'");
  if (::rename(blob_path.c_str(), layout_.blob(layer.blob_digest).c_str()) != 0) {
    return FailErrno("cannot keep the blob " + layer.blob_digest);
  }
  SKIFF_TRY(PutLayer(layer.diff_id, prepared, layer.content_size, announce));

  store::ImageRecord record;
  Image& image = record.image;
  image.created_at = NowNanoseconds();
  image.size = layer.content_size;
  image.architecture = Architecture();
  image.os = "linux";
  image.layers = {std::string(kDigestPrefix) + layer.diff_id};
  image.comment = options.message;
  image.config = options.config;
  record.layer_ids = {layer.diff_id};
  const std::string config = WriteConfig(image);
  SKIFF_TRY(KeepBlob(config, &image.id));
  const std::string type = layer.compressed ? "application/vnd.oci.image.layer.v1.tar+gzip"
                                            : "application/vnd.oci.image.layer.v1.tar";
  const Blob content{std::string(kDigestPrefix) + layer.blob_digest, layer.blob_size};
  SKIFF_TRY(
      KeepBlob(WriteManifest({image.id, static_cast<int64_t>(config.size())}, {content}, type),
               &record.manifest));
  const std::string id = image.id;
  SKIFF_TRY(store_.Put(std::move(record)));
  if (!reference.empty()) SKIFF_TRY(store_.PutReference(reference, id));
  return id;
}

Result<Image> ImageStore::Describe(const store::ImageRecord& record) {
  Image image = record.image;
  SKIFF_ASSIGN(const auto references, store_.References());
  for (const auto& [name, id] : references) {
    if (id != image.id) continue;
    SKIFF_ASSIGN(const Reference parsed, ParseReference(name));
    image.references.push_back(parsed.Familiar());
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

Result<Image> ImageStore::Inspect(std::string_view ref) {
  SKIFF_ASSIGN(const auto record, Find(ref));
  return Describe(*record);
}

Status ImageStore::Tag(std::string_view ref, std::string_view new_reference) {
  SKIFF_ASSIGN(const auto record, Find(ref));
  SKIFF_ASSIGN(const Reference parsed, ParseReference(new_reference));
  if (!parsed.digest.empty()) {
    return Fail(Code::kInvalidArgument, "refusing to create a tag with a digest reference");
  }
  if (parsed.FamiliarName() == "sha256") {
    return Fail(Code::kInvalidArgument,
                "refusing to create an ambiguous tag using digest algorithm as name");
  }
  return store_.PutReference(parsed.Canonical(), record->image.id);
}

Result<RemovedImage> ImageStore::Remove(std::string_view ref, bool force,
                                        const std::vector<ImageUser>& users) {
  SKIFF_ASSIGN(const auto record, Find(ref));
  const std::string& id = record->image.id;
  SKIFF_ASSIGN(const auto references, store_.References());
  std::vector<std::string> own;
  for (const auto& [name, image] : references) {
    if (image == id) own.push_back(name);
  }
  const ImageUser* stopped = nullptr;
  const ImageUser* running = nullptr;
  for (const ImageUser& user : users) {
    if (user.image_id != id) continue;
    (user.running ? running : stopped) = &user;
  }
  const ImageUser* user = running != nullptr ? running : stopped;

  std::string bare(ref);
  if (bare.starts_with(kDigestPrefix)) bare = bare.substr(kDigestPrefix.size());
  const auto parsed = ParseReference(ref);
  const bool by_name = parsed && std::ranges::count(own, parsed->Canonical()) > 0;
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
    if (own.size() > 1 || user != nullptr) return removed;
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
    for (const std::string& name : own) SKIFF_TRY(untag(name));
  }
  SKIFF_TRY(store_.EraseImage(id));
  removed.deleted.push_back(id);
  return removed;
}

Result<std::vector<std::string>> ImageStore::ReleaseLayers(const std::vector<std::string>& in_use) {
  std::set<std::string> needed(in_use.begin(), in_use.end());
  SKIFF_ASSIGN(const auto images, store_.Images());
  for (const auto& image : images) needed.insert(image->layer_ids.begin(), image->layer_ids.end());
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  std::vector<std::string> released;
  for (const auto& layer : layers) {
    if (needed.contains(layer->id)) continue;
    SKIFF_TRY(store_.EraseLayer(layer->id));
    released.push_back(layer->id);
  }
  return released;
}

}  // namespace skiff::engine::image
