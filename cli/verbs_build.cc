// `build`, and what `up`, `create` and `run` build before they begin.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "cli/build_execute.h"
#include "cli/build_print.h"
#include "cli/build_progress.h"
#include "cli/build_settings.h"
#include "cli/exit_status.h"
#include "cli/pull_services.h"
#include "cli/terminal.h"
#include "cli/verbs.h"
#include "compose/build.h"
#include "compose/labels.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

Result<std::unique_ptr<BuildReporter>> MakeReporter(const Context& context, bool quiet) {
  const int err = context.around().err;
  BuildProgressOptions options;
  SKIFF_ASSIGN(options.mode, ParseBuildProgress(context.globals.progress, IsTerminal(err)));
  if (quiet) options.mode = BuildProgressMode::kQuiet;
  options.fd = err;
  options.color = context.ColorOn(err);
  options.now = context.around().now;
  options.columns = [err] { return static_cast<int>(SizeOf(err).columns); };
  options.rows = [err] { return static_cast<int>(SizeOf(err).rows); };
  return MakeBuildReporter(options);
}

Result<std::vector<compose::BuiltService>> BuildWith(Context& context, const compose::Context& use,
                                                     const schema::LoadResult& model,
                                                     const compose::BuildOptions& options,
                                                     bool quiet) {
  SKIFF_ASSIGN(const auto reporter, MakeReporter(context, quiet));
  std::string failures;
  compose::BuildTools tools;
  tools.progress = reporter.get();
  tools.working_dir = context.around().working_dir;
  SKIFF_ASSIGN(tools.builder, ReadBuilderOptions(context));
  tools.builder.cancel_fd = use.interrupt_fd;
  tools.report = [&](const Error& error, const SourceMap* sources) {
    Diagnostic diagnostic{Severity::kError, error};
    failures += context.json_progress()
                    ? DiagnosticToJson(diagnostic, *sources) + "\n"
                    : FormatDiagnostic(diagnostic, *sources,
                                       {.color = context.ColorOn(context.around().err)});
  };
  compose::BuildOptions chosen = options;
  chosen.default_platform = context.Variable("DOCKER_DEFAULT_PLATFORM");
  auto built = compose::Build(use, model.project, chosen, tools);
  reporter->Finish();
  if (!built && !context.json_progress()) context.PrintError(reporter->FailedOutput());
  context.PrintError(failures);
  return built;
}

Result<std::vector<compose::BuiltService>> Build(Context& context, const schema::LoadResult& model,
                                                 const compose::BuildOptions& options, bool quiet) {
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model.sources.get()));
  return BuildWith(context, use, model, options, quiet);
}

// As `docker build --check` prints one file, each below the name of its service.
Result<int> PrintChecks(Context& context, const schema::LoadResult& model,
                        const compose::BuildOptions& options) {
  SKIFF_ASSIGN(const compose::Context use, context.ComposeContext(model.sources.get()));
  compose::BuildTools tools;
  tools.working_dir = context.around().working_dir;
  SKIFF_ASSIGN(tools.builder, ReadBuilderOptions(context));
  SKIFF_ASSIGN(const auto checked, compose::Check(use, model.project, options, tools));
  bool clean = true;
  for (const compose::CheckedService& service : checked) {
    if (checked.size() > 1) {
      const bool first = &service == &checked.front();
      SKIFF_TRY(context.Print((first ? "" : "\n") + service.service + "\n"));
    }
    BuildReport report;
    report.warnings = service.warnings;
    if (service.mistakes.HasErrors()) report.error = service.mistakes.list().front().error;
    SKIFF_TRY(context.Print(WarningsText(report, service.sources.File(service.file))));
    for (const Diagnostic& mistake : service.mistakes.list()) {
      context.Report(mistake.error, &service.sources);
    }
    clean = clean && service.warnings.empty() && !report.error;
  }
  return clean ? 0 : kExitFailure;
}

