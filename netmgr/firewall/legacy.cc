// First: the kernel's headers step back from what libc has declared, not the other way round.
// clang-format off
#include <netinet/in.h>
#include <sys/socket.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
// clang-format on

#include <fmt/format.h>

#include <cstddef>
#include <cstring>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/text.h"
#include "netmgr/firewall/foreign.h"

namespace skiff::net {
namespace {

// Verdict of the policy of a built-in chain: -verdict - 1.
constexpr int kDropVerdict = -NF_DROP - 1;

// Offsets differ between the families, the shape does not.
struct Family {
  const char* tables;  // Below /proc/thread-self/net.
  const char* tool;
  int domain;
  int level;
  int get_info;
  int get_entries;
  size_t target_offset;  // In an entry.
};
constexpr Family kFamilies[] = {
    {"ip_tables_names", "iptables-legacy", AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES,
     offsetof(ipt_entry, target_offset)},
    {"ip6_tables_names", "ip6tables-legacy", AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO,
     IP6T_SO_GET_ENTRIES, offsetof(ip6t_entry, target_offset)},
};

bool HasFilterTable(const Family& family) {
  const auto names = ReadFile(std::string("/proc/thread-self/net/") + family.tables, 4096);
  if (!names) return false;  // No legacy iptables in this kernel.
  for (const std::string_view name : SplitWords(*names)) {
    if (name == "filter") return true;
  }
  return false;
}

bool ForwardDrops(const Family& family) {
  // ipt_getinfo and ip6t_getinfo are laid out alike, as are the requests for entries.
  const Fd socket(::socket(family.domain, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  ipt_getinfo info = {};
  std::memcpy(info.name, "filter", sizeof "filter");
  socklen_t size = sizeof info;
  if (!socket || ::getsockopt(socket.get(), family.level, family.get_info, &info, &size) != 0) {
    return false;
  }
  constexpr size_t kHeader = offsetof(ipt_get_entries, entrytable);
  std::vector<char> buffer(kHeader + info.size);
  std::memcpy(buffer.data(), info.name, sizeof info.name);
  std::memcpy(buffer.data() + offsetof(ipt_get_entries, size), &info.size, sizeof info.size);
  size = static_cast<socklen_t>(buffer.size());
  if (::getsockopt(socket.get(), family.level, family.get_entries, buffer.data(), &size) != 0) {
    return false;
  }
  const size_t entry = kHeader + info.underflow[NF_INET_FORWARD];
  uint16_t target = 0;
  if (entry + family.target_offset + sizeof target > buffer.size()) return false;
  std::memcpy(&target, buffer.data() + entry + family.target_offset, sizeof target);
  xt_standard_target verdict;
  if (entry + target + sizeof verdict > buffer.size()) return false;
  std::memcpy(&verdict, buffer.data() + entry + target, sizeof verdict);
  return verdict.verdict == kDropVerdict;
}

}  // namespace

std::vector<std::string> LegacyWarnings(std::span<const std::string> bridges) {
  std::vector<std::string> warnings;
  for (const Family& family : kFamilies) {
    if (bridges.empty() || !HasFilterTable(family) || !ForwardDrops(family)) continue;
    std::string text = fmt::format(
        "the FORWARD chain of {} drops by policy: containers reach nothing outside. Run",
        family.tool);
    for (const std::string& bridge : bridges) {
      text += fmt::format("\n  {0} -I FORWARD -i {1} -j ACCEPT; {0} -I FORWARD -o {1} -j ACCEPT",
                          family.tool, bridge);
    }
    warnings.push_back(std::move(text));
  }
  return warnings;
}

}  // namespace skiff::net
