#include <fmt/format.h>

#include <algorithm>

#include "base/identity.h"
#include "base/text.h"
#include "compose/labels.h"
#include "compose/planner/plan_builder.h"
#include "compose/translate.h"
#include "compose/use_case/use_case.h"

namespace skiff::compose {
namespace {

void ReplaceEnvironment(std::vector<std::string>& environment,
                        const std::vector<std::string>& changes) {
  for (const std::string& change : changes) {
    const std::string key = change.substr(0, change.find('='));
    std::erase_if(environment, [&](const std::string& entry) {
      return entry == key || entry.starts_with(key + "=");
    });
    environment.push_back(change);
  }
}

// "target", "source:target[:options]": the short syntax of -v. Named volumes are global names or
// keys of the project.
Result<engine::MountRequest> ParseVolume(const schema::Project& project, const std::string& text) {
  const std::vector<std::string_view> parts = Split(text, ':');
  engine::MountRequest mount;
  const auto invalid = [&] {
    return Fail(Code::kInvalidArgument, fmt::format("invalid volume '{}'", text));
  };
  if (parts.size() > 3) return invalid();
  mount.target = parts.size() == 1 ? parts[0] : parts[1];
  if (mount.target.empty() || mount.target[0] != '/') return invalid();
  mount.kind = engine::MountKind::kVolume;
  if (parts.size() > 1) {
    if (parts[0].empty()) return invalid();
    mount.source = parts[0];
    if (mount.source[0] == '/') {
      mount.kind = engine::MountKind::kBind;
      mount.create_host_path = true;
    } else if (const auto volume = project.volumes.find(mount.source);
               volume != project.volumes.end()) {
      mount.source = volume->second.name;
    }
  }
  if (parts.size() < 3) return mount;
  for (std::string_view option : Split(parts[2], ',')) {
    if (option == "ro") mount.read_only = true;
    if (option == "nocopy") mount.no_copy = true;
    if (option.ends_with("private") || option.ends_with("shared") || option.ends_with("slave")) {
      mount.propagation = option;
    }
  }
  return mount;
}

// "[[ip:]host:]container[/protocol]"
Result<engine::PortRequest> ParsePublish(const std::string& text) {
  schema::Port port;
  std::string_view rest = text;
  if (const size_t slash = rest.rfind('/'); slash != std::string_view::npos) {
    port.protocol = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
  }
  const size_t colon = rest.rfind(':');
  const std::string_view inner = colon == std::string_view::npos ? rest : rest.substr(colon + 1);
  if (colon != std::string_view::npos) {
    std::string_view outer = rest.substr(0, colon);
    const size_t ip_end = outer.rfind(':');
    if (ip_end != std::string_view::npos) {
      std::string_view ip = outer.substr(0, ip_end);
      if (ip.starts_with('[') && ip.ends_with(']')) ip = ip.substr(1, ip.size() - 2);
      port.host_ip = ip;
      outer = outer.substr(ip_end + 1);
    }
    port.published = outer;
  }
  const auto target = ParseNumber<uint16_t>(inner);
  if (!target || *target == 0) {
    return Fail(Code::kInvalidArgument, fmt::format("invalid port '{}'", text));
  }
  port.target = *target;
  return TranslatePort(port);
}

// Makes one container of a service with what the command line changes. Used once.
class OneOff {
 public:
  OneOff(const Context& context, const schema::Project& project, const RunOptions& options)
      : context_(context), project_(project), options_(options) {}

  Result<engine::ContainerConfig> Make(const schema::Service& service, const Plan& dependencies);

 private:
  Status ApplyOptions(engine::ContainerConfig& config);
  Status ResolveReferences(const std::vector<ServiceReference>& references,
                           engine::ContainerConfig& config);

