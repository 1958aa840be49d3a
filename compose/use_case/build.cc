#include "compose/build.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <thread>

#include "compose/labels.h"
#include "compose/service_graph.h"
#include "compose/use_case/service_build.h"
#include "compose/use_case/use_case.h"

namespace skiff::compose {
namespace {

using Builds = std::map<std::string, std::unique_ptr<ServiceBuild>>;

bool BuildsAlways(const schema::Service& service) {
  return service.pull_policy == "build";
}

// The services to build, by what was asked for.
Result<std::set<std::string>> Select(const Context& context, const schema::Project& project,
                                     const BuildOptions& options) {
  const ServiceGraph graph = ServiceGraph::FromModel(project);
  std::set<std::string> names(options.services.begin(), options.services.end());
  if (options.services.empty()) {
    const auto all = graph.names();
    names.insert(all.begin(), all.end());
  } else if (options.with_dependencies) {
    names = graph.WithDependencies(options.services);
  }
  std::set<std::string> selected;
  for (const std::string& name : names) {
    const auto it = project.services.find(name);
    if (it == project.services.end()) {
      return Fail(Code::kNotFound, fmt::format("no such service: {}", name));
    }
    if (!it->second.build) continue;
    if (options.choice == BuildChoice::kMissing && !BuildsAlways(it->second)) {
      SKIFF_ASSIGN(const bool here, IsHere(*context.engine, ImageOf(project.name, it->second),
                                           it->second.platform));
      if (here) continue;
    }
    selected.insert(name);
  }
  return selected;
}

// Reads `name` and what it waits for. `path`: the services on the way to it.
Status ReadAll(const Context& context, const schema::Project& project, const BuildOptions& options,
               const BuildTools& tools, const std::string& name, std::vector<std::string>& path,
               Builds& builds) {
  if (std::ranges::count(path, name) > 0) {
    path.push_back(name);
    std::string text;
    for (const std::string& step : path) text += (text.empty() ? "" : " -> ") + step;
    return Fail(Error(Code::kInvalidArgument, "builds wait for each other: " + text)
                    .At(project.services.at(name).span));
  }
  if (builds.contains(name)) return {};
  const schema::Service& service = project.services.at(name);
  if (!service.build) return {};  // Its image is there or it is not.
  auto build = std::make_unique<ServiceBuild>();
  const Status read = ReadServiceBuild(*context.engine, project, service, options, tools, *build);
  if (!read) {
    const uint32_t file = read.error().span.file;
    const bool in_own = read.error().span.valid() && file < build->sources.size() &&
                        build->sources.File(file).name().ends_with(".dockerignore");
    if (!in_own) return read;
    tools.report(read.error(), &build->sources);
    return Fail(read.error().code, "");
  }
  path.push_back(name);
  for (const std::string& other : build->waits_for) {
    SKIFF_TRY(ReadAll(context, project, options, tools, other, path, builds));
  }
  path.pop_back();
  builds.emplace(name, std::move(build));
  return {};
}

class Runner {
 public:
  Runner(const Context& context, const BuildOptions& options, const BuildTools& tools,
         Builds& builds)
      : options_(options),
        tools_(tools),
        builds_(builds),
        builder_(*context.engine, tools.builder) {}

  Status Finish() { return builder_.Finish(); }

  Result<std::vector<BuiltService>> Run() {
    std::map<std::string, std::promise<bool>> promises;
    for (const auto& [name, build] : builds_) {
      done_[name] = promises[name].get_future().share();
    }
    std::vector<std::thread> threads;
    for (const auto& [name, build] : builds_) {
      threads.emplace_back(
          [this, &promise = promises[name], &work = *build] { promise.set_value(One(work)); });
    }
    for (std::thread& thread : threads) thread.join();
    if (failure_) return Fail(*failure_);
    std::ranges::sort(built_, {}, &BuiltService::service);
    return std::move(built_);
  }

 private:
  // False: it failed, which has been told.
  bool One(ServiceBuild& build) {
    for (const std::string& other : build.waits_for) {
      const auto it = done_.find(other);
      if (it != done_.end() && !it->second.get()) return false;
    }
    auto image = PlanAndBuild(build);
    const std::lock_guard lock(mutex_);
    if (image) {
      built_.push_back({build.service->name, build.image, image->result().id});
      return true;
    }
    const bool cancelled = image.error().code == Code::kCancelled;
    if (!cancelled) tools_.report(image.error(), &build.sources);
    if (!failure_) failure_ = Error(image.error().code, "");
    return false;
  }

