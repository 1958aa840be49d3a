// Verbs that wait for containers and show their output: logs, wait.
#include <fmt/format.h>
#include <poll.h>

#include <algorithm>

#include "compose/labels.h"
#include "compose/log_follower.h"
#include "compose/planner/plan_builder.h"
#include "compose/use_case/use_case.h"

namespace skiff::compose {
namespace {

bool IsWanted(const ObservedContainer& observed, const ProjectRef& project,
              const LogsOptions& options) {
  if (observed.oneoff) return false;
  if (options.index != 0 && observed.number != options.index) return false;
  if (!options.services.empty()) {
    return std::find(options.services.begin(), options.services.end(), observed.service) !=
           options.services.end();
  }
  if (project.model == nullptr) return true;
  const auto service = project.model->services.find(observed.service);
  return service == project.model->services.end() || service->second.attach;
}

Status PrintLogs(const Context& context, const ProjectRef& project, const LogsOptions& options,
                 const std::vector<ObservedContainer>& containers) {
  LogPrinter printer(context.output, options.style, /*buffered=*/true);
  for (const ObservedContainer& observed : containers) {
    if (!IsWanted(observed, project, options)) continue;
    printer.Register(LogName(project.name, DisplayName(observed.container)), observed.service);
  }
  for (const ObservedContainer& observed : containers) {
    if (!IsWanted(observed, project, options)) continue;
    const std::string name = LogName(project.name, DisplayName(observed.container));
    engine::LogOptions log;
    log.tail = options.tail;
    log.since = options.since;
    log.until = options.until;
    Status read =
        context.engine->ReadLogs(observed.container.id, log, [&](const engine::LogEntry& entry) {
          printer.Write(name, entry);
          return true;
        });
    printer.Finish(name);
    if (!read && read.error().code != Code::kNotFound) return read;
  }
  return {};
}

Status FollowLogs(const Context& context, const ProjectRef& project, const LogsOptions& options) {
  LogPrinter printer(context.output, options.style);
  LogFollower::Options follow;
  follow.interest = [&](const ObservedContainer& observed) {
    return IsWanted(observed, project, options) ? LogFollower::Interest::kShow
                                                : LogFollower::Interest::kIgnore;
  };
  follow.since = options.since;
  follow.until = options.until;
  follow.tail = options.tail;
  follow.include_stopped = true;
  LogFollower follower(*context.engine, printer, project.name, std::move(follow));
  SKIFF_TRY(follower.Start());
  while (follower.active() > 0) {
    pollfd fds[2] = {{follower.fd(), POLLIN, 0}, {context.interrupt_fd, POLLIN, 0}};
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return FailErrno("cannot wait for events");
    if (fds[1].revents) return Fail(Code::kCancelled, "");  // Expected: nothing to tell.
    if (fds[0].revents) follower.TakeExits();
  }
  return follower.status();
}

bool HasStopped(const engine::ContainerState& state) {
  return !IsActive(state);
}

}  // namespace

Status Logs(const Context& context, const ProjectRef& project, const LogsOptions& options) {
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ObserveContainers(*context.engine, project.name));
  SKIFF_TRY(CheckServices(project, containers, options.services));
  if (options.follow) return FollowLogs(context, project, options);
  return PrintLogs(context, project, options, containers);
}

Result<int> Wait(const Context& context, const ProjectRef& project,
                 const std::vector<std::string>& services, bool down_project) {
  engine::ContainerFilter filter;
  filter.all = true;
  filter.labels = {LabelFilter(kProjectLabel, project.name)};
  SKIFF_ASSIGN(const std::unique_ptr<engine::Watch> watch, context.engine->WatchContainers(filter));
  // After the watch is open: nothing that ends from here on is missed.
  SKIFF_ASSIGN(const std::vector<ObservedContainer> containers,
               ContainersOfServices(context, project, services));
  if (containers.empty()) {
    return Fail(Code::kNotFound, fmt::format("no containers for project \"{}\"", project.name));
  }
  int code = 0;
  std::map<std::string, bool> waiting;
  for (const ObservedContainer& observed : containers) {
    if (HasStopped(observed.container.state)) {
      code = observed.container.state.exit_code;
    } else {
      waiting[observed.container.id] = true;
    }
  }
  while (!waiting.empty() && !(down_project && waiting.size() < containers.size())) {
    SKIFF_ASSIGN(const std::vector<engine::StateChange> changes, watch->Next(context.interrupt_fd));
    if (changes.empty()) return Fail(Code::kCancelled, "");  // Expected: nothing to tell.
    for (const engine::StateChange& change : changes) {
      if (!waiting.count(change.id) || (!change.removed && !HasStopped(change.state))) continue;
      waiting.erase(change.id);
      code = change.state.exit_code;
    }
  }
  if (down_project) SKIFF_TRY(Down(context, project, {}));
  return code;
}

}  // namespace skiff::compose
