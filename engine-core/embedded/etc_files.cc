#include "engine-core/embedded/etc_files.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::engine::embedded {

std::string HostsFile(const HostsInputs& inputs) {
  std::string out = "127.0.0.1\tlocalhost\n";
  if (inputs.ipv6) {
    out +=
        "::1\tlocalhost ip6-localhost ip6-loopback\n"
        "fe00::\tip6-localnet\n"
        "ff00::\tip6-mcastprefix\n"
        "ff02::1\tip6-allnodes\n"
        "ff02::2\tip6-allrouters\n";
  }
  for (const auto& [host, address] : inputs.extra) out += address + "\t" + host + "\n";
  for (const std::string& address : inputs.addresses) {
    out += address + "\t";
    if (!inputs.domainname.empty()) out += inputs.hostname + "." + inputs.domainname + " ";
    out += inputs.hostname + "\n";
  }
  return out;
}

Result<std::pair<std::string, std::string>> ParseExtraHost(std::string_view text,
                                                           std::string_view gateway) {
  const size_t equals = text.find('=');
  const size_t separator = equals != std::string_view::npos ? equals : text.find(':');
  if (separator == std::string_view::npos || separator == 0) {
    return Fail(Code::kInvalidArgument, "bad format for add-host: \"" + std::string(text) + "\"");
  }
  const std::string host(text.substr(0, separator));
  std::string_view address = text.substr(separator + 1);
  if (address.size() > 2 && address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  }
  if (address.empty()) {
    return Fail(Code::kInvalidArgument, "invalid IP address in add-host: \"\"");
  }
  if (address == "host-gateway") {
    if (gateway.empty()) {
      return Fail(Code::kFailedPrecondition,
                  "cannot derive the IP value for host-gateway: the container has no gateway");
    }
    address = gateway;
  }
  return std::pair(host, std::string(address));
}

ResolverSettings ParseResolvConf(std::string_view text) {
  ResolverSettings settings;
  for (const std::string_view line : Split(text, '\n')) {
    const auto words = SplitWords(line.substr(0, line.find_first_of("#;")));
    if (words.size() < 2) continue;
    if (words[0] == "nameserver") settings.name_servers.emplace_back(words[1]);
    if (words[0] == "search" || words[0] == "domain") {
      settings.search.assign(words.begin() + 1, words.end());  // The last one counts.
    }
    if (words[0] == "options") {
      settings.options.insert(settings.options.end(), words.begin() + 1, words.end());
    }
  }
  return settings;
}

std::string ResolvConfFile(const ResolverSettings& settings) {
  std::string out;
  for (const std::string& server : settings.name_servers) out += "nameserver " + server + "\n";
  // "search ." means none, explicitly (docker).
  if (!settings.search.empty() && settings.search != std::vector<std::string>{"."}) {
    out += "search " + Join(settings.search, " ") + "\n";
  }
  if (!settings.options.empty()) out += "options " + Join(settings.options, " ") + "\n";
  return out;
}

std::vector<std::string> WithoutLoopback(const std::vector<std::string>& name_servers) {
  std::vector<std::string> reachable;
  std::copy_if(
      name_servers.begin(), name_servers.end(), std::back_inserter(reachable),
      [](const std::string& server) { return !server.starts_with("127.") && server != "::1"; });
  return reachable;
}

}  // namespace skiff::engine::embedded
