#include "engine-core/image/layer_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"

namespace skiff::engine::image {
int64_t NowNanoseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

std::string DigestHex(std::string_view digest) {
  if (digest.starts_with(kDigestPrefix)) digest.remove_prefix(kDigestPrefix.size());
  return std::string(digest);
}

std::string DigestOf(std::string_view hex) {
  return std::string(kDigestPrefix) + std::string(hex);
}

Result<bool> LayerStore::HasLayer(const std::string& id) {
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  const bool known =
      std::ranges::any_of(layers, [&](const auto& layer) { return layer->id == id; });
  return known && ::access(layout_.layer_diff(id).c_str(), F_OK) == 0;
}

Result<int64_t> LayerStore::LayerSize(const std::string& id) {
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  for (const auto& layer : layers) {
    if (layer->id == id) return layer->size;
  }
  return Fail(Code::kNotFound, "no such layer: " + DigestOf(id));
}

Result<store::LayerBlob> LayerStore::PackedLayer(const std::string& id) {
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  for (const auto& layer : layers) {
    if (layer->id == id && HasBlob(DigestHex(layer->packed.digest))) return layer->packed;
  }
  return store::LayerBlob();
}

Status LayerStore::NotePacked(const std::string& id, const store::LayerBlob& blob) {
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  for (const auto& layer : layers) {
    if (layer->id != id) continue;
    store::LayerRecord record = *layer;
    record.packed = blob;
    return store_.Put(std::move(record));
  }
  return Fail(Code::kNotFound, "no such layer: " + DigestOf(id));
}

Result<int64_t> LayerStore::TarSize(const std::string& id) {
  SKIFF_ASSIGN(const auto layers, store_.Layers());
  const auto it = std::ranges::find_if(layers, [&](const auto& layer) { return layer->id == id; });
  return it == layers.end() ? 0 : (*it)->tar_size;
}

Status LayerStore::PutLayer(const std::string& id, const std::string& prepared, int64_t size,
                            int64_t tar_size) {
  // One thread at a time decides whose folder stays.
  const std::lock_guard lock(mutex_);
  SKIFF_ASSIGN(const bool known, HasLayer(id));
  if (known) return {};
  SKIFF_TRY(announce_(Artifact::kLayer, id));
  SKIFF_TRY(Failpoint("image.layer"));
  if (::rename(prepared.c_str(), layout_.layer(id).c_str()) != 0) {
    if (errno != EEXIST && errno != ENOTEMPTY) return FailErrno("cannot keep the layer " + id);
    // A leftover without a row, or of another command that makes the same just now: its content
    // cannot be trusted, ours can.
    SKIFF_TRY(RemoveTree(layout_.layer(id)));
    if (::rename(prepared.c_str(), layout_.layer(id).c_str()) != 0) {
      return FailErrno("cannot keep the layer " + id);
    }
  }
  unsynced_ = true;
  return store_.Put(store::LayerRecord{id, size, NowNanoseconds(), {}, tar_size});
}

Status LayerStore::Sync() {
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(unsynced_, false)) return {};
  }
  SKIFF_ASSIGN(const Fd folder, OpenFile(layout_.layers(), O_RDONLY | O_DIRECTORY));
  SKIFF_TRY(Failpoint("image.sync"));
  if (::syncfs(folder.get()) != 0) return FailErrno("cannot sync '" + layout_.layers() + "'");
  return {};
}

Result<std::string> LayerStore::PrepareLayer(const WorkFolder& work, const std::string& name) {
  std::string prepared = work.path() + "/" + name;
  SKIFF_TRY(MakeDirectories(prepared, 0700));
  const std::string diff = prepared + "/diff";
  if (::mkdir(diff.c_str(), 0755) != 0 || ::chmod(diff.c_str(), 0755) != 0) {
    return FailErrno("cannot make '" + diff + "'");
  }
  return prepared;
}

Result<UnpackedLayer> LayerStore::Unpack(int tar_fd, const std::string& prepared, int blob_fd) {
  SKIFF_ASSIGN(const Fd folder, OpenFile(prepared + "/diff", O_RDONLY | O_DIRECTORY));
  return UnpackLayer(transfer_program_, tar_fd, folder.get(), blob_fd, {});
}

Result<std::vector<std::string>> LayerStore::BlobNames() const {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(layout_.blobs().c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + layout_.blobs() + "'");
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] != '.') names.emplace_back(entry->d_name);
  }
  std::ranges::sort(names);
  return names;
}

Result<int64_t> LayerStore::BlobSize(const std::string& hex) const {
  struct stat info {};
  if (::stat(layout_.blob(hex).c_str(), &info) != 0) {
    return FailErrno("cannot read the blob " + hex);
  }
  return int64_t{info.st_size};
}

bool LayerStore::HasBlob(const std::string& hex) const {
  return !hex.empty() && ::access(layout_.blob(hex).c_str(), F_OK) == 0;
}

Result<std::string> LayerStore::KeepBytes(std::string_view bytes) {
  const std::string hex = Sha256Hex(bytes);
  SKIFF_TRY(announce_(Artifact::kBlob, hex));
  SKIFF_TRY(Failpoint("image.blob"));
  SKIFF_TRY(WriteFileAtomically(layout_.blob(hex), bytes, 0600, Durability::kDurable));
  return DigestOf(hex);
}

Status LayerStore::KeepFile(const std::string& path, const std::string& hex) {
  SKIFF_TRY(announce_(Artifact::kBlob, hex));
  SKIFF_TRY(Failpoint("image.blob_file"));
  if (::rename(path.c_str(), layout_.blob(hex).c_str()) != 0) {
    return FailErrno("cannot keep the blob " + hex);
  }
  const std::lock_guard lock(mutex_);
  unsynced_ = true;
  return {};
}

Result<std::string> LayerStore::ReadBlob(const std::string& digest, size_t limit) const {
  const std::string hex = DigestHex(digest);
  SKIFF_ASSIGN(std::string bytes, ReadFile(layout_.blob(hex), limit));
  if (Sha256Hex(bytes) != hex) {
    return Fail(Code::kCorrupted, "the blob " + digest + " is damaged on disk");
  }
  return bytes;
}

Result<Fd> LayerStore::OpenBlob(const std::string& digest) const {
  return OpenFile(layout_.blob(DigestHex(digest)), O_RDONLY);
}

}  // namespace skiff::engine::image
