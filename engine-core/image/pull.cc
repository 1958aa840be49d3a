#include "engine-core/image/pull.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/image/download.h"
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

constexpr int kMaximumNesting = 4;              // Of lists in lists.
constexpr int64_t kForgotten = 7 * 24 * 3600;   // Downloads nobody went on with, in seconds.

// What the registry says an image is.
struct Offer {
  std::string digest;  // Of what the reference names: a manifest or a list.
  std::string index;   // Bytes, "" when it named a manifest.
  std::string manifest_bytes;
  Manifest manifest;
  std::string config;
  ImageDocument document;
};

struct Answer {
  std::string bytes;
  std::string digest;
  std::string media_type;
};

class Puller {
 public:
  Puller(ImageStore& images, store::Store& store, const Reference& reference,
         const PullOptions& options, RegistryOpening opening)
      : images_(images),
        store_(store),
        reference_(reference),
        options_(options),
        lines_(options_.progress),
        workers_(images.layers().transfer_program(), std::move(opening)) {}

  Result<PulledImage> Pull();
  Result<OfferedImage> Ask();
  Result<RegistryArtifact> TakeArtifact(const std::vector<std::string>& types);
  // Their blobs do not stay.
  Status Take(std::set<std::string> diff_ids);

 private:
  Result<Answer> GetManifest(const std::string& reference);
  Result<std::string> GetSmallBlob(const Descriptor& blob, size_t limit);
  Result<Offer> ReadOffer();
  Status ReadConfig(Offer& offer);
  Status CheckPlatform(const Offer& offer) const;
  Result<PreparedLayer> TakeLayer(RegistryClient& client, const WorkFolder& work,
                                  const Offer& offer, size_t number);
  Status KeepLayer(PreparedLayer& layer);
  Status ChooseLayers(const Offer& offer, NewImage& image);
  Status TakeLayers(const Offer& offer, const std::vector<size_t>& wanted);
  Result<PulledImage> Name(const Offer& offer, const std::string& id);

  ImageStore& images_;
  store::Store& store_;
  const Reference& reference_;
  const PullOptions& options_;
  ProgressLines lines_;
  RegistryWorkers workers_;
  bool keep_blobs_ = true;
};

Result<Answer> Puller::GetManifest(const std::string& reference) {
  SKIFF_ASSIGN(RegistryClient * client, workers_.First());
  RegistryRequest request;
  request.op = RegistryOp::kGetManifest;
  request.reference = reference;
  Answer out;
  SKIFF_ASSIGN(const auto answer, client->Receive(request, &out.bytes, kMaximumManifest));
  workers_.Share(answer);
  // Computed here once more: everything else hangs on it.
  out.digest = DigestOf(Sha256Hex(out.bytes));
  if (IsDigest(reference) && out.digest != reference) {
    return Fail(Code::kCorrupted,
                "the manifest has the digest " + out.digest + ", not " + reference);
  }
  out.media_type = answer.media_type;
  // Registries that serve files know no types.
  if (out.media_type.empty() || out.media_type == "application/json" ||
      out.media_type == "text/plain" || out.media_type == "application/octet-stream") {
    SKIFF_ASSIGN(out.media_type, MediaTypeOf(out.bytes));
  }
  return out;
}

Result<Offer> Puller::ReadOffer() {
  Offer offer;
  SKIFF_ASSIGN(Answer answer,
               GetManifest(reference_.digest.empty() ? reference_.tag : reference_.digest));
  offer.digest = answer.digest;
  for (int depth = 0; IsIndexType(answer.media_type); ++depth) {
    if (depth == kMaximumNesting) {
      return Fail(Code::kInvalidArgument, "lists of manifests are nested too deeply");
    }
    SKIFF_ASSIGN(const Index index, ReadIndex(answer.bytes, answer.media_type));
    if (depth == 0) offer.index = answer.bytes;
    SKIFF_ASSIGN(const Descriptor chosen, ChoosePlatform(index, options_.platform));
    SKIFF_ASSIGN(answer, GetManifest(chosen.digest));
  }
  SKIFF_ASSIGN(offer.manifest, ReadManifest(answer.bytes, answer.media_type));
  offer.manifest_bytes = std::move(answer.bytes);
  SKIFF_TRY(ReadConfig(offer));
  SKIFF_TRY(CheckPlatform(offer));
  return offer;
}

