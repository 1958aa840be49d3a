#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace skiff::engine::embedded {

// What a container sees as /etc/hosts, /etc/hostname and /etc/resolv.conf (engine.md 4.7). Pure
// text.

struct HostsInputs {
  std::string hostname;
  std::string domainname;
  bool ipv6 = false;
  std::vector<std::pair<std::string, std::string>> extra;  // host, address
  std::vector<std::string> addresses;                      // Of the container, one per endpoint.
};
std::string HostsFile(const HostsInputs& inputs);

// "host:ip" or "host=ip", brackets around IPv6 removed; "host-gateway" becomes `gateway`.
Result<std::pair<std::string, std::string>> ParseExtraHost(std::string_view text,
                                                           std::string_view gateway);

struct ResolverSettings {
  std::vector<std::string> name_servers;
  std::vector<std::string> search;
  std::vector<std::string> options;
};
// Unknown lines are skipped; at most what resolv.conf(5) allows is used by whoever reads it.
ResolverSettings ParseResolvConf(std::string_view text);
std::string ResolvConfFile(const ResolverSettings& settings);
// The host's name servers that a container can reach by itself: loopback ones are left out.
std::vector<std::string> WithoutLoopback(const std::vector<std::string>& name_servers);

}  // namespace skiff::engine::embedded
