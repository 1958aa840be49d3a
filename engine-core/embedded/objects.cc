// Volumes.
#include <algorithm>

#include "base/failpoint.h"
#include "base/identity.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/labels.h"

namespace skiff::engine::embedded {
namespace {

constexpr const char* kLocalDriver = "local";

}  // namespace

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
  bool pending_removal = false;
  {
    // One that was to be removed by the next commit is wanted again.
    const std::lock_guard lock(pending_mutex_);
    pending_removal = std::erase(doomed_volumes_, config.name) > 0;
  }
  if (volumes_.IsDoomed(config.name)) {
    // Without a row: the command that removed it was killed before the folder had gone.
    SKIFF_TRY(pending_removal ? volumes_.Spare(config.name) : volumes_.Remove(config.name));
  }
  Intent intent;
  intent.kind = Intent::Kind::kCreateVolume;
  intent.id = config.name;
  SKIFF_TRY(intents_.Append(intent));
  SKIFF_TRY(volumes_.Create(config.name));
  Volume volume;
  volume.config = config;
  volume.config.driver = kLocalDriver;
  volume.created_at = NowNanoseconds();
  volume.anonymous = anonymous;
  if (anonymous) volume.config.labels.emplace("com.docker.volume.anonymous", "");
  volume.mountpoint = volumes_.DataPath(config.name);
  SKIFF_TRY(store_.Put(volume));
  Journal("volume", "create", volume.config.name, {{"driver", kLocalDriver}});
  return volume;
}

Status EmbeddedEngine::GiveUpVolume(const std::string& name) {
  Intent intent;
  intent.kind = Intent::Kind::kRemoveVolume;
  intent.id = name;
  {
    SKIFF_ASSIGN(const StateGuard guard, LockState());
    SKIFF_TRY(intents_.Append(intent));
  }
  SKIFF_TRY(volumes_.Doom(name));
  SKIFF_TRY(store_.EraseVolume(name));
  const std::lock_guard lock(pending_mutex_);
  doomed_volumes_.push_back(name);
  return {};
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
  SKIFF_TRY(GiveUpVolume(volume->config.name));
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

}  // namespace skiff::engine::embedded
