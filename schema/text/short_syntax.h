#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::schema {

// Parsers of the short syntaxes. They know no places: an error's span is an offset and length in
// the text that was given (file 0); the caller moves it to where the text stands.

// compose-spec: ports, short syntax: [[IP:]HOST[-HOST]:]CONTAINER[-CONTAINER][/PROTOCOL].
struct PortSpec {
  std::string host_ip, published, protocol;
  uint16_t target = 0;
};
// One entry for each container port, in the order the reference gives them.
Result<std::vector<PortSpec>> ParsePortSpec(std::string_view text);

// compose-spec: volumes, short syntax: [SOURCE:]TARGET[:OPTION,...].
struct VolumeSpec {
  bool bind = false;  // Else a volume.
  bool has_volume_options = false;
  bool nocopy = false;
  bool read_only = false;
  bool has_bind_options = false;
  std::string source, target, propagation, selinux;
  struct Unknown {
    std::string option;
    uint32_t offset = 0;
  };
  std::vector<Unknown> ignored;  // Options the reference drops without a word.
};
Result<VolumeSpec> ParseVolumeSpec(std::string_view text);

// A command line split as the reference's shellwords does: quotes and escapes are understood,
// nothing is expanded, and the rest behind an unquoted ; & | < > is dropped.
struct ShellWords {
  std::vector<std::string> words;
  uint32_t dropped_from = UINT32_MAX;  // Offset of the operator that ended it.
};
Result<ShellWords> SplitShellWords(std::string_view text);

// "1h30m", and with days and weeks: "1d12h", "2w". Nanoseconds.
Result<int64_t> ParseTimeSpan(std::string_view text);

// path.Clean of Go: no empty, "." or needless ".." elements.
std::string CleanPath(std::string_view path);
std::string JoinPath(std::string_view directory, std::string_view name);
// `path` itself when it is absolute, cleaned either way.
std::string AbsolutePath(std::string_view directory, std::string_view path);
// The folder of an absolute path.
std::string DirectoryOf(std::string_view path);
bool IsWindowsAbsolute(std::string_view path);
bool IsIpAddress(std::string_view text);

}  // namespace skiff::schema
