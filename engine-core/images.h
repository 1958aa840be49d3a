#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/types.h"

// The images' part of the seam (engine-core/engine.h): what a front end and the builder ask of an
// engine. An image is a configuration (engine-core/image_config.h; its bytes are the identity) over
// a chain of layers, each known by its diff id: "sha256:" and the digest of its uncompressed tar.
namespace skiff::engine {

struct Platform {
  std::string os;            // "linux"
  std::string architecture;  // "amd64"
  std::string variant;       // "v8", "" for none.
  bool empty() const { return os.empty() && architecture.empty(); }
  // "linux/arm64/v8"
  std::string Text() const;
  bool operator==(const Platform&) const = default;
};

// "linux/arm64/v8", "arm64"; kInvalidArgument otherwise.
Result<Platform> ParsePlatform(std::string_view text);

// What an operation on images is doing, as docker words it: "Downloading" with numbers for the
// layer of the short id `id`, or a line of text without an id.
struct ImageProgress {
  std::string id;
  std::string status;
  int64_t current = 0;
  int64_t total = 0;  // 0: not known.
};
// Called by one thread at a time, not always the caller's.
using ImageProgressSink = std::function<void(const ImageProgress&)>;

// ---- Making images -----------------------------------------------------------------------------

// A layer in the making: what is written lies above `parents`. Destroyed without having been
// committed, it leaves nothing. Used by one thread at a time.
class WritableLayer {
 public:
  virtual ~WritableLayer() = default;
  // For ContainerConfig::writable_layer.
  virtual const std::string& id() const = 0;
  // Bottom first.
  virtual const std::vector<std::string>& parents() const = 0;
  // The root folder as a container on this layer sees it, to be written to through the descriptor
  // (base/root_path.h for every path inside). It is in no mount table. One at a time: close it
  // before a container is started on the layer, and before CommitLayer.
  virtual Result<Fd> OpenRoot() = 0;
  // The folder of what has been written, without the layers below, with the same names as in the
  // root. New files may be made in folders that were made through the root just now: this is
  // faster.
  virtual Result<Fd> OpenWritten() = 0;
};

struct CommitLayerOptions {
  // Times of last change later than this (nanoseconds since the epoch) become this.
  std::optional<int64_t> latest_time;
};

struct Layer {
  std::string diff_id;  // "sha256:..."
  int64_t size = 0;     // Bytes of regular files.
  bool empty = false;   // Nothing has been changed.
};

struct ImageSpec {
  // Complete (image_config.h): its `rootfs.diff_ids` name layers this engine has.
  std::string config;
  std::vector<std::string> references;
  std::string parent;  // Id of the image it was made from by `docker commit`, "" for none.
  // Ids of images of other platforms that the references stand for, too: pushed and saved together.
  std::vector<std::string> other_platforms;
};

// A step of a build that need not be done again. The layers it names are kept as long as it is.
struct CacheEntry {
  std::string key;       // Whatever identifies the step; unique.
  std::string document;  // Its maker's.
  std::vector<std::string> layers;
  int64_t created_at = 0;
  int64_t used_at = 0;
};

// ---- Exchange ----------------------------------------------------------------------------------

struct ImportOptions {
  std::string reference;  // Tag to give, "" for none.
  std::string message;
  ImageConfig config;
  Platform platform;  // Empty: this machine's.
};

struct CommitContainerOptions {
  std::string reference;
  std::string author;
  std::string message;
  bool pause = true;  // While its files are read.
  // Changes what the container was started with to what the image says; may be empty.
  std::function<Status(ImageConfig&)> changes;
};

struct LoadOptions {
  Platform platform;  // Which of several; empty: this machine's.
  ImageProgressSink progress;
};
struct LoadedImage {
  std::string id;
  std::vector<std::string> references;  // Those given by the archive; none: only the id is known.
};

// What is said of an image beside its configuration (OCI image spec, annotations.md).
struct ImageAnnotations {
  std::map<std::string, std::string> manifest;    // In its manifest.
  std::map<std::string, std::string> descriptor;  // In the list that names the manifest.
  bool empty() const { return manifest.empty() && descriptor.empty(); }
};

// The same of a list of manifests.
struct ListAnnotations {
  std::map<std::string, std::string> list;        // In it.
  std::map<std::string, std::string> descriptor;  // In the layout's list that names it.
  bool empty() const { return list.empty() && descriptor.empty(); }
};

// How layers are written that were made here. One that came from elsewhere stays as it came.
enum class CompressionKind {
  kDefault,  // gzip for a registry that is not on this machine; else as the layer is known, or plain.
  kNone,
  kGzip,
  kZstd,
};
inline constexpr int kMaximumGzipLevel = 9;
inline constexpr int kMaximumZstdLevel = 22;
struct LayerCompression {
  CompressionKind kind = CompressionKind::kDefault;
  std::optional<int> level;  // From 0; without, 6 of gzip and 3 of zstd.
};

enum class ArchiveFormat { kDocker, kOci };
struct SaveOptions {
  // kDocker: what `docker save` writes, an OCI layout with manifest.json beside it. kOci: the
  // layout alone, with the layers as they came.
  ArchiveFormat format = ArchiveFormat::kDocker;
  Platform platform;  // Of a name that stands for several only this one is written.
  std::vector<std::string> names;  // Tags to write; none: those of `refs` that are tags.
  LayerCompression compression;
};

// An image over layers this engine has, which need not be one of its own.
struct SentImage {
  std::string config;  // Bytes.
  ImageAnnotations annotations;
};
// What one name is to refer to: one, or several for different platforms.
struct SentImages {
  std::vector<SentImage> images;
  size_t main = 0;  // The one that is meant where there can be but one.
  ListAnnotations annotations = {};
};

// Where and how registries are reached; read by the front end (docs/registries.md). `pem` are the
// bytes of files.
struct RegistrySettings {
  std::string http_proxy;  // URLs, "" for none.
  std::string https_proxy;
  std::string no_proxy;
  std::vector<std::string> mirrors;  // URLs, tried in order before the registry itself.
  bool insecure = false;             // Without TLS or with a certificate nobody vouches for.
  std::string ca_pem;                // Vouches beside the system's.
  std::string client_cert_pem;
  std::string client_key_pem;
};

// For one registry. `identity_token` stands for a password; `registry_token` is sent as it is.
struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  bool empty() const {
    return username.empty() && password.empty() && identity_token.empty() && registry_token.empty();
  }
};

