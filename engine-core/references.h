#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::engine {

// An image reference in its normal form (distribution/reference grammar; reference/engine 4.10).
struct Reference {
  std::string domain;  // "docker.io", "localhost:5000"
  std::string path;    // "library/busybox"
  std::string tag;     // "" only with a digest.
  std::string digest;  // "sha256:..." or "".

  // "docker.io/library/busybox:latest"
  std::string Canonical() const;
  // As docker shows it: "busybox:latest".
  std::string Familiar() const;
  // Without tag and digest: "busybox".
  std::string FamiliarName() const;
  bool operator==(const Reference&) const = default;
};

// "busybox", "localhost:5000/a/b:tag@sha256:...". The tag becomes "latest" when neither tag nor
// digest is given. Fails with docker's texts ("invalid reference format").
Result<Reference> ParseReference(std::string_view text);

// Whether the registry of this domain is on this machine: "localhost", 127/8, "[::1]", with a port or
// without.
bool IsLoopbackRegistry(std::string_view domain);

// "sha256:" and 64 lower-case hexadecimal digits.
bool IsDigest(std::string_view text);

}  // namespace skiff::engine
