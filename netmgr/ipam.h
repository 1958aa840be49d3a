#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "netmgr/address.h"

// Choice of subnets and addresses. Pure but for the two readers and the lock at the end: what is
// taken comes from the caller's rows (a lease is a container's row) and from the host.
namespace skiff::net {

// Where subnets of networks that name none come from: `pool` is cut into pieces of `length`.
struct AddressPool {
  IpPrefix pool;
  int length = 24;
};
// Room for thousands of projects inside docker's own ranges: 128 /22s of 172.18.0.0/15, with as many
// addresses as a bridge takes containers (1,023 ports), then /24s of 172.20.0.0/14, 172.24.0.0/13
// and 192.168.0.0/16. 172.17.0.0/16 is left to the default bridge.
std::vector<AddressPool> DefaultPools();

// The first piece of `pools` that overlaps none of `taken` (subnets of all networks, routes and
// name servers of the host). kExhausted: "all predefined address pools have been fully subnetted".
Result<IpPrefix> ChooseSubnet(std::span<const AddressPool> pools, std::span<const IpPrefix> taken);
// A /64 of the unique local /48 that belongs to `root_hash`, by the network's id.
Result<IpPrefix> ChooseSubnetV6(std::string_view root_hash, std::string_view network_id,
                                std::span<const IpPrefix> taken);

// One address range of a network, checked and complete.
struct SubnetPlan {
  IpPrefix subnet;
  IpAddress gateway;
  std::optional<IpPrefix> range;  // Automatic addresses come from here; absent: the subnet.
};
// What the user wrote (compose-spec: ipam). `gateway` and `range` may be "". Errors name the value:
// "invalid subnet '10.0.0/24'", "gateway '10.1.0.1' is not in subnet '10.0.0.0/24'".
// `taken` as above, but only networks: a user may well cover a route of the host on purpose;
// kAlreadyExists: "pool overlaps with other one on this address space".
Result<SubnetPlan> PlanSubnet(std::string_view subnet, std::string_view gateway,
                              std::string_view range, std::span<const IpPrefix> taken);
SubnetPlan PlanSubnet(const IpPrefix& subnet);  // Gateway: the first address.

// The next free address after `last` (the one given out most recently; absent: from the start),
// around the end, so that an address rests before it is used again. `used`: leases, the gateway and
// auxiliary addresses. kExhausted: "no available IPv4 addresses on this network's address pools".
Result<IpAddress> NextAddress(const SubnetPlan& plan, const std::set<IpAddress>& used,
                              const std::optional<IpAddress>& last);
// A static address: in the subnet, neither its first nor its last (IPv4), not used. Errors:
// "no configured subnet contains IP address 10.9.0.5", "Address already in use".
Result<IpAddress> CheckAddress(std::span<const SubnetPlan> plans, std::string_view address,
                               const std::set<IpAddress>& used);

// Destinations of the host's routes in every table (the default route not), addresses included.
Result<std::vector<IpPrefix>> ReadHostRoutes();
// Name servers of a resolv.conf, as /32 and /128: a subnet must not hide them.
std::vector<IpPrefix> NameServersOf(std::string_view resolv_conf);
// Held from the choice of a subnet until its bridge stands, by every root on the machine.
inline constexpr char kSubnetLockPath[] = "/run/skiff-subnets.lock";
Result<FileLock> LockSubnets(const std::string& path = kSubnetLockPath);

}  // namespace skiff::net
