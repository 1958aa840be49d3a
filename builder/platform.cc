#include "builder/platform.h"

#include <sys/utsname.h>

#include <algorithm>

#include "base/text.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kSystems[] = {
    "aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
    "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "windows", "zos"};
constexpr std::string_view kArchitectures[] = {
    "386",     "amd64",   "amd64p32", "arm",    "armbe",  "arm64",    "arm64be",   "ppc64",
    "ppc64le", "loong64", "mips",     "mipsle", "mips64", "mips64le", "mips64p32", "mips64p32le",
    "ppc",     "riscv",   "riscv64",  "s390",   "s390x",  "sparc",    "sparc64",   "wasm"};

struct Alias {
  std::string_view architecture, variant;  // "*": any.
  std::string_view to_architecture, to_variant;
};
constexpr Alias kAliases[] = {
    {"i386", "*", "386", ""},         {"x86_64", "*", "amd64", "*"},
    {"x86-64", "*", "amd64", "*"},    {"aarch64", "*", "arm64", "*"},
    {"armhf", "*", "arm", "v7"},      {"armel", "*", "arm", "v6"},
    {"amd64", "v1", "amd64", ""},     {"arm64", "8", "arm64", ""},
    {"arm64", "v8", "arm64", ""},     {"arm64", "v8.0", "arm64", ""},
    {"arm64", "9", "arm64", "v9"},    {"arm64", "9.0", "arm64", "v9"},
    {"arm64", "v9.0", "arm64", "v9"}, {"arm", "", "arm", "v7"},
    {"arm", "7", "arm", "v7"},        {"arm", "5", "arm", "v5"},
    {"arm", "6", "arm", "v6"},        {"arm", "8", "arm", "v8"},
};

void NormaliseArchitecture(Platform& platform) {
  platform.architecture = ToLower(platform.architecture);
  platform.variant = ToLower(platform.variant);
  for (const Alias& alias : kAliases) {
    const bool matches = platform.architecture == alias.architecture &&
                         (alias.variant == "*" || platform.variant == alias.variant);
    if (!matches) continue;
    platform.architecture = alias.to_architecture;
    if (alias.to_variant != "*") platform.variant = alias.to_variant;
  }
}

bool IsSpecifier(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '.' || c == '-';
  });
}

bool Contains(const auto& list, std::string_view word) {
  return std::ranges::find(list, word) != std::end(list);
}

// "linux", "windows(10.0.17763)".
bool ParseSystem(std::string_view text, Platform& platform) {
  if (const size_t open = text.find('('); open != std::string_view::npos) {
    if (!text.ends_with(')')) return false;
    const std::string_view version = text.substr(open + 1, text.size() - open - 2);
    if (!version.empty() && !IsSpecifier(version)) return false;
    platform.os_version = version;
    text = text.substr(0, open);
  }
  if (!IsSpecifier(text) || text.find('.') != std::string_view::npos) return false;
  platform.os = ToLower(text);
  if (platform.os == "macos") platform.os = "darwin";
  return true;
}

// One word: a system or an architecture.
bool Complete(std::string_view word, Platform& platform) {
  const Platform host = HostPlatform();
  if (Contains(kSystems, platform.os)) {
    platform.architecture = host.architecture;
    platform.variant = host.variant == "v7" ? "" : host.variant;
    return true;
  }
  platform.architecture = word;
  NormaliseArchitecture(platform);
  if (platform.architecture == "arm" && platform.variant == "v7") platform.variant.clear();
  platform.os = host.os;
  return Contains(kArchitectures, platform.architecture);
}

}  // namespace

Platform HostPlatform() {
  Platform platform{"linux", "amd64", "", ""};
  struct utsname name = {};
  if (uname(&name) == 0) {
    platform.architecture = name.machine;
    // "armv7l"
    if (platform.architecture.starts_with("armv") && platform.architecture.size() > 4) {
      platform.variant = std::string("v") + platform.architecture[4];
      platform.architecture = "arm";
    }
    if (platform.architecture == "i686" || platform.architecture == "i586") {
      platform.architecture = "386";
    }
    NormaliseArchitecture(platform);
  }
  return platform;
}

bool IsOfHost(const Platform& platform) {
  const Platform host = HostPlatform();
  return platform.os == host.os && platform.architecture == host.architecture;
}

Result<Platform> ParsePlatform(std::string_view text) {
  const auto fail = [&](std::string_view why) {
    return Fail(Code::kInvalidArgument,
                "invalid platform '" + std::string(text) + "': " + std::string(why));
  };
  const std::vector<std::string_view> parts = Split(text, '/');
  Platform platform;
  if (!ParseSystem(parts[0], platform)) return fail("it is <os>[/<architecture>[/<variant>]]");
  if (!std::all_of(parts.begin() + 1, parts.end(), IsSpecifier) || parts.size() > 3) {
    return fail("it is <os>[/<architecture>[/<variant>]]");
  }
  if (parts.size() == 1) {
    if (!Complete(parts[0], platform)) return fail("unknown operating system or architecture");
    return platform;
  }
  platform.architecture = parts[1];
  if (parts.size() == 3) platform.variant = parts[2];
  NormaliseArchitecture(platform);
  if (parts.size() == 2 && platform.architecture == "arm" && platform.variant == "v7") {
    platform.variant.clear();
  }
  if (parts.size() == 3 && platform.architecture == "arm64" && platform.variant.empty()) {
    platform.variant = "v8";
  }
  return platform;
}

std::string FormatPlatform(const Platform& platform) {
  if (platform.os.empty()) return "unknown";
  std::string out = platform.os;
  for (const std::string* part : {&platform.architecture, &platform.variant}) {
    if (!part->empty()) out += "/" + *part;
  }
  return out;
}

std::string FormatFullPlatform(const Platform& platform) {
  if (platform.os.empty() || platform.os_version.empty()) return FormatPlatform(platform);
  Platform versioned = platform;
  versioned.os += "(" + platform.os_version + ")";
  return FormatPlatform(versioned);
}

}  // namespace skiff::builder
