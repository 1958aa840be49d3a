// `system check`: every invariant between rows, folders and the kernel (DESIGN 5).
#include <dirent.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>

#include "base/atomic_file.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/image/work_folder.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine::embedded {
namespace {

// Milliseconds.
constexpr int kLongestRemoval = 1000;
constexpr int kRemovalStep = 10;

Result<std::vector<std::string>> NamesIn(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) {
    if (errno == ENOENT) return names;
    return FailErrno("cannot read '" + path + "'");
  }
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (!name.starts_with(".")) names.push_back(name);
  }
  std::ranges::sort(names);
  return names;
}

bool Exists(const std::string& path) {
  return ::access(path.c_str(), F_OK) == 0;
}

}  // namespace

struct EmbeddedEngine::Checker {
  EmbeddedEngine& engine;
  bool repair;
  SystemReport report;
  // As they are while the check runs.
  std::vector<Ptr<ContainerRecord>> containers;
  std::vector<Ptr<NetworkRecord>> networks;
  std::set<std::string> announced;  // Ids in intents of commands that live.

  // One problem; `fix` is run with --repair.
  template <typename Fix>
  Status Report(std::string kind, std::string object, std::string message, Fix fix) {
    SystemProblem problem{std::move(kind), std::move(object), std::move(message), false};
    if (repair) {
      const Status fixed = fix();
      problem.repaired = fixed.has_value();
      if (!fixed) problem.message += "; cannot repair it: " + fixed.error().Text();
    }
    report.problems.push_back(std::move(problem));
    return {};
  }
  Status ReportOnly(std::string kind, std::string object, std::string message) {
    report.problems.push_back({std::move(kind), std::move(object), std::move(message), false});
    return {};
  }
  bool HasContainer(const std::string& id) const {
    return announced.contains(id) ||
           std::ranges::any_of(containers, [&](const auto& row) { return row->id == id; });
  }

  Status Intents();
  Status Containers();
  Status Garbage();
  Status Images();
  Status Blobs(const store::ImageRecord& image);
  Status CacheLayers(const std::set<std::string>& layers);
  Status GarbageBlobs();
  Status Volumes();
  Status Cgroups();
  Status Links();
  Status FirewallTable();
};

Status EmbeddedEngine::Checker::Intents() {
  std::vector<IntentLog::Leftover> leftovers;
  {
    SKIFF_ASSIGN(const StateGuard guard, engine.LockState());
    SKIFF_ASSIGN(leftovers, engine.intents_.Leftovers());
    SKIFF_ASSIGN(const auto others, engine.intents_.Others());
    for (const Intent& intent : others) announced.insert(intent.id);
  }
  for (const IntentLog::Leftover& leftover : leftovers) {
    ++report.checked;
    if (leftover.intents.empty()) continue;
    SKIFF_TRY(Report("intent", leftover.path,
                     "a command died before it had finished " +
                         std::to_string(leftover.intents.size()) + " operations",
                     [&] { return engine.RepairLeftovers(); }));
  }
  return {};
}

Status EmbeddedEngine::Checker::Containers() {
  for (const auto& record : containers) {
    ++report.checked;
    const std::string& id = record->id;
    const std::string label = record->name.empty() ? ShortId(id) : record->name;
    if (!Exists(engine.layout_.container_diff(id)) || !Exists(engine.layout_.container_work(id))) {
      SKIFF_TRY(Report("container", label, "its folder is missing",
                       [&] { return engine.MakeFolders(*record); }));
    }
    for (const std::string& layer : record->layers) {
      if (Exists(engine.layout_.layer_diff(layer))) continue;
      SKIFF_TRY(ReportOnly("container", label, "its layer " + ShortId(layer) + " is missing"));
    }
    const bool live = Exists(LiveMarker(engine.layout_, id));
    const bool alive = MonitorClient(engine.layout_.run_container(id)).Alive();
    // A container that ended by itself is no damage: what it leaves (cgroups, rules of its ports)
    // goes with the next command that changes something, and with a repair.
    if (live && !alive && repair) SKIFF_TRY(engine.ReconcileContainer(*record, false));
    if (alive && !live) {
      SKIFF_TRY(Report("container", label, "it runs without its marker",
                       [&] { return WriteLiveMarker(engine.layout_, id, {}); }));
    }
  }
  return {};
}

