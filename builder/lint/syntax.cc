// Rules that look at the text of a file only.
#include <algorithm>

#include "base/text.h"
#include "builder/lint.h"

namespace skiff::builder {
namespace {

bool IsLower(std::string_view word) {
  return std::ranges::none_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
}
bool IsUpper(std::string_view word) {
  return std::ranges::none_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
}

// Calls `visit` with every instruction, FROM included, in the order of the file.
template <typename Visit>
void ForEachOfStages(const Dockerfile& file, Visit visit) {
  for (const Stage& stage : file.stages) {
    visit(stage.from);
    for (const Instruction& instruction : stage.instructions) visit(instruction);
  }
}

void CheckDescription(const Instruction& instruction, std::string_view kind,
                      const std::vector<std::string_view>& names, Linter& linter) {
  if (instruction.comments.empty() || names.empty()) return;
  const std::string_view comment = instruction.comments.back();
  const std::string_view first = comment.substr(0, comment.find(' '));
  if (std::ranges::find(names, first) != names.end()) return;
  const std::string_view example = names.size() > 1 ? "<arg_key>" : names[0];
  linter.Report(LintRule::kInvalidDefinitionDescription, instruction,
                "Comment for " + std::string(kind) + " should follow the format: `# " +
                    std::string(example) + " <description>`");
}

void CheckArg(const Instruction& instruction, Linter& linter) {
  const auto* arg = std::get_if<ArgInstruction>(&instruction.body);
  if (arg == nullptr) return;
  std::vector<std::string_view> names;
  for (const ArgDefinition& definition : arg->definitions) names.push_back(definition.name.text);
  CheckDescription(instruction, "ARG", names, linter);
}

void CheckFrom(const Instruction& instruction, Linter& linter) {
  const auto* from = std::get_if<FromInstruction>(&instruction.body);
  if (from == nullptr || from->name.text.empty()) return;
  if (!IsLower(from->written_name)) {
    linter.Report(LintRule::kStageNameCasing, instruction,
                  "Stage name '" + from->written_name + "' should be lowercase");
  }
  const std::string& keyword = instruction.keyword.text;
  const bool mixed = !IsLower(keyword) && !IsUpper(keyword);
  const bool matches =
      mixed || (IsLower(keyword) ? IsLower(from->as_keyword) : IsUpper(from->as_keyword));
  if (!matches) {
    linter.Report(LintRule::kFromAsCasing, instruction,
                  "'" + from->as_keyword + "' and '" + keyword + "' keywords' casing do not match");
  }
  CheckDescription(instruction, "FROM", {from->name.text}, linter);
}

void CheckLine(const Instruction& instruction, Linter& linter) {
  if (instruction.empty_continuation_line != 0) {
    // The rule is about the file's lines and not about the instruction: only "# check=" at the top
    // turns it off.
    Instruction place;
    place.lines = {instruction.empty_continuation_line, instruction.empty_continuation_line};
    place.span = instruction.span;
    linter.Report(LintRule::kNoEmptyContinuation, place, "Empty continuation line");
  }
  if (std::holds_alternative<MaintainerInstruction>(instruction.body)) {
    linter.Report(LintRule::kMaintainerDeprecated, instruction,
                  "Maintainer instruction is deprecated in favor of using label");
  }
  CheckFrom(instruction, linter);
  CheckArg(instruction, linter);
}

// The names of stages; "scratch" and "context" mean something else.
void CheckStageNames(const Dockerfile& file, Linter& linter) {
  std::set<std::string_view> seen;
  Instruction place;
  for (const Stage& stage : file.stages) {
    const std::string& name = stage.base().name.text;
    if (name.empty()) continue;
    // These rules ignore "# check=" comments of single instructions.
    place.lines = stage.from.lines;
    place.span = stage.base().name.span;
    if (name == "scratch" || name == "context") {
      linter.Report(LintRule::kReservedStageName, place,
                    "Stage name should not use the same name as reserved stage \"" + name + "\"");
    }
    if (!seen.insert(name).second) {
      linter.Report(LintRule::kDuplicateStageName, place,
                    "Duplicate stage name \"" + name + "\", stage names should be unique");
    }
  }
}

void CheckCasing(const Dockerfile& file, Linter& linter) {
  int lower = 0;
  int upper = 0;
  ForEachOfStages(file, [&](const Instruction& instruction) {
    lower += IsLower(instruction.keyword.text);
    upper += IsUpper(instruction.keyword.text);
  });
  const bool should_be_lower = lower > upper;
  ForEachOfStages(file, [&](const Instruction& instruction) {
    const std::string& keyword = instruction.keyword.text;
    if (should_be_lower ? IsLower(keyword) : IsUpper(keyword)) return;
    Instruction place;
    place.lines = instruction.lines;
    place.span = instruction.keyword.span;
    linter.Report(LintRule::kConsistentInstructionCasing, place,
                  "Command '" + keyword + "' should match the case of the command majority (" +
                      (should_be_lower ? "lowercase" : "uppercase") + ")");
  });
}

}  // namespace

void LintSyntax(const Dockerfile& file, Linter& linter) {
  for (const Instruction& instruction : file.global_arguments) CheckLine(instruction, linter);
  ForEachOfStages(file, [&](const Instruction& i) { CheckLine(i, linter); });
  CheckStageNames(file, linter);
  CheckCasing(file, linter);
}

}  // namespace skiff::builder
