#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::engine {

// What of security_opt concerns seccomp, as RuntimeSpec carries it.
struct SeccompChoice {
  bool enabled = true;
  std::string filter;  // struct sock_filter array; "": the compiled-in default.
};

// `profile`: "" (docker's default for `capabilities`), "unconfined", or the text of a JSON profile
// (docker's format with includes and excludes; read the file first). The default policy with
// docker's default capabilities needs no compilation; any other is compiled (20 ms) and kept in
// `cache_dir` ("<root>/seccomp", made when missing; "": not kept) under a hash of all it depends
// on.
Result<SeccompChoice> ResolveSeccomp(std::string_view profile, uint64_t capabilities,
                                     const std::string& cache_dir);

// The default policy for a capability set, compiled now. Slow.
Result<std::string> CompileDefaultSeccomp(uint64_t capabilities);
// A JSON profile, compiled now. Errors name the place in the profile.
Result<std::string> CompileSeccompProfile(std::string_view json, uint64_t capabilities);

}  // namespace skiff::engine
