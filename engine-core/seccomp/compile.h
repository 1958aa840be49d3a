#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::engine::seccomp {

// A policy as cBPF (an array of struct sock_filter) for this machine and what runs on it (x86-64:
// i386 and x32 too). Takes about 20 ms.
Result<std::string> CompileDefaultPolicy(uint64_t capabilities);

}  // namespace skiff::engine::seccomp
