#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/source.h"
#include "builder/plan.h"
#include "cli/build_request.h"

namespace skiff::cli {

// What a file says without being built.
struct BuildReport {
  std::vector<builder::Target> targets;
  std::vector<builder::LintWarning> warnings;
  std::optional<builder::BuildPlan> plan;
  std::optional<Error> error;  // The first mistake.
};

// As buildx prints --call=check, outline and targets.
std::string WarningsText(const BuildReport& report, const SourceFile& file);
std::string OutlineText(const builder::Outline& outline);
std::string TargetsText(const std::vector<builder::Target>& targets);

std::string WarningsJson(const BuildReport& report, const SourceFile& file);
std::string OutlineJson(const builder::Outline& outline, const SourceFile& file);
std::string TargetsJson(const std::vector<builder::Target>& targets, const SourceFile& file);
// --call=plan: one object with error or targets, warnings, outline, config, history.
std::string PlanJson(const BuildReport& report);
// RFC 4648, as JSON carries bytes.
std::string Base64(std::string_view data);

}  // namespace skiff::cli
