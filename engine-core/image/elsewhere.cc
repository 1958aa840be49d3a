#include "engine-core/image/elsewhere.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/image_config.h"

namespace skiff::engine::image {
namespace {

// A blob in the making: it gets its name when it is complete, so that a name means a whole blob.
class NewBlob {
 public:
  static Result<NewBlob> Make(const std::string& folder, const std::string& hex) {
    NewBlob blob;
    blob.path_ = folder + "/" + hex;
    blob.temporary_ = folder + "/." + hex + ".tmp-" + RandomHex(8);
    SKIFF_ASSIGN(blob.file_, OpenFile(blob.temporary_, O_WRONLY | O_CREAT | O_EXCL, 0644));
    return blob;
  }
  NewBlob(NewBlob&&) = default;
  ~NewBlob() {
    if (file_) ::unlink(temporary_.c_str());
  }
  Status Write(std::string_view data) { return WriteAll(file_.get(), data, path_); }
  Status Finish() {
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
      return FailErrno("cannot write '" + path_ + "'");
    }
    file_.Reset();
    return {};
  }

 private:
  NewBlob() = default;
  std::string path_, temporary_;
  Fd file_;
};

class LayoutWriter {
 public:
  LayoutWriter(ImageStore& images, const std::string& folder)
      : layers_(images.layers()), folder_(folder), blobs_(folder + "/blobs/sha256") {}

  Status Open() {
    SKIFF_TRY(MakeDirectories(blobs_, 0755));
    SKIFF_ASSIGN(lock_, OpenFile(folder_, O_RDONLY | O_DIRECTORY));
    while (::flock(lock_.get(), LOCK_EX) != 0) {
      if (errno != EINTR) return FailErrno("cannot lock '" + folder_ + "'");
    }
    return RemoveTemporaries(blobs_);
  }

  Status PutLayer(const SendableImage& image, size_t number) {
    const Descriptor& layer = image.manifest.layers[number];
    if (Has(layer.digest, layer.size)) return {};
    SKIFF_TRY(Failpoint("image.layout_blob"));
    SKIFF_ASSIGN(NewBlob blob, NewBlob::Make(blobs_, DigestHex(layer.digest)));
    SKIFF_TRY(StreamLayer(layers_, image, number,
                          [&](std::string_view data) { return blob.Write(data); }));
    return blob.Finish();
  }

  Status PutBytes(std::string_view bytes) {
    const std::string hex = Sha256Hex(bytes);
    if (Has(DigestOf(hex), static_cast<int64_t>(bytes.size()))) return {};
    SKIFF_ASSIGN(NewBlob blob, NewBlob::Make(blobs_, hex));
    SKIFF_TRY(blob.Write(bytes));
    return blob.Finish();
  }

  Status Name(Descriptor entry, const std::string& tag) {
    Index index;
    if (auto text = ReadFile(folder_ + "/index.json", kMaximumManifest)) {
      SKIFF_ASSIGN(index, ReadIndex(*text, ""));
    } else if (text.error().code != Code::kNotFound) {
      return Fail(text.error());
    }
    index.media_type = kOciIndex;
    std::erase_if(index.manifests, [&](const Descriptor& other) {
      const auto ref = other.annotations.find(kRefNameAnnotation);
      if (ref == other.annotations.end()) return other.digest == entry.digest;
      return ref->second == tag;
    });
    if (!tag.empty()) entry.annotations[kRefNameAnnotation] = tag;
    index.manifests.push_back(std::move(entry));
    SKIFF_TRY(Failpoint("image.layout_index"));
    SKIFF_TRY(WriteFileAtomically(folder_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})",
                                  0644, Durability::kVolatile));
    return WriteFileAtomically(folder_ + "/index.json", WriteIndex(index), 0644,
                               Durability::kVolatile);
  }

 private:
  // One of another size is damaged, and written again.
  bool Has(const std::string& digest, int64_t size) const {
    struct stat info = {};
    return ::stat((blobs_ + "/" + DigestHex(digest)).c_str(), &info) == 0 && info.st_size == size;
  }

  LayerStore& layers_;
  std::string folder_, blobs_;
  Fd lock_;
};

}  // namespace

Result<std::set<std::string>> MissingLayers(ImageStore& images,
                                            const std::vector<std::string>& diff_ids) {
  std::set<std::string> missing;
  for (const std::string& id : diff_ids) {
    SKIFF_ASSIGN(const bool here, images.layers().HasLayer(DigestHex(id)));
    if (!here) missing.insert(id);
  }
  return missing;
}

Result<PushedImage> WriteLayout(ImageStore& images, const SendableSet& set,
                                const std::string& folder, const std::string& tag) {
  LayoutWriter writer(images, folder);
  SKIFF_TRY(writer.Open());
  for (const SendableImage& image : set.images) {
    for (size_t i = 0; i < image.layer_ids.size(); ++i) SKIFF_TRY(writer.PutLayer(image, i));
    SKIFF_TRY(writer.PutBytes(image.config));
    SKIFF_TRY(writer.PutBytes(image.manifest_bytes));
  }
  if (!set.list.empty()) SKIFF_TRY(writer.PutBytes(set.list));
  SKIFF_TRY(writer.Name(set.top, tag));
  return PushedImage{set.top.digest, set.top.size};
}

}  // namespace skiff::engine::image