struct RegistryAccess {
  Credentials credentials;
  RegistrySettings settings;
};

struct PullOptions {
  Platform platform;
  RegistryAccess access;
  ImageProgressSink progress;
};
struct PulledImage {
  std::string id;
  std::string digest;    // Of the manifest, or of the list of manifests when there is one.
  bool changed = false;  // False: it was here already ("Image is up to date").
};

struct PushOptions {
  RegistryAccess access;
  ImageProgressSink progress;
  LayerCompression compression;
};
struct PushedImage {
  std::string digest;
  int64_t size = 0;  // Of the manifest.
};

// Where an image is that this engine need not have: in a registry, or in a folder.
struct ImagePlace {
  std::string folder;     // Of an OCI layout, absolute; "": a registry.
  std::string reference;  // A name in the registry; a tag or a digest of the layout ("": its only
                          // image, or the one it calls "latest").
  Platform platform;      // Which of several; empty: this machine's.
  RegistryAccess access;
  ImageProgressSink progress;
  LayerCompression compression;  // Of what is sent there.
};
// What is there by a name at this moment.
struct OfferedImage {
  std::string digest;  // Of the manifest, or of the list of manifests when there is one.
  std::string config;  // Bytes.
};

// Something in a registry that is no image: small files under one name.
struct ArtifactFile {
  std::string media_type;
  std::map<std::string, std::string> annotations;
  std::string bytes;
};
struct RegistryArtifact {
  std::string digest;  // Of what the reference names: a manifest, or a list of manifests.
  std::vector<ArtifactFile> files;
};
inline constexpr int64_t kMaximumArtifact = int64_t{16} << 20;  // Bytes of its files together.

struct DownloadOptions {
  RegistrySettings settings;  // Proxies and certificates.
  // Of an earlier download, "" for none: nothing comes when the file has not changed since.
  std::string etag, modified;
  std::function<void(int64_t)> progress;  // Bytes so far.
};
struct Downloaded {
  bool changed = true;
  std::string digest;          // "sha256:..." of the bytes.
  int64_t size = 0;            // Bytes.
  std::string etag, modified;  // The headers ETag and Last-Modified.
};

struct RemovedImage {
  std::vector<std::string> untagged;
  std::vector<std::string> deleted;  // Image ids and layers.
  int64_t freed = 0;                 // Bytes of layers and blobs.
};

// Errors of all calls: kNotFound ("No such image: x:tag"), kInvalidArgument (a reference, an
// archive), kFailedPrecondition (in use), kUnavailable (a registry), kPermissionDenied (401, 403),
// kExhausted (disk, limits), kCorrupted (a digest differs).
class Images {
 public:
  virtual ~Images() = default;

