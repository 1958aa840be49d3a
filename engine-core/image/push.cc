#include "engine-core/image/push.h"

#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <numeric>
#include <optional>
#include <set>

#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/image/archive_save.h"
#include "engine-core/image/elsewhere.h"
#include "engine-core/image/layer_jobs.h"
#include "engine-core/image/layer_pipe.h"
#include "engine-core/image/registry_work.h"
#include "engine-core/image/work_folder.h"

namespace skiff::engine::image {
namespace {

using transfer::RegistryClient;
using transfer::RegistryOp;
using transfer::RegistryOpening;
using transfer::RegistryRequest;

// Repositories of the same registry by the digest of a blob that came from there or went there.
Result<std::map<std::string, std::string>> KnownPlaces(ImageStore& images, store::Store& store,
                                                       const Reference& target) {
  SKIFF_ASSIGN(const auto references, store.References());
  SKIFF_ASSIGN(const auto sets, store.PlatformSets());
  std::map<std::string, std::string> places;
  const auto add = [&](const std::string& id, const std::string& path) -> Status {
    SKIFF_ASSIGN(const auto record, images.Find(id));
    SKIFF_ASSIGN(const auto blobs, images.LayerBlobs(*record));
    for (size_t i = 0; i < blobs.size(); ++i) {
      // One that was made here went as MakeSendable() packs it.
      const std::string& digest = blobs[i].digest;
      places.emplace(digest.empty() ? DigestOf(record->layer_ids[i]) : digest, path);
      if (!digest.empty()) continue;
      SKIFF_ASSIGN(const store::LayerBlob packed,
                   images.layers().PackedLayer(record->layer_ids[i]));
      if (!packed.digest.empty()) places.emplace(packed.digest, path);
    }
    return {};
  };
  for (const auto& [name, id] : references) {
    SKIFF_ASSIGN(const Reference reference, ParseReference(name));
    // A tag alone may never have been there; a digest was given by the registry.
    if (reference.digest.empty() || reference.domain != target.domain ||
        reference.path == target.path) {
      continue;
    }
    SKIFF_TRY(add(id, reference.path));
    if (const auto set = sets.find(name); set != sets.end()) {
      for (const std::string& id_of_other : set->second.other_platforms) {
        SKIFF_TRY(add(id_of_other, reference.path));
      }
    }
  }
  return places;
}

class Pusher {
 public:
  Pusher(ImageStore& images, const Reference& reference, const PushOptions& options,
         const SendableSet& set, std::map<std::string, std::string> places)
      : images_(images),
        reference_(reference),
        set_(set),
        places_(std::move(places)),
        lines_(options.progress),
        workers_(images.layers().transfer_program(), Opening(options)) {}

  Result<PushedImage> Push();

 private:
  // A layer of one of the images.
  struct LayerToSend {
    const SendableImage* image = nullptr;
    size_t number = 0;
    const Descriptor& layer() const { return image->manifest.layers[number]; }
  };

  RegistryOpening Opening(const PushOptions& options) const;
  std::vector<LayerToSend> Layers() const;
  Status PushLayer(RegistryClient& client, const WorkFolder& work, const LayerToSend& layer);
  Status SendLayer(RegistryClient& client, const WorkFolder& work, const LayerToSend& layer);
  Result<bool> SendWhilePacking(RegistryClient& client, RegistryRequest request,
                                const LayerToSend& layer);
  Result<std::optional<Fd>> OpenBlob(const LayerToSend& layer);
  Result<Fd> PackToFile(const WorkFolder& work, const LayerToSend& layer);
  std::function<void(int64_t)> Progress(const Descriptor& layer);
  Result<bool> HasBlob(RegistryClient& client, const std::string& digest);
  Status PutManifest(RegistryClient& client, const std::string& name, const std::string& media_type,
                     const std::string& bytes);