Result<std::string> Puller::GetSmallBlob(const Descriptor& blob, size_t limit) {
  SKIFF_ASSIGN(RegistryClient * client, workers_.First());
  RegistryRequest request;
  request.op = RegistryOp::kFetchBlob;
  request.digest = blob.digest;
  request.size = blob.size;
  std::string bytes;
  SKIFF_TRY(client->Receive(request, &bytes, limit));
  if (DigestOf(Sha256Hex(bytes)) != blob.digest) {
    return Fail(Code::kCorrupted, "what came for " + blob.digest + " has another digest");
  }
  return bytes;
}

Status Puller::ReadConfig(Offer& offer) {
  const Descriptor& config = offer.manifest.config;
  constexpr std::string_view kDockerConfig = "application/vnd.docker.container.image.v1+json";
  if (config.media_type != kOciConfig && config.media_type != kDockerConfig &&
      config.media_type != "application/octet-stream") {
    return Fail(Error(Code::kUnsupported, "unsupported media type '" + config.media_type +
                                              "' of " + reference_.Familiar())
                    .With("it is an artifact, not an image that could run"));
  }
  if (config.size > static_cast<int64_t>(kMaximumConfig)) {
    return Fail(Code::kExhausted, "the configuration of the image is larger than 8 MiB");
  }
  if (images_.layers().HasBlob(DigestHex(config.digest))) {
    SKIFF_ASSIGN(offer.config, images_.layers().ReadBlob(config.digest, kMaximumConfig));
  } else {
    SKIFF_ASSIGN(offer.config, GetSmallBlob(config, kMaximumConfig));
  }
  SKIFF_ASSIGN(offer.document, ReadImageDocument(offer.config));
  if (offer.document.diff_ids.size() != offer.manifest.layers.size()) {
    return Fail(Code::kInvalidArgument,
                "the manifest has " + std::to_string(offer.manifest.layers.size()) +
                    " layers and the configuration " +
                    std::to_string(offer.document.diff_ids.size()));
  }
  return {};
}

// A manifest alone is taken for what it is, unless something else was asked for.
Status Puller::CheckPlatform(const Offer& offer) const {
  const Platform have = {offer.document.os, offer.document.architecture, offer.document.variant};
  if (options_.platform.empty() || PlatformMatches(options_.platform, have)) return {};
  return Fail(Code::kNotFound, "image with reference " + reference_.Familiar() +
                                   " was found but its platform (" + have.Text() +
                                   ") does not match the specified platform (" +
                                   options_.platform.Text() + ")");
}

// Downloads and unpacks; nothing has its name yet, so that a pull that fails leaves what has come
// to the next one.
Result<PreparedLayer> Puller::TakeLayer(RegistryClient& client, const WorkFolder& work,
                                        const Offer& offer, size_t number) {
  const Descriptor& blob = offer.manifest.layers[number];
  PreparedLayer layer;
  layer.number = number;
  layer.diff_id = offer.document.diff_ids[number];
  layer.blob_digest = blob.digest;
  layer.media_type = blob.media_type;
  LayerStore& layers = images_.layers();
  const std::string hex = DigestHex(blob.digest);
  if (layers.HasBlob(hex)) {
    SKIFF_ASSIGN(const Fd file, layers.OpenBlob(blob.digest));
    SKIFF_TRY(PrepareFromBlob(layers, work, file, layer));
    return layer;
  }
  SKIFF_ASSIGN(const Download download, Download::Open(layers.layout(), hex));
  RegistryRequest request;
  request.op = RegistryOp::kFetchBlob;
  request.digest = blob.digest;
  request.size = blob.size;
  SKIFF_TRY(client.Do(request, download.fd(), [&](int64_t current) {
    lines_.Say(blob.digest, "Downloading", current, blob.size);
  }));
  lines_.Say(blob.digest, "Download complete");
  SKIFF_TRY(Failpoint("image.downloaded"));
  lines_.Say(blob.digest, "Extracting");
  layer.blob_path = download.path();
  SKIFF_ASSIGN(const Fd file, OpenFile(layer.blob_path, O_RDONLY | O_NOFOLLOW));
  if (auto prepared = PrepareFromBlob(layers, work, file, layer); !prepared) {
    // What has another content than the image says is worth nothing to the next pull either.
    if (prepared.error().code == Code::kCorrupted) SKIFF_TRY(download.Drop());
    return Fail(std::move(prepared).error());
  }
  if (!keep_blobs_) {
    SKIFF_TRY(download.Drop());
    layer.blob_path.clear();
  }
  return layer;
}

