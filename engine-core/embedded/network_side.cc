#include "engine-core/embedded/network_side.h"

#include "base/failpoint.h"
#include "base/text.h"
#include "netmgr/address.h"

namespace skiff::engine::embedded {

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
  spec.address_was_used = true;
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
  firewall_->RemoveNetwork({network.bridge, network.network.config.internal});
  standing_.erase(network.network.id);
  doomed_.push_back(BridgeOf(network));
  return net::RemoveNameTable(layout_.names_table(network.network.id));
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
  if (doomed_.empty()) return {};
  SKIFF_TRY(Failpoint("engine.network.remove_links"));
  SKIFF_ASSIGN(net::HostNetwork * host, Host());
  SKIFF_TRY(host->RemoveNetworksDetached(doomed_));
  doomed_.clear();
  return {};
}

Status NetworkSide::Retire(const std::vector<store::Ptr<store::NetworkRecord>>& networks) {
  const std::lock_guard lock(mutex_);
  for (const auto& network : networks) {
    SKIFF_ASSIGN(net::HostNetwork * host, Host());
    SKIFF_TRY(host->RemoveNetwork(BridgeOf(*network)));
    standing_.erase(network->network.id);
  }
  SKIFF_TRY(OpenFirewall());
  SKIFF_ASSIGN(const bool stands, firewall_->TableStands());
  SKIFF_TRY(Failpoint("engine.network.retire"));
  return stands ? firewall_->RemoveTable() : Status();
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

Result<net::FirewallState> NetworkSide::ReadFirewall() {
  const std::lock_guard lock(mutex_);
  SKIFF_TRY(OpenFirewall());
  return firewall_->Read();
}

}  // namespace skiff::engine::embedded
