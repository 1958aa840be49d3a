#pragma once

#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::builder {

struct Platform {
  std::string os;            // "linux"
  std::string architecture;  // "amd64", "arm64", "386"
  std::string variant;       // "v7" of arm, "" where there is only one.
  std::string os_version;    // Of windows.
  bool operator==(const Platform&) const = default;
};

// The machine this runs on.
Platform HostPlatform();
// The same system and architecture.
bool IsOfHost(const Platform& platform);
// "linux/arm/v7", "linux", "arm64", "x86_64", "windows(10.0.17763)/amd64" (containerd's grammar and
// its aliases). What is left out is the host's.
Result<Platform> ParsePlatform(std::string_view text);
// "linux/arm64", "linux/arm/v7"; FormatFull has the version too.
std::string FormatPlatform(const Platform& platform);
std::string FormatFullPlatform(const Platform& platform);

}  // namespace skiff::builder