  Result<builder::BuiltImages> PlanAndBuild(ServiceBuild& build) {
    if (build.diagnostics.HasErrors()) return Fail(build.diagnostics.list().front().error);
    std::vector<builder::BuildPlan> plans;
    for (builder::PlanOptions& options : build.plans) {
      SKIFF_TRY(builder::CheckFrontend(build.dockerfile, options));
      options.images =
          builder_.Images(options_.pull || build.service->build->pull, *tools_.progress);
      SKIFF_ASSIGN(const builder::LintOptions lint,
                   builder::LintOptionsOf(build.dockerfile, options));
      builder::Linter linter(lint);
      SKIFF_ASSIGN(builder::BuildPlan plan,
                   builder::PlanBuild(build.dockerfile, options, linter));
      SKIFF_TRY(linter.Verdict());
      plans.push_back(std::move(plan));
    }
    return builder_.Build(plans, build.settings, *tools_.progress);
  }

  const BuildOptions& options_;
  const BuildTools& tools_;
  Builds& builds_;
  builder::Builder builder_;
  std::map<std::string, std::shared_future<bool>> done_;
  std::mutex mutex_;
  std::vector<BuiltService> built_;
  std::optional<Error> failure_;
};

}  // namespace

Result<std::vector<BuiltService>> Build(const Context& context, const schema::Project& project,
                                        const BuildOptions& options, const BuildTools& tools) {
  SKIFF_ASSIGN(const std::set<std::string> selected, Select(context, project, options));
  Builds builds;
  for (const std::string& name : selected) {
    std::vector<std::string> path;
    SKIFF_TRY(ReadAll(context, project, options, tools, name, path, builds));
  }
  // What is only waited for is built when it is missing.
  std::erase_if(builds, [&](const auto& entry) {
    if (selected.contains(entry.first) || options.choice == BuildChoice::kAll) return false;
    return context.engine->InspectImage(entry.second->image).has_value();
  });
  if (builds.empty()) return std::vector<BuiltService>();
  Runner runner(context, options, tools, builds);
  auto built = runner.Run();
  Status finished = runner.Finish();
  for (const auto& [name, build] : builds) {
    for (const std::string& id : build->layout_images) {
      const auto removed = context.engine->RemoveImage(id, false);
      if (!removed && finished) finished = Fail(removed.error());
    }
  }
  const Status committed = context.engine->Commit();
  if (built) SKIFF_TRY(finished);
  if (built) SKIFF_TRY(committed);
  return built;
}

Result<std::vector<CheckedService>> Check(const Context& context, const schema::Project& project,
                                          const BuildOptions& options, const BuildTools& tools) {
  SKIFF_ASSIGN(const std::set<std::string> selected, Select(context, project, options));
  const builder::ImageResolver here = builder::LocalImages(*context.engine);
  std::vector<CheckedService> out;
  for (const std::string& name : selected) {
    ServiceBuild build;
    SKIFF_TRY(ReadServiceBuild(*context.engine, project, project.services.at(name), options, tools,
                               build));
    // What is said of one platform is said of all.
    builder::PlanOptions& planned = build.plans.front();
    planned.images = [&here](const std::string& reference, const builder::Platform& platform) {
      auto image = here(reference, platform);
      return image ? image : builder::AssumedImages()(reference, platform);
    };
    CheckedService checked;
    checked.service = name;
    checked.file = build.file;
    checked.mistakes = build.diagnostics;
    if (!checked.mistakes.HasErrors()) {
      SKIFF_ASSIGN(const builder::LintOptions lint,
                   builder::LintOptionsOf(build.dockerfile, planned));
      builder::Linter linter(lint);
      const auto plan = builder::PlanBuild(build.dockerfile, planned, linter);
      if (!plan) checked.mistakes.AddError(plan.error());
      checked.warnings = linter.warnings();
    }
    checked.sources = std::move(build.sources);
    out.push_back(std::move(checked));
  }
  return out;
}

}  // namespace skiff::compose
