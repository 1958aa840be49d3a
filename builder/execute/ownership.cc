#include "builder/execute/ownership.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"
#include "base/root_path.h"
#include "base/text.h"

namespace skiff::builder {
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

mode_t BitsOfWho(std::string_view who) {
  mode_t mask = 0;
  for (const char c : who) {
    if (c == 'u' || c == 'a') mask |= S_IRWXU | S_ISUID;
    if (c == 'g' || c == 'a') mask |= S_IRWXG | S_ISGID;
    if (c == 'o' || c == 'a') mask |= S_IRWXO;
    if (c == 'a') mask |= S_ISVTX;
  }
  return mask;
}

// The same three bits for user, group and others.
mode_t Tripled(mode_t bits) {
  return bits << 6 | bits << 3 | bits;
}

mode_t BitsOf(char permission, mode_t mode, bool is_folder) {
  switch (permission) {
    case 'r':
      return Tripled(4);
    case 'w':
      return Tripled(2);
    case 'x':
      return Tripled(1);
    case 'X':
      return is_folder || (mode & 0111) != 0 ? Tripled(1) : 0;
    case 's':
      return S_ISUID | S_ISGID;
    case 't':
      return S_ISVTX;
    case 'u':
      return Tripled(mode >> 6 & 7);
    case 'g':
      return Tripled(mode >> 3 & 7);
    default:
      return Tripled(mode & 7);
  }
}

mode_t ApplyClause(std::string_view clause, mode_t mode, bool is_folder) {
  const size_t length = std::min(clause.find_first_not_of("ugoa"), clause.size());
  const std::string_view who = clause.substr(0, length);
  clause.remove_prefix(length);
  const mode_t mask = BitsOfWho(who.empty() ? "a" : who);
  while (!clause.empty()) {
    const char operation = clause[0];
    clause.remove_prefix(1);
    const size_t count = std::min(clause.find_first_of("+-="), clause.size());
    mode_t bits = 0;
    for (const char c : clause.substr(0, count)) bits |= BitsOf(c, mode, is_folder);
    clause.remove_prefix(count);
    bits &= mask;
    if (operation == '+') mode |= bits;
    if (operation == '-') mode &= ~bits;
    if (operation == '=') mode = (mode & ~mask) | bits;
  }
  return mode;
}

}  // namespace

bool OwnerHasNames(std::string_view owner) {
  return std::ranges::any_of(Split(owner, ':'), [](std::string_view part) {
    return !part.empty() && !ParseNumber<uint32_t>(part);
  });
}

Result<Ownership> ResolveOwner(int root_fd, const std::string& owner) {
  Ownership out;
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

mode_t ApplyMode(std::string_view change, mode_t mode, bool is_folder) {
  mode &= 07777;
  if (const auto number = ParseNumber<uint32_t>(change, 8)) return *number & 07777;
  for (const std::string_view clause : Split(change, ',')) {
    mode = ApplyClause(clause, mode, is_folder);
  }
  return mode;
}

mode_t NewFolderMode(std::string_view change) {
  const auto number = ParseNumber<uint32_t>(change, 8);
  return number ? *number & 0777 : 0755;
}

}  // namespace skiff::builder
