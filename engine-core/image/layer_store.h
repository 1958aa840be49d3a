#pragma once

#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/image/work_folder.h"
#include "engine-core/layout.h"
#include "engine-core/store/store.h"
#include "engine-core/transfer.h"

namespace skiff::engine::image {

inline constexpr std::string_view kDigestPrefix = "sha256:";
// "sha256:abc" -> "abc"; names of folders and blobs are the digits alone.
std::string DigestHex(std::string_view digest);
std::string DigestOf(std::string_view hex);

int64_t NowNanoseconds();

enum class Artifact { kLayer, kBlob };
// Called before a layer's folder or a blob gets its name, so that nobody takes it for garbage
// before its row is there, and so that it is found when the command dies.
using Announce = std::function<Status(Artifact, const std::string& hex)>;

// Layers (folders by diff id) and blobs (files by digest) of one root. Both are made in a work
// folder and get their name at the end; rows are pending until Store::Commit(), before which
// Sync() has to be called. Thread safe.
class LayerStore {
 public:
  LayerStore(const Layout& layout, store::Store& store, std::string transfer_program,
             Announce announce)
      : layout_(layout),
        store_(store),
        transfer_program_(std::move(transfer_program)),
        announce_(std::move(announce)) {}

  const Layout& layout() const { return layout_; }
  const std::string& transfer_program() const { return transfer_program_; }

  // All of these take hexadecimal digits without "sha256:".
  Result<bool> HasLayer(const std::string& id);
  Result<int64_t> LayerSize(const std::string& id);
  // Takes the folder `prepared` with the content in `prepared`/diff. One that is known stays.
  // `tar_size`: bytes of the stream whose digest is its id, when it is to be packed again some day.
  Status PutLayer(const std::string& id, const std::string& prepared, int64_t size,
                  int64_t tar_size = 0);
  // That of PutLayer(); 0: not known.
  Result<int64_t> TarSize(const std::string& id);
  // What it has been compressed to, when that is here; an empty blob otherwise.
  Result<store::LayerBlob> PackedLayer(const std::string& id);
  // Instead of what it had been compressed to before.
  Status NotePacked(const std::string& id, const store::LayerBlob& blob);
  // An empty folder in `work` to unpack into: `work`/NAME, with the content's `work`/NAME/diff.
  Result<std::string> PrepareLayer(const WorkFolder& work, const std::string& name);
  // The tar stream becomes a prepared layer; its diff id is compared by the caller.
  Result<UnpackedLayer> Unpack(int tar_fd, const std::string& prepared, int blob_fd);

  // Of the folder of blobs; files in the making are left out.
  Result<std::vector<std::string>> BlobNames() const;
  Result<int64_t> BlobSize(const std::string& hex) const;
  bool HasBlob(const std::string& hex) const;
  // Its digest with the prefix.
  Result<std::string> KeepBytes(std::string_view bytes);
  // Takes the file at `path` (of the same file system), which the caller has verified and synced.
  Status KeepFile(const std::string& path, const std::string& hex);
  // What is read is compared with its digest: kCorrupted.
  Result<std::string> ReadBlob(const std::string& digest, size_t limit) const;
  Result<Fd> OpenBlob(const std::string& digest) const;

  // Before the commit of rows that speak of new layers.
  Status Sync();

 private:
  Layout layout_;
  store::Store& store_;
  std::string transfer_program_;
  Announce announce_;
  std::mutex mutex_;
  bool unsynced_ = false;
};

}  // namespace skiff::engine::image
