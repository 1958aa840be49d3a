// EXPOSE.
#include <arpa/inet.h>

#include <optional>

#include "base/text.h"
#include "builder/plan/interpret.h"

namespace skiff::builder {
namespace {

struct Range {
  int64_t first = 0, last = 0;
};

std::optional<int64_t> ParsePort(std::string_view text) {
  const auto port = ParseNumber<int64_t>(text.starts_with('+') ? text.substr(1) : text);
  if (!port || *port < 0 || *port > 65535) return std::nullopt;
  return port;
}

std::optional<Range> ParseRange(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = ParsePort(text.substr(0, dash));
  if (!first) return std::nullopt;
  if (dash == std::string_view::npos) return Range{*first, *first};
  const auto last = ParsePort(text.substr(dash + 1));
  if (!last || *last < *first) return std::nullopt;
  return Range{*first, *last};
}

bool IsAddress(std::string_view text) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const std::string address(text);
  unsigned char bytes[sizeof(in6_addr)];
  return inet_pton(AF_INET, address.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, address.c_str(), bytes) == 1;
}

tl::unexpected<Error> Refuse(std::string message) {
  return Fail(Code::kInvalidArgument, std::move(message));
}

// address:host:container, each as it is written.
struct Parts {
  std::string_view address, host, container;
};
Parts SplitParts(std::string_view text) {
  const size_t last = text.rfind(':');
  if (last == std::string_view::npos) return {{}, {}, text};
  const std::string_view front = text.substr(0, last);
  const size_t middle = front.rfind(':');
  if (middle == std::string_view::npos) return {{}, front, text.substr(last + 1)};
  return {front.substr(0, middle), front.substr(middle + 1), text.substr(last + 1)};
}

}  // namespace

Result<ExposedPorts> ParseExposed(const std::string& text) {
  ExposedPorts exposed;
  const Parts parts = SplitParts(text);
  const size_t slash = parts.container.find('/');
  const std::string container(parts.container.substr(0, slash));
  std::string protocol(slash == std::string_view::npos ? "" : parts.container.substr(slash + 1));
  if (container.empty()) return Refuse("invalid port: \"" + text + "\": no port specified");
  if (protocol.empty()) protocol = "tcp";
  const std::string lower = ToLower(protocol);
  if (lower != "tcp" && lower != "udp" && lower != "sctp") {
    return Refuse("invalid port: \"" + text + "\": invalid proto: " + protocol);
  }
  exposed.mixed_case = lower != protocol;
  exposed.host_part = !parts.address.empty() || !parts.host.empty();
  if (!parts.address.empty() && !IsAddress(parts.address)) {
    return Refuse("invalid IP address: " + std::string(parts.address));
  }
  const auto range = ParseRange(container);
  if (!range) return Refuse("invalid containerPort: " + container);
  if (!parts.host.empty()) {
    const auto host = ParseRange(parts.host);
    if (!host) return Refuse("invalid hostPort: " + std::string(parts.host));
    const bool same_size = host->last - host->first == range->last - range->first;
    if (!same_size && range->last != range->first) {
      return Refuse("invalid ranges specified for container and host Ports: " + container +
                    " and " + std::string(parts.host));
    }
  }
  for (int64_t port = range->first; port <= range->last; ++port) {
    exposed.ports.push_back(std::to_string(port) + "/" + lower);
  }
  return exposed;
}

}  // namespace skiff::builder
