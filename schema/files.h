#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff::schema {

// The file system a load reads from; paths are absolute, except in what a file with no resolved
// paths names. The default is the machine's; tests give one that is in memory.
class Files {
 public:
  enum class Kind { kAbsent, kFile, kFolder };

  virtual ~Files() = default;
  // Follows symbolic links. Anything that cannot be looked at is absent.
  virtual Kind KindOf(const std::string& path) const = 0;
  // kNotFound, kPermissionDenied and so on with the path; kExhausted above 64 MiB.
  virtual Result<std::string> Read(const std::string& path) const = 0;
  // Without symbolic links; nothing when something of it is absent.
  virtual std::optional<std::string> RealPath(const std::string& path) const = 0;
};

// Compose files that an address names: a repository of Git, or an artifact of a registry
// ("oci://..."). https://docs.docker.com/compose/how-tos/oci-artifact/
class RemoteFiles {
 public:
  virtual ~RemoteFiles() = default;
  // The file on this machine: absolute, in a folder with what it refers to. kUnsupported: this
  // command fetches nothing and the file is not here; else why it could not be had. The same
  // address gives the same file for as long as the object lives.
  virtual Result<std::string> Obtain(const std::string& address) = 0;
};

// What a Compose file is called when nobody names it, the first one first.
inline constexpr std::string_view kComposeFileNames[] = {
    "compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"};

// True for addresses of Git and "oci://..."; anything else is the path of a file.
bool IsRemoteAddress(std::string_view text);

// The machine's own. Lives as long as the program.
const Files& MachineFiles();

}  // namespace skiff::schema
