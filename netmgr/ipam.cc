#include "netmgr/ipam.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/identity.h"
#include "base/text.h"

namespace skiff::net {
namespace {

IpPrefix Prefix(std::string_view text) {
  return *IpPrefix::Parse(text);
}

bool OverlapsAny(const IpPrefix& candidate, std::span<const IpPrefix> taken) {
  return std::any_of(taken.begin(), taken.end(),
                     [&](const IpPrefix& other) { return candidate.Overlaps(other); });
}

// The first piece of the pool that none of `taken` (sorted) overlaps: one walk over both.
std::optional<IpPrefix> FirstFree(const AddressPool& pool, std::span<const IpPrefix> taken) {
  IpPrefix candidate{pool.pool.address, pool.length};
  for (const IpPrefix& other : taken) {
    if (!candidate.Overlaps(other)) {
      if (other.address.v6 == candidate.address.v6 && other.address > candidate.Last()) break;
      continue;
    }
    // Past a larger neighbour in one step, so that a taken /8 costs nothing.
    const IpPrefix& larger = other.length < candidate.length ? other : candidate;
    const auto next = larger.Last().Plus(1);
    if (!next) return std::nullopt;
    candidate.address = *next;
  }
  if (!pool.pool.Contains(candidate)) return std::nullopt;
  return candidate;
}

std::string FamilyName(bool v6) {
  return v6 ? "IPv6" : "IPv4";
}

// First and last address that a container may have: without the subnet's own address and the
// broadcast address (IPv4), without the subnet-router anycast address (IPv6).
struct Usable {
  IpAddress first;
  IpAddress last;
};

Usable UsableOf(const IpPrefix& subnet) {
  Usable usable{subnet.First(), subnet.Last()};
  const int host_bits = subnet.address.bits() - subnet.length;
  if (host_bits >= 2) {
    usable.first = *usable.first.Plus(1);
    if (!subnet.address.v6) {
      // Host bits are all ones: one less clears the last.
      usable.last.bytes[3] &= 0xfe;
    }
  }
  return usable;
}

}  // namespace

std::vector<AddressPool> DefaultPools() {
  return {{Prefix("172.18.0.0/15"), 22},
          {Prefix("172.20.0.0/14"), 24},
          {Prefix("172.24.0.0/13"), 24},
          {Prefix("192.168.0.0/16"), 24}};
}

Result<IpPrefix> ChooseSubnet(std::span<const AddressPool> pools, std::span<const IpPrefix> taken) {
  std::vector<IpPrefix> sorted(taken.begin(), taken.end());
  std::sort(sorted.begin(), sorted.end());
  for (const AddressPool& pool : pools) {
    if (const auto free = FirstFree(pool, sorted)) return *free;
  }
  return Fail(Error(Code::kExhausted, "all predefined address pools have been fully subnetted")
                  .With("networks and routes of this host cover every pool: remove networks that "
                        "are not used, or give the network a subnet (ipam.config.subnet)"));
}

Result<IpPrefix> ChooseSubnetV6(std::string_view root_hash, std::string_view network_id,
                                std::span<const IpPrefix> taken) {
  // RFC 4193: fd00::/8, 40 pseudo-random bits of the root, 16 bits of the network.
  const std::string root_digits = Sha256Hex(root_hash);
  IpPrefix subnet;
  subnet.length = 64;
  subnet.address.v6 = true;
  subnet.address.bytes[0] = 0xfd;
  for (size_t i = 0; i < 5; ++i) {
    subnet.address.bytes[1 + i] =
        ParseNumber<uint8_t>(std::string_view(root_digits).substr(2 * i, 2), 16).value_or(0);
  }
  const std::string network_digits = Sha256Hex(network_id);
  const auto start = ParseNumber<uint32_t>(std::string_view(network_digits).substr(0, 4), 16);
  for (uint32_t i = 0; i < 0x10000; ++i) {
    const uint32_t number = (start.value_or(0) + i) & 0xffff;
    subnet.address.bytes[6] = static_cast<uint8_t>(number >> 8);
    subnet.address.bytes[7] = static_cast<uint8_t>(number);
    if (!OverlapsAny(subnet, taken)) return subnet;
  }
  return Fail(Code::kExhausted, "all IPv6 subnets of this root are taken");
}

SubnetPlan PlanSubnet(const IpPrefix& subnet) {
  return {subnet, UsableOf(subnet).first, std::nullopt};
}

Result<SubnetPlan> PlanSubnet(std::string_view subnet, std::string_view gateway,
                              std::string_view range, std::span<const IpPrefix> taken) {
  const auto prefix = IpPrefix::Parse(subnet);
  if (!prefix) {
    return Fail(Error(Code::kInvalidArgument, fmt::format("invalid subnet '{}'", subnet))
                    .With("a subnet is an address and a length: 172.28.0.0/16, fd00:1::/64"));
  }
  if (prefix->address.IsLoopback() || prefix->address.IsMulticast() || prefix->length == 0) {
    return Fail(Code::kInvalidArgument,
                fmt::format("invalid subnet '{}': not usable for a network", subnet));
  }
  // A gateway and one container.
  if (prefix->length > prefix->address.bits() - 2) {
    return Fail(
        Code::kInvalidArgument,
        fmt::format("invalid subnet '{}': too small for a gateway and a container", subnet));
  }
  if (OverlapsAny(*prefix, taken)) {
    return Fail(Error(Code::kAlreadyExists, "pool overlaps with other one on this address space")
                    .With(fmt::format("subnet '{}'", subnet)));
  }
  SubnetPlan plan = PlanSubnet(*prefix);
  if (!gateway.empty()) {
    const auto address = IpAddress::Parse(gateway);
    if (!address) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid gateway address '{}'", gateway));
    }
    if (!prefix->Contains(*address)) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("gateway '{}' is not in subnet '{}'", gateway, prefix->Text()));
    }
    plan.gateway = *address;
  }
  if (!range.empty()) {
    plan.range = IpPrefix::Parse(range);
    if (!plan.range) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid ip-range '{}'", range));
    }
    if (!prefix->Contains(*plan.range)) {
      return Fail(Code::kInvalidArgument,
                  fmt::format("ip-range '{}' is not in subnet '{}'", range, prefix->Text()));
    }
  }
  return plan;
}