Json BakeTarget(const schema::Project& project, const schema::Service& service) {
  const schema::Build& build = *service.build;
  Json target = Json::object();
  target["context"] = build.context;
  if (!build.additional_contexts.empty()) {
    for (const auto& [name, value] : build.additional_contexts) {
      const bool is_service = value.starts_with("service:");
      target["contexts"][name] = is_service ? "target:" + value.substr(8) : value;
    }
  }
  if (build.dockerfile_inline.empty()) {
    target["dockerfile"] = build.dockerfile.empty() ? "Dockerfile" : build.dockerfile;
  } else {
    target["dockerfile-inline"] = build.dockerfile_inline;
  }
  for (const auto& [name, value] : build.args) {
    if (value) target["args"][name] = *value;
  }
  for (const auto& [name, value] : build.labels) target["labels"][name] = value;
  target["tags"] = Json::array({compose::ImageOf(project.name, service)});
  for (const std::string& tag : build.tags) target["tags"].push_back(tag);
  if (!build.cache_from.empty()) target["cache-from"] = build.cache_from;
  if (!build.cache_to.empty()) target["cache-to"] = build.cache_to;
  if (!build.target.empty()) target["target"] = build.target;
  if (!build.platforms.empty()) target["platforms"] = build.platforms;
  if (build.no_cache) target["no-cache"] = true;
  if (build.pull) target["pull"] = true;
  if (!build.network.empty()) target["networkmode"] = build.network;
  target["output"] = Json::array({"type=docker"});
  return target;
}

// The same builds as a file for `docker buildx bake`.
std::string BakeFile(const schema::Project& project, const std::vector<std::string>& services) {
  Json file = Json::object();
  Json targets = Json::array();
  for (const auto& [name, service] : project.services) {
    const bool chosen =
        services.empty() || std::find(services.begin(), services.end(), name) != services.end();
    if (!service.build || !chosen) continue;
    targets.push_back(name);
    file["target"][name] = BakeTarget(project, service);
  }
  file["group"]["default"]["targets"] = targets;
  return file.dump(2) + "\n";
}

}  // namespace

Status BuildBefore(Context& context, const schema::LoadResult& model, const BuildFirst& first) {
  const bool any = std::any_of(model.project.services.begin(), model.project.services.end(),
                               [](const auto& entry) { return entry.second.build.has_value(); });
  if (!any || first.declined || context.globals.dry_run) return {};
  compose::BuildOptions options;
  options.services = first.services;
  options.with_dependencies = !first.no_deps;
  options.single_platform = true;
  options.choice = first.all ? compose::BuildChoice::kAll : compose::BuildChoice::kMissing;
  return Build(context, model, options, first.quiet).transform([](const auto&) {});
}

compose::WatchOptions WatchOptionsOf(Context& context, const compose::Context& use,
                                     const schema::LoadResult& model,
                                     std::vector<std::string> services, bool quiet) {
  compose::WatchOptions options;
  options.services = std::move(services);
  options.build = [&context, use, &model, quiet](const std::vector<std::string>& named,
                                                 int interrupt_fd) -> Status {
    compose::Context mine = use;
    mine.interrupt_fd = interrupt_fd;
    compose::BuildOptions build;
    build.services = named;
    build.single_platform = true;
    return BuildWith(context, mine, model, build, quiet).transform([](const auto&) {});
  };
  return options;
}

Result<int> RunBuild(Context& context, const Arguments& arguments) {
  if (arguments.Has("progress")) context.globals.progress = arguments.Text("progress");
  SKIFF_TRY(CheckAttestations(context, arguments, {}));
  compose::BuildOptions options;
  options.services = arguments.operands();
  options.with_dependencies = arguments.Bool("with-dependencies");
  options.no_cache = arguments.Bool("no-cache");
  options.pull = arguments.Bool("pull");
  options.agents = arguments.List("ssh");
  for (const std::string& word : arguments.List("build-arg")) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (equals != std::string::npos) {
      options.arguments[name] = word.substr(equals + 1);
    } else if (const auto it = context.around().environment.find(name);
               it != context.around().environment.end()) {
      options.arguments[name] = it->second;
    }
  }
  SKIFF_ASSIGN(const schema::LoadResult* model, LoadModel(context, options.services));
  if (arguments.Bool("print")) {
    SKIFF_TRY(context.Print(BakeFile(model->project, options.services)));
    return 0;
  }
  if (arguments.Bool("check")) return PrintChecks(context, *model, options);
  if (context.globals.dry_run) return 0;
  const bool quiet = arguments.Bool("quiet");
  SKIFF_ASSIGN(const auto built, Build(context, *model, options, quiet));
  if (built.empty() && !quiet) {
    context.PrintError("no service to build\n");
  }
  for (const compose::BuiltService& service : built) {
    if (quiet) {
      SKIFF_TRY(context.Print(service.id + "\n"));
    } else if (!context.json_progress()) {
      context.PrintError(fmt::format(" Image {} Built\n", service.image));
    }
  }
  if (arguments.Bool("push")) {
    compose::PushOptions push;
    push.services = arguments.operands();
    push.with_dependencies = options.with_dependencies;
    push.quiet = quiet;
    SKIFF_TRY(PushServices(context, *model, push));
  }
  return 0;
}

}  // namespace skiff::cli