Status Puller::KeepLayer(PreparedLayer& layer) {
  LayerStore& layers = images_.layers();
  // Another command may have taken the same download under its name.
  if (layers.HasBlob(DigestHex(layer.blob_digest))) layer.blob_path.clear();
  auto kept = image::KeepLayer(layers, layer);
  if (!kept && !layer.blob_path.empty() && layers.HasBlob(DigestHex(layer.blob_digest))) {
    layer.blob_path.clear();
    kept = image::KeepLayer(layers, layer);
  }
  return kept;
}

Status Puller::ChooseLayers(const Offer& offer, NewImage& image) {
  std::vector<size_t> wanted;
  std::set<std::string> seen;
  image.layer_blobs.resize(offer.manifest.layers.size());
  for (size_t i = 0; i < offer.manifest.layers.size(); ++i) {
    const Descriptor& blob = offer.manifest.layers[i];
    const std::string& diff_id = offer.document.diff_ids[i];
    image.layer_blobs[i] = {blob.digest, blob.size, blob.media_type};
    SKIFF_ASSIGN(const auto known, images_.KnownLayer(DigestHex(diff_id)));
    if (known) {
      image.layer_blobs[i] = *known;
      if (seen.insert(diff_id).second) lines_.Say(blob.digest, "Already exists");
    } else if (seen.insert(diff_id).second) {
      lines_.Say(blob.digest, "Pulling fs layer");
      wanted.push_back(i);
    }
  }
  return TakeLayers(offer, wanted);
}

Status Puller::TakeLayers(const Offer& offer, const std::vector<size_t>& wanted) {
  if (wanted.empty()) return {};
  SKIFF_ASSIGN(const WorkFolder work, WorkFolder::Make(images_.layers().layout()));
  std::vector<PreparedLayer> prepared(offer.manifest.layers.size());
  SKIFF_TRY(RunJobs(wanted, kTransfersAtOnce, [&](size_t worker, size_t number) -> Status {
    SKIFF_ASSIGN(RegistryClient * client, workers_.Of(worker));
    SKIFF_ASSIGN(prepared[number], TakeLayer(*client, work, offer, number));
    lines_.Say(offer.manifest.layers[number].digest, "Pull complete");
    return {};
  }));
  SKIFF_TRY(Failpoint("image.pull"));
  for (const size_t number : wanted) SKIFF_TRY(KeepLayer(prepared[number]));
  return {};
}

Result<PulledImage> Puller::Name(const Offer& offer, const std::string& id) {
  SKIFF_ASSIGN(const auto references, store_.References());
  PulledImage pulled;
  pulled.id = id;
  pulled.digest = offer.digest;
  const auto give = [&](const std::string& name) -> Status {
    const auto known = references.find(name);
    if (known != references.end() && known->second == id) return {};
    pulled.changed = true;
    return store_.PutReference(name, id);
  };
  Reference by_digest = reference_;
  by_digest.tag.clear();
  by_digest.digest = offer.digest;
  SKIFF_TRY(give(by_digest.Canonical()));
  // A name with a digest gives no tag: what the tag means there is not known.
  if (reference_.digest.empty()) SKIFF_TRY(give(reference_.Canonical()));
  return pulled;
}

Result<PulledImage> Puller::Pull() {
  SKIFF_TRY(RemoveDownloads(images_.layers().layout(), kForgotten));
  SKIFF_ASSIGN(const Offer offer, ReadOffer());
  lines_.Say((reference_.digest.empty() ? reference_.tag : reference_.digest) +
             ": Pulling from " + reference_.path);
  NewImage image;
  image.config = offer.config;
  image.manifest = offer.manifest_bytes;
  image.index = offer.index;
  SKIFF_TRY(ChooseLayers(offer, image));
  SKIFF_ASSIGN(const std::string id, images_.Put(image));
  return Name(offer, id);
}

Result<OfferedImage> Puller::Ask() {
  SKIFF_ASSIGN(Offer offer, ReadOffer());
  return OfferedImage{offer.digest, std::move(offer.config)};
}

Status Puller::Take(std::set<std::string> diff_ids) {
  SKIFF_ASSIGN(const Offer offer, ReadOffer());
  std::vector<size_t> wanted;
  for (size_t i = 0; i < offer.document.diff_ids.size(); ++i) {
    if (diff_ids.erase(offer.document.diff_ids[i]) > 0) wanted.push_back(i);
  }
  if (!diff_ids.empty()) {
    return Fail(Code::kNotFound, reference_.Familiar() + " has no layer " + *diff_ids.begin());
  }
  keep_blobs_ = false;
  return TakeLayers(offer, wanted);
}

