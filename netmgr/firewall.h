#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "netmgr/network.h"

namespace skiff::net {

struct FirewallOptions {
  // 127.0.0.1 is sent to containers by the kernel. False: the relay serves it.
  bool route_loopback = true;
};

// A network as the firewall sees it.
struct FirewallNetwork {
  std::string bridge;
  bool internal = false;

  bool operator==(const FirewallNetwork&) const = default;
};

struct FirewallState {
  std::vector<FirewallNetwork> networks;
  std::vector<PublishSpec> ports;
  // Connections may have been tracked of any address: the kernel's record was full, or it is lost
  // with a flush.
  bool unsure = false;
};

// Addresses that connections were tracked of.
struct SeenAddresses {
  std::vector<std::string> addresses;
  bool unsure = false;  // Perhaps of more.
};

// What an Apply() or a Rebuild() found.
struct FirewallReport {
  // The table was missing (a flush, a reboot) and holds now only what this call put into it: the
  // caller answers with Rebuild() of all its rows. Never set by Rebuild().
  bool was_missing = false;
  // What somebody else's firewall does that this one could not put right, in words for the user.
  std::vector<std::string> warnings;
};

// The nftables table of one root, "inet skiff-HASH": masquerade, published ports (one map element
// each), isolation of bridges from each other, from the outside and of 127.0.0.1. Changes are
// collected and made in one transaction. Not thread-safe: one object per command, under the store's
// lock or one of the caller's.
//
// What it ensures
// - A packet enters a bridge from elsewhere only as an answer or through a published port: also
//   for a neighbour of the host who adds a route to the subnet.
// - A port published on 127.0.0.1 is reached from this host alone.
// - A published port is reached from the host, from outside, and from containers of any network
//   by an address of the host (hairpin; the container then sees its gateway as the source).
// - An internal network has no way in or out, whatever is published.
// - It knows which addresses connections were tracked of: reading the kernel's own table of them
//   takes 10 ms whatever is in it, since every bucket is walked.
class Firewall {
 public:
  static Result<std::unique_ptr<Firewall>> Open(std::string root_hash,
                                                const FirewallOptions& options = {});
  ~Firewall();
  Firewall(const Firewall&) = delete;
  Firewall& operator=(const Firewall&) = delete;

  // 20 us. False after `nft flush ruleset`, and for a table of another
  // version: Rebuild() replaces that one.
  Result<bool> TableStands() const;

  void AddNetwork(const FirewallNetwork& network);
  void RemoveNetwork(const FirewallNetwork& network);
  void Publish(const PublishSpec& port);
  void Unpublish(const PublishSpec& port);
  // The kernel tracks nothing of these any more (HostNetwork::ForgetConnections).
  void ForgetSeen(std::span<const std::string> addresses);
  bool HasChanges() const;

  // All collected changes in one transaction; makes the table when it is missing. Adding what is
  // there and removing what is not succeed. A port's stale element of somebody dead is replaced:
  // who holds the reservation (netmgr/ports.h) owns the port. Nothing collected: nothing done.
  // After a failure the changes are still collected.
  Result<FirewallReport> Apply();
  // The whole table anew from `state` in one transaction; collected changes are dropped.
  Result<FirewallReport> Rebuild(const FirewallState& state);
  // What the table holds, for repair: one port per element, with the address it is known by (a port
  // published on "" comes back as "0.0.0.0" and "::") and a short id. No table: empty.
  Result<FirewallState> Read();
  // Of these addresses, those that a connection was tracked of since the table stands or since
  // ForgetSeen(): 15 us for each. All of them where the kernel's record was full (65535 addresses;
  // a container with NET_RAW can invent them). No table: none.
  Result<std::vector<std::string>> SeenOf(std::span<const std::string> addresses);
  // What the record has. No table: nothing.
  Result<SeenAddresses> Seen();
  // Removes the table and every rule in foreign chains that names a bridge of this root; collected
  // changes are dropped.
  Status RemoveTable();

  // The socket of changes that removed something, once; none otherwise. Closing it waits until the
  // kernel has let go of what was removed (an RCU grace period, often 10 ms): to be handed to a
  // process that can wait (HostNetwork::RemoveNetworksDetached).
  Fd TakeSlowSocket();

 private:
  struct State;
  explicit Firewall(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A port as Read() tells of it: one for each family that the table forwards, none for what the
// relay serves.
Result<std::vector<PublishSpec>> HeldPorts(const PublishSpec& port, const FirewallOptions& options);

}  // namespace skiff::net
