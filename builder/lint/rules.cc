#include <algorithm>

#include "base/text.h"
#include "builder/lint.h"
#include "builder/syntax/csv.h"
#include "builder/syntax/lines.h"

namespace skiff::builder {
namespace {

constexpr LintRuleInfo kRules[kLintRuleCount] = {
    {"StageNameCasing", "stage-name-casing", "Stage names should be lowercase"},
    {"FromAsCasing", "from-as-casing",
     "The 'as' keyword should match the case of the 'from' keyword"},
    {"NoEmptyContinuation", "no-empty-continuation",
     "Empty continuation lines will become errors in a future release"},
    {"ConsistentInstructionCasing", "consistent-instruction-casing",
     "All commands within the Dockerfile should use the same casing (either upper or lower)"},
    {"DuplicateStageName", "duplicate-stage-name", "Stage names should be unique"},
    {"ReservedStageName", "reserved-stage-name",
     "Reserved words should not be used as stage names"},
    {"JSONArgsRecommended", "json-args-recommended",
     "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS "
     "signals"},
    {"MaintainerDeprecated", "maintainer-deprecated",
     "The MAINTAINER instruction is deprecated, use a label instead to define an image author"},
    {"UndefinedArgInFrom", "undefined-arg-in-from", "FROM command must use declared ARGs"},
    {"WorkdirRelativePath", "workdir-relative-path",
     "Relative workdir without an absolute workdir declared within the build can have unexpected "
     "results if the base image changes"},
    {"UndefinedVar", "undefined-var", "Variables should be defined before their use"},
    {"MultipleInstructionsDisallowed", "multiple-instructions-disallowed",
     "Multiple instructions of the same type should not be used in the same stage"},
    {"LegacyKeyValueFormat", "legacy-key-value-format",
     "Legacy key/value format with whitespace separator should not be used"},
    {"InvalidBaseImagePlatform", "", "Base image platform does not match expected target platform"},
    {"RedundantTargetPlatform", "redundant-target-platform",
     "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
     "behavior"},
    {"SecretsUsedInArgOrEnv", "secrets-used-in-arg-or-env",
     "Sensitive data should not be used in the ARG or ENV commands"},
    {"InvalidDefaultArgInFrom", "invalid-default-arg-in-from",
     "Default value for global ARG results in an empty or invalid base image name"},
    {"FromPlatformFlagConstDisallowed", "from-platform-flag-const-disallowed",
     "FROM --platform flag should not use a constant value"},
    {"CopyIgnoredFile", "copy-ignored-file",
     "Attempting to Copy file that is excluded by .dockerignore"},
    {"InvalidDefinitionDescription", "invalid-definition-description",
     "Comment for build stage or argument should follow the format: `# <arg/stage name> "
     "<description>`. If this is not intended to be a description comment, add an empty line or "
     "comment between the instruction and the comment.",
     true},
    {"ExposeProtoCasing", "expose-proto-casing",
     "Protocol in EXPOSE instruction should be lowercase"},
    {"ExposeInvalidFormat", "expose-invalid-format",
     "IP address and host-port mapping should not be used in EXPOSE instruction. This will become "
     "an error in a future release"},
};

void ReadRules(std::string_view list, bool& all, std::set<std::string, std::less<>>& rules) {
  if (Trim(list) == "all") {
    all = true;
    return;
  }
  for (const std::string_view rule : Split(list, ',')) rules.emplace(Trim(rule));
}

}  // namespace

const LintRuleInfo& InfoOf(LintRule rule) {
  return kRules[static_cast<size_t>(rule)];
}

std::string LintRuleUrl(LintRule rule) {
  const std::string_view slug = InfoOf(rule).slug;
  if (slug.empty()) return "";
  return "https://docs.docker.com/go/dockerfile/rule/" + std::string(slug) + "/";
}

Result<LintOptions> ParseLintOptions(std::string_view text) {
  LintOptions options;
  text = Trim(text);
  if (text.empty()) return options;
  for (const std::string_view part : Split(text, ';')) {
    const size_t equals = part.find('=');
    const std::string_view key = Trim(part.substr(0, equals));
    const bool known = key == "skip" || key == "error" || key == "experimental";
    if (equals == std::string_view::npos || !known) {
      return Fail(Code::kInvalidArgument, "failed to parse check options: invalid check option '" +
                                              std::string(part) + "'");
    }
    const std::string_view value = part.substr(equals + 1);
    if (key == "skip") {
      ReadRules(value, options.skip_all, options.skip);
    } else if (key == "experimental") {
      ReadRules(value, options.experimental_all, options.experimental);
    } else {
      const auto truth = ParseTruth(Trim(value));
      if (!truth) {
        return Fail(Code::kInvalidArgument, "failed to parse check options: failed to parse '" +
                                                std::string(part) + "': it is true or false");
      }
      options.warnings_are_errors = *truth;
    }
  }
  return options;
}

bool Linter::IsOn(LintRule rule, const std::vector<std::string>& comments) const {
  const LintRuleInfo& info = InfoOf(rule);
  const auto allows = [&](const LintOptions& options) {
    return info.experimental ? options.experimental_all || options.experimental.contains(info.name)
                             : options.skip_all || options.skip.contains(info.name);
  };
  bool listed = allows(options_);
  for (const std::string& comment : comments) {
    const auto directive = ParseDirective(comment);
    if (!directive || directive->key != "check") continue;
    const std::string_view value = directive->value;
    const auto local = ParseLintOptions(value.substr(0, value.find(' ')));
    if (local) listed = listed || allows(*local);
    break;
  }
  return listed == info.experimental;
}

void Linter::Report(LintRule rule, const Instruction& about, LineRange lines, SourceSpan span,
                    std::string message) {
  if (!IsOn(rule, about.comments)) return;
  warnings_.push_back({rule, lines, span, std::move(message)});
}

Status Linter::Verdict() const {
  if (!options_.warnings_are_errors || warnings_.empty()) return {};
  std::set<std::string_view> names;
  for (const LintWarning& warning : warnings_) names.insert(InfoOf(warning.rule).name);
  std::string list;
  for (const std::string_view name : names) {
    list += (list.empty() ? "" : ", ") + std::string(name);
  }
  return Fail(Code::kFailedPrecondition, "lint violation found for rules: " + list);
}

bool IsSecretName(std::string_view name) {
  static constexpr std::string_view kSecret[] = {"apikey", "auth",     "credential", "credentials",
                                                 "key",    "password", "pword",      "passwd",
                                                 "secret", "token"};
  static constexpr std::string_view kHarmless[] = {"public", "file", "version"};
  const std::string lower = ToLower(name);
  bool secret = false;
  for (const std::string_view word : Split(lower, '_')) {
    if (std::ranges::find(kHarmless, word) != std::end(kHarmless)) return false;
    secret |= std::ranges::find(kSecret, word) != std::end(kSecret);
  }
  return secret;
}

}  // namespace skiff::builder
