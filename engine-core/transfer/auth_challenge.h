#pragma once

#include <map>
#include <string>
#include <string_view>

namespace skiff::engine::transfer {

// One WWW-Authenticate header (RFC 9110, 11.6.1): `Bearer realm="...",service="..."`.
struct AuthChallenge {
  std::string scheme;  // Lower case; "" when the header makes no sense.
  std::map<std::string, std::string> parameters;  // Keys in lower case.
  std::string Parameter(const std::string& name) const {
    const auto it = parameters.find(name);
    return it == parameters.end() ? "" : it->second;
  }
};
AuthChallenge ParseAuthChallenge(std::string_view header);

}  // namespace skiff::engine::transfer
