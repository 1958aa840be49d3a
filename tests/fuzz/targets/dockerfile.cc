// A Dockerfile to instructions, warnings, targets and a plan.

#include "builder/dockerfile.h"
#include "builder/lint.h"
#include "builder/plan.h"
#include "tests/fuzz/target.h"

namespace {

void RequirePlace(const skiff::SourceMap& sources, skiff::SourceSpan span) {
  if (!span.valid()) return;
  const auto& file = sources.File(span.file);
  skiff::fuzz::Require(span.offset <= file.text().size(), "a place lies in the file");
  sources.Describe(span);
}

}  // namespace

SKIFF_FUZZ(dockerfile) {
  using namespace skiff::builder;
  if (input.size() > 64u << 10) return;
  skiff::SourceMap sources;
  skiff::Diagnostics found;
  const uint32_t index = sources.Add("Dockerfile", std::string(input));
  const Dockerfile file = ParseDockerfile(sources, index, found);
  FormatDiagnostics(found, sources);
  for (const auto& diagnostic : found.list()) RequirePlace(sources, diagnostic.error.span);
  if (found.HasErrors()) return;
  for (const auto& target : TargetsOf(file)) {
    skiff::fuzz::Require(target.lines.first <= target.lines.last, "lines have an order");
  }
  Linter linter;
  LintSyntax(file, linter);
  PlanOptions options;
  options.arguments = {{"VERSION", "1.2"}, {"EMPTY", ""}};
  options.all_stages = true;
  const auto plan = PlanBuild(file, options, linter);
  for (const auto& warning : linter.warnings()) RequirePlace(sources, warning.span);
  if (!plan) {
    RequirePlace(sources, plan.error().span);
    return;
  }
  skiff::fuzz::Require(plan->target < plan->stages.size(), "the target is a stage");
}
