// Images that come and go.
#include <fcntl.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/image/archive_load.h"
#include "engine-core/image/archive_save.h"
#include "engine-core/image/elsewhere.h"
#include "engine-core/image/merged_root.h"
#include "engine-core/image/pack_tree.h"
#include "engine-core/image/manifest.h"
#include "engine-core/image/pull.h"
#include "engine-core/image/push.h"
#include "engine-core/transfer/registry_client.h"

namespace skiff::engine::embedded {

tl::unexpected<Error> EmbeddedEngine::GiveUp(Error error) {
  // Layers may stand already, with rows that are about to be committed.
  const auto released = ReleaseArtifacts();
  return Fail(released ? std::move(error) : released.error());
}

Result<std::vector<LoadedImage>> EmbeddedEngine::LoadImages(int fd, const LoadOptions& options) {
  SKIFF_ASSIGN(auto use, UseImages());
  auto loaded = image::LoadArchive(images_, store_, fd, options);
  use.reset();
  if (!loaded) return GiveUp(std::move(loaded).error());
  for (const LoadedImage& image : *loaded) Journal("image", "load", image.id, {});
  return loaded;
}

Status EmbeddedEngine::SaveImages(int fd, const std::vector<std::string>& refs,
                                  const SaveOptions& options) {
  SKIFF_ASSIGN(const auto use, UseImages());
  SKIFF_TRY(image::SaveArchive(images_, fd, refs, options));
  for (const std::string& ref : refs) Journal("image", "save", ref, {});
  return {};
}

Status EmbeddedEngine::ArchiveImages(int fd, const SentImages& images,
                                     const SaveOptions& options) {
  SKIFF_ASSIGN(const auto use, UseImages());
  return image::SaveArchive(images_, fd, images, options);
}

Status EmbeddedEngine::ExportLayer(WritableLayer& layer, int fd) {
  SKIFF_ASSIGN(const Fd root, layer.OpenRoot());
  image::PackOptions options;
  options.layer = false;
  SKIFF_TRY(image::PackTree(root.get(), options, [fd](std::string_view data) {
    return WriteAll(fd, data, "the archive");
  }));
  return {};
}

Status EmbeddedEngine::ExportContainer(std::string_view ref, int fd) {
  SKIFF_ASSIGN(const auto use, UseImages());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  std::vector<std::string> folders = layout_.lower_folders(record->layers);
  folders.insert(folders.begin(), layout_.container_diff(record->id));
  SKIFF_ASSIGN(const Fd root, image::OpenMergedRoot(folders, layout_.tmp()));
  image::PackOptions options;
  options.layer = false;
  options.in_use = true;
  SKIFF_TRY(image::PackTree(root.get(), options, [fd](std::string_view data) {
    return WriteAll(fd, data, "the archive");
  }));
  Journal("container", "export", record->id, {{"name", record->name}});
  return {};
}

namespace {

// What an image says of itself, from what a container was started with.
ImageConfig ConfigOf(const ContainerRecord& record) {
  ImageConfig out;
  const ContainerConfig& config = record.config;
  out.entrypoint = config.entrypoint.value_or(std::vector<std::string>());
  out.command = config.command.value_or(std::vector<std::string>());
  out.environment = config.environment;
  out.user = config.user;
  out.working_dir = config.working_dir;
  out.labels = config.labels;
  out.stop_signal = config.stop_signal;
  out.healthcheck = config.healthcheck;
  for (const PortRequest& port : config.ports) {
    out.exposed_ports.push_back(std::to_string(port.container_port) + "/" +
                                std::string(ProtocolName(port.protocol)));
  }
  for (const MountRequest& mount : config.mounts) {
    if (mount.kind == MountKind::kVolume && mount.source.empty()) {
      out.volumes.push_back(mount.target);
    }
  }
  return out;
}

}  // namespace

Result<std::string> EmbeddedEngine::CommitContainer(std::string_view ref,
                                                    const CommitContainerOptions& options) {
  SKIFF_ASSIGN(auto use, UseImages());
  SKIFF_ASSIGN(const auto record, store_.FindContainer(ref));
  if (!options.reference.empty()) SKIFF_TRY(image::ImageStore::ParseTag(options.reference));
  const bool pause = options.pause && StateOf(*record).status == ContainerStatus::kRunning;
  if (pause) SKIFF_TRY(PauseContainer(record->id));
  auto made = CommitFiles(*record);
  if (pause) SKIFF_TRY(UnpauseContainer(record->id));
  if (!made) return Fail(std::move(made).error());
  auto id = ImageOfCommit(*record, *made, options);
  use.reset();
  if (!id) return GiveUp(std::move(id).error());
  Journal("container", "commit", record->id,
          {{"comment", options.message}, {"imageID", *id}, {"imageRef", options.reference}});
  return id;
}

Result<std::string> EmbeddedEngine::ImageOfCommit(const ContainerRecord& record, const Layer& made,
                                                  const CommitContainerOptions& options) {
  ImageDocument document;
  const auto base = images_.ReadConfig(record.image_id);
  if (base) {
    SKIFF_ASSIGN(document, ReadImageDocument(*base));
  }
  document.diff_ids.clear();
  for (const std::string& id : record.layers) document.diff_ids.push_back(image::DigestOf(id));
  document.diff_ids.push_back(made.diff_id);
  document.created_at = NowNanoseconds();
  document.author = options.author;
  document.config = ConfigOf(record);
  if (options.changes) SKIFF_TRY(options.changes(document.config));
  HistoryEntry entry;
  entry.created_at = document.created_at;
  for (const std::string& word : record.command) {
    entry.created_by += (entry.created_by.empty() ? "" : " ") + word;
  }
  entry.author = options.author;
  entry.comment = options.message;
  document.history.push_back(std::move(entry));
  ImageSpec spec;
  spec.config = WriteImageDocument(document);
  spec.parent = base ? record.image_id : "";
  if (!options.reference.empty()) spec.references = {options.reference};
  return CreateImage(spec);
}

// The container goes on writing to its folder: what the layer gets is a copy.
Result<Layer> EmbeddedEngine::CommitFiles(const ContainerRecord& record) {
  SKIFF_ASSIGN(const image::WorkFolder work, image::WorkFolder::Make(layout_));
  const std::string path = work.path() + "/tar";
  SKIFF_ASSIGN(const Fd tar, OpenFile(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  SKIFF_ASSIGN(const Fd upper, OpenFile(layout_.container_diff(record.id), O_RDONLY | O_DIRECTORY));
  // What mounts needed as places is no content: only empty ones that the image lacks.
  SKIFF_ASSIGN(const std::vector<std::string> places, MountPlaces(record));
  image::PackOptions options;
  options.left_out = places;
  options.in_use = true;
  SKIFF_TRY(image::PackTree(upper.get(), options, [&](std::string_view data) {
    return WriteAll(tar.get(), data, path);
  }));
  if (::lseek(tar.get(), 0, SEEK_SET) != 0) return FailErrno("cannot read '" + path + "'");
  SKIFF_ASSIGN(const std::string prepared, layers_.PrepareLayer(work, "layer"));
  SKIFF_ASSIGN(const UnpackedLayer layer, layers_.Unpack(tar.get(), prepared, -1));
  SKIFF_TRY(Failpoint("engine.commit_container"));
  SKIFF_TRY(layers_.PutLayer(layer.diff_id, prepared, layer.content_size, layer.blob_size));
  return Layer{image::DigestOf(layer.diff_id), layer.content_size, layer.entries == 0};
}

Result<std::vector<std::string>> EmbeddedEngine::MountPlaces(const ContainerRecord& record) {
  std::vector<std::string> targets = {"/proc",      "/dev",          "/sys",
                                      "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"};
  for (const Mount& mount : record.mounts) targets.push_back(mount.target);
  if (record.layers.empty()) return targets;
  SKIFF_ASSIGN(const Fd below,
               image::OpenMergedRoot(layout_.lower_folders(record.layers), layout_.tmp()));
  return image::MissingPlaces(below.get(), targets);
}

Result<PulledImage> EmbeddedEngine::PullImage(std::string_view ref, const PullOptions& options) {
  SKIFF_ASSIGN(const Reference reference, ParseReference(ref));
  SKIFF_ASSIGN(auto use, UseImages());
  auto pulled = image::Pull(images_, store_, reference, options);
  use.reset();
  if (!pulled) return GiveUp(std::move(pulled).error());
  Journal("image", "pull", reference.Familiar(), {{"name", reference.FamiliarName()}});
  return pulled;
}

Result<PushedImage> EmbeddedEngine::PushImage(std::string_view ref, const PushOptions& options) {
  SKIFF_ASSIGN(const Reference reference, ParseReference(ref));
  SKIFF_ASSIGN(const auto use, UseImages());
  SKIFF_ASSIGN(PushedImage pushed, image::Push(images_, store_, reference, options));
  Journal("image", "push", reference.Familiar(), {{"name", reference.FamiliarName()}});
  return pushed;
}

Result<std::string> EmbeddedEngine::ResolveImage(std::string_view ref,
                                                 const RegistryAccess& access) {
  SKIFF_ASSIGN(const Reference reference, ParseReference(ref));
  if (!reference.digest.empty()) return reference.digest;
  transfer::RegistryOpening opening;
  opening.host = reference.domain;
  opening.repository = reference.path;
  opening.access = access;
  SKIFF_ASSIGN(auto client, transfer::RegistryClient::Open(layers_.transfer_program(), opening));
  transfer::RegistryRequest request;
  request.op = transfer::RegistryOp::kGetManifest;
  request.reference = reference.tag;
  std::string manifest;
  SKIFF_TRY(client.Receive(request, &manifest, image::kMaximumManifest));
  return "sha256:" + Sha256Hex(manifest);
}

namespace {

Result<Fd> OpenLayout(const std::string& folder) {
  auto fd = OpenFile(folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return Fail(fd.error().code, "cannot open the OCI layout '" + folder + "'");
  return fd;
}

}  // namespace

Result<bool> EmbeddedEngine::HasLayer(std::string_view diff_id) {
  SKIFF_TRY(Open());
  return layers_.HasLayer(image::DigestHex(diff_id));
}

Result<int64_t> EmbeddedEngine::LayerSize(std::string_view diff_id) {
  SKIFF_TRY(Open());
  return layers_.LayerSize(image::DigestHex(diff_id));
}

Result<OfferedImage> EmbeddedEngine::AskForImage(const ImagePlace& place) {
  SKIFF_ASSIGN(const auto use, UseImages());
  if (!place.folder.empty()) {
    SKIFF_ASSIGN(const Fd folder, OpenLayout(place.folder));
    return image::AskLayout(images_, store_, folder.get(), place.reference, {place.platform, {}});
  }
  SKIFF_ASSIGN(const Reference reference, ParseReference(place.reference));
  return image::AskRegistry(images_, store_, reference, {place.platform, place.access, {}});
}

Result<RegistryArtifact> EmbeddedEngine::FetchArtifact(std::string_view ref,
                                                       const std::vector<std::string>& types,
                                                       const RegistryAccess& access) {
  SKIFF_ASSIGN(const auto use, UseImages());
  SKIFF_ASSIGN(const Reference reference, ParseReference(ref));
  return image::FetchArtifact(images_, store_, reference, types, {{}, access, {}});
}

Status EmbeddedEngine::FetchLayers(const ImagePlace& place,
                                   const std::vector<std::string>& diff_ids) {
  SKIFF_ASSIGN(auto use, UseImages());
  const auto fetch = [&]() -> Status {
    if (!place.folder.empty()) {
      SKIFF_ASSIGN(const Fd folder, OpenLayout(place.folder));
      return image::TakeFromLayout(images_, store_, folder.get(), place.reference, diff_ids,
                                   {place.platform, place.progress});
    }
    SKIFF_ASSIGN(const Reference reference, ParseReference(place.reference));
    return image::TakeFromRegistry(images_, store_, reference, diff_ids,
                                   {place.platform, place.access, place.progress});
  };
  Status fetched = fetch();
  use.reset();
  if (!fetched) return GiveUp(std::move(fetched).error());
  return {};
}

Result<PushedImage> EmbeddedEngine::SendImages(const ImagePlace& place, const SentImages& images) {
  SKIFF_ASSIGN(const auto use, UseImages());
  if (!place.folder.empty()) {
    SKIFF_ASSIGN(const image::SendableSet set,
                 image::MakeSet(images_, images, place.compression));
    return image::WriteLayout(images_, set, place.folder, place.reference);
  }
  SKIFF_ASSIGN(const Reference reference, ParseReference(place.reference));
  const LayerCompression compression = image::CompressionFor(reference, place.compression);
  SKIFF_ASSIGN(const image::SendableSet set, image::MakeSet(images_, images, compression));
  return image::PushUnnamed(images_, store_, set, reference,
                            {place.access, place.progress, compression});
}

Result<std::string> EmbeddedEngine::LogIn(std::string_view host, const RegistryAccess& access) {
  transfer::RegistryOpening opening;
  opening.host = host;
  opening.access = access;
  SKIFF_ASSIGN(auto client, transfer::RegistryClient::Open(layers_.transfer_program(), opening));
  SKIFF_ASSIGN(const auto answer, client.Do({}, -1));
  return answer.token;
}

Result<Downloaded> EmbeddedEngine::DownloadFile(const std::string& url, int fd,
                                                const DownloadOptions& options) {
  transfer::RegistryOpening opening;
  opening.access.settings = options.settings;
  SKIFF_ASSIGN(auto client, transfer::RegistryClient::Open(layers_.transfer_program(), opening));
  transfer::RegistryRequest request;
  request.op = transfer::RegistryOp::kDownload;
  request.reference = url;
  request.etag = options.etag;
  request.modified = options.modified;
  SKIFF_ASSIGN(const auto answer, client.Do(request, fd, options.progress));
  return Downloaded{answer.found, answer.digest, answer.size, answer.etag, answer.modified};
}

}  // namespace skiff::engine::embedded
