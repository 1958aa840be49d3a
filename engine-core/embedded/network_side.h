#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/layout.h"
#include "engine-core/store/store.h"
#include "netmgr/firewall.h"
#include "netmgr/host_network.h"
#include "netmgr/name_table.h"
#include "netmgr/ports.h"

namespace skiff::engine::embedded {

// What the engine asks of netmgr, in the engine's records: bridges on demand, namespaces with their
// endpoints, and changes of the firewall and removals of networks that are collected for a commit.
// Any thread may call it. Nothing of netmgr is opened before it is needed.
class NetworkSide {
 public:
  NetworkSide(const Layout& layout, std::string root_hash)
      : layout_(layout), root_hash_(std::move(root_hash)) {}

  static net::BridgeSpec BridgeOf(const store::NetworkRecord& record);
  // The endpoint in the kernel's terms.
  static net::EndpointSpec EndpointOf(const store::EndpointRecord& endpoint,
                                      const store::NetworkRecord& network);

  // Makes the bridge stand; asks the kernel once per network and process.
  Status EnsureBridge(const store::NetworkRecord& network);
  // A network that has just been made: its bridge, and its place in the firewall.
  Status AddNetwork(const store::NetworkRecord& network);
  // Its links go by a detached process once Flush() is called; its names at once.
  Status RemoveNetwork(const store::NetworkRecord& network);

  Result<net::PreparedNamespace> Prepare(const std::vector<net::EndpointSpec>& endpoints,
                                         bool name_service);
  Status Attach(int network_namespace, const net::EndpointSpec& endpoint);
  Status Detach(int network_namespace, const net::EndpointSpec& endpoint);
  Result<bool> CanRouteLoopback();

  Status Publish(const std::vector<net::PublishSpec>& ports);
  Status Unpublish(const std::vector<net::PublishSpec>& ports);
  // True when the table of this root has gone although `state` would need it.
  Result<bool> FirewallMissing();
  void WantRebuild();
  bool HasWork();
  // One transaction for the firewall, one process for the networks to remove. `state` is called
  // when the table has to be made anew.
  template <typename MakeState>
  Status Flush(MakeState state, std::vector<std::string>* warnings) {
    const std::lock_guard lock(mutex_);
    bool rebuild = rebuild_;
    if (!rebuild && firewall_ && firewall_->HasChanges()) {
      SKIFF_ASSIGN(const net::FirewallReport report, firewall_->Apply());
      *warnings = report.warnings;
      rebuild = report.was_missing;
    }
    if (rebuild) {
      SKIFF_ASSIGN(const net::FirewallState wanted, state());
      SKIFF_TRY(OpenFirewall());
      SKIFF_ASSIGN(const net::FirewallReport report, firewall_->Rebuild(wanted));
      warnings->insert(warnings->end(), report.warnings.begin(), report.warnings.end());
      rebuild_ = false;
    }
    return RemoveDetached();
  }

  // Nothing of this root needs the firewall any more. The links of `networks` go at once.
  Status Retire(const std::vector<store::Ptr<store::NetworkRecord>>& networks);

  // For `system check`.
  Result<std::vector<net::OwnedLink>> ListLinks();
  Status RemoveLinks(const std::vector<std::string>& names);
  Result<net::FirewallState> ReadFirewall();
  const std::string& root_hash() const { return root_hash_; }

 private:
  Result<net::HostNetwork*> Host();  // With mutex_ held.
  Status OpenFirewall();
  Status RemoveDetached();

  Layout layout_;
  std::string root_hash_;
  std::mutex mutex_;
  std::unique_ptr<net::HostNetwork> host_;
  std::unique_ptr<net::Firewall> firewall_;
  std::set<std::string> standing_;  // Ids of networks whose bridge has been seen to.
  std::vector<net::BridgeSpec> doomed_;
  bool rebuild_ = false;
};

}  // namespace skiff::engine::embedded