Result<IpAddress> NextAddress(const SubnetPlan& plan, const std::set<IpAddress>& used,
                              const std::optional<IpAddress>& last) {
  const Usable subnet = UsableOf(plan.subnet);
  Usable range = subnet;
  if (plan.range) {
    // A range may be used to its edges where they are not the subnet's.
    range.first = std::max(subnet.first, plan.range->First());
    range.last = std::min(subnet.last, plan.range->Last());
  }
  IpAddress candidate = range.first;
  if (last && *last >= range.first && *last < range.last) candidate = *last->Plus(1);
  const IpAddress start = candidate;
  do {
    if (candidate != plan.gateway && !used.contains(candidate)) return candidate;
    candidate = candidate == range.last ? range.first : *candidate.Plus(1);
  } while (candidate != start);
  return Fail(Error(Code::kExhausted,
                    fmt::format("no available {} addresses on this network's address pools",
                                FamilyName(plan.subnet.address.v6)))
                  .With(fmt::format("{} has no free address left",
                                    (plan.range ? *plan.range : plan.subnet).Text())));
}

Result<IpAddress> CheckAddress(std::span<const SubnetPlan> plans, std::string_view address,
                               const std::set<IpAddress>& used) {
  const auto wanted = IpAddress::Parse(address);
  if (!wanted) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid IP address '{}'", address));
  }
  for (const SubnetPlan& plan : plans) {
    if (!plan.subnet.Contains(*wanted)) continue;
    const Usable usable = UsableOf(plan.subnet);
    if (*wanted < usable.first || usable.last < *wanted) {
      return Fail(Code::kInvalidArgument, fmt::format("IP address '{}' is reserved in subnet '{}'",
                                                      address, plan.subnet.Text()));
    }
    if (*wanted == plan.gateway || used.contains(*wanted)) {
      return Fail(Error(Code::kAlreadyExists, "Address already in use")
                      .With(fmt::format("address '{}'", address)));
    }
    return *wanted;
  }
  return Fail(Code::kInvalidArgument,
              fmt::format("no configured subnet contains IP address {}", address));
}

std::vector<IpPrefix> NameServersOf(std::string_view resolv_conf) {
  std::vector<IpPrefix> servers;
  for (const std::string_view line : Split(resolv_conf, '\n')) {
    const auto words = SplitWords(line);
    if (words.size() < 2 || words[0] != "nameserver") continue;
    // A zone ("fe80::1%eth0") says on which link the address is meant: no matter for a subnet.
    const auto address = IpAddress::Parse(words[1].substr(0, words[1].find('%')));
    if (address) servers.push_back({*address, address->bits()});
  }
  return servers;
}

Result<FileLock> LockSubnets(const std::string& path) {
  return FileLock::Acquire(path, FileLock::Mode::kExclusive);
}

}  // namespace skiff::net
