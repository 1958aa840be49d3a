// Images and volumes.
#include <algorithm>

#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/labels.h"

namespace skiff::engine::embedded {
namespace {

constexpr const char* kLocalDriver = "local";

}  // namespace

// ---- Volumes -----------------------------------------------------------------------------------

Result<Volume> EmbeddedEngine::EnsureVolume(const VolumeConfig& config, bool anonymous) {
  if (const auto existing = store_.FindVolume(config.name)) {
    Volume found = **existing;
    found.mountpoint = volumes_.DataPath(found.config.name);  // Rows do not hold paths.
    return found;
  }
  if (!config.driver.empty() && config.driver != kLocalDriver) {
    return Fail(Code::kNotFound, "error looking up volume plugin " + config.driver + ": plugin \"" +
                                     config.driver + "\" not found");
  }
  SKIFF_TRY(volumes::ParseLocalOptions(config.options));
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  if (const auto existing = store_.FindVolume(config.name)) {
    Volume found = **existing;
    found.mountpoint = volumes_.DataPath(found.config.name);  // Rows hold no paths.
    return found;
  }
  SKIFF_TRY(Failpoint("engine.volume.create"));
  SKIFF_TRY(volumes_.Create(config.name));
  Volume volume;
  volume.config = config;
  volume.config.driver = kLocalDriver;
  volume.created_at = NowNanoseconds();
  volume.anonymous = anonymous;
  if (anonymous) volume.config.labels.emplace("com.docker.volume.anonymous", "");
  volume.mountpoint = volumes_.DataPath(config.name);
  {
    // One that was to be removed by the next commit is wanted again.
    const std::lock_guard lock(pending_mutex_);
    std::erase(doomed_volumes_, config.name);
  }
  SKIFF_TRY(store_.Put(volume));
  Journal("volume", "create", volume.config.name, {{"driver", kLocalDriver}});
  return volume;
}

Result<Volume> EmbeddedEngine::CreateVolume(const VolumeConfig& config) {
  SKIFF_TRY(OpenForChange());
  VolumeConfig wanted = config;
  const bool anonymous = wanted.name.empty();
  if (anonymous) wanted.name = NewObjectId();
  SKIFF_TRY(volumes::ValidateName(wanted.name));
  SKIFF_ASSIGN(Volume volume, EnsureVolume(wanted, anonymous));
  volume.mountpoint = volumes_.DataPath(volume.config.name);
  return volume;
}

Status EmbeddedEngine::RemoveVolume(std::string_view name) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto volume, store_.FindVolume(name));
  SKIFF_ASSIGN(const auto records, store_.Containers());
  std::string users;
  for (const auto& record : records) {
    const bool uses = std::ranges::any_of(
        record->mounts, [&](const Mount& mount) { return mount.name == volume->config.name; });
    if (uses) users += (users.empty() ? "" : ", ") + record->id;
  }
  if (!users.empty()) {
    return Fail(Code::kFailedPrecondition,
                "remove " + std::string(name) + ": volume is in use - [" + users + "]");
  }
  SKIFF_TRY(Failpoint("engine.volume.remove"));
  SKIFF_TRY(store_.EraseVolume(volume->config.name));
  const std::lock_guard lock(pending_mutex_);
  doomed_volumes_.push_back(volume->config.name);
  Journal("volume", "destroy", volume->config.name, {{"driver", kLocalDriver}});
  return {};
}

Result<std::vector<Volume>> EmbeddedEngine::ListVolumes(const std::vector<std::string>& labels) {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto rows, store_.Volumes());
  std::vector<Volume> found;
  for (const auto& row : rows) {
    if (!LabelsMatch(row->config.labels, labels)) continue;
    found.push_back(*row);
    found.back().mountpoint = volumes_.DataPath(row->config.name);
  }
  std::ranges::sort(found, {}, [](const Volume& volume) { return volume.config.name; });
  return found;
}

// ---- Images ------------------------------------------------------------------------------------

Result<std::string> EmbeddedEngine::ImportImage(int tar_fd, const ImportOptions& options) {
  SKIFF_TRY(OpenForChange());
  const auto announce = [&](const std::string& layer) -> Status {
    SKIFF_ASSIGN(const StateGuard guard, LockState());
    Intent intent;
    intent.kind = Intent::Kind::kLayer;
    intent.id = layer;
    return intents_.Append(intent);
  };
  SKIFF_ASSIGN(std::string id, images_.Import(tar_fd, options, announce));
  Journal("image", "import", id, {{"name", options.reference}});
  return id;
}

Result<std::vector<Image>> EmbeddedEngine::ListImages() {
  SKIFF_TRY(Open());
  return images_.List();
}

Result<Image> EmbeddedEngine::InspectImage(std::string_view ref) {
  SKIFF_TRY(Open());
  return images_.Inspect(ref);
}

Status EmbeddedEngine::TagImage(std::string_view ref, std::string_view new_reference) {
  SKIFF_TRY(OpenForChange());
  SKIFF_TRY(images_.Tag(ref, new_reference));
  Journal("image", "tag", std::string(ref), {{"name", std::string(new_reference)}});
  return {};
}

Result<RemovedImage> EmbeddedEngine::RemoveImage(std::string_view ref, bool force) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto records, store_.Containers());
  std::vector<image::ImageUser> users;
  std::vector<std::string> layers;
  for (const auto& record : records) {
    users.push_back({record->id, record->image_id, StateOf(*record).running()});
    layers.insert(layers.end(), record->layers.begin(), record->layers.end());
  }
  SKIFF_TRY(Failpoint("engine.image.remove"));
  SKIFF_ASSIGN(RemovedImage removed, images_.Remove(ref, force, users));
  SKIFF_ASSIGN(const std::vector<std::string> released, images_.ReleaseLayers(layers));
  for (const std::string& layer : released) removed.deleted.push_back("sha256:" + layer);
  {
    const std::lock_guard lock(pending_mutex_);
    doomed_layers_.insert(doomed_layers_.end(), released.begin(), released.end());
  }
  for (const std::string& name : removed.untagged) Journal("image", "untag", name, {});
  for (const std::string& id : removed.deleted) Journal("image", "delete", id, {});
  return removed;
}

}  // namespace skiff::engine::embedded
