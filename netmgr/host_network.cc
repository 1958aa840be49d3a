#include "netmgr/host_network.h"

#include <algorithm>
#include <set>

#include "base/failpoint.h"
#include "base/trace.h"
#include "netmgr/netlink/attach.h"
#include "netmgr/netlink/bridge.h"
#include "netmgr/netlink/links.h"
#include "netmgr/netlink/namespace_thread.h"

namespace skiff::net {

struct HostNetwork::State {
  std::string root_hash;
  std::unique_ptr<NamespaceThread> thread;

  BridgeSpec Completed(const BridgeSpec& spec) const { return Complete(spec, root_hash); }
  std::vector<BridgeSpec> Completed(std::span<const BridgeSpec> specs) const {
    std::vector<BridgeSpec> complete;
    for (const BridgeSpec& spec : specs) complete.push_back(Completed(spec));
    return complete;
  }
  // On the thread.
  Status AttachOne(int network_namespace, EndpointSpec spec) const {
    spec.network = Completed(spec.network);
    const std::string host_name = HostLinkName(root_hash, spec.endpoint_id);
    return Attach(thread.get(), network_namespace, spec, host_name);
  }
};

HostNetwork::HostNetwork(std::unique_ptr<State> state) : state_(std::move(state)) {}
HostNetwork::~HostNetwork() = default;

Result<std::unique_ptr<HostNetwork>> HostNetwork::Open(std::string root_hash) {
  auto state = std::make_unique<State>();
  if (root_hash.size() < 8) {
    return Fail(Code::kInternal, "the hash of a root has at least eight digits");
  }
  state->root_hash = std::move(root_hash);
  SKIFF_ASSIGN(state->thread, NamespaceThread::Start());
  return std::unique_ptr<HostNetwork>(new HostNetwork(std::move(state)));
}

const std::string& HostNetwork::root_hash() const {
  return state_->root_hash;
}

Status HostNetwork::CreateBridge(const BridgeSpec& spec) {
  const TraceSpan span("netmgr.create_bridge");
  return state_->thread->Call([&]() -> Status {
    SKIFF_ASSIGN(NetlinkSocket* const socket, state_->thread->HomeSocket());
    return MakeBridge(socket, state_->Completed(spec));
  });
}

bool HostNetwork::CanRouteLoopback() const {
  return LoopbackCanBeRouted();
}

Status HostNetwork::RemoveNetwork(const BridgeSpec& spec) {
  const TraceSpan span("netmgr.remove_network");
  return state_->thread->Call([&]() -> Status {
    SKIFF_ASSIGN(NetlinkSocket* const socket, state_->thread->HomeSocket());
    const BridgeSpec complete = state_->Completed(spec);
    return DeleteNetworks(socket, state_->root_hash, std::span(&complete, 1));
  });
}

Status HostNetwork::RemoveNetworksDetached(std::span<const BridgeSpec> specs, Fd slow) {
  const TraceSpan span("netmgr.remove_networks_detached");
  return state_->thread->Call([&]() -> Status {
    SKIFF_ASSIGN(NetlinkSocket* const socket, state_->thread->HomeSocket());
    return DeleteNetworksDetached(socket, state_->root_hash, state_->Completed(specs),
                                  std::move(slow));
  });
}

Result<std::vector<OwnedLink>> HostNetwork::ListLinks() {
  return state_->thread->Call([&]() -> Result<std::vector<OwnedLink>> {
    SKIFF_ASSIGN(NetlinkSocket* const socket, state_->thread->HomeSocket());
    SKIFF_ASSIGN(const std::vector<LinkInfo> links, net::ListLinks(socket));
    const std::string bridges = BridgeName(state_->root_hash, "");
    const std::string ends = HostLinkName(state_->root_hash, "");
    std::vector<OwnedLink> owned;
    for (const LinkInfo& link : links) {
      const bool bridge = link.kind == "bridge" && link.name.starts_with(bridges);
      const bool end = link.kind == "veth" && link.name.starts_with(ends);
      if (bridge || end) {
        owned.push_back({link.name, link.index, link.group, link.master, bridge});
      }
    }
    return owned;
  });
}

Status HostNetwork::RemoveLinks(std::span<const std::string> names) {
  return state_->thread->Call([&]() -> Status {
    SKIFF_TRY(Failpoint("netmgr.remove_links"));
    SKIFF_ASSIGN(NetlinkSocket* const socket, state_->thread->HomeSocket());
    NetlinkBatch batch;
    for (const std::string& name : names) {
      if (const uint32_t index = LinkIndex(*socket, name); index != 0) {
        AddDeleteLink(&batch, index);
      }
    }
    if (batch.empty()) return {};
    return socket->Transact(std::move(batch), "remove links", {ENODEV});
  });
}

Status HostNetwork::ForgetConnections(std::span<const std::string> addresses) {
  std::set<IpAddress> wanted;
  for (const std::string& text : addresses) {
    const auto address = IpAddress::Parse(text);
    if (!address) return Fail(Code::kInvalidArgument, "invalid IP address '" + text + "'");
    wanted.insert(*address);
  }
  if (wanted.empty()) return {};
  const TraceSpan span("netmgr.forget_connections");
  return state_->thread->Call([&] {
    return ForgetTracked([&](const IpAddress& address) { return wanted.contains(address); });
  });
}

Status HostNetwork::ForgetConnectionsIn(std::span<const IpPrefix> subnets) {
  if (subnets.empty()) return {};
  const TraceSpan span("netmgr.forget_connections");
  return state_->thread->Call([&] {
    return ForgetTracked([&](const IpAddress& address) {
      return std::ranges::any_of(subnets,
                                 [&](const IpPrefix& subnet) { return subnet.Contains(address); });
    });
  });
}

Result<Fd> HostNetwork::PrepareNamespace(const NamespaceOptions& options) {
  const TraceSpan span("netmgr.prepare_namespace");
  return state_->thread->Call(
      [&] { return MakeContainerNamespace(state_->thread.get(), options); });
}

Status HostNetwork::AttachEndpoint(int network_namespace, const EndpointSpec& spec) {
  return state_->thread->Call([&] { return state_->AttachOne(network_namespace, spec); });
}

Result<PreparedNamespace> HostNetwork::PrepareAttached(const NamespaceOptions& options,
                                                       std::span<const EndpointSpec> endpoints,
                                                       bool name_service) {
  const TraceSpan span("netmgr.prepare_attached");
  return state_->thread->Call([&]() -> Result<PreparedNamespace> {
    PreparedNamespace prepared;
    SKIFF_ASSIGN(prepared.network_namespace, MakeContainerNamespace(state_->thread.get(), options));
    const int inside = prepared.network_namespace.get();
    for (const EndpointSpec& endpoint : endpoints) {
      SKIFF_TRY(state_->AttachOne(inside, endpoint));
    }
    if (name_service) {
      SKIFF_ASSIGN(prepared.names, MakeNameServiceSockets(state_->thread.get(), inside));
    }
    return prepared;
  });
}

Status HostNetwork::DetachEndpoint(int network_namespace, const EndpointSpec& spec) {
  return state_->thread->Call(
      [&] { return Detach(state_->thread.get(), network_namespace, spec); });
}

Result<NameServiceSockets> HostNetwork::PrepareNameService(int network_namespace) {
  return state_->thread->Call(
      [&] { return MakeNameServiceSockets(state_->thread.get(), network_namespace); });
}

}  // namespace skiff::net
