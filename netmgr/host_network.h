#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "netmgr/address.h"
#include "netmgr/endpoint.h"
#include "netmgr/network.h"

namespace skiff::net {

// A bridge or a host end of a veth pair whose name says that it belongs to one root.
struct OwnedLink {
  std::string name;
  uint32_t index = 0;
  uint32_t group = 0;
  uint32_t master = 0;  // Index of its bridge, 0 without.
  bool bridge = false;
};

// The links of one root on this host: one object per command. Thread-safe: every call runs on one
// thread of its own, which is the only one that ever changes its network namespace (rtnetlink is
// serialised by a kernel lock anyway, and two threads make each call slower). That thread starts
// with the first call. The host namespace is the one Open() is called in.
class HostNetwork {
 public:
  // `root_hash`: engine::RootHash() of the durable root.
  static Result<std::unique_ptr<HostNetwork>> Open(std::string root_hash);
  ~HostNetwork();
  HostNetwork(const HostNetwork&) = delete;
  HostNetwork& operator=(const HostNetwork&) = delete;

  const std::string& root_hash() const;

  // ---- Bridges ---------------------------------------------------------------------------------

  // The bridge of a network, up, with its gateway addresses, and forwarding on. Does nothing where
  // it stands already; completes one that a killed command left half made. kAlreadyExists: a link
  // of that name is no bridge. The network is in the firewall before (Firewall::AddNetwork): the
  // bridge routes 127.0.0.0/8, and only the firewall keeps its containers away from the host's.
  Status CreateBridge(const BridgeSpec& spec);
  // False when the kernel does not let 127.0.0.1 be routed to bridges (/proc/sys is read-only):
  // then ports published there go through the relay (FirewallOptions::route_loopback = false).
  bool CanRouteLoopback() const;
  // The bridge and every link of its group, in one call; 30 to 60 ms. Nothing there: success.
  Status RemoveNetwork(const BridgeSpec& spec);
  // The same for several networks by a process of its own that outlives the caller: returns when
  // it has been started. Until it has finished the bridges' routes stand, so that nobody takes the
  // subnets. It holds no descriptor and no controlling terminal of the caller but `slow`, a socket
  // that it closes (Firewall::TakeSlowSocket); `specs` may be empty then.
  Status RemoveNetworksDetached(std::span<const BridgeSpec> specs, Fd slow = {});
  // Links of this root, for repair. One without a row is garbage.
  Result<std::vector<OwnedLink>> ListLinks();
  // Deletes links alone: repair only (14 ms each).
  Status RemoveLinks(std::span<const std::string> names);
  // What the kernel tracks for these addresses, as destination or source, is forgotten: for
  // addresses that change hands (Firewall::Seen says which). 10 ms. A kernel without ctnetlink:
  // nothing to do.
  Status ForgetConnections(std::span<const std::string> addresses);
  Status ForgetConnectionsIn(std::span<const IpPrefix> subnets);

  // ---- Namespaces and endpoints (netmgr/endpoint.h)
  // ----------------------------------------------

  Result<Fd> PrepareNamespace(const NamespaceOptions& options = {});
  Status AttachEndpoint(int network_namespace, const EndpointSpec& spec);
  // Prepares a namespace with all its endpoints and, when asked, the name service's sockets: one
  // hand-over to the thread in place of several.
  Result<PreparedNamespace> PrepareAttached(const NamespaceOptions& options,
                                            std::span<const EndpointSpec> endpoints,
                                            bool name_service);
  // Takes one endpoint out of a namespace that lives on (14 ms). Not there: success.
  Status DetachEndpoint(int network_namespace, const EndpointSpec& spec);
  Result<NameServiceSockets> PrepareNameService(int network_namespace);

 private:
  struct State;
  explicit HostNetwork(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace skiff::net