Status EmbeddedEngine::Checker::Garbage() {
  SKIFF_ASSIGN(const auto folders, NamesIn(engine.layout_.containers()));
  SKIFF_ASSIGN(auto all, NamesIn(engine.layout_.run_containers()));
  all.insert(all.end(), folders.begin(), folders.end());
  std::set<std::string> ids(all.begin(), all.end());
  for (const std::string& id : ids) {
    ++report.checked;
    if (HasContainer(id)) continue;
    SKIFF_TRY(Report("container", id, "its folders have no row",
                     [&] { return engine.DestroyGarbage(id); }));
  }
  SKIFF_ASSIGN(const auto tables, NamesIn(engine.layout_.run_networks()));
  for (const std::string& file : tables) {
    const std::string id = file.substr(0, file.find('.'));
    const bool known =
        announced.contains(id) ||
        std::ranges::any_of(networks, [&](const auto& row) { return row->network.id == id; });
    if (known) continue;
    SKIFF_TRY(Report("name table", ShortId(id), "its network has no row",
                     [&] { return net::RemoveNameTable(engine.layout_.names_table(id)); }));
  }
  SKIFF_ASSIGN(const auto trash, NamesIn(engine.layout_.trash()));
  for (const std::string& name : trash) {
    SKIFF_TRY(
        Report("trash", name, "it has not been emptied", [&] { return engine.EmptyTrash(); }));
  }
  return {};
}

Status EmbeddedEngine::Checker::Images() {
  SKIFF_ASSIGN(const auto layers, engine.store_.Layers());
  std::set<std::string> known;
  for (const auto& layer : layers) {
    ++report.checked;
    known.insert(layer->id);
    if (!Exists(engine.layout_.layer_diff(layer->id))) {
      SKIFF_TRY(ReportOnly("layer", ShortId(layer->id), "its folder is missing"));
    }
  }
  SKIFF_ASSIGN(const auto folders, NamesIn(engine.layout_.layers()));
  for (const std::string& id : folders) {
    if (known.contains(id) || announced.contains(id)) continue;
    SKIFF_TRY(Report("layer", ShortId(id), "it has no row",
                     [&] { return engine.Discard(engine.layout_.layer(id), "layer"); }));
  }
  std::set<std::string> images;
  SKIFF_ASSIGN(const auto rows, engine.store_.Images());
  for (const auto& image : rows) {
    ++report.checked;
    images.insert(image->image.id);
    for (const std::string& layer : image->layer_ids) {
      if (known.contains(layer)) continue;
      SKIFF_TRY(
          ReportOnly("image", image->image.id, "its layer " + ShortId(layer) + " has no row"));
    }
    SKIFF_TRY(Blobs(*image));
  }
  SKIFF_TRY(CacheLayers(known));
  SKIFF_TRY(GarbageBlobs());
  SKIFF_ASSIGN(const auto references, engine.store_.References());
  for (const auto& [name, id] : references) {
    ++report.checked;
    if (images.contains(id)) continue;
    SKIFF_TRY(Report("reference", name, "its image does not exist",
                     [&] { return engine.store_.EraseReference(name); }));
  }
  SKIFF_ASSIGN(const auto sets, engine.store_.PlatformSets());
  for (const auto& [name, set] : sets) {
    std::vector<std::string> rest = set.other_platforms;
    std::erase_if(rest, [&](const std::string& id) { return !images.contains(id); });
    if (rest.size() == set.other_platforms.size() || !images.contains(set.image_id)) continue;
    SKIFF_TRY(Report("reference", name, "its image of another platform does not exist", [&] {
      return engine.store_.PutReference(name, set.image_id, rest);
    }));
  }
  return {};
}

// What it needs of blobs: its configuration, what it came as, and what its layers came as.
Status EmbeddedEngine::Checker::Blobs(const store::ImageRecord& image) {
  const auto missing = [&](const std::string& digest, const char* what) -> Status {
    if (digest.empty() || Exists(engine.layout_.blob(image::DigestHex(digest)))) return {};
    return ReportOnly("image", image.image.id, std::string("its ") + what + " is missing");
  };
  SKIFF_TRY(missing(image.image.id, "configuration"));
  SKIFF_TRY(missing(image.manifest, "manifest"));
  SKIFF_TRY(missing(image.index, "list of manifests"));
  for (const store::LayerBlob& blob : image.layer_blobs) {
    SKIFF_TRY(missing(blob.digest, "layer's blob"));
  }
  return {};
}

Status EmbeddedEngine::Checker::CacheLayers(const std::set<std::string>& layers) {
  SKIFF_ASSIGN(const auto entries, engine.store_.CacheEntries());
  for (const auto& entry : entries) {
    ++report.checked;
    const bool whole = std::ranges::all_of(entry->layers, [&](const std::string& layer) {
      return layers.contains(image::DigestHex(layer));
    });
    if (whole) continue;
    SKIFF_TRY(Report("build cache", entry->key, "its layer has no row",
                     [&] { return engine.store_.EraseCacheEntry(entry->key); }));
  }
  return {};
}

