#pragma once

#include <array>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "builder/dockerfile.h"

// The rules of style that `build --check` looks for: names, wording and places are those of
// BuildKit's linter, so that a "# check=skip=" line means the same.
namespace skiff::builder {

enum class LintRule {
  kStageNameCasing,
  kFromAsCasing,
  kNoEmptyContinuation,
  kConsistentInstructionCasing,
  kDuplicateStageName,
  kReservedStageName,
  kJSONArgsRecommended,
  kMaintainerDeprecated,
  kUndefinedArgInFrom,
  kWorkdirRelativePath,
  kUndefinedVar,
  kMultipleInstructionsDisallowed,
  kLegacyKeyValueFormat,
  kInvalidBaseImagePlatform,
  kRedundantTargetPlatform,
  kSecretsUsedInArgOrEnv,
  kInvalidDefaultArgInFrom,
  kFromPlatformFlagConstDisallowed,
  kCopyIgnoredFile,
  kInvalidDefinitionDescription,
  kExposeProtoCasing,
  kExposeInvalidFormat,
};
inline constexpr size_t kLintRuleCount = 22;

struct LintRuleInfo {
  std::string_view name;         // "StageNameCasing"
  std::string_view slug;         // Last part of its page's address; "": it has none.
  std::string_view description;  // One sentence.
  bool experimental = false;     // Only on demand.
};
const LintRuleInfo& InfoOf(LintRule rule);
// "https://docs.docker.com/go/dockerfile/rule/stage-name-casing/", or "".
std::string LintRuleUrl(LintRule rule);

struct LintWarning {
  LintRule rule = LintRule::kStageNameCasing;
  LineRange lines;
  SourceSpan span;
  std::string message;
};

// "skip=A,B|all;error=true;experimental=A|all".
struct LintOptions {
  bool skip_all = false;
  bool experimental_all = false;
  bool warnings_are_errors = false;
  std::set<std::string, std::less<>> skip, experimental;
};
Result<LintOptions> ParseLintOptions(std::string_view text);

// Collects warnings. Not thread safe.
class Linter {
 public:
  Linter() = default;
  explicit Linter(LintOptions options) : options_(std::move(options)) {}

  // Reports unless the rule is off, for this file or by a "# check=" comment of `about`.
  void Report(LintRule rule, const Instruction& about, std::string message) {
    Report(rule, about, about.lines, about.span, std::move(message));
  }
  void Report(LintRule rule, const Instruction& about, LineRange lines, SourceSpan span,
              std::string message);

  const std::vector<LintWarning>& warnings() const { return warnings_; }
  // "lint violation found for rules: A, B" when warnings are errors and there are some.
  Status Verdict() const;

 private:
  bool IsOn(LintRule rule, const std::vector<std::string>& comments) const;

  LintOptions options_;
  std::vector<LintWarning> warnings_;
};

// The rules that need nothing but the file's text.
void LintSyntax(const Dockerfile& file, Linter& linter);
// Whether a name sounds like something secret: a word of it is password, token, key, ...
bool IsSecretName(std::string_view name);

}  // namespace skiff::builder
