#include "builder/plan/paths.h"

#include <algorithm>
#include <vector>

#include "base/text.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kWindows = "windows";

std::string WithSlashes(std::string_view path, std::string_view os) {
  std::string out(path);
  if (os == kWindows) std::replace(out.begin(), out.end(), '\\', '/');
  return out;
}

std::string CleanKeeping(const std::string& path, bool keep_slash) {
  std::string clean = CleanPath(path);
  if (keep_slash && clean.size() > 1 && path.ends_with('/')) clean += '/';
  return clean;
}

// Paths of other systems are left alone.
Result<std::string> WithoutDrive(const std::string& path, std::string_view os, bool keep_slash) {
  if (os != kWindows) return path;
  if (path.size() == 2 && path[1] == ':') {
    return Fail(Code::kInvalidArgument, "no relative path specified in '" + path + "'");
  }
  if (path.starts_with("//")) return Fail(Code::kInvalidArgument, "UNC paths are not supported");
  const size_t colon = path.find(':');
  if (colon == std::string::npos) return CleanKeeping(path, keep_slash);
  if (!EqualsIgnoreCase(path.substr(0, colon), "c")) {
    return Fail(Code::kInvalidArgument, "the path '" + path + "' is not on the system drive (C:)");
  }
  return CleanKeeping(path.substr(colon + 1), keep_slash);
}

}  // namespace

std::string CleanPath(std::string_view path) {
  if (path.empty()) return ".";
  const bool absolute = path.starts_with('/');
  std::vector<std::string_view> parts;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (!parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (!absolute) {
      parts.push_back(part);
    }
  }
  std::string out = absolute ? "/" : "";
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += '/';
    out += parts[i];
  }
  return out.empty() ? "." : out;
}

std::string JoinPath(std::string_view parent, std::string_view path) {
  if (parent.empty()) return path.empty() ? "" : CleanPath(path);
  return CleanPath(std::string(parent) + "/" + std::string(path));
}

std::string_view BaseName(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  if (path == "/") return path;
  return path.substr(path.rfind('/') + 1);
}

Result<std::string> AbsolutePath(std::string_view parent_path, std::string_view path,
                                 std::string_view os, bool keep_slash) {
  const std::string original = WithSlashes(path, os);
  SKIFF_ASSIGN(
      std::string parent,
      WithoutDrive(parent_path.empty() ? "/" : WithSlashes(parent_path, os), os, keep_slash));
  if (!parent.starts_with('/')) parent = JoinPath("/", parent);
  SKIFF_ASSIGN(std::string out, WithoutDrive(original.empty() ? parent : original, os, keep_slash));
  if (!out.starts_with('/')) out = JoinPath(parent, out);
  if (!keep_slash) return out;
  if (original.ends_with('/') && !out.ends_with('/')) {
    out += '/';
  } else if (original.ends_with("/.")) {
    if (out != "/") out += '/';
    out += '.';
  }
  return out;
}

bool IsAbsolutePath(std::string_view path, std::string_view os) {
  const auto plain = WithoutDrive(WithSlashes(path, os), os, false);
  return plain && plain->starts_with('/');
}

}  // namespace skiff::builder
