// Networks: rows, subnets, and containers that join and leave them while they run.
#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"
#include "base/text.h"
#include "engine-core/embedded/embedded_engine.h"
#include "engine-core/embedded/names.h"
#include "engine-core/labels.h"
#include "engine-core/monitor_client.h"
#include "netmgr/ipam.h"

namespace skiff::engine::embedded {
namespace {

constexpr const char* kPredefined[] = {"bridge", "host", "none"};
constexpr const char* kDefaultBridgeSubnet = "172.17.0.0/16";

bool IsPredefined(std::string_view name) {
  return std::ranges::count(kPredefined, name) > 0;
}

std::vector<net::IpPrefix> SubnetsOf(const std::vector<Ptr<NetworkRecord>>& networks,
                                     const std::vector<Intent>& intents) {
  std::vector<net::IpPrefix> taken;
  for (const auto& network : networks) {
    for (const Subnet& subnet : network->network.config.subnets) {
      if (const auto prefix = net::IpPrefix::Parse(subnet.subnet)) taken.push_back(*prefix);
    }
  }
  for (const Intent& intent : intents) {
    if (const auto prefix = net::IpPrefix::Parse(intent.subnet)) taken.push_back(*prefix);
  }
  return taken;
}

void Append(std::vector<net::IpPrefix>& to, const std::vector<net::IpPrefix>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

}  // namespace

NetworkRecord EmbeddedEngine::Predefined(const std::string& name) const {
  NetworkRecord record;
  Network& network = record.network;
  // The same in every command, without a row.
  network.id = Sha256Hex("skiff network " + name + " of " + root_hash_);
  network.predefined = true;
  network.config.name = name;
  network.config.driver = name == "none" ? "null" : name;
  if (name == "bridge") {
    record.bridge = net::BridgeName(root_hash_, network.id);
    record.link_group = net::LinkGroup(network.id);
    network.config.options = {{"com.docker.network.bridge.default_bridge", "true"},
                              {"com.docker.network.driver.mtu", "1500"}};
  }
  return record;
}

Result<Ptr<NetworkRecord>> EmbeddedEngine::FindNetwork(std::string_view ref) {
  auto found = store_.FindNetwork(ref);
  if (found || found.error().code != Code::kNotFound) return found;
  for (const char* name : kPredefined) {
    NetworkRecord record = Predefined(name);
    if (ref == name || ref == record.network.id ||
        (ref.size() >= 12 && record.network.id.starts_with(ref))) {
      return std::make_shared<NetworkRecord>(std::move(record));
    }
  }
  return found;
}

Result<Ptr<NetworkRecord>> EmbeddedEngine::DefaultBridge() {
  const std::string id = Predefined("bridge").network.id;
  if (auto existing = store_.FindNetwork(id)) return existing;
  NetworkRecord record = Predefined("bridge");
  record.network.created_at = NowNanoseconds();
  // Its row is made by the first container in it: a choice of addresses has to last.
  SKIFF_ASSIGN(const FileLock subnets, net::LockSubnets());
  {
    SKIFF_ASSIGN(const StateGuard guard, LockState());
    if (auto existing = store_.FindNetwork(id)) return existing;
    SKIFF_TRY(ChooseSubnets(record));
    Intent intent;
    intent.kind = Intent::Kind::kCreateNetwork;
    intent.id = id;
    intent.subnet = record.network.config.subnets[0].subnet;
    SKIFF_TRY(intents_.Append(intent));
    SKIFF_TRY(store_.Put(record));
  }
  SKIFF_TRY(network_.AddNetwork(record));
  return store_.FindNetwork(id);
}

Status EmbeddedEngine::ChooseSubnets(NetworkRecord& record) {
  NetworkConfig& config = record.network.config;
  SKIFF_ASSIGN(const auto networks, store_.Networks());
  SKIFF_ASSIGN(std::vector<Intent> intents, intents_.Others());
  intents.insert(intents.end(), intents_.own().begin(), intents_.own().end());
  const std::vector<net::IpPrefix> ours = SubnetsOf(networks, intents);
  bool has_v4 = false;
  bool has_v6 = false;
  std::vector<net::IpPrefix> within = ours;
  for (Subnet& subnet : config.subnets) {
    if (subnet.subnet.empty()) continue;
    SKIFF_ASSIGN(const net::SubnetPlan plan,
                 net::PlanSubnet(subnet.subnet, subnet.gateway, subnet.ip_range, within));
    subnet.subnet = plan.subnet.Text();
    subnet.gateway = plan.gateway.Text();
    (plan.subnet.address.v6 ? has_v6 : has_v4) = true;
    within.push_back(plan.subnet);
  }
  std::erase_if(config.subnets, [](const Subnet& subnet) { return subnet.subnet.empty(); });
  std::vector<net::IpPrefix> taken = ours;
  SKIFF_ASSIGN(const auto routes, net::ReadHostRoutes());
  Append(taken, routes);
  if (const auto resolv = ReadFile("/etc/resolv.conf", 1 << 16)) {
    Append(taken, net::NameServersOf(*resolv));
  }
  const auto add = [&](const net::IpPrefix& prefix) {
    const net::SubnetPlan plan = net::PlanSubnet(prefix);
    config.subnets.push_back({plan.subnet.Text(), plan.gateway.Text(), "", {}});
  };
  if (!has_v4) {
    Result<net::IpPrefix> chosen = Fail(Code::kExhausted, "");
    const auto docker = net::IpPrefix::Parse(kDefaultBridgeSubnet);
    const bool free = std::ranges::none_of(
        taken, [&](const net::IpPrefix& other) { return other.Overlaps(*docker); });
    if (record.network.predefined && free) chosen = *docker;
    if (!chosen) chosen = net::ChooseSubnet(net::DefaultPools(), taken);
    if (!chosen) return Fail(std::move(chosen).error());
    add(*chosen);
  }
  if (config.enable_ipv6 && !has_v6) {
    SKIFF_ASSIGN(const net::IpPrefix chosen,
                 net::ChooseSubnetV6(root_hash_, record.network.id, taken));
    add(chosen);
  }
  return {};
}

Result<Network> EmbeddedEngine::CreateNetwork(const NetworkConfig& config) {
  SKIFF_TRY(OpenForChange());
  if (IsPredefined(config.name)) {
    return Fail(Code::kPermissionDenied,
                "operation is not permitted on predefined " + config.name + " network");
  }
  SKIFF_TRY([&]() -> Status {
    // docker takes one letter too.
    if (ValidateContainerName("n" + config.name) && !config.name.empty() &&
        std::isalnum(static_cast<unsigned char>(config.name[0])) != 0) {
      return {};
    }
    return Fail(Code::kInvalidArgument, "invalid network name '" + config.name +
                                            "': only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
  }());
  const std::string driver = config.driver.empty() ? "bridge" : config.driver;
  if (driver != "bridge") {
    return Fail(Code::kUnsupported,
                "network '" + config.name + "': the driver '" + driver + "' is not supported");
  }
  NetworkRecord record;
  record.network.id = NewObjectId();
  record.network.created_at = NowNanoseconds();
  record.network.config = config;
  record.network.config.driver = driver;
  const auto name = config.options.find("com.docker.network.bridge.name");
  record.bridge =
      name == config.options.end() ? net::BridgeName(root_hash_, record.network.id) : name->second;
  record.link_group = net::LinkGroup(record.network.id);
  // Held until the bridge stands: from then on its route says that the subnet is taken.
  SKIFF_ASSIGN(const FileLock subnets, net::LockSubnets());
  {
    SKIFF_ASSIGN(const StateGuard guard, LockState());
    SKIFF_ASSIGN(const auto networks, store_.Networks());
    SKIFF_ASSIGN(const auto others, intents_.Others());
    const bool exists =
        std::ranges::any_of(
            networks,
            [&](const auto& other) { return other->network.config.name == config.name; }) ||
        std::ranges::any_of(others, [&](const Intent& intent) {
          return intent.kind == Intent::Kind::kCreateNetwork && intent.name == config.name;
        });
    if (exists) {
      return Fail(Code::kAlreadyExists, "network with name " + config.name + " already exists");
    }
    SKIFF_TRY(ChooseSubnets(record));
    Intent intent;
    intent.kind = Intent::Kind::kCreateNetwork;
    intent.id = record.network.id;
    intent.name = config.name;
    intent.subnet = record.network.config.subnets[0].subnet;
    SKIFF_TRY(Failpoint("engine.network.before_intent"));
    SKIFF_TRY(intents_.Append(intent));
    SKIFF_TRY(store_.Put(record));
  }
  if (const Status added = network_.AddNetwork(record); !added) {
    SKIFF_TRY(store_.EraseNetwork(record.network.id));
    SKIFF_TRY(network_.RemoveNetwork(record));
    return Fail(added.error());
  }
  Journal("network", "create", record.network.id, {{"name", config.name}, {"type", driver}});
  return record.network;
}

Status EmbeddedEngine::RemoveNetwork(std::string_view ref) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto record, FindNetwork(ref));
  const std::string& name = record->network.config.name;
  if (record->network.predefined) {
    return Fail(Code::kPermissionDenied, name + " is a pre-defined network and cannot be removed");
  }
  SKIFF_ASSIGN(const auto containers, store_.Containers());
  for (const auto& container : containers) {
    for (const store::EndpointRecord& endpoint : container->endpoints) {
      if (endpoint.endpoint.network_id != record->network.id) continue;
      const ContainerState state = StateOf(*container);
      if (!state.running() && state.status != ContainerStatus::kRestarting) continue;
      return Fail(Code::kFailedPrecondition,
                  "error while removing network: network " + name + " id " + record->network.id +
                      " has active endpoints (name:\"" + container->name + "\" id:\"" +
                      ShortId(container->id) + "\")");
    }
  }
  {
    SKIFF_ASSIGN(const StateGuard guard, LockState());
    Intent intent;
    intent.kind = Intent::Kind::kRemoveNetwork;
    intent.id = record->network.id;
    SKIFF_TRY(intents_.Append(intent));
    SKIFF_TRY(Failpoint("engine.network.remove.after_intent"));
  }
  // Before its row: one that could not be removed is there for the next try.
  SKIFF_TRY(network_.RemoveNetwork(*record));
  SKIFF_TRY(store_.EraseNetwork(record->network.id));
  {
    const std::lock_guard lock(pending_mutex_);
    removed_something_ = true;
  }
  Journal("network", "destroy", record->network.id, {{"name", name}});
  return {};
}

Result<std::vector<Network>> EmbeddedEngine::ListNetworks(const std::vector<std::string>& labels) {
  SKIFF_TRY(Open());
  SKIFF_ASSIGN(const auto rows, store_.Networks());
  std::vector<Network> found;
  for (const auto& row : rows) found.push_back(row->network);
  for (const char* name : kPredefined) {
    Network network = Predefined(name).network;
    const bool listed =
        std::ranges::any_of(found, [&](const Network& other) { return other.id == network.id; });
    if (!listed) found.push_back(std::move(network));
  }
  std::erase_if(
      found, [&](const Network& network) { return !LabelsMatch(network.config.labels, labels); });
  std::ranges::sort(found, {}, [](const Network& network) { return network.config.name; });
  return found;
}

Status EmbeddedEngine::ConnectNetwork(std::string_view ref, const EndpointRequest& request) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto found, store_.FindContainer(ref));
  SKIFF_ASSIGN(const ContainerGuard guard, LockContainer(found->id));
  SKIFF_ASSIGN(const auto record, Again(found->id));
  SKIFF_ASSIGN(const auto network, FindNetwork(request.network));
  const std::string& mode = record->config.network_mode;
  if (mode == "host" || !record->network_container.empty()) {
    return Fail(Code::kFailedPrecondition, "cannot connect container " + ShortId(record->id) +
                                               " to a network: it shares the network of " +
                                               (mode == "host" ? "the host" : "another container"));
  }
  for (const store::EndpointRecord& endpoint : record->endpoints) {
    if (endpoint.endpoint.network_id == network->network.id) {
      return Fail(Code::kAlreadyExists, "endpoint with name " + record->name +
                                            " already exists in network " +
                                            network->network.config.name);
    }
  }
  if (request.network == "bridge") SKIFF_TRY(DefaultBridge());
  ContainerRecord changed;
  {
    SKIFF_ASSIGN(const StateGuard state_guard, LockState());
    Intent intent;
    intent.id = record->id;
    SKIFF_ASSIGN(store::EndpointRecord endpoint, MakeEndpoint(request, "", &intent.addresses));
    endpoint.interface_name = request.interface_name;
    for (int number = 0; endpoint.interface_name.empty(); ++number) {
      const std::string name = "eth" + std::to_string(number);
      const bool used = std::ranges::any_of(
          record->endpoints, [&](const auto& other) { return other.interface_name == name; });
      if (!used) endpoint.interface_name = name;
    }
    endpoint.default_route = !network->network.config.internal &&
                             std::ranges::none_of(record->endpoints, [](const auto& other) {
                               return other.default_route;
                             });
    SKIFF_TRY(intents_.Append(intent));
    SKIFF_ASSIGN(changed, store_.Update(record->id, [endpoint, request](ContainerRecord& row) {
      row.endpoints.push_back(endpoint);
      if (row.config.network_mode == "none") row.config.network_mode.clear();
      row.config.endpoints.push_back(request);
    }));
  }
  SKIFF_TRY(Failpoint("engine.network.connect"));
  const MonitorClient client(layout_.run_container(record->id));
  if (!client.Alive()) return {};
  SKIFF_TRY(network_.EnsureBridge(*network));
  SKIFF_ASSIGN(const Fd space, client.NetworkNamespace());
  SKIFF_TRY(network_.Settle({changed.endpoints.back()}));
  SKIFF_TRY(
      network_.Attach(space.get(), NetworkSide::EndpointOf(changed.endpoints.back(), *network)));
  SKIFF_TRY(AddNames(changed));
  bool wanted = false;
  return client.UpdateNames(NameServiceOf(changed, &wanted));
}