  const Context& context_;
  const schema::Project& project_;
  const RunOptions& options_;
};

Result<engine::ContainerConfig> OneOff::Make(const schema::Service& service,
                                             const Plan& dependencies) {
  TranslateOptions translate;
  translate.oneoff = !options_.use_aliases;
  translate.slug = RandomHex(32);
  translate.file_dir = FileDirectory(context_, project_.name);
  SKIFF_ASSIGN(TranslatedService translated, TranslateService(project_, service, translate));
  SKIFF_TRY(WriteFiles(dependencies));
  engine::ContainerConfig& config = translated.config;
  config.labels[std::string(kOneoffLabel)] = "True";
  config.labels[std::string(kSlugLabel)] = translate.slug;
  config.labels.erase(std::string(kNumberLabel));
  config.name = options_.name.empty() ? fmt::format("{}-{}-run-{}", project_.name, service.name,
                                                    translate.slug.substr(0, 12))
                                      : options_.name;
  SKIFF_TRY(ApplyOptions(config));
  SKIFF_TRY(ResolveReferences(translated.references, config));
  return std::move(config);
}

Status OneOff::ApplyOptions(engine::ContainerConfig& config) {
  config.restart = {};
  config.auto_remove = options_.remove;
  config.tty = options_.tty && !options_.detach;
  config.open_stdin = options_.interactive && !options_.detach;
  if (options_.entrypoint) {
    config.entrypoint = options_.entrypoint;
    config.command.reset();
  }
  if (options_.command) config.command = options_.command;
  if (!options_.user.empty()) config.user = options_.user;
  if (!options_.working_dir.empty()) config.working_dir = options_.working_dir;
  ReplaceEnvironment(config.environment, options_.environment);
  for (const auto& [key, value] : options_.labels) config.labels[key] = value;
  config.cap_add.insert(config.cap_add.end(), options_.cap_add.begin(), options_.cap_add.end());
  config.cap_drop.insert(config.cap_drop.end(), options_.cap_drop.begin(), options_.cap_drop.end());
  for (const std::string& volume : options_.volumes) {
    SKIFF_ASSIGN(engine::MountRequest mount, ParseVolume(project_, volume));
    std::erase_if(config.mounts,
                  [&](const engine::MountRequest& other) { return other.target == mount.target; });
    config.mounts.push_back(std::move(mount));
  }
  // The service's ports are somebody else's unless asked for.
  if (!options_.service_ports) {
    std::erase_if(config.ports, [](const engine::PortRequest& port) { return port.publish; });
  }
  for (const std::string& publish : options_.publish) {
    SKIFF_ASSIGN(engine::PortRequest port, ParsePublish(publish));
    config.ports.push_back(std::move(port));
  }
  return {};
}

Status OneOff::ResolveReferences(const std::vector<ServiceReference>& references,
                                 engine::ContainerConfig& config) {
  if (references.empty()) return {};
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ObserveContainers(*context_.engine, project_.name));
  for (const ServiceReference& reference : references) {
    const auto target =
        std::find_if(containers.begin(), containers.end(), [&](const ObservedContainer& observed) {
          return observed.service == reference.service && !observed.oneoff;
        });
    if (target == containers.end()) {
      return Fail(
          Code::kFailedPrecondition,
          fmt::format("cannot share with service {}: container missing", reference.service));
    }
    const std::string& id = target->container.id;
    switch (reference.field) {
      case ContainerReference::Field::kNetwork:
        config.network_mode = "container:" + id;
        break;
      case ContainerReference::Field::kPid:
        config.pid_mode = "container:" + id;
        break;
      case ContainerReference::Field::kIpc:
        config.ipc_mode = "container:" + id;
        break;
      case ContainerReference::Field::kVolumesFrom:
        config.volumes_from.push_back(id + reference.suffix);
        break;
    }
  }
  return {};
}

// Networks, volumes, and unless told otherwise the services it depends on.
Result<Plan> PlanDependencies(const Context& context, const schema::Project& project,
                              const RunOptions& options) {
  SKIFF_ASSIGN(const Observed observed, Observe(*context.engine, project.name));
  PlanOptions plan_options;
  plan_options.services = {options.service};
  plan_options.prepare_only = {options.service};
  plan_options.no_deps = options.no_deps;
  plan_options.remove_orphans = options.remove_orphans;
  // One-off containers of other commands are no news here.
  plan_options.ignore_orphans = true;
  plan_options.file_dir = FileDirectory(context, project.name);
  return MakePlan(project, observed, plan_options);
}

// What is left of a container that did not start, or has ended.
Status RemoveOneOff(const Context& context, const std::string& id) {
  Status removed = context.engine->RemoveContainer(id, {.force = true, .anonymous_volumes = true});
  // It may remove itself.
  if (!removed && removed.error().code != Code::kNotFound) return removed;
  return context.engine->Commit();
}

}  // namespace

Result<RunResult> Run(const Context& context, const schema::Project& project,
                      const RunOptions& options, SessionDriver& driver) {
  const auto service = project.services.find(options.service);
  if (service == project.services.end()) {
    std::vector<std::string> known;
    for (const auto& [name, other] : project.services) known.push_back(name);
    return Fail(NoSuchService(options.service, known));
  }
  engine::Engine& engine = *context.engine;
  RunResult result;
  std::string id;
  {
    SKIFF_ASSIGN(std::shared_ptr<void> lock, LockProject(context, project.name));
    SKIFF_ASSIGN(const Plan dependencies, PlanDependencies(context, project, options));
    if (!dependencies.empty() || context.plan_sink) {
      SKIFF_TRY(CarryOut(context, dependencies, "run"));
    } else {
      TellWarnings(context, dependencies);
    }
    if (context.plan_sink) return result;
    SKIFF_ASSIGN(const engine::ContainerConfig config,
                 OneOff(context, project, options).Make(service->second, dependencies));
    SKIFF_ASSIGN(engine::CreatedContainer created, engine.CreateContainer(config));
    id = std::move(created.id);
    result.container = config.name;
  }
  if (options.detach) {
    Status started = engine.StartContainer(id);
    if (started) started = engine.Commit();
    if (!started) {
      if (options.remove) SKIFF_TRY(RemoveOneOff(context, id));
      return Fail(std::move(started.error()));
    }
    return result;
  }
  auto session = engine.Attach(id, driver.streams());
  Status started = session ? engine.StartContainer(id) : Fail(std::move(session.error()));
  if (started) started = engine.Commit();
  if (!started) {
    if (options.remove) SKIFF_TRY(RemoveOneOff(context, id));
    return Fail(std::move(started.error()));
  }
  const Result<int> code = driver.Drive(**session);
  session->reset();
  if (options.remove) SKIFF_TRY(RemoveOneOff(context, id));
  if (!code) return Fail(code.error());
  result.exit_code = *code;
  return result;
}

}  // namespace skiff::compose
