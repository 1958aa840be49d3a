#include "compose/use_case/use_case.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "compose/labels.h"
#include "compose/planner/plan_builder.h"
#include "engine-core/image_platform.h"

namespace skiff::compose {

Result<std::shared_ptr<void>> LockProject(const Context& context, const std::string& project) {
  // A dry run changes nothing and must not wait for somebody who does.
  if (!context.lock_project || context.plan_sink) return std::shared_ptr<void>();
  return context.lock_project(project);
}

std::string FileDirectory(const Context& context, const std::string& project) {
  return context.state_dir + "/" + project;
}

std::optional<engine::Nanoseconds> ToNanoseconds(const std::optional<Seconds>& seconds) {
  if (!seconds) return std::nullopt;
  return engine::Nanoseconds(*seconds);
}

void TellWarnings(const Context& context, const Plan& plan) {
  for (const Diagnostic& diagnostic : plan.warnings.list()) context.progress->Diagnose(diagnostic);
}

Status WriteFiles(const Plan& plan) {
  for (const WrittenFile& file : plan.files) {
    // The name is made from the content: a file that exists is right.
    if (access(file.path.c_str(), F_OK) == 0) continue;
    const size_t slash = file.path.rfind('/');
    SKIFF_TRY(MakeDirectories(file.path.substr(0, slash), 0700));
    SKIFF_TRY(Failpoint("compose.write_file"));
    const std::string draft = fmt::format("{}.{}", file.path, RandomHex(4));
    SKIFF_TRY(WriteFileAtomically(draft, file.content, static_cast<mode_t>(file.mode),
                                  Durability::kVolatile));
    if ((file.uid != 0 || file.gid != 0) && chown(draft.c_str(), file.uid, file.gid) != 0) {
      const int error = errno;
      unlink(draft.c_str());
      return FailErrno(error, fmt::format("cannot change the owner of '{}'", file.path));
    }
    if (rename(draft.c_str(), file.path.c_str()) != 0) {
      const int error = errno;
      unlink(draft.c_str());
      return FailErrno(error, fmt::format("cannot create '{}'", file.path));
    }
  }
  return {};
}

Result<bool> IsHere(engine::Engine& engine, const std::string& image, const std::string& platform) {
  engine::Platform wanted;
  if (!platform.empty()) {
    SKIFF_ASSIGN(wanted, engine::ParsePlatform(platform));
  }
  const auto found = engine::FindImageFor(engine, image, wanted);
  if (!found && found.error().code != Code::kNotFound) return Fail(found.error());
  return found.has_value();
}

Status CarryOut(const Context& context, const Plan& plan, std::string_view operation) {
  if (context.plan_sink) {
    context.plan_sink(plan);
    return {};
  }
  TellWarnings(context, plan);
  SKIFF_TRY(WriteFiles(plan));
  context.progress->Begin(operation);
  for (const std::string& name : plan.unchanged) {
    ProgressEvent event;
    event.id = "Container " + name;
    event.status = "Running";
    event.phase = ProgressPhase::kDone;
    context.progress->Report(event);
  }
  ExecuteOptions options;
  options.parallel = context.parallel;
  options.interrupt_fd = context.interrupt_fd;
  Status status = Execute(plan, *context.engine, *context.progress, options);
  context.progress->End(status.has_value());
  return status;
}

Status CheckServices(const ProjectRef& project, const std::vector<ObservedContainer>& containers,
                     const std::vector<std::string>& services) {
  std::vector<std::string> known;
  if (project.model) {
    for (const auto& [name, service] : project.model->services) known.push_back(name);
    for (const auto& [name, service] : project.model->disabled_services) known.push_back(name);
  }
  for (const ObservedContainer& observed : containers) known.push_back(observed.service);
  for (const std::string& name : services) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return Fail(NoSuchService(name, known));
    }
  }
  return {};
}

Result<std::vector<ObservedContainer>> ContainersOfServices(
    const Context& context, const ProjectRef& project, const std::vector<std::string>& services) {
  SKIFF_ASSIGN(std::vector<ObservedContainer> containers,
               ObserveContainers(*context.engine, project.name));
  SKIFF_TRY(CheckServices(project, containers, services));
  std::erase_if(containers, [&](const ObservedContainer& observed) {
    if (observed.oneoff) return true;
    return !services.empty() &&
           std::find(services.begin(), services.end(), observed.service) == services.end();
  });
  return containers;
}

Result<engine::Container> FindReplica(const Context& context, const ProjectRef& project,
                                      const std::string& service, int index, bool running) {
  SKIFF_ASSIGN(std::vector<ObservedContainer> containers,
               ObserveContainers(*context.engine, project.name));
  ObservedContainer* stopped = nullptr;
  // Numbered replicas are sorted before one-off containers.
  for (ObservedContainer& observed : containers) {
    if (observed.service != service) continue;
    if (index != 0 && (observed.oneoff || observed.number != index)) continue;
    if (observed.container.state.running()) return std::move(observed.container);
    if (stopped == nullptr && !observed.oneoff) stopped = &observed;
  }
  if (!running && stopped != nullptr) return std::move(stopped->container);
  if (project.model && !project.model->services.count(service) &&
      !project.model->disabled_services.count(service)) {
    SKIFF_TRY(CheckServices(project, containers, {service}));
  }
  if (index != 0) {
    return Fail(Code::kFailedPrecondition,
                fmt::format("service \"{}\" is not running container #{}", service, index));
  }
  return Fail(Code::kFailedPrecondition, fmt::format("service \"{}\" is not running", service));
}

Result<std::vector<engine::Container>> FindReplicas(const Context& context,
                                                    const ProjectRef& project,
                                                    const std::string& service, int index,
                                                    bool oneoffs) {
  SKIFF_ASSIGN(std::vector<ObservedContainer> containers,
               ObserveContainers(*context.engine, project.name));
  std::vector<engine::Container> found;
  for (ObservedContainer& observed : containers) {
    if (observed.service != service || (observed.oneoff && !oneoffs)) continue;
    if (index != 0 && (observed.oneoff || observed.number != index)) continue;
    found.push_back(std::move(observed.container));
  }
  if (!found.empty()) return found;
  SKIFF_TRY(CheckServices(project, containers, {service}));
  return Fail(Code::kNotFound,
              index != 0
                  ? fmt::format("service \"{}\" is not running container #{}", service, index)
                  : fmt::format("no container found for service \"{}\"", service));
}

PlanOptions PlanOptionsOf(const Context& context, const std::string& project,
                          const CreateOptions& options) {
  PlanOptions result;
  result.services = options.services;
  result.scale = options.scale;
  result.no_deps = options.no_deps;
  result.force_recreate = options.force_recreate;
  result.no_recreate = options.no_recreate;
  result.always_recreate_deps = options.always_recreate_deps;
  result.renew_anon_volumes = options.renew_anon_volumes;
  result.remove_orphans = options.remove_orphans;
  result.ignore_orphans = options.ignore_orphans;
  result.stop_timeout = ToNanoseconds(options.timeout);
  result.file_dir = FileDirectory(context, project);
  return result;
}

}  // namespace skiff::compose
