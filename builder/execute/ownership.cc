#include "builder/execute/ownership.h"

#include <sys/stat.h>

#include <algorithm>

#include "base/text.h"

namespace skiff::builder {
namespace {

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
