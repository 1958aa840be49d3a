#include <fmt/format.h>

#include <algorithm>

#include "cli/build_print.h"
#include "cli/text_table.h"

namespace skiff::cli {
namespace {

// Lines around the place, with ">>>" before those it is about.
std::string Excerpt(const SourceFile& file, builder::LineRange lines) {
  if (lines.first == 0) return "";
  const uint32_t count = file.LineCount();
  uint32_t first = std::min(lines.first, count);
  uint32_t last = std::min(std::max(lines.last, first), count);
  const int wanted = first == last ? 4 : 2;
  for (int shown = 0; shown < wanted; ++shown) {
    if (first > 1) {
      --first;
      ++shown;
    }
    if (last < count) {
      ++last;
      ++shown;
    }
  }
  std::string out = fmt::format("{}:{}\n--------------------\n", file.name(), lines.first);
  for (uint32_t line = first; line <= last; ++line) {
    const bool inside = line >= lines.first && line <= lines.last;
    out += fmt::format(" {:3} | {} {}\n", line, inside ? ">>>" : "   ", file.Line(line));
  }
  return out + "--------------------\n";
}

// Rows under headers, padded by `gap` blanks.
std::string Table(const std::vector<std::vector<std::string>>& rows, size_t gap) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::string out;
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      out += i + 1 < row.size() ? fmt::format("{:<{}}", row[i], widths[i] + gap) : row[i];
    }
    out += '\n';
  }
  return out;
}

std::string Secrets(const char* header, const std::vector<builder::OutlineSecret>& secrets) {
  if (secrets.empty()) return "";
  std::vector<std::vector<std::string>> rows = {{header, "REQUIRED"}};
  for (const auto& secret : secrets) rows.push_back({secret.name, secret.required ? "true" : ""});
  return Table(rows, 3) + "\n";
}

}  // namespace

std::string WarningsText(const BuildReport& report, const SourceFile& file) {
  std::vector<builder::LintWarning> warnings = report.warnings;
  std::ranges::stable_sort(warnings, {}, [](const auto& w) { return w.lines.first; });
  if (warnings.empty()) return report.error ? "" : "Check complete, no warnings found.\n";
  std::string out =
      warnings.size() == 1
          ? "Check complete, 1 warning has been found!\n"
          : fmt::format("Check complete, {} warnings have been found!\n", warnings.size());
  for (const builder::LintWarning& warning : warnings) {
    const std::string url = builder::LintRuleUrl(warning.rule);
    out += fmt::format("\nWARNING: {}{}{}\n{}\n", builder::InfoOf(warning.rule).name,
                       url.empty() ? "" : " - ", url, warning.message);
    out += Excerpt(file, warning.lines);
  }
  return out;
}

std::string OutlineText(const builder::Outline& outline) {
  std::string out;
  if (!outline.name.empty() || !outline.description.empty()) {
    std::vector<std::vector<std::string>> rows = {
        {"TARGET:", outline.name.empty() ? "(default)" : outline.name}};
    if (!outline.description.empty()) rows.push_back({"DESCRIPTION:", outline.description});
    out += Table(rows, 1) + "\n";
  }
  if (!outline.args.empty()) {
    std::vector<std::vector<std::string>> rows = {{"BUILD ARG", "VALUE", "DESCRIPTION"}};
    for (const auto& arg : outline.args) rows.push_back({arg.name, arg.value, arg.description});
    out += Table(rows, 3) + "\n";
  }
  return out + Secrets("SECRET", outline.secrets) + Secrets("SSH", outline.ssh);
}

std::string TargetsText(const std::vector<builder::Target>& targets) {
  std::vector<std::vector<std::string>> rows = {{"TARGET", "DESCRIPTION"}};
  for (const builder::Target& target : targets) {
    std::string name = target.name;
    if (target.is_default) name += name.empty() ? "(default)" : " (default)";
    rows.push_back({name, target.description});
  }
  return Table(rows, 1);
}

}  // namespace skiff::cli
