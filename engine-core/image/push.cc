#include "engine-core/image/push.h"

#include <fcntl.h>
#include <unistd.h>

#include <map>
#include <set>

#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/image/archive_save.h"
#include "engine-core/image/elsewhere.h"
#include "engine-core/image/layer_jobs.h"
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
  std::map<std::string, std::string> places;
  for (const auto& [name, id] : references) {
    SKIFF_ASSIGN(const Reference reference, ParseReference(name));
    // A tag alone may never have been there; a digest was given by the registry.
    if (reference.digest.empty() || reference.domain != target.domain ||
        reference.path == target.path) {
      continue;
    }
    SKIFF_ASSIGN(const auto record, images.Find(id));
    SKIFF_ASSIGN(const auto blobs, images.LayerBlobs(*record));
    for (size_t i = 0; i < blobs.size(); ++i) {
      // One that was made here went as MakeSendable() packs it.
      const std::string& digest = blobs[i].digest;
      places.emplace(digest.empty() ? DigestOf(record->layer_ids[i]) : digest, reference.path);
    }
  }
  return places;
}

class Pusher {
 public:
  Pusher(ImageStore& images, const Reference& reference, const PushOptions& options,
         std::vector<std::string> layer_ids, SendableImage image,
         std::map<std::string, std::string> places)
      : images_(images),
        reference_(reference),
        layer_ids_(std::move(layer_ids)),
        image_(std::move(image)),
        places_(std::move(places)),
        lines_(options.progress),
        workers_(images.layers().transfer_program(), Opening(options)) {}

  Result<PushedImage> Push();

 private:
  RegistryOpening Opening(const PushOptions& options) const;
  Status PushLayer(RegistryClient& client, const WorkFolder& work, size_t number);
  Result<Fd> OpenLayer(const WorkFolder& work, size_t number);

  ImageStore& images_;
  const Reference& reference_;
  std::vector<std::string> layer_ids_;  // Hexadecimal.
  SendableImage image_;
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
  for (const Descriptor& layer : image_.manifest.layers) {
    const auto place = places_.find(layer.digest);
    if (place != places_.end()) opening.from = place->second;
  }
  return opening;
}

// As it came, or packed again.
Result<Fd> Pusher::OpenLayer(const WorkFolder& work, size_t number) {
  const Descriptor& layer = image_.manifest.layers[number];
  if (images_.layers().HasBlob(DigestHex(layer.digest))) {
    return images_.layers().OpenBlob(layer.digest);
  }
  const std::string path = work.path() + "/layer-" + std::to_string(number);
  SKIFF_ASSIGN(Fd file, OpenFile(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  SKIFF_TRY(PackLayer(images_.layers(), layer_ids_[number],
                      [&](std::string_view data) { return WriteAll(file.get(), data, path); }));
  return file;
}

Status Pusher::PushLayer(RegistryClient& client, const WorkFolder& work, size_t number) {
  const Descriptor& layer = image_.manifest.layers[number];
  RegistryRequest request;
  request.op = RegistryOp::kHasBlob;
  request.digest = layer.digest;
  SKIFF_ASSIGN(const auto there, client.Do(request, -1));
  if (there.found) {
    lines_.Say(layer.digest, "Layer already exists");
    return {};
  }
  if (const auto place = places_.find(layer.digest); place != places_.end()) {
    request.op = RegistryOp::kMountBlob;
    request.from = place->second;
    SKIFF_ASSIGN(const auto mounted, client.Do(request, -1));
    if (mounted.found) {
      lines_.Say(layer.digest, "Mounted from " + place->second);
      return {};
    }
  }
  lines_.Say(layer.digest, "Preparing");
  SKIFF_ASSIGN(const Fd file, OpenLayer(work, number));
  SKIFF_TRY(Failpoint("image.push_layer"));
  request.op = RegistryOp::kPutBlob;
  request.size = layer.size;
  SKIFF_TRY(client.Do(request, file.get(), [&](int64_t current) {
    lines_.Say(layer.digest, "Pushing", current, layer.size);
  }));
  lines_.Say(layer.digest, "Pushed");
  return {};
}

Result<PushedImage> Pusher::Push() {
  SKIFF_ASSIGN(RegistryClient * first, workers_.First());
  RegistryRequest request;
  request.op = RegistryOp::kHasBlob;
  request.digest = image_.manifest.config.digest;
  SKIFF_ASSIGN(const auto learned, first->Do(request, -1));
  workers_.Share(learned);
  std::vector<size_t> numbers;
  std::set<std::string> seen;
  for (size_t i = 0; i < image_.manifest.layers.size(); ++i) {
    if (seen.insert(image_.manifest.layers[i].digest).second) numbers.push_back(i);
  }
  SKIFF_ASSIGN(const WorkFolder work, WorkFolder::Make(images_.layers().layout()));
  SKIFF_TRY(RunJobs(numbers, kTransfersAtOnce, [&](size_t worker, size_t number) -> Status {
    SKIFF_ASSIGN(RegistryClient * client, workers_.Of(worker));
    return PushLayer(*client, work, number);
  }));
  if (!learned.found) {
    request.op = RegistryOp::kPutBlob;
    request.size = static_cast<int64_t>(image_.config.size());
    SKIFF_TRY(first->Send(request, image_.config));
  }
  SKIFF_TRY(Failpoint("image.push_manifest"));
  request.op = RegistryOp::kPutManifest;
  request.reference = reference_.tag;
  request.media_type = image_.manifest.media_type;
  SKIFF_ASSIGN(const auto put, first->Send(request, image_.manifest_bytes));
  return PushedImage{put.digest, static_cast<int64_t>(image_.manifest_bytes.size())};
}

}  // namespace

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
  SKIFF_ASSIGN(const auto record, images.Find(known->second));
  SKIFF_ASSIGN(SendableImage image, MakeSendable(images, *record));
  SKIFF_ASSIGN(auto places, KnownPlaces(images, store, reference));
  Pusher pusher(images, reference, options, record->layer_ids, std::move(image),
                std::move(places));
  SKIFF_ASSIGN(const PushedImage pushed, pusher.Push());
  Reference by_digest = reference;
  by_digest.tag.clear();
  by_digest.digest = pushed.digest;
  SKIFF_TRY(store.PutReference(by_digest.Canonical(), record->image.id));
  return pushed;
}

Result<PushedImage> PushUnnamed(ImageStore& images, store::Store& store, const std::string& config,
                                const Reference& reference, const PushOptions& options,
                                const std::map<std::string, std::string>& annotations) {
  if (!reference.digest.empty()) {
    return Fail(Code::kInvalidArgument, "cannot push a digest reference");
  }
  SKIFF_ASSIGN(std::vector<std::string> layer_ids, LayersOfConfig(config));
  SKIFF_ASSIGN(SendableImage image, MakeSendable(images, config, layer_ids, annotations));
  SKIFF_ASSIGN(auto places, KnownPlaces(images, store, reference));
  return Pusher(images, reference, options, std::move(layer_ids), std::move(image),
                std::move(places))
      .Push();
}

}  // namespace skiff::engine::image
