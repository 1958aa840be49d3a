#include "compose/pull.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "compose/labels.h"
#include "compose/service_graph.h"
#include "compose/use_case/use_case.h"

namespace skiff::compose {
namespace {

constexpr size_t kAtOnce = 8;

// One image, for the first of the services that want it.
struct Job {
  std::string image;
  std::string platform;
  const schema::Service* service = nullptr;
  bool may_fail = false;
};

Result<std::vector<const schema::Service*>> Selected(const schema::Project& project,
                                                     const std::vector<std::string>& services,
                                                     bool with_dependencies) {
  SKIFF_TRY(CheckServices({project.name, &project}, {}, services));
  const ServiceGraph graph = ServiceGraph::FromModel(project);
  std::set<std::string> names(services.begin(), services.end());
  if (services.empty()) {
    const auto all = graph.names();
    names.insert(all.begin(), all.end());
  } else if (with_dependencies) {
    names = graph.WithDependencies(services);
  }
  std::vector<const schema::Service*> out;
  for (const std::string& name : names) out.push_back(&project.services.at(name));
  return out;
}

// Policies that ask from time to time ask each time: when an image was last asked for is not kept.
bool AsksAlways(const std::string& policy) {
  return policy == "always" || policy == "refresh" || policy == "daily" || policy == "weekly" ||
         policy.starts_with("every_");
}

class Transfers {
 public:
  Transfers(const Context& context, bool quiet, bool ignore_failures)
      : context_(context), quiet_(quiet), ignore_failures_(ignore_failures) {}

  Status Run(const std::vector<Job>& jobs, std::string_view verb,
             const std::function<Status(const Job&, const engine::ImageProgressSink&)>& transfer,
             std::string_view working, std::string_view done);

 private:
  void Report(const Job& job, std::string_view status, ProgressPhase phase,
              std::string details = "") const {
    ProgressEvent event;
    event.id = "Image " + job.image;
    event.status = status;
    event.phase = phase;
    event.details = std::move(details);
    context_.progress->Report(event);
  }
  void Failed(const Job& job, Error error);

  const Context& context_;
  bool quiet_;
  bool ignore_failures_;
  std::mutex mutex_;
  std::vector<Error> failures_;
};

void Transfers::Failed(const Job& job, Error error) {
  const bool passed_over = job.may_fail || ignore_failures_;
  Report(job, passed_over ? "Warning" : "Error",
         passed_over ? ProgressPhase::kWarning : ProgressPhase::kError, error.Text());
  if (passed_over) return;
  const std::lock_guard lock(mutex_);
  failures_.push_back(std::move(error).At(job.service->span));
}

Status Transfers::Run(
    const std::vector<Job>& jobs, std::string_view verb,
    const std::function<Status(const Job&, const engine::ImageProgressSink&)>& transfer,
    std::string_view working, std::string_view done) {
  if (jobs.empty()) return {};
  context_.progress->Begin(verb);
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < jobs.size(); i = next++) {
      const Job& job = jobs[i];
      Report(job, working, ProgressPhase::kWorking);
      engine::ImageProgressSink sink;
      if (!quiet_) {
        sink = [&](const engine::ImageProgress& progress) {
          if (progress.id.empty() || progress.total > 0) return;
          Report(job, fmt::format("{} {}", progress.id, progress.status), ProgressPhase::kWorking);
        };
      }
      Status status = transfer(job, sink);
      if (status) {
        Report(job, done, ProgressPhase::kDone);
      } else {
        Failed(job, std::move(status).error());
      }
    }
  };
  const size_t limit = context_.parallel > 0 ? static_cast<size_t>(context_.parallel) : kAtOnce;
  std::vector<std::thread> threads;
  for (size_t i = 1; i < std::min(limit, jobs.size()); ++i) threads.emplace_back(work);
  work();
  for (std::thread& thread : threads) thread.join();
  const Status committed = context_.engine->Commit();
  context_.progress->End(failures_.empty() && committed);
  if (!failures_.empty()) return Fail(failures_.front());
  return committed;
}

Result<std::vector<Job>> PullJobs(const Context& context, const schema::Project& project,
                                  const PullOptions& options) {
  SKIFF_ASSIGN(const auto services,
               Selected(project, options.services, options.with_dependencies));
  const bool needed = options.choice == PullChoice::kNeeded;
  std::map<std::string, Job> jobs;
  std::map<std::string, bool> present;  // Each is asked for once.
  for (const schema::Service* service : services) {
    // Without a name of its own an image can only be built.
    if (service->image.empty() || (service->build && options.ignore_buildable)) continue;
    const std::string& policy = options.policy.empty() ? service->pull_policy : options.policy;
    if (policy == "never" || policy == "build") continue;
    const bool always = AsksAlways(policy) || (policy.empty() && !needed);
    const std::string key = service->image + " " + service->platform;
    const auto [known, first] = present.try_emplace(key, false);
    if (!always && first) {
      SKIFF_ASSIGN(known->second, IsHere(*context.engine, service->image, service->platform));
    }
    if (!always && known->second) continue;
    Job& job = jobs[key];
    job.may_fail = (job.service == nullptr || job.may_fail) && service->build.has_value();
    job.image = service->image;
    job.platform = service->platform;
    job.service = service;
  }
  std::vector<Job> out;
  for (auto& [key, job] : jobs) out.push_back(std::move(job));
  return out;
}

}  // namespace

Status Pull(const Context& context, const schema::Project& project, const PullOptions& options,
            const AccessSource& access) {
  if (context.plan_sink) return {};
  SKIFF_ASSIGN(const auto jobs, PullJobs(context, project, options));
  Transfers transfers(context, options.quiet, options.ignore_failures);
  return transfers.Run(
      jobs, "pull",
      [&](const Job& job, const engine::ImageProgressSink& sink) -> Status {
        engine::PullOptions pull;
        if (!job.platform.empty()) {
          SKIFF_ASSIGN(pull.platform, engine::ParsePlatform(job.platform));
        }
        SKIFF_ASSIGN(pull.access, access(job.image));
        pull.progress = sink;
        SKIFF_TRY(context.engine->PullImage(job.image, pull));
        return {};
      },
      "Pulling", "Pulled");
}

Status Push(const Context& context, const schema::Project& project, const PushOptions& options,
            const AccessSource& access) {
  SKIFF_ASSIGN(const auto services,
               Selected(project, options.services, options.with_dependencies));
  std::map<std::string, Job> jobs;
  for (const schema::Service* service : services) {
    if (!service->build || service->image.empty()) continue;
    jobs[service->image] = {service->image, "", service, false};
  }
  std::vector<Job> list;
  for (auto& [key, job] : jobs) list.push_back(std::move(job));
  if (context.plan_sink) return {};
  Transfers transfers(context, options.quiet, options.ignore_failures);
  return transfers.Run(
      list, "push",
      [&](const Job& job, const engine::ImageProgressSink& sink) -> Status {
        engine::PushOptions push;
        SKIFF_ASSIGN(push.access, access(job.image));
        push.progress = sink;
        SKIFF_TRY(context.engine->PushImage(job.image, push));
        return {};
      },
      "Pushing", "Pushed");
}

}  // namespace skiff::compose
