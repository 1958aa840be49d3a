#include "base/diagnostic.h"
#include "builder/build.h"
#include "cli/build_execute.h"
#include "cli/build_print.h"
#include "cli/exit_status.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

// What looks at the file only does not need its images: one the engine has not is assumed.
builder::ImageResolver ImagesOrAssumed(builder::ImageResolver images) {
  return [images = std::move(images)](
             const std::string& reference,
             const builder::Platform& platform) -> Result<builder::ImageDescription> {
    auto image = images(reference, platform);
    if (image) return image;
    return builder::AssumedImages()(reference, platform);
  };
}

// Plans as far as it goes. Warnings are those of all stages when no target is asked for.
Status MakeReport(BuildRequest& request, BuildReport& report) {
  if (request.diagnostics.HasErrors()) {
    report.error = request.diagnostics.list().front().error;
    return {};
  }
  report.targets = builder::TargetsOf(request.dockerfile);
  SKIFF_ASSIGN(builder::LintOptions lint,
               builder::LintOptionsOf(request.dockerfile, request.options));
  builder::Linter linter(lint);
  request.options.all_stages = request.options.target.empty();
  auto plan = builder::PlanBuild(request.dockerfile, request.options, linter);
  report.warnings = linter.warnings();
  if (!plan && request.options.all_stages) {
    // A mistake in a stage that is not needed does not stop the build.
    request.options.all_stages = false;
    builder::Linter unused(lint);
    plan = builder::PlanBuild(request.dockerfile, request.options, unused);
  }
  if (plan)
    report.plan = std::move(*plan);
  else
    report.error = std::move(plan.error());
  return {};
}

// Prints every mistake of the file with its place. The result fails without a further message.
tl::unexpected<Error> ReportMistakes(const Context& context, const BuildRequest& request,
                                     const BuildReport& report) {
  const bool parsed = !request.diagnostics.HasErrors();
  Diagnostics all = request.diagnostics;
  if (parsed && report.error) all.AddError(*report.error);
  for (const Diagnostic& diagnostic : all.list()) {
    context.Report(diagnostic.error, &request.sources);
  }
  const Code code = report.error ? report.error->code : Code::kInvalidArgument;
  return Fail(code, "");
}

Result<int> PrintCheck(const Context& context, const BuildCall& call, BuildRequest& request,
                       BuildReport& report) {
  const SourceFile& file = request.sources.File(request.file);
  SKIFF_TRY(context.Print(call.json ? WarningsJson(report, file) : WarningsText(report, file)));
  const int status = report.warnings.empty() && !report.error ? 0 : kExitFailure;
  if (report.error && !call.json) return ReportMistakes(context, request, report);
  return call.ignore_status ? 0 : status;
}

Result<int> PrintPlan(const Context& context, const BuildReport& report) {
  SKIFF_TRY(context.Print(PlanJson(report)));
  return report.error ? kExitFailure : 0;
}

Result<int> PrintCall(const Context& context, const BuildCall& call, BuildRequest& request,
                      BuildReport& report) {
  const SourceFile& file = request.sources.File(request.file);
  if (call.method == "check") return PrintCheck(context, call, request, report);
  if (call.method == "plan") return PrintPlan(context, report);
  if (call.method == "targets" && !report.targets.empty()) {
    SKIFF_TRY(
        context.Print(call.json ? TargetsJson(report.targets, file) : TargetsText(report.targets)));
    return 0;
  }
  if (report.error || !report.plan) return ReportMistakes(context, request, report);
  const builder::Outline& outline = report.plan->outline;
  SKIFF_TRY(context.Print(call.json ? OutlineJson(outline, file) : OutlineText(outline)));
  return 0;
}

}  // namespace

Result<int> RunDockerBuild(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const BuildCall call, ParseBuildCall(arguments));
  BuildRequest request;
  const Status read = ReadBuildRequest(context, arguments, request);
  if (!read) {
    context.Report(read.error(), &request.sources);
    return Fail(read.error().code, "");
  }
  if (call.method == "build") return ExecuteBuild(context, arguments, request);
  if (arguments.Bool("assume-bases")) {
    request.options.images = builder::AssumedImages();
    const builder::Platform assumed{"linux", "amd64", "", ""};
    if (request.platforms.empty()) request.platforms.push_back(assumed);
    request.options.build_platform = assumed;
  } else if (const auto engine = context.Engine()) {
    request.options.images = builder::LocalImages(**engine);
    if (call.method != "plan") {
      request.options.images = ImagesOrAssumed(std::move(request.options.images));
    }
  } else if (call.method == "plan") {
    return Fail(engine.error());
  }
  BuildReport report;
  const auto plan = [&]() -> Status {
    // One platform's is shown.
    SKIFF_ASSIGN(const auto all, PlanOptionsOf(context, request));
    request.options = all.front();
    return MakeReport(request, report);
  };
  const Status planned = plan();
  if (!planned) report.error = planned.error();
  return PrintCall(context, call, request, report);
}

}  // namespace skiff::cli