  ImageStore& images_;
  const Reference& reference_;
  const SendableSet& set_;
  std::map<std::string, std::string> places_;
  ProgressLines lines_;
  RegistryWorkers workers_;
};

RegistryOpening Pusher::Opening(const PushOptions& options) const {
  RegistryOpening opening;
  opening.host = reference_.domain;
  opening.repository = reference_.path;
  opening.push = true;
  opening.access = options.access;
  for (const LayerToSend& layer : Layers()) {
    const auto place = places_.find(layer.layer().digest);
    if (place != places_.end()) opening.from = place->second;
  }
  return opening;
}

// Each blob once.
std::vector<Pusher::LayerToSend> Pusher::Layers() const {
  std::vector<LayerToSend> layers;
  std::set<std::string> seen;
  for (const SendableImage& image : set_.images) {
    for (size_t i = 0; i < image.manifest.layers.size(); ++i) {
      if (seen.insert(image.manifest.layers[i].digest).second) layers.push_back({&image, i});
    }
  }
  return layers;
}

// As it came, or as it has been compressed; none: it has to be packed again.
Result<std::optional<Fd>> Pusher::OpenBlob(const LayerToSend& sent) {
  const std::string& digest = sent.layer().digest;
  const auto made = sent.image->files.find(digest);
  if (made != sent.image->files.end()) return OpenFile(made->second, O_RDONLY);
  if (images_.layers().HasBlob(DigestHex(digest))) return images_.layers().OpenBlob(digest);
  return std::nullopt;
}

Result<Fd> Pusher::PackToFile(const WorkFolder& work, const LayerToSend& sent) {
  const std::string& digest = sent.layer().digest;
  const std::string path = work.path() + "/layer-" + DigestHex(digest);
  SKIFF_ASSIGN(Fd file, OpenFile(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  SKIFF_TRY(PackLayer(images_.layers(), sent.image->layer_ids[sent.number],
                      [&](std::string_view data) { return WriteAll(file.get(), data, path); }));
  return file;
}

Result<bool> Pusher::HasBlob(RegistryClient& client, const std::string& digest) {
  RegistryRequest request;
  request.op = RegistryOp::kHasBlob;
  request.digest = digest;
  SKIFF_ASSIGN(const auto there, client.Do(request, -1));
  return there.found;
}

Status Pusher::PushLayer(RegistryClient& client, const WorkFolder& work, const LayerToSend& sent) {
  const Descriptor& layer = sent.layer();
  SKIFF_ASSIGN(const bool there, HasBlob(client, layer.digest));
  if (there) {
    lines_.Say(layer.digest, "Layer already exists");
    return {};
  }
  RegistryRequest request;
  request.digest = layer.digest;
  if (const auto place = places_.find(layer.digest); place != places_.end()) {
    request.op = RegistryOp::kMountBlob;
    request.from = place->second;
    SKIFF_ASSIGN(const auto mounted, client.Do(request, -1));
    if (mounted.found) {
      lines_.Say(layer.digest, "Mounted from " + place->second);
      return {};
    }
  }
  SKIFF_TRY(SendLayer(client, work, sent));
  lines_.Say(layer.digest, "Pushed");
  return {};
}

Status Pusher::SendLayer(RegistryClient& client, const WorkFolder& work, const LayerToSend& sent) {
  const Descriptor& layer = sent.layer();
  lines_.Say(layer.digest, "Preparing");
  RegistryRequest request;
  request.op = RegistryOp::kPutBlob;
  request.digest = layer.digest;
  request.size = layer.size;
  SKIFF_ASSIGN(std::optional<Fd> file, OpenBlob(sent));
  SKIFF_TRY(Failpoint("image.push_layer"));
  if (!file) {
    SKIFF_ASSIGN(const bool there, SendWhilePacking(client, request, sent));
    if (there) return {};
    SKIFF_ASSIGN(file, PackToFile(work, sent));
  }
  SKIFF_TRY(client.Do(request, file->get(), Progress(layer)));
  return {};
}

// False: the connection broke, the registry found another digest, or so; from a file it is tried
// again, and what is wrong with the layer is found out.
Result<bool> Pusher::SendWhilePacking(RegistryClient& client, RegistryRequest request,
                                      const LayerToSend& sent) {
  SKIFF_ASSIGN(const auto pipe,
               LayerPipe::Open(images_.layers(), sent.image->layer_ids[sent.number]));
  request.once = true;
  const auto answer = client.Do(request, pipe->reader(), Progress(sent.layer()));
  // First what became of the layer: one that cannot be read is why the registry got no further.
  SKIFF_ASSIGN(const bool whole, pipe->Close());
  if (!answer) return Fail(answer.error());
  return answer->found && whole;
}

std::function<void(int64_t)> Pusher::Progress(const Descriptor& layer) {
  return [this, &layer](int64_t current) {
    lines_.Say(layer.digest, "Pushing", current, layer.size);
  };
}

Status Pusher::PutManifest(RegistryClient& client, const std::string& name,
                           const std::string& media_type, const std::string& bytes) {
  SKIFF_TRY(Failpoint("image.push_manifest"));
  RegistryRequest request;
  request.op = RegistryOp::kPutManifest;
  request.reference = name;
  request.media_type = media_type;
  SKIFF_TRY(client.Send(request, bytes));
  return {};
}

Result<PushedImage> Pusher::Push() {
  SKIFF_ASSIGN(RegistryClient * first, workers_.First());
  RegistryRequest request;
  request.op = RegistryOp::kHasBlob;
  request.digest = set_.images.front().manifest.config.digest;
  SKIFF_ASSIGN(const auto learned, first->Do(request, -1));
  workers_.Share(learned);
  const std::vector<LayerToSend> layers = Layers();
  std::vector<size_t> numbers(layers.size());
  std::iota(numbers.begin(), numbers.end(), size_t{0});
  SKIFF_ASSIGN(const WorkFolder work, WorkFolder::Make(images_.layers().layout()));
  SKIFF_TRY(RunJobs(numbers, kTransfersAtOnce, [&](size_t worker, size_t number) -> Status {
    SKIFF_ASSIGN(RegistryClient * client, workers_.Of(worker));
    return PushLayer(*client, work, layers[number]);
  }));
  for (const SendableImage& image : set_.images) {
    const bool is_first = &image == &set_.images.front();
    bool there = learned.found;
    if (!is_first) {
      SKIFF_ASSIGN(there, HasBlob(*first, image.manifest.config.digest));
    }
    if (!there) {
      request.op = RegistryOp::kPutBlob;
      request.digest = image.manifest.config.digest;
      request.size = static_cast<int64_t>(image.config.size());
      SKIFF_TRY(first->Send(request, image.config));
    }
    // Those of a list are known by their digests alone.
    const std::string& name =
        set_.list.empty() ? reference_.tag : set_.entries[&image - set_.images.data()].digest;
    SKIFF_TRY(PutManifest(*first, name, image.manifest.media_type, image.manifest_bytes));
  }
  if (!set_.list.empty()) {
    SKIFF_TRY(PutManifest(*first, reference_.tag, set_.top.media_type, set_.list));
  }
  return PushedImage{set_.top.digest, set_.top.size};
}

}  // namespace

LayerCompression CompressionFor(const Reference& reference, LayerCompression wanted) {
  const bool chosen = wanted.kind != CompressionKind::kDefault;
  if (!chosen && !IsLoopbackRegistry(reference.domain)) wanted.kind = CompressionKind::kGzip;
  return wanted;
}

Result<PushedImage> Push(ImageStore& images, store::Store& store, const Reference& reference,
                         const PushOptions& options) {
  if (!reference.digest.empty()) {
    return Fail(Code::kInvalidArgument, "cannot push a digest reference");
  }
  SKIFF_ASSIGN(const auto references, store.References());
  const auto known = references.find(reference.Canonical());
  if (known == references.end()) {
    return Fail(Code::kNotFound,
                "An image does not exist locally with the tag: " + reference.FamiliarName());
  }
  SKIFF_ASSIGN(const std::vector<std::string> others,
               images.OtherPlatforms(reference.Canonical()));
  const LayerCompression compression = CompressionFor(reference, options.compression);
  std::vector<std::string> ids = others;
  ids.push_back(known->second);
  std::vector<SendableImage> sent;
  for (const std::string& id : ids) {
    SKIFF_ASSIGN(const auto record, images.Find(id));
    SKIFF_ASSIGN(SendableImage image, MakeSendable(images, *record, compression));
    sent.push_back(std::move(image));
  }
  const std::vector<std::map<std::string, std::string>> no_annotations(sent.size());
  SKIFF_ASSIGN(const SendableSet set, MakeSet(std::move(sent), no_annotations, {}));
  SKIFF_ASSIGN(auto places, KnownPlaces(images, store, reference));
  SKIFF_ASSIGN(const PushedImage pushed,
               Pusher(images, reference, options, set, std::move(places)).Push());
  Reference by_digest = reference;
  by_digest.tag.clear();
  by_digest.digest = pushed.digest;
  SKIFF_TRY(store.PutReference(by_digest.Canonical(), known->second, others));
  return pushed;
}

Result<PushedImage> PushUnnamed(ImageStore& images, store::Store& store, const SendableSet& set,
                                const Reference& reference, const PushOptions& options) {
  if (!reference.digest.empty()) {
    return Fail(Code::kInvalidArgument, "cannot push a digest reference");
  }
  SKIFF_ASSIGN(auto places, KnownPlaces(images, store, reference));
  return Pusher(images, reference, options, set, std::move(places)).Push();
}

}  // namespace skiff::engine::image
