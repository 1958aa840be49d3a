#include "base/owner.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "base/fd.h"
#include "base/root_path.h"
#include "base/text.h"

namespace skiff {
namespace {

constexpr size_t kMaximumTable = 16u << 20;

// The fields of the line whose first is `name` (or whose third is it, a number).
Result<std::vector<std::string>> FindLine(int root_fd, const std::string& path,
                                          std::string_view name, bool by_number) {
  const auto file = OpenInRoot(root_fd, path, O_RDONLY | O_NONBLOCK);
  if (!file) {
    if (file.error().code == Code::kNotFound) return std::vector<std::string>();
    return Fail(file.error());
  }
  SKIFF_ASSIGN(const std::string text, ReadAll(file->get(), kMaximumTable, path));
  for (const std::string_view line : Split(text, '\n')) {
    const auto fields = Split(line, ':');
    if (fields.size() < 3 || fields[by_number ? 2 : 0] != name) continue;
    return std::vector<std::string>(fields.begin(), fields.end());
  }
  return std::vector<std::string>();
}

Result<uid_t> NumberOf(int root_fd, const std::string& path, std::string_view name,
                       std::string_view what) {
  if (const auto number = ParseNumber<uint32_t>(name)) return *number;
  SKIFF_ASSIGN(const auto fields, FindLine(root_fd, path, name, false));
  const auto number = fields.empty() ? std::nullopt : ParseNumber<uint32_t>(fields[2]);
  if (number) return *number;
  return Fail(Code::kNotFound, "invalid " + std::string(what) + " index: unable to find '" +
                                   std::string(name) + "' in " + path);
}

}  // namespace

bool OwnerHasNames(std::string_view owner) {
  return std::ranges::any_of(Split(owner, ':'), [](std::string_view part) {
    return !part.empty() && !ParseNumber<uint32_t>(part);
  });
}

Result<Owner> ResolveOwner(int root_fd, const std::string& owner) {
  Owner out;
  const size_t colon = owner.find(':');
  const std::string user = owner.substr(0, colon);
  const std::string group = colon == std::string::npos ? "" : owner.substr(colon + 1);
  if (!user.empty()) {
    SKIFF_ASSIGN(out.uid, NumberOf(root_fd, "/etc/passwd", user, "user"));
    out.gid = out.uid;
    if (group.empty() && !ParseNumber<uint32_t>(user)) {
      SKIFF_ASSIGN(const auto fields, FindLine(root_fd, "/etc/passwd", user, false));
      if (fields.size() > 3) out.gid = ParseNumber<uint32_t>(fields[3]).value_or(out.uid);
    }
  }
  if (!group.empty()) {
    SKIFF_ASSIGN(out.gid, NumberOf(root_fd, "/etc/group", group, "group"));
  }
  return out;
}

Result<Owner> ResolveUser(int root_fd, const std::string& user) {
  if (!ParseNumber<uint32_t>(user)) return ResolveOwner(root_fd, user);
  Owner out;
  out.uid = *ParseNumber<uint32_t>(user);
  SKIFF_ASSIGN(const auto fields, FindLine(root_fd, "/etc/passwd", user, true));
  if (fields.size() > 3) out.gid = ParseNumber<uint32_t>(fields[3]).value_or(0);
  return out;
}

}  // namespace skiff