Status EmbeddedEngine::DisconnectNetwork(std::string_view ref, std::string_view network_ref) {
  SKIFF_TRY(OpenForChange());
  SKIFF_ASSIGN(const auto found, store_.FindContainer(ref));
  SKIFF_ASSIGN(const ContainerGuard guard, LockContainer(found->id));
  SKIFF_ASSIGN(const auto record, Again(found->id));
  SKIFF_ASSIGN(const auto network, FindNetwork(network_ref));
  const auto at = std::ranges::find_if(record->endpoints, [&](const auto& endpoint) {
    return endpoint.endpoint.network_id == network->network.id;
  });
  if (at == record->endpoints.end()) {
    return Fail(Code::kNotFound, "container " + record->id + " is not connected to the network " +
                                     network->network.config.name);
  }
  const store::EndpointRecord gone = *at;
  const auto take_out = [gone, network](ContainerRecord& row) {
    std::erase_if(row.endpoints, [&](const auto& endpoint) {
      return endpoint.endpoint.endpoint_id == gone.endpoint.endpoint_id;
    });
    std::erase_if(row.config.endpoints, [&](const EndpointRequest& request) {
      return request.network == network->network.config.name ||
             request.network == network->network.id;
    });
    if (row.endpoints.empty()) row.config.network_mode = "none";
  };
  {
    SKIFF_ASSIGN(const StateGuard state_guard, LockState());
    Intent intent;
    intent.id = record->id;
    SKIFF_TRY(intents_.Append(intent));
  }
  SKIFF_ASSIGN(const ContainerRecord changed, store_.Update(record->id, take_out));
  const std::string table = layout_.names_table(network->network.id);
  if (::access(table.c_str(), F_OK) == 0) {
    SKIFF_TRY(net::RemoveEndpoints(table, {&gone.endpoint.endpoint_id, 1}));
  }
  SKIFF_TRY(Failpoint("engine.network.disconnect"));
  const MonitorClient client(layout_.run_container(record->id));
  if (!client.Alive()) return {};
  SKIFF_ASSIGN(const Fd space, client.NetworkNamespace());
  SKIFF_TRY(network_.Detach(space.get(), NetworkSide::EndpointOf(gone, *network)));
  bool wanted = false;
  return client.UpdateNames(NameServiceOf(changed, &wanted));
}

Result<net::FirewallState> EmbeddedEngine::WholeFirewall() {
  net::FirewallState state;
  SKIFF_ASSIGN(const auto networks, store_.Networks());
  for (const auto& network : networks) {
    state.networks.push_back({network->bridge, network->network.config.internal});
  }
  // Those of other commands too, whose rows are to come.
  state.ports = MarkedPorts();
  return state;
}

}  // namespace skiff::engine::embedded
