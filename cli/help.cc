#include "cli/help.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace skiff::cli {
namespace {

constexpr size_t kWidth = 80;
constexpr size_t kGap = 3;

std::string LeftPart(const Flag& flag) {
  std::string left = flag.letter != 0 ? fmt::format("-{}, ", flag.letter) : std::string("    ");
  left += fmt::format("--{}", flag.name);
  if (flag.kind == FlagKind::kBool) return left;
  const std::string_view fallback_name = flag.kind == FlagKind::kNumber ? "int"
                                         : flag.kind == FlagKind::kList ? "list"
                                                                        : "string";
  return left + ' ' + std::string(flag.value.empty() ? fallback_name : flag.value);
}

std::string RightPart(const Flag& flag) {
  std::string right(flag.help);
  if (flag.fallback.empty()) return right;
  const bool quoted = flag.kind == FlagKind::kText;
  return right + (quoted ? fmt::format(" (default \"{}\")", flag.fallback)
                         : fmt::format(" (default {})", flag.fallback));
}

// Appends `text` broken at spaces; lines after the first are indented by `indent`.
void AppendWrapped(std::string& out, std::string_view text, size_t indent) {
  const size_t room = std::max<size_t>(24, kWidth - std::min(kWidth, indent));
  size_t column = 0;
  for (std::string_view word : SplitWords(text)) {
    if (column > 0 && column + 1 + word.size() > room) {
      out += '\n' + std::string(indent, ' ');
      column = 0;
    }
    if (column > 0) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  out += '\n';
}

struct TwoColumns {
  std::string left, right;
};

std::string FormatColumns(const std::vector<TwoColumns>& rows) {
  size_t widest = 0;
  for (const TwoColumns& row : rows) widest = std::max(widest, row.left.size());
  std::string out;
  for (const TwoColumns& row : rows) {
    out += "  " + row.left + std::string(widest - row.left.size() + kGap, ' ');
    AppendWrapped(out, row.right, 2 + widest + kGap);
  }
  return out;
}

std::string FormatFlags(std::span<const Flag> flags) {
  std::vector<TwoColumns> rows;
  for (const Flag& flag : flags) {
    if (!flag.help.empty()) rows.push_back({LeftPart(flag), RightPart(flag)});
  }
  return FormatColumns(rows);
}

bool HasShownFlags(std::span<const Flag> flags) {
  return std::any_of(flags.begin(), flags.end(), [](const Flag& f) { return !f.help.empty(); });
}

}  // namespace

std::string UsageLine(const Command& command, std::string_view spelling) {
  std::string out = fmt::format("Usage:  {}", spelling);
  if (HasShownFlags(command.flags)) out += " [OPTIONS]";
  if (!command.operands.empty()) out += fmt::format(" {}", command.operands);
  return out;
}

std::string CommandHelp(const Command& command, std::string_view spelling,
                        std::string_view program) {
  std::string out = UsageLine(command, spelling) + "\n\n" + std::string(command.summary) + '\n';
  if (!command.aliases.empty()) {
    const std::string parent(spelling.substr(0, spelling.rfind(' ')));
    out += "\nAliases:\n  " + std::string(spelling);
    for (std::string_view alias : SplitWords(command.aliases)) {
      out += fmt::format(", {} {}", parent, alias);
    }
    out += '\n';
  }
  if (HasShownFlags(command.flags)) out += "\nOptions:\n" + FormatFlags(command.flags);
  if (!command.examples.empty()) {
    out += "\nExamples:\n";
    for (std::string_view line : Split(command.examples, '\n')) {
      out += fmt::format("  {} {}\n", program, line);
    }
  }
  return out;
}

std::string GroupHelp(const Group& group, std::string_view spelling, std::span<const Flag> flags,
                      std::span<const Group> nouns) {
  std::string out = fmt::format("Usage:  {}{} COMMAND\n\n{}\n", spelling,
                                flags.empty() ? "" : " [OPTIONS]", group.summary);
  if (HasShownFlags(flags)) out += "\nOptions:\n" + FormatFlags(flags);
  std::vector<TwoColumns> rows;
  for (const Command& command : group.commands) {
    if (command.summary.empty()) continue;
    rows.push_back({std::string(command.name), std::string(command.summary)});
  }
  std::sort(rows.begin(), rows.end(),
            [](const TwoColumns& a, const TwoColumns& b) { return a.left < b.left; });
  out += "\nCommands:\n" + FormatColumns(rows);
  if (!nouns.empty()) {
    rows.clear();
    for (const Group& noun : nouns) {
      rows.push_back({std::string(noun.name), std::string(noun.summary)});
    }
    out += "\nManagement Commands:\n" + FormatColumns(rows);
  }
  out += fmt::format("\nRun '{} COMMAND --help' for more information on a command.\n", spelling);
  return out;
}

}  // namespace skiff::cli