Result<RegistryArtifact> Puller::TakeArtifact(const std::vector<std::string>& types) {
  const auto no_such = [&] {
    return Fail(Code::kUnsupported,
                reference_.Familiar() + " is no artifact of the type " + types.front());
  };
  const auto wanted = [&](const std::string& type) {
    return std::ranges::find(types, type) != types.end();
  };
  RegistryArtifact artifact;
  SKIFF_ASSIGN(Answer answer,
               GetManifest(reference_.digest.empty() ? reference_.tag : reference_.digest));
  artifact.digest = answer.digest;
  if (IsIndexType(answer.media_type)) {
    SKIFF_ASSIGN(const Index index, ReadIndex(answer.bytes, answer.media_type));
    const auto entry = std::ranges::find_if(index.manifests, wanted, &Descriptor::artifact_type);
    if (entry == index.manifests.end()) return no_such();
    SKIFF_ASSIGN(answer, GetManifest(entry->digest));
  }
  SKIFF_ASSIGN(const Manifest manifest, ReadManifest(answer.bytes, answer.media_type));
  const std::string& said =
      manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
  if (!wanted(said)) return no_such();
  int64_t left = kMaximumArtifact;
  for (const Descriptor& layer : manifest.layers) {
    if (layer.size > left) {
      return Fail(Code::kExhausted, reference_.Familiar() + " is larger than " +
                                        std::to_string(kMaximumArtifact) + " bytes");
    }
    left -= layer.size;
    ArtifactFile file{layer.media_type, layer.annotations, ""};
    SKIFF_ASSIGN(file.bytes, GetSmallBlob(layer, static_cast<size_t>(layer.size)));
    artifact.files.push_back(std::move(file));
  }
  return artifact;
}

// Does `work` with the mirrors of a registry in their order, then with the registry itself.
template <typename T>
Result<T> OverMirrors(ImageStore& images, store::Store& store, const Reference& reference,
                      const PullOptions& options, const std::function<Result<T>(Puller&)>& work) {
  RegistryOpening opening;
  opening.host = reference.domain;
  opening.repository = reference.path;
  opening.access = options.access;
  std::vector<RegistryOpening> ways;
  for (const std::string& mirror : options.access.settings.mirrors) {
    RegistryOpening way = opening;
    way.host = mirror;
    way.access.credentials = {};  // They are for the registry alone.
    ways.push_back(std::move(way));
  }
  ways.push_back(std::move(opening));
  std::vector<Note> passed_over;
  for (size_t i = 0;; ++i) {
    const std::string host = ways[i].host;
    Puller puller(images, store, reference, options, std::move(ways[i]));
    auto done = work(puller);
    if (done) return done;
    Error error = std::move(done).error();
    const bool mirror = i + 1 < ways.size();
    const bool elsewhere = error.code == Code::kNotFound || error.code == Code::kUnavailable ||
                           error.code == Code::kPermissionDenied || error.code == Code::kCorrupted;
    if (mirror && elsewhere) {
      passed_over.push_back({"the mirror " + host + ": " + error.Text(), {}});
      continue;
    }
    error.notes.insert(error.notes.end(), passed_over.begin(), passed_over.end());
    return Fail(std::move(error));
  }
}

}  // namespace

Result<PulledImage> Pull(ImageStore& images, store::Store& store, const Reference& reference,
                         const PullOptions& options) {
  return OverMirrors<PulledImage>(images, store, reference, options,
                                  [](Puller& puller) { return puller.Pull(); });
}

Result<OfferedImage> AskRegistry(ImageStore& images, store::Store& store,
                                 const Reference& reference, const PullOptions& options) {
  return OverMirrors<OfferedImage>(images, store, reference, options,
                                   [](Puller& puller) { return puller.Ask(); });
}

Result<RegistryArtifact> FetchArtifact(ImageStore& images, store::Store& store,
                                       const Reference& reference,
                                       const std::vector<std::string>& types, const PullOptions& options) {
  return OverMirrors<RegistryArtifact>(images, store, reference, options,
                               [&](Puller& puller) { return puller.TakeArtifact(types); });
}

Status TakeFromRegistry(ImageStore& images, store::Store& store, const Reference& reference,
                        const std::vector<std::string>& diff_ids, const PullOptions& options) {
  SKIFF_ASSIGN(const std::set<std::string> missing, MissingLayers(images, diff_ids));
  if (missing.empty()) return {};
  return OverMirrors<void>(images, store, reference, options,
                           [&](Puller& puller) { return puller.Take(missing); });
}

}  // namespace skiff::engine::image