Status EmbeddedEngine::Checker::GarbageBlobs() {
  SKIFF_ASSIGN(const auto needed, engine.images_.NeededBlobs());
  const std::set<std::string> known(needed.begin(), needed.end());
  SKIFF_ASSIGN(const auto names, engine.layers_.BlobNames());
  for (const std::string& name : names) {
    ++report.checked;
    if (known.contains(name) || announced.contains(name)) continue;
    SKIFF_TRY(Report("blob", ShortId(name), "nothing needs it",
                     [&] { return engine.PurgeBlobs({name}); }));
  }
  return {};
}

Status EmbeddedEngine::Checker::Volumes() {
  SKIFF_ASSIGN(const auto rows, engine.store_.Volumes());
  std::set<std::string> known;
  for (const auto& volume : rows) {
    ++report.checked;
    known.insert(volume->config.name);
    if (Exists(engine.volumes_.DataPath(volume->config.name))) continue;
    SKIFF_TRY(Report("volume", volume->config.name, "its folder is missing",
                     [&] { return engine.volumes_.Create(volume->config.name); }));
  }
  SKIFF_ASSIGN(const auto folders, NamesIn(engine.layout_.volumes()));
  for (const std::string& name : folders) {
    if (known.contains(name) || announced.contains(name)) continue;
    if (engine.volumes_.IsDoomed(name)) {
      SKIFF_TRY(Report("volume", name, "it was removed, but its folder is left",
                       [&] { return engine.volumes_.Remove(name); }));
      continue;
    }
    // Of a command that died before its commit. Somebody's data is never removed unasked: it gets
    // its row back.
    const auto adopt = [&]() -> Status {
      SKIFF_TRY(volumes::ValidateName(name));
      VolumeConfig config;
      config.name = name;
      return engine.EnsureVolume(config, false).transform([](const Volume&) {});
    };
    SKIFF_TRY(Report("volume", name, "its folder has no row; it may hold data", adopt));
  }
  return {};
}

Status EmbeddedEngine::Checker::Cgroups() {
  SKIFF_ASSIGN(CgroupManager * cgroups, engine.Cgroups());
  SKIFF_ASSIGN(const auto ids, cgroups->ListContainers());
  for (const std::string& id : ids) {
    ++report.checked;
    const bool live = Exists(LiveMarker(engine.layout_, id));
    if (HasContainer(id) && live) continue;
    if (announced.contains(id)) continue;
    const auto remove = [&]() -> Status {
      SKIFF_TRY(engine.KillLeft(id, ""));
      return cgroups->RemoveContainer(id);
    };
    SKIFF_TRY(Report("cgroup", ShortId(id), "no container runs in it", remove));
  }
  return {};
}

Status EmbeddedEngine::Checker::Links() {
  const auto unknown = [&]() -> Result<std::vector<net::OwnedLink>> {
    SKIFF_ASSIGN(auto links, engine.network_.ListLinks());
    report.checked += static_cast<int>(links.size());
    std::erase_if(links, [&](const net::OwnedLink& link) {
      return std::ranges::any_of(networks, [&](const auto& network) {
        return link.bridge ? network->bridge == link.name : network->link_group == link.group;
      });
    });
    return links;
  };
  SKIFF_ASSIGN(auto links, unknown());
  const int checked = report.checked;
  // Those of a network that has just been removed go a moment later, by a process of their own.
  for (int waited = 0; !links.empty() && waited < kLongestRemoval; waited += kRemovalStep) {
    ::poll(nullptr, 0, kRemovalStep);
    SKIFF_ASSIGN(links, unknown());
  }
  report.checked = checked;
  for (const net::OwnedLink& link : links) {
    SKIFF_TRY(Report("link", link.name, "no network has it",
                     [&] { return engine.network_.RemoveLinks({link.name}); }));
  }
  return {};
}

