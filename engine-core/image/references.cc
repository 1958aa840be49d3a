#include "engine-core/references.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::engine {
namespace {

constexpr std::string_view kDefaultDomain = "docker.io";
constexpr std::string_view kOfficial = "library/";
constexpr size_t kMaximumName = 255;
constexpr size_t kMaximumTag = 128;

bool IsLower(char c) {
  return c >= 'a' && c <= 'z';
}
bool IsUpper(char c) {
  return c >= 'A' && c <= 'Z';
}
bool IsDigit(char c) {
  return c >= '0' && c <= '9';
}
bool IsHex(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'f');
}

tl::unexpected<Error> FailFormat(std::string_view text) {
  return Fail(Code::kInvalidArgument,
              "invalid reference format: '" + std::string(text) + "' is no image reference");
}

// [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*
bool IsPathComponent(std::string_view text) {
  size_t at = 0;
  while (true) {
    const size_t start = at;
    while (at < text.size() && (IsLower(text[at]) || IsDigit(text[at]))) ++at;
    if (at == start) return false;
    if (at == text.size()) return true;
    const size_t separator = at;
    while (at < text.size() && text[at] == text[separator]) ++at;
    const size_t length = at - separator;
    const char c = text[separator];
    const bool valid = c == '-' || (c == '.' && length == 1) || (c == '_' && length <= 2);
    if (!valid) return false;
  }
}

// [\w][\w.-]{0,127}
bool IsTag(std::string_view text) {
  if (text.empty() || text.size() > kMaximumTag || text[0] == '.' || text[0] == '-') return false;
  return std::ranges::all_of(text, [](char c) {
    return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '_' || c == '.' || c == '-';
  });
}

// Host name, IPv4 address or [IPv6], with an optional port.
bool IsDomain(std::string_view text) {
  std::string_view host = text;
  if (text.starts_with('[')) {
    const size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    const std::string_view inside = text.substr(1, end - 1);
    if (inside.empty() || !std::ranges::all_of(inside, [](char c) {
          return IsHex(c) || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
        })) {
      return false;
    }
    host = text.substr(end + 1);
    if (host.empty()) return true;
    return host[0] == ':' && ParseNumber<uint16_t>(host.substr(1)).has_value();
  }
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    if (!ParseNumber<uint16_t>(text.substr(colon + 1))) return false;
    host = text.substr(0, colon);
  }
  for (const std::string_view label : Split(host, '.')) {
    if (label.empty() || label.front() == '-' || label.back() == '-') return false;
    if (!std::ranges::all_of(
            label, [](char c) { return IsLower(c) || IsUpper(c) || IsDigit(c) || c == '-'; })) {
      return false;
    }
  }
  return true;
}

bool LooksLikeDomain(std::string_view first) {
  return first.find_first_of(".:") != std::string_view::npos || first == "localhost" ||
         std::ranges::any_of(first, IsUpper);
}

}  // namespace

bool IsLoopbackRegistry(std::string_view domain) {
  const std::string_view bare = domain.starts_with('[') ? domain.substr(1, domain.find(']') - 1)
                                                        : domain.substr(0, domain.find(':'));
  return bare == "localhost" || bare == "::1" || bare.starts_with("127.");
}

bool IsDigest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  return text.size() == kPrefix.size() + 64 && text.starts_with(kPrefix) &&
         std::ranges::all_of(text.substr(kPrefix.size()), IsHex);
}

std::string Reference::FamiliarName() const {
  const std::string whole = domain + "/" + path;
  if (domain != kDefaultDomain) return whole;
  const bool official =
      path.starts_with(kOfficial) && path.find('/', kOfficial.size()) == std::string::npos;
  const std::string name = official ? path.substr(kOfficial.size()) : path;
  // "docker.io/example.com/x" without its domain would be another registry's, and sixty-four digits
  // an image's id.
  const auto again = ParseReference(name);
  return again && again->domain == domain && again->path == path ? name : whole;
}

std::string Reference::Familiar() const {
  return FamiliarName() + (tag.empty() ? "" : ":" + tag) + (digest.empty() ? "" : "@" + digest);
}

std::string Reference::Canonical() const {
  return domain + "/" + path + (tag.empty() ? "" : ":" + tag) +
         (digest.empty() ? "" : "@" + digest);
}

Result<Reference> ParseReference(std::string_view text) {
  const std::string_view whole = text;
  Reference reference;
  if (text.size() == 64 && std::ranges::all_of(text, IsHex)) {
    return Fail(Code::kInvalidArgument, "invalid repository name (" + std::string(text) +
                                            "), cannot specify 64-byte hexadecimal strings");
  }
  if (const size_t at = text.find('@'); at != std::string_view::npos) {
    reference.digest = text.substr(at + 1);
    if (!IsDigest(reference.digest)) return FailFormat(whole);
    text = text.substr(0, at);
  }
  // A colon after the last slash starts the tag; one before it belongs to a port.
  const size_t last_slash = text.rfind('/');
  const size_t colon = text.find(':', last_slash == std::string_view::npos ? 0 : last_slash);
  if (colon != std::string_view::npos) {
    reference.tag = text.substr(colon + 1);
    if (!IsTag(reference.tag)) return FailFormat(whole);
    text = text.substr(0, colon);
  }
  std::string_view path = text;
  reference.domain = kDefaultDomain;
  if (const size_t slash = text.find('/');
      slash != std::string_view::npos && LooksLikeDomain(text.substr(0, slash))) {
    reference.domain = text.substr(0, slash);
    path = text.substr(slash + 1);
    if (!IsDomain(reference.domain)) return FailFormat(whole);
  }
  if (reference.domain == "index.docker.io") reference.domain = kDefaultDomain;
  if (std::ranges::any_of(path, IsUpper)) {
    return Fail(Code::kInvalidArgument, "invalid reference format: repository name (" +
                                            std::string(path) + ") must be lowercase");
  }
  for (const std::string_view component : Split(path, '/')) {
    if (!IsPathComponent(component)) return FailFormat(whole);
  }
  reference.path = path;
  if (reference.domain == kDefaultDomain && path.find('/') == std::string_view::npos) {
    reference.path = std::string(kOfficial) + reference.path;
  }
  if (reference.domain.size() + 1 + reference.path.size() > kMaximumName) {
    return Fail(Code::kInvalidArgument, "repository name must not be more than 255 characters");
  }
  if (reference.tag.empty() && reference.digest.empty()) reference.tag = "latest";
  return reference;
}

}  // namespace skiff::engine
