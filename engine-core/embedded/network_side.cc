#include "engine-core/embedded/network_side.h"

#include <net/if.h>

#include "base/failpoint.h"
#include "base/text.h"
#include "netmgr/address.h"

namespace skiff::engine::embedded {
namespace {

std::vector<std::string> AddressesOf(const std::vector<store::EndpointRecord>& endpoints) {
  std::vector<std::string> addresses;
  for (const store::EndpointRecord& record : endpoints) {
    for (const std::string& address :
         {record.endpoint.ipv4_address, record.endpoint.ipv6_address}) {
      if (!address.empty()) addresses.push_back(address);
    }
  }
  return addresses;
}

std::vector<net::IpPrefix> SubnetsOf(const store::NetworkRecord& network) {
  std::vector<net::IpPrefix> subnets;
  for (const Subnet& subnet : network.network.config.subnets) {
    if (const auto prefix = net::IpPrefix::Parse(subnet.subnet)) subnets.push_back(*prefix);
  }
  return subnets;
}

}  // namespace

net::BridgeSpec NetworkSide::BridgeOf(const store::NetworkRecord& record) {
  const NetworkConfig& config = record.network.config;
  net::BridgeSpec spec;
  spec.network_id = record.network.id;
  spec.bridge = record.bridge;
  spec.link_group = record.link_group;
  spec.internal = config.internal;
  for (const Subnet& subnet : config.subnets) {
    const auto prefix = net::IpPrefix::Parse(subnet.subnet);
    if (!prefix) continue;
    (prefix->address.v6 ? spec.gateway_v6 : spec.gateway_v4) = subnet.gateway;
    (prefix->address.v6 ? spec.prefix_v6 : spec.prefix_v4) = prefix->length;
  }
  const auto mtu = config.options.find("com.docker.network.driver.mtu");
  if (mtu != config.options.end()) spec.mtu = ParseNumber<int>(mtu->second).value_or(spec.mtu);
  return spec;
}

net::EndpointSpec NetworkSide::EndpointOf(const store::EndpointRecord& endpoint,
                                          const store::NetworkRecord& network) {
  net::EndpointSpec spec;
  spec.endpoint_id = endpoint.endpoint.endpoint_id;
  spec.network = BridgeOf(network);
  spec.interface_name = endpoint.interface_name;
  spec.address_v4 = endpoint.endpoint.ipv4_address;
  spec.address_v6 = endpoint.endpoint.ipv6_address;
  spec.mac_address = endpoint.endpoint.mac_address;
  spec.default_route = endpoint.default_route;
  return spec;
}

Result<net::HostNetwork*> NetworkSide::Host() {
  if (!host_) {
    SKIFF_ASSIGN(host_, net::HostNetwork::Open(root_hash_));
  }
  return host_.get();
}

Status NetworkSide::OpenFirewall() {
  if (firewall_) return {};
  SKIFF_ASSIGN(const net::HostNetwork* host, Host());
  net::FirewallOptions options;
  options.route_loopback = host->CanRouteLoopback();
  SKIFF_ASSIGN(firewall_, net::Firewall::Open(root_hash_, options));
  return {};
}

Status NetworkSide::EnsureBridge(const store::NetworkRecord& network) {
  const std::lock_guard lock(mutex_);
  if (standing_.contains(network.network.id)) return {};
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  SKIFF_TRY(host->CreateBridge(BridgeOf(network)));
  if (standing_.empty()) {
    // After a reboot, or when somebody flushed the ruleset: the networks stand in no table.
    SKIFF_TRY(OpenFirewall());
    SKIFF_ASSIGN(const bool stands, firewall_->TableStands());
    if (!stands) missing_ = unguarded_ = true;
  }
  standing_.insert(network.network.id);
  return {};
}

Status NetworkSide::AddNetwork(const store::NetworkRecord& network) {
  SKIFF_TRY(Failpoint("engine.network.create"));
  SKIFF_TRY(EnsureBridge(network));
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(OpenFirewall());
  firewall_->AddNetwork({network.bridge, network.network.config.internal});
  unguarded_ = true;
  return {};
}

Status NetworkSide::RemoveNetwork(const store::NetworkRecord& network) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(Failpoint("engine.network.remove"));
  SKIFF_TRY(OpenFirewall());
  SKIFF_TRY(ForgetConnections(SubnetsOf(network)));
  firewall_->RemoveNetwork({network.bridge, network.network.config.internal});
  standing_.erase(network.network.id);
  doomed_.push_back(BridgeOf(network));
  return net::RemoveNameTable(layout_.names_table(network.network.id));
}

Status NetworkSide::Settle(const std::vector<store::EndpointRecord>& endpoints) {
  std::vector<std::string> addresses = AddressesOf(endpoints);
  if (addresses.empty()) return {};
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(OpenFirewall());
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  // Without its table nobody knows.
  if (!rebuild_) {
    SKIFF_ASSIGN(addresses, firewall_->SeenOf(addresses));
  }
  return host->ForgetConnections(addresses);
}