Status EmbeddedEngine::Checker::FirewallTable() {
  SKIFF_ASSIGN(net::FirewallState wanted, engine.WholeFirewall());
  SKIFF_ASSIGN(wanted.ports, engine.network_.HeldPorts(wanted.ports));
  // One without a bridge (after a reboot, after `system retire`) gets both when it is needed.
  SKIFF_ASSIGN(const auto links, engine.network_.ListLinks());
  std::erase_if(wanted.networks, [&](const net::FirewallNetwork& network) {
    return std::ranges::none_of(
        links, [&](const net::OwnedLink& link) { return link.name == network.bridge; });
  });
  SKIFF_ASSIGN(net::FirewallState found, engine.network_.ReadFirewall());
  ++report.checked;
  const auto by_port = [](const net::PublishSpec& port) {
    return port.host_ip + " " + std::to_string(port.host_port) + " " +
           std::to_string(port.protocol);
  };
  const auto keys = [&](const net::FirewallState& state) {
    std::set<std::string> all;
    for (const auto& network : state.networks) all.insert("network " + network.bridge);
    for (const auto& port : state.ports) all.insert("port " + by_port(port));
    return all;
  };
  const auto want = keys(wanted);
  const auto have = keys(found);
  const auto rebuild = [&]() -> Status {
    engine.network_.WantRebuild();
    return {};
  };
  for (const std::string& key : want) {
    if (have.contains(key)) continue;
    SKIFF_TRY(Report("firewall", key, "it is missing from the table", rebuild));
  }
  for (const std::string& key : have) {
    if (want.contains(key)) continue;
    SKIFF_TRY(Report("firewall", key, "nothing it stands for exists", rebuild));
  }
  return {};
}

Status EmbeddedEngine::SweepAfterBoot() {
  // Folders before intents before rows: whoever makes one now announces it, makes it, and withdraws
  // the announcement once the row is committed.
  SKIFF_ASSIGN(const auto containers, NamesIn(layout_.containers()));
  SKIFF_ASSIGN(const auto layers, NamesIn(layout_.layers()));
  SKIFF_ASSIGN(const auto volumes, NamesIn(layout_.volumes()));
  SKIFF_ASSIGN(const auto blobs, layers_.BlobNames());
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  std::set<std::string> known;
  SKIFF_ASSIGN(const auto announced, intents_.Others());
  for (const Intent& intent : announced) known.insert(intent.id);
  SKIFF_ASSIGN(const auto rows, store_.Containers());
  for (const auto& row : rows) known.insert(row->id);
  SKIFF_ASSIGN(const auto layer_rows, store_.Layers());
  for (const auto& row : layer_rows) known.insert(row->id);
  SKIFF_ASSIGN(const auto volume_rows, store_.Volumes());
  for (const auto& row : volume_rows) known.insert(row->config.name);
  SKIFF_ASSIGN(const auto needed, images_.NeededBlobs());
  known.insert(needed.begin(), needed.end());
  const auto unknown = [&](const std::string& name) { return !known.contains(name); };
  for (const std::string& id : containers) {
    if (unknown(id)) SKIFF_TRY(DestroyGarbage(id));
  }
  for (const std::string& id : layers) {
    if (unknown(id)) SKIFF_TRY(Discard(layout_.layer(id), "layer"));
  }
  for (const std::string& name : volumes) {
    if (!unknown(name)) continue;
    SKIFF_TRY(volumes_.IsDoomed(name) ? volumes_.Remove(name) : volumes_.RemoveEmpty(name));
  }
  SKIFF_TRY(volumes_.SettleAbandonedCopies());
  std::vector<std::string> unneeded;
  std::ranges::copy_if(blobs, std::back_inserter(unneeded), unknown);
  return unneeded.empty() ? Status() : PurgeBlobs(unneeded);
}

Result<SystemReport> EmbeddedEngine::Check(bool repair) {
  SKIFF_TRY(OpenRoots());
  {
    // The check itself tells what is wrong; it must not be put right silently before.
    const std::lock_guard lock(open_mutex_);
    looked_ = true;
    reconciled_ = true;
  }
  SKIFF_TRY(store_.CheckFile());
  Checker checker{*this, repair, {}, {}, {}, {}};
  SKIFF_TRY(checker.Intents());
  SKIFF_ASSIGN(checker.containers, store_.Containers());
  SKIFF_ASSIGN(checker.networks, store_.Networks());
  SKIFF_TRY(checker.Containers());
  SKIFF_ASSIGN(checker.containers, store_.Containers());
  SKIFF_TRY(checker.Garbage());
  SKIFF_TRY(checker.Images());
  SKIFF_TRY(checker.Volumes());
  SKIFF_TRY(checker.Cgroups());
  SKIFF_TRY(checker.Links());
  SKIFF_TRY(checker.FirewallTable());
  if (repair) {
    SKIFF_TRY(image::WorkFolder::RemoveAbandoned(layout_));
    SKIFF_TRY(Commit());
  } else {
    const std::lock_guard lock(open_mutex_);
    reconciled_ = false;  // Nothing to commit.
  }
  return std::move(checker.report);
}

}  // namespace skiff::engine::embedded
