#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/atomic_file.h"
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

  // Before a container runs at its addresses, nothing may be tracked of who had them before. Called
  // behind Guard().
  Status Settle(const std::vector<store::EndpointRecord>& endpoints);

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
    SKIFF_TRY(ApplyFirewall(state, warnings));
    return RemoveDetached();
  }
  // The firewall's part of it alone, when a network of this command is not guarded yet: its
  // containers must not run before the rules that keep them apart and away from the host.
  template <typename MakeState>
  Status Guard(MakeState state, std::vector<std::string>* warnings) {
    const std::lock_guard lock(mutex_);
    return unguarded_ ? ApplyFirewall(state, warnings) : Status();
  }

  // True for two that cannot both be published.
  static bool SamePlace(const net::PublishSpec& a, const net::PublishSpec& b) {
    const auto covers = [](const std::string& all, const std::string& one) {
      return all == one || (all.empty() && (one == "0.0.0.0" || one == "::"));
    };
    return (covers(a.host_ip, b.host_ip) || covers(b.host_ip, a.host_ip)) &&
           a.host_port == b.host_port && a.protocol == b.protocol;
  }

  // Nothing of this root needs the firewall any more. The links of `networks` go at once.
  Status Retire(const std::vector<store::Ptr<store::NetworkRecord>>& networks);

  // For `system check`.
  Result<std::vector<net::OwnedLink>> ListLinks();
  Status RemoveLinks(const std::vector<std::string>& names);
  Result<net::FirewallState> ReadFirewall();
  // Of these ports, those that the firewall should hold, as ReadFirewall() tells of them.
  Result<std::vector<net::PublishSpec>> HeldPorts(const std::vector<net::PublishSpec>& ports);
  const std::string& root_hash() const { return root_hash_; }

 private:
  Result<net::HostNetwork*> Host();  // With mutex_ held.
  Status OpenFirewall();
  Status RemoveDetached();
  // What is tracked of the subnets of networks that go, where the firewall knows of some.
  Status ForgetConnections(const std::vector<net::IpPrefix>& subnets);
  // With mutex_ held. One process at a time, so that a port that one of them closes and another
  // opens again ends up open: markers are written before ports are published.
  template <typename MakeState>
  Status ApplyFirewall(MakeState state, std::vector<std::string>* warnings) {
    if (!rebuild_ && !missing_ && unpublished_.empty() && !(firewall_ && firewall_->HasChanges()))
      return {};
    SKIFF_ASSIGN(const FileLock alone,
                 FileLock::Acquire(layout_.lock("firewall"), FileLock::Mode::kExclusive));
    SKIFF_TRY(OpenFirewall());
    bool rebuild = rebuild_;
    // Gone while containers of earlier commands ran: what it knew of their connections is lost.
    bool lost = rebuild_;
    if (missing_ && !rebuild) {
      // Another command may have made it since, with networks in it that have no row yet.
      SKIFF_ASSIGN(const bool stands, firewall_->TableStands());
      rebuild = !stands;
    }
    if (!rebuild) {
      SKIFF_TRY(QueueUnpublished(state));
      if (firewall_->HasChanges()) {
        SKIFF_ASSIGN(const net::FirewallReport report, firewall_->Apply());
        *warnings = report.warnings;
        rebuild = lost = report.was_missing;
      }
    }
    if (rebuild) {
      SKIFF_ASSIGN(net::FirewallState wanted, state());
      wanted.unsure = lost;
      if (wanted.networks.empty() && wanted.ports.empty()) {
        SKIFF_TRY(firewall_->RemoveTable());
      } else {
        SKIFF_ASSIGN(const net::FirewallReport report, firewall_->Rebuild(wanted));
        warnings->insert(warnings->end(), report.warnings.begin(), report.warnings.end());
      }
      unpublished_.clear();
    }
    rebuild_ = missing_ = unguarded_ = false;
    return {};
  }
  template <typename MakeState>
  Status QueueUnpublished(MakeState state) {
    if (unpublished_.empty()) return {};
    SKIFF_ASSIGN(const net::FirewallState wanted, state());
    for (const net::PublishSpec& port : unpublished_) {
      const bool again = std::ranges::any_of(
          wanted.ports, [&](const net::PublishSpec& other) { return SamePlace(port, other); });
      if (!again) firewall_->Unpublish(port);
    }
    unpublished_.clear();
    return {};
  }

  Layout layout_;
  std::string root_hash_;
  std::mutex mutex_;
  std::unique_ptr<net::HostNetwork> host_;
  std::unique_ptr<net::Firewall> firewall_;
  std::set<std::string> standing_;  // Ids of networks whose bridge has been seen to.
  std::vector<net::BridgeSpec> doomed_;
  std::vector<net::PublishSpec> unpublished_;
  bool rebuild_ = false;
  bool missing_ = false;    // The table was, when a network was first needed.
  bool unguarded_ = false;  // A network stands that the firewall may not know of.
};

}  // namespace skiff::engine::embedded