  virtual Result<std::vector<Image>> ListImages() = 0;
  virtual Result<Image> InspectImage(std::string_view ref) = 0;
  // The bytes of its configuration.
  virtual Result<std::string> ReadImageConfig(std::string_view ref) = 0;
  virtual Status TagImage(std::string_view ref, std::string_view new_reference) = 0;
  virtual Result<RemovedImage> RemoveImage(std::string_view ref, bool force) = 0;
  // Removes layers, blobs and half downloaded files that nothing needs; returns the bytes freed.
  virtual Result<int64_t> CollectGarbage() = 0;

  // Above layers this engine has (Image::layers, Layer::diff_id), bottom first; none: an empty
  // root. The parents stay as long as the layer is held. A container runs on it by
  // ContainerConfig::writable_layer.
  virtual Result<std::unique_ptr<WritableLayer>> CreateLayer(
      const std::vector<std::string>& parents) = 0;
  // What has been written becomes a layer: of equal contents one is kept. Empty files and folders
  // that a container's mounts needed as places are taken out. The object can do nothing afterwards.
  virtual Result<Layer> CommitLayer(WritableLayer& layer, const CommitLayerOptions& options) = 0;
  // Unpacks a tar stream, plain or compressed, into the root of a layer made from nothing to which
  // nothing has been written. False: it is no archive.
  virtual Result<bool> UnpackArchive(int tar_fd, WritableLayer& layer) = 0;
  // What the layer's root shows as a plain tar stream.
  virtual Status ExportLayer(WritableLayer& layer, int fd) = 0;
  // A layer is kept by an image or a cache entry that names it in the same Commit().
  virtual Result<std::string> CreateImage(const ImageSpec& spec) = 0;
  virtual Result<std::string> CommitContainer(std::string_view ref,
                                              const CommitContainerOptions& options) = 0;

  virtual Result<std::optional<CacheEntry>> FindCacheEntry(std::string_view key) = 0;
  virtual Result<std::vector<CacheEntry>> ListCacheEntries() = 0;
  virtual Status PutCacheEntry(const CacheEntry& entry) = 0;
  virtual Status RemoveCacheEntry(std::string_view key) = 0;

  // A plain root file system as a tar stream from `tar_fd`. Returns the image's id.
  virtual Result<std::string> ImportImage(int tar_fd, const ImportOptions& options) = 0;
  // A docker archive or an OCI layout as a (compressed) tar stream, or the folder of a layout.
  virtual Result<std::vector<LoadedImage>> LoadImages(int fd, const LoadOptions& options) = 0;
  virtual Status SaveImages(int fd, const std::vector<std::string>& refs,
                            const SaveOptions& options) = 0;
  // The same of images that need not be here, under the names of the options.
  virtual Status ArchiveImages(int fd, const SentImages& images, const SaveOptions& options) = 0;
  // The file system of a container as a plain tar stream.
  virtual Status ExportContainer(std::string_view ref, int fd) = 0;

  virtual Result<PulledImage> PullImage(std::string_view ref, const PullOptions& options) = 0;
  virtual Result<PushedImage> PushImage(std::string_view ref, const PushOptions& options) = 0;
  // The digest of what the registry has by this name at this moment. Nothing is stored.
  virtual Result<std::string> ResolveImage(std::string_view ref, const RegistryAccess& access) = 0;
  virtual Result<bool> HasLayer(std::string_view diff_id) = 0;
  // Bytes of its regular files.
  virtual Result<int64_t> LayerSize(std::string_view diff_id) = 0;
  // An image elsewhere without its layers. Nothing is stored.
  virtual Result<OfferedImage> AskForImage(const ImagePlace& place) = 0;
  // Of its layers those with these diff ids that are not here. Each is kept by an image or a cache
  // entry that names it in the same Commit(). kNotFound: it has no such layer.
  virtual Status FetchLayers(const ImagePlace& place, const std::vector<std::string>& diff_ids) = 0;
  // Writes images to the place. Those of the same name there lose it. What would be said in a
  // registry's list of an image without one has no effect.
  virtual Result<PushedImage> SendImages(const ImagePlace& place, const SentImages& images) = 0;
  // An artifact of one of the types (its artifactType, or the media type of its configuration when
  // it has none); of a list, the first of it. Nothing is stored. kUnsupported: it is something else; kExhausted: it is
  // larger than kMaximumArtifact.
  virtual Result<RegistryArtifact> FetchArtifact(std::string_view ref,
                                                 const std::vector<std::string>& types,
                                                 const RegistryAccess& access) = 0;
  // Asks the registry `host` whether it takes the credentials. Returns an identity token, "" when
  // the registry gives none.
  virtual Result<std::string> LogIn(std::string_view host, const RegistryAccess& access) = 0;
  // The file at an http or https address into the empty file `fd`, redirects followed.
  virtual Result<Downloaded> DownloadFile(const std::string& url, int fd,
                                          const DownloadOptions& options) = 0;
};

}  // namespace skiff::engine