// With mutex_ held.
Status NetworkSide::ForgetConnections(const std::vector<net::IpPrefix>& subnets) {
  SKIFF_ASSIGN(const net::SeenAddresses seen, firewall_->Seen());
  std::vector<std::string> gone;
  for (const std::string& address : seen.addresses) {
    const auto parsed = net::IpAddress::Parse(address);
    const bool inside = parsed && std::ranges::any_of(subnets, [&](const net::IpPrefix& subnet) {
                          return subnet.Contains(*parsed);
                        });
    if (inside) gone.push_back(address);
  }
  if (gone.empty() && !seen.unsure && !rebuild_) return {};
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  SKIFF_TRY(host->ForgetConnectionsIn(subnets));
  firewall_->ForgetSeen(gone);
  return {};
}

Result<net::PreparedNamespace> NetworkSide::Prepare(const std::vector<net::EndpointSpec>& endpoints,
                                                    bool name_service) {
  net::HostNetwork* host = nullptr;
  {
    const std::lock_guard lock(mutex_);
    SKIFF_ASSIGN(host, Host());
  }
  // HostNetwork serialises by itself; holding our lock meanwhile would stop the firewall's calls.
  return host->PrepareAttached({}, endpoints, name_service);
}

Status NetworkSide::Attach(int network_namespace, const net::EndpointSpec& endpoint) {
  const std::lock_guard lock(mutex_);
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  return host->AttachEndpoint(network_namespace, endpoint);
}

Status NetworkSide::Detach(int network_namespace, const net::EndpointSpec& endpoint) {
  const std::lock_guard lock(mutex_);
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  return host->DetachEndpoint(network_namespace, endpoint);
}

Result<bool> NetworkSide::CanRouteLoopback() {
  const std::lock_guard lock(mutex_);
  SKIFF_ASSIGN(const net::HostNetwork* host, Host());
  return host->CanRouteLoopback();
}

Status NetworkSide::Publish(const std::vector<net::PublishSpec>& ports) {
  if (ports.empty()) return {};
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(OpenFirewall());
  for (const net::PublishSpec& port : ports) firewall_->Publish(port);
  return {};
}

Status NetworkSide::Unpublish(const std::vector<net::PublishSpec>& ports) {
  if (ports.empty()) return {};
  const std::lock_guard lock(mutex_);
  unpublished_.insert(unpublished_.end(), ports.begin(), ports.end());
  return {};
}

Result<bool> NetworkSide::FirewallMissing() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(OpenFirewall());
  SKIFF_ASSIGN(const bool stands, firewall_->TableStands());
  return !stands;
}

void NetworkSide::WantRebuild() {
  const std::lock_guard lock(mutex_);
  rebuild_ = true;
}

bool NetworkSide::HasWork() {
  const std::lock_guard lock(mutex_);
  return rebuild_ || missing_ || !doomed_.empty() || !unpublished_.empty() ||
         (firewall_ && firewall_->HasChanges());
}

Status NetworkSide::RemoveDetached() {
  Fd slow = firewall_ ? firewall_->TakeSlowSocket() : Fd();
  if (doomed_.empty() && !slow) return {};
  if (!doomed_.empty()) SKIFF_TRY(Failpoint("engine.network.remove_links"));
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  SKIFF_TRY(host->RemoveNetworksDetached(doomed_, std::move(slow)));
  doomed_.clear();
  return {};
}

Status NetworkSide::Retire(const std::vector<store::Ptr<store::NetworkRecord>>& networks) {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(OpenFirewall());
  SKIFF_ASSIGN(const bool stands, firewall_->TableStands());
  std::vector<net::IpPrefix> used;
  for (const auto& network : networks) {
    const bool linked = ::if_nametoindex(network->bridge.c_str()) != 0;
    const std::vector<net::IpPrefix> subnets = SubnetsOf(*network);
    if (linked) used.insert(used.end(), subnets.begin(), subnets.end());
    SKIFF_ASSIGN(net::HostNetwork * host, Host());
    SKIFF_TRY(host->RemoveNetwork(BridgeOf(*network)));
    standing_.erase(network->network.id);
  }
  SKIFF_TRY(Failpoint("engine.network.retire"));
  if (!stands) {
    SKIFF_ASSIGN(net::HostNetwork * host, Host());
    return host->ForgetConnectionsIn(used);
  }
  SKIFF_TRY(ForgetConnections(used));
  SKIFF_TRY(firewall_->RemoveTable());
  return RemoveDetached();
}

Result<std::vector<net::OwnedLink>> NetworkSide::ListLinks() {
  const std::lock_guard lock(mutex_);
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  return host->ListLinks();
}

Status NetworkSide::RemoveLinks(const std::vector<std::string>& names) {
  const std::lock_guard lock(mutex_);
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  return host->RemoveLinks(names);
}

Result<std::vector<net::PublishSpec>> NetworkSide::HeldPorts(
    const std::vector<net::PublishSpec>& ports) {
  net::FirewallOptions options;
  SKIFF_ASSIGN(options.route_loopback, CanRouteLoopback());
  std::vector<net::PublishSpec> held;
  for (const net::PublishSpec& port : ports) {
    SKIFF_ASSIGN(const auto own, net::HeldPorts(port, options));
    held.insert(held.end(), own.begin(), own.end());
  }
  return held;
}

Result<net::FirewallState> NetworkSide::ReadFirewall() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(OpenFirewall());
  return firewall_->Read();
}

}  // namespace skiff::engine::embedded
