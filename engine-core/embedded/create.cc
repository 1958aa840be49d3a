// CreateContainer: everything is decided and taken, nothing runs.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "base/atomic_file.h"
#include "base/descriptor.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"
#include "base/root_path.h"
#include "base/text.h"
#include "base/trace.h"
#include "engine-core/capabilities.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/embedded/merge.h"
#include "engine-core/embedded/names.h"
#include "engine-core/image/merged_root.h"
#include "engine-core/image_platform.h"
#include "engine-core/log_file.h"
#include "netmgr/ipam.h"

namespace skiff::engine::embedded {
namespace {

tl::unexpected<Error> FailNameTaken(const std::string& name, const std::string& id) {
  return Fail(Code::kAlreadyExists, "Conflict. The container name \"/" + name +
                                        "\" is already in use by container \"" + id +
                                        "\". You have to remove (or rename) that container to be "
                                        "able to reuse that name.");
}

// Every address of `network_id` somebody has, and the one given out last.
struct Leases {
  std::set<net::IpAddress> used;
  std::optional<net::IpAddress> last;
};

void AddLease(Leases& leases, const std::string& text, bool v6) {
  const auto address = net::IpAddress::Parse(text);
  if (address && address->v6 == v6) leases.used.insert(*address);
}

Leases LeasesOf(const std::string& network_id, bool v6, const NetworkConfig& config,
                const std::vector<Ptr<ContainerRecord>>& records,
                const std::vector<Intent>& intents, const std::string& replaced) {
  Leases leases;
  for (const Subnet& subnet : config.subnets) {
    AddLease(leases, subnet.gateway, v6);
    for (const auto& [name, address] : subnet.auxiliary_addresses) AddLease(leases, address, v6);
  }
  int64_t youngest = 0;
  for (const auto& record : records) {
    if (record->id == replaced) continue;
    for (const store::EndpointRecord& endpoint : record->endpoints) {
      if (endpoint.endpoint.network_id != network_id) continue;
      const std::string& text =
          v6 ? endpoint.endpoint.ipv6_address : endpoint.endpoint.ipv4_address;
      AddLease(leases, text, v6);
      if (record->created_at < youngest) continue;
      youngest = record->created_at;
      leases.last = net::IpAddress::Parse(text);
    }
  }
  const std::string prefix = network_id + "/";
  for (const Intent& intent : intents) {
    for (const std::string& address : intent.addresses) {
      if (address.starts_with(prefix)) AddLease(leases, address.substr(prefix.size()), v6);
    }
  }
  return leases;
}

std::vector<net::SubnetPlan> PlansOf(const NetworkConfig& config, bool v6) {
  std::vector<net::SubnetPlan> plans;
  for (const Subnet& subnet : config.subnets) {
    const auto plan = net::PlanSubnet(subnet.subnet, subnet.gateway, subnet.ip_range, {});
    if (plan && plan->subnet.address.v6 == v6) plans.push_back(*plan);
  }
  return plans;
}

// "" when the network has none of the family.
Result<std::string> TakeAddress(const NetworkConfig& config, bool v6, const std::string& wanted,
                                const Leases& leases, int* prefix, std::string* gateway) {
  const std::vector<net::SubnetPlan> plans = PlansOf(config, v6);
  if (plans.empty()) {
    if (wanted.empty()) return std::string();
    return Fail(Code::kInvalidArgument, "no configured subnet contains IP address " + wanted);
  }
  const auto tell = [&](const net::IpAddress& address) {
    for (const net::SubnetPlan& plan : plans) {
      if (!plan.subnet.Contains(address)) continue;
      *prefix = plan.subnet.length;
      *gateway = plan.gateway.Text();
    }
    return address.Text();
  };
  if (!wanted.empty()) {
    SKIFF_ASSIGN(const net::IpAddress address, net::CheckAddress(plans, wanted, leases.used));
    return tell(address);
  }
  Result<net::IpAddress> address = net::NextAddress(plans[0], leases.used, leases.last);
  for (size_t i = 1; !address && i < plans.size(); ++i) {
    address = net::NextAddress(plans[i], leases.used, std::nullopt);
  }
  if (!address) return Fail(std::move(address).error());
  return tell(*address);
}

}  // namespace

Result<Ptr<store::ImageRecord>> EmbeddedEngine::ImageOf(const ContainerConfig& request) {
  const bool alone = !request.writable_layer.empty() && request.image.empty();
  if (alone) return std::make_shared<const store::ImageRecord>();
  if (request.platform.empty()) return images_.Find(request.image);
  SKIFF_ASSIGN(const Platform platform, ParsePlatform(request.platform));
  SKIFF_ASSIGN(const Image image, FindImageFor(*this, request.image, platform));
  return images_.Find(image.id);
}

Status EmbeddedEngine::PlaceOnLayer(const std::string& id, ContainerRecord& record) {
  const std::lock_guard lock(images_mutex_);
  const auto it = drafts_.find(id);
  if (it == drafts_.end()) return Fail(Code::kNotFound, "no such layer: " + id);
  record.layers = it->second->layer_ids();
  record.writable_layer = it->second->folder();
  return {};
}

Result<CreatedContainer> EmbeddedEngine::CreateContainer(const ContainerConfig& request) {
  const TraceSpan span("engine.create");
  SKIFF_ASSIGN(const auto use, UseImages());
  SKIFF_ASSIGN(const auto image, ImageOf(request));
  SKIFF_ASSIGN(MergedConfig merged, MergeImageConfig(request, image->image.config));
  SKIFF_TRY(ValidateConfig(merged.config));
  SKIFF_TRY(ParseLogLimits(merged.config.log));
  CreatedContainer created;
  SKIFF_TRY(ResolveCapabilities(merged.config.cap_add, merged.config.cap_drop,
                                merged.config.privileged, &created.warnings));

  ContainerRecord record;
  record.id = NewObjectId();
  record.image = request.image;
  record.image_id = image->image.id;
  record.created_at = NowNanoseconds();
  record.command = std::move(merged.command);
  record.layers = image->layer_ids;
  if (!request.writable_layer.empty()) SKIFF_TRY(PlaceOnLayer(request.writable_layer, record));
  record.config = std::move(merged.config);
  const Busy busy(this, record.id);
  if (!request.replaces.empty()) {
    SKIFF_ASSIGN(const auto replaced, store_.FindContainer(request.replaces));
    record.replaces = replaced->id;
  }
  SKIFF_TRY(ResolveModes(record));
  SKIFF_TRY(Reserve(record, request.name));
  const Status made = [&]() -> Status {
    SKIFF_TRY(MountsFrom(record));
    SKIFF_TRY(ResolveMounts(record, *image));
    SKIFF_TRY(MakeFolders(record));
    if (!record.writable_layer.empty()) SKIFF_TRY(ExpectMounts(record));
    SKIFF_TRY(Failpoint("engine.create.before_row"));
    return store_.Put(record);
  }();
  if (!made) {
    // The failure that matters is told; what could not be taken back is left to the intent.
    if (DestroyGarbage(record.id)) {
      if (auto guard = LockState()) {
        std::vector<Intent> kept = intents_.own();
        std::erase_if(kept, [&](const Intent& intent) { return intent.id == record.id; });
        [[maybe_unused]] const Status forgotten = intents_.Replace(kept);
      }
    }
    return Fail(made.error());
  }
  JournalWhole("create", record);
  created.id = record.id;
  return created;
}

Status EmbeddedEngine::ResolveModes(ContainerRecord& record) {
  ContainerConfig& config = record.config;
  const auto resolve = [&](std::string& mode) -> Result<std::string> {
    if (!mode.starts_with(kContainerMode)) return std::string();
    SKIFF_ASSIGN(const auto other, store_.FindContainer(mode.substr(kContainerMode.size())));
    mode = std::string(kContainerMode) + other->id;
    return other->id;
  };
  SKIFF_ASSIGN(record.network_container, resolve(config.network_mode));
  SKIFF_TRY(resolve(config.pid_mode));
  SKIFF_TRY(resolve(config.ipc_mode));
  const bool special = config.network_mode == "host" || config.network_mode == "none" ||
                       !record.network_container.empty();
  if (special || !config.endpoints.empty()) return {};
  EndpointRequest endpoint;
  endpoint.network = config.network_mode.empty() || config.network_mode == "default"
                         ? "bridge"
                         : config.network_mode;
  if (endpoint.network == "bridge") config.network_mode = "bridge";
  config.endpoints.push_back(std::move(endpoint));
  return {};
}

Result<std::string> EmbeddedEngine::ReserveName(const std::string& wanted,
                                                const std::string& replaced,
                                                const std::string& id) {
  SKIFF_ASSIGN(const auto records, store_.Containers());
  SKIFF_ASSIGN(const auto others, intents_.Others());
  const auto holder = [&](const std::string& name) -> std::string {
    for (const auto& record : records) {
      if (record->name == name && record->id != replaced) return record->id;
    }
    for (const auto* intents : {&others, &intents_.own()}) {
      for (const Intent& intent : *intents) {
        if (intent.kind == Intent::Kind::kCreateContainer && intent.name == name &&
            intent.id != id) {
          return intent.id;
        }
      }
    }
    return "";
  };
  if (!wanted.empty()) {
    SKIFF_TRY(ValidateContainerName(wanted));
    if (const std::string other = holder(wanted); !other.empty()) {
      return FailNameTaken(wanted, other);
    }
    return wanted;
  }
  uint64_t seed = 0;
  for (const char c : id.substr(0, 12)) seed = seed * 31 + static_cast<unsigned char>(c);
  for (int attempt = 0;; ++attempt) {
    std::string name = GeneratedName(seed, attempt);
    if (holder(name).empty()) return name;
  }
}

Result<store::EndpointRecord> EmbeddedEngine::MakeEndpoint(const EndpointRequest& request,
                                                           const std::string& replaced,
                                                           std::vector<std::string>* intents) {
  SKIFF_ASSIGN(const auto network, FindNetwork(request.network));
  const NetworkConfig& config = network->network.config;
  if (config.driver != "bridge") {
    return Fail(Code::kInvalidArgument, "cannot connect a container to the network '" +
                                            config.name + "' of driver " + config.driver);
  }
  const bool fixed = !request.ipv4_address.empty() || !request.ipv6_address.empty();
  if (network->network.predefined && fixed) {
    return Fail(Code::kInvalidArgument,
                "user specified IP address is supported on user defined networks only");
  }
  store::EndpointRecord record;
  Endpoint& endpoint = record.endpoint;
  endpoint.network = config.name;
  endpoint.network_id = network->network.id;
  endpoint.endpoint_id = NewObjectId();
  endpoint.aliases = request.aliases;
  record.gateway_priority = request.gateway_priority;
  SKIFF_ASSIGN(const auto records, store_.Containers());
  SKIFF_ASSIGN(std::vector<Intent> taken, intents_.Others());
  taken.insert(taken.end(), intents_.own().begin(), intents_.own().end());
  // A fixed address may be taken over from the container that goes.
  const auto leases = [&](bool v6, const std::string& wanted) {
    Leases all = LeasesOf(endpoint.network_id, v6, config, records, taken, replaced);
    if (!wanted.empty() && !replaced.empty()) {
      const auto address = net::IpAddress::Parse(wanted);
      for (const auto& other : records) {
        if (other->id != replaced || !address) continue;
        for (const store::EndpointRecord& old : other->endpoints) {
          if (old.endpoint.network_id == endpoint.network_id &&
              (old.endpoint.ipv4_address == wanted || old.endpoint.ipv6_address == wanted)) {
            all.used.erase(*address);
          }
        }
      }
    }
    return all;
  };
  // An address of its own while both exist, so the old one's is not free for an automatic choice.
  const auto automatic = [&](bool v6) {
    return LeasesOf(endpoint.network_id, v6, config, records, taken, "");
  };
  SKIFF_ASSIGN(endpoint.ipv4_address,
               TakeAddress(config, false, request.ipv4_address,
                           request.ipv4_address.empty() ? automatic(false)
                                                        : leases(false, request.ipv4_address),
                           &endpoint.ipv4_prefix, &endpoint.ipv4_gateway));
  SKIFF_ASSIGN(endpoint.ipv6_address,
               TakeAddress(config, true, request.ipv6_address,
                           request.ipv6_address.empty() ? automatic(true)
                                                        : leases(true, request.ipv6_address),
                           &endpoint.ipv6_prefix, &endpoint.ipv6_gateway));
  endpoint.mac_address = request.mac_address.empty()
                             ? net::MacOfAddress(endpoint.ipv4_address, endpoint.endpoint_id)
                             : request.mac_address;
  for (const std::string& address : {endpoint.ipv4_address, endpoint.ipv6_address}) {
    if (!address.empty()) intents->push_back(endpoint.network_id + "/" + address);
  }
  return record;
}

Status EmbeddedEngine::Reserve(ContainerRecord& record, const std::string& wanted_name) {
  std::vector<EndpointRequest> requests = record.config.endpoints;
  std::ranges::stable_sort(requests, [](const EndpointRequest& a, const EndpointRequest& b) {
    return a.priority != b.priority ? a.priority > b.priority : a.network < b.network;
  });
  // May make the network's row, which takes the lock itself.
  for (const EndpointRequest& request : requests) {
    if (request.network == "bridge") SKIFF_TRY(DefaultBridge());
  }
  SKIFF_ASSIGN(const StateGuard guard, LockState());
  Intent intent;
  intent.kind = Intent::Kind::kCreateContainer;
  intent.id = record.id;
  SKIFF_ASSIGN(const std::string name, ReserveName(wanted_name, record.replaces, record.id));
  record.config.name = name;
  if (record.replaces.empty()) {
    record.name = name;
    intent.name = name;
  }
  int number = 0;
  for (const EndpointRequest& request : requests) {
    SKIFF_ASSIGN(store::EndpointRecord endpoint,
                 MakeEndpoint(request, record.replaces, &intent.addresses));
    endpoint.interface_name =
        request.interface_name.empty() ? "eth" + std::to_string(number) : request.interface_name;
    ++number;
    record.endpoints.push_back(std::move(endpoint));
  }
  // docker: the highest priority, then the first name.
  store::EndpointRecord* gateway = nullptr;
  for (store::EndpointRecord& endpoint : record.endpoints) {
    SKIFF_ASSIGN(const auto network, FindNetwork(endpoint.endpoint.network_id));
    if (network->network.config.internal) continue;
    const bool better = gateway == nullptr ||
                        endpoint.gateway_priority > gateway->gateway_priority ||
                        (endpoint.gateway_priority == gateway->gateway_priority &&
                         endpoint.endpoint.network < gateway->endpoint.network);
    if (better) gateway = &endpoint;
  }
  if (gateway != nullptr) gateway->default_route = true;
  for (const PortRequest& port : record.config.ports) {
    record.ports.push_back({port.host_ip, port.publish ? port.host_port : uint16_t{0},
                            port.container_port, port.protocol});
  }
  SKIFF_TRY(Failpoint("engine.create.before_intent"));
  SKIFF_TRY(intents_.Append(intent));
  SKIFF_TRY(Failpoint("engine.create.after_intent"));
  // From here on other threads see it; the folders and volumes follow.
  return {};
}

Status EmbeddedEngine::MountsFrom(ContainerRecord& record) {
  for (const std::string& text : record.config.volumes_from) {
    const size_t colon = text.rfind(':');
    const bool has_mode =
        colon != std::string::npos && (text.substr(colon) == ":ro" || text.substr(colon) == ":rw");
    const bool read_only = has_mode && text.ends_with(":ro");
    SKIFF_ASSIGN(const auto other, store_.FindContainer(has_mode ? text.substr(0, colon) : text));
    for (Mount mount : other->mounts) {
      if (mount.kind == MountKind::kTmpfs) continue;
      const bool taken =
          std::ranges::any_of(record.config.mounts,
                              [&](const MountRequest& own) {
                                // An anonymous volume of the image gives way.
                                return own.target == mount.target &&
                                       !(own.kind == MountKind::kVolume && own.source.empty());
                              }) ||
          std::ranges::any_of(record.mounts,
                              [&](const Mount& own) { return own.target == mount.target; });
      if (taken) continue;
      std::erase_if(record.config.mounts,
                    [&](const MountRequest& own) { return own.target == mount.target; });
      mount.read_only = mount.read_only || read_only;
      record.mounts.push_back(std::move(mount));
    }
  }
  return {};
}

Status EmbeddedEngine::ResolveMounts(ContainerRecord& record, const store::ImageRecord& image) {
  for (MountRequest& request : record.config.mounts) {
    while (request.target.size() > 1 && request.target.ends_with('/')) request.target.pop_back();
    SKIFF_ASSIGN(Mount mount, ResolveMount(request, image));
    record.mounts.push_back(std::move(mount));
  }
  return {};
}

Result<Mount> EmbeddedEngine::ResolveMount(const MountRequest& request,
                                           const store::ImageRecord& image) {
  Mount mount;
  mount.kind = request.kind;
  mount.target = request.target;
  mount.read_only = request.read_only;
  switch (request.kind) {
    case MountKind::kTmpfs:
      return mount;
    case MountKind::kImage:
      return Fail(Code::kUnsupported,
                  "mounts of images are not supported yet ('" + request.target + "')");
    case MountKind::kBind: {
      mount.source = request.source;
      struct stat info {};
      if (::stat(request.source.c_str(), &info) == 0) return mount;
      if (errno != ENOENT || !request.create_host_path) {
        return Fail(Error(Code::kInvalidArgument,
                          "invalid mount config for type \"bind\": bind source path does not "
                          "exist: " +
                              request.source));
      }
      SKIFF_TRY(Failpoint("engine.create.host_path"));
      SKIFF_TRY(MakeDirectories(request.source, 0755));
      return mount;
    }
    case MountKind::kVolume:
      break;
  }
  mount.anonymous = request.source.empty();
  VolumeConfig config;
  config.name = mount.anonymous ? NewObjectId() : request.source;
  config.labels = request.volume_labels;
  SKIFF_ASSIGN(const Volume volume, EnsureVolume(config, mount.anonymous));
  mount.name = volume.config.name;
  SKIFF_ASSIGN(const volumes::LocalOptions local,
               volumes::ParseLocalOptions(volume.config.options));
  mount.read_only = mount.read_only || local.read_only;
  mount.source = local.bind_source.empty() ? volume.mountpoint : local.bind_source;
  if (!request.no_copy && local.bind_source.empty() && request.subpath.empty()) {
    SKIFF_TRY(CopyUp(mount.name, image, request.target));
  }
  if (request.subpath.empty()) return mount;
  SKIFF_ASSIGN(const Fd root, OpenFile(mount.source, O_PATH | O_DIRECTORY));
  SKIFF_ASSIGN(const Fd inside, OpenInRoot(root.get(), request.subpath, O_PATH));
  // Where it really lies: links on the way have been followed inside the volume.
  SKIFF_ASSIGN(mount.source, PathOfDescriptor(inside.get(), "'" + request.subpath + "'"));
  return mount;
}

Status EmbeddedEngine::CopyUp(const std::string& volume, const store::ImageRecord& image,
                              const std::string& target) {
  if (image.layer_ids.empty()) return {};
  SKIFF_ASSIGN(const Fd root,
               image::OpenMergedRoot(layout_.lower_folders(image.layer_ids), layout_.tmp()));
  return volumes_.CopyUp(volume, root.get(), target).transform([](bool) {});
}

Status EmbeddedEngine::MakeFolders(const ContainerRecord& record) {
  SKIFF_TRY(Failpoint("engine.create.folders"));
  for (const std::string& path :
       {layout_.container(record.id), layout_.container_work(record.id)}) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
      return FailErrno("cannot make '" + path + "'");
    }
  }
  const std::string diff = layout_.container_diff(record.id);
  if (::mkdir(diff.c_str(), 0755) != 0 && errno != EEXIST) {
    return FailErrno("cannot make '" + diff + "'");
  }
  // The upper folder is what "/" looks like, whatever the umask.
  if (::chmod(diff.c_str(), 0755) != 0) return FailErrno("cannot set the mode of '" + diff + "'");
  return MakeDirectories(layout_.run_container(record.id), 0700);
}

}  // namespace skiff::engine::embedded
