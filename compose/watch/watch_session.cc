#include "compose/watch/watch_session.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "base/text.h"
#include "compose/hook_process.h"
#include "compose/labels.h"
#include "compose/observe.h"

namespace skiff::compose {
namespace {

using Clock = std::chrono::steady_clock;
// So long nothing more may change: an editor that saves many files, a change of branches.
constexpr std::chrono::milliseconds kQuiet(500);

// As Go prints a list of strings by %q: ["web" "db"]
std::string Quoted(const std::set<std::string>& names) {
  std::string out;
  for (const std::string& name : names) {
    out += fmt::format("{}\"{}\"", out.empty() ? "" : " ", name);
  }
  return "[" + out + "]";
}

}  // namespace

Result<std::unique_ptr<WatchSession>> WatchSession::Open(const Context& context,
                                                         const schema::Project& project,
                                                         const WatchOptions& options, Say say) {
  const auto warn = [&](const Error& error) {
    context.progress->Diagnose({Severity::kWarning, error});
  };
  SKIFF_ASSIGN(WatchRules rules, WatchRules::Make(project, options.services,
                                                  static_cast<bool>(options.build), warn));
  std::unique_ptr<WatchSession> session(
      new WatchSession(context, project, options, std::move(say), std::move(rules)));
  const WatchRules& made = session->rules_;
  SKIFF_ASSIGN(session->tree_, TreeWatch::Open(made.Paths(), [&made](const std::string& folder) {
    return made.Skips(folder);
  }));
  return session;
}

Status WatchSession::Run(int cancel_fd, const std::function<void(bool)>& busy) {
  context_.interrupt_fd = cancel_fd;
  SKIFF_TRY(SyncAtFirst());
  say_("Watch enabled");
  std::set<std::string> changed;
  Clock::time_point quiet_at;
  while (true) {
    pollfd fds[2] = {{tree_->fd(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(quiet_at - Clock::now());
    const int wait = changed.empty() ? -1 : std::max(0, static_cast<int>(left.count()));
    const int ready = ::poll(fds, 2, wait);
    if (ready < 0 && errno != EINTR) return FailErrno("cannot wait for changes");
    if (fds[1].revents != 0) break;
    if (fds[0].revents != 0) {
      SKIFF_ASSIGN(std::set<std::string> more, tree_->Read());
      std::erase_if(more, [&](const std::string& path) { return !rules_.MatchesAny(path); });
      if (!more.empty()) quiet_at = Clock::now() + kQuiet;
      changed.merge(more);
    }
    // Also when what does not matter never comes to rest.
    if (changed.empty() || Clock::now() < quiet_at) continue;
    busy(true);
    const Status handled = Handle(std::exchange(changed, {}));
    busy(false);
    if (!handled) break;
  }
  say_("Watch disabled");
  return {};
}

// initial_sync: what is here already.
Status WatchSession::SyncAtFirst() {
  for (size_t i = 0; i < rules_.rules().size(); ++i) {
    const WatchRule& rule = rules_.rules()[i];
    if (!rule.syncs() || !rule.trigger->initial_sync) continue;
    std::vector<engine::SyncedPath> paths;
    const auto add = [&](const std::string& path) {
      if (rules_.Matches(i, path)) paths.push_back({path, rule.TargetOf(path)});
    };
    std::error_code error;
    const std::filesystem::path root = rule.trigger->path;
    if (std::filesystem::is_directory(root, error)) {
      std::filesystem::recursive_directory_iterator at(root, error), end;
      for (; !error && at != end; at.increment(error)) {
        // One that goes meanwhile is no folder.
        std::error_code gone;
        const bool is_folder = at->symlink_status(gone).type() == std::filesystem::file_type::directory;
        if (is_folder && rules_.Skips(at->path().string())) {
          at.disable_recursion_pending();
          continue;
        }
        add(at->path().string());
      }
    } else if (!error) {
      add(root.string());
    }
    if (error) return FailErrno(error.value(), fmt::format("cannot read '{}'", root.string()));
    if (!paths.empty()) SKIFF_TRY(Sync(rule.service->name, paths));
  }
  return {};
}

Status WatchSession::Handle(const std::set<std::string>& paths) {
  Services rebuilt, restarted;
  std::map<std::string, std::map<std::string, std::string>> synced;  // Source by target, of services.
  std::vector<const WatchRule*> hooks;
  for (size_t i = 0; i < rules_.rules().size(); ++i) {
    const WatchRule& rule = rules_.rules()[i];
    const std::string& service = rule.service->name;
    bool any = false;
    for (const std::string& path : paths) {
      if (!rules_.Matches(i, path)) continue;
      any = true;
      if (rule.syncs()) synced[service][rule.TargetOf(path)] = path;
    }
    if (!any) continue;
    if (rule.trigger->action == "rebuild") rebuilt.insert(service);
    if (rule.trigger->action.ends_with("restart")) restarted.insert(service);
    if (rule.trigger->action == "sync+exec") hooks.push_back(&rule);
  }
  // One that fails keeps none of the others from what has changed.
  if (!rebuilt.empty()) SKIFF_TRY(Told(Rebuild(rebuilt)));
  for (const auto& [service, sources] : synced) {
    say_(fmt::format("Syncing service \"{}\" after {} changes were detected", service,
                     sources.size()));
    std::vector<engine::SyncedPath> list;
    for (const auto& [target, source] : sources) list.push_back({source, target});
    SKIFF_TRY(Told(Sync(service, list)));
  }
  if (!restarted.empty()) SKIFF_TRY(Told(Restart(restarted)));
  for (const WatchRule* rule : hooks) SKIFF_TRY(Told(RunHook(*rule)));
  return {};
}

Status WatchSession::Told(Status status) {
  if (status || status.error().code == Code::kCancelled) return status;
  context_.progress->Diagnose({Severity::kWarning, std::move(status.error())});
  return {};
}

Status WatchSession::Rebuild(const Services& services) {
  say_(fmt::format("Rebuilding service(s) {} after changes were detected...", Quoted(services)));
  const std::vector<std::string> names(services.begin(), services.end());
  if (Status built = options_.build(names, context_.interrupt_fd); !built) {
    if (built.error().code != Code::kCancelled) {
      say_(fmt::format("Build failed. Error: {}", built.error().Text()));
    }
    return built;
  }
  say_(fmt::format("service(s) {} successfully built", Quoted(services)));
  UpOptions up;
  up.create.services = names;
  up.create.no_deps = true;
  up.create.force_recreate = true;
  up.detach = true;
  if (const auto done = Up(context_, project_, up); !done) {
    say_(fmt::format("Failed to recreate services after update. Error: {}", done.error().Text()));
    return Fail(done.error());
  }
  return options_.prune ? Prune() : Status();
}

// What the images of this project were before.
Status WatchSession::Prune() {
  SKIFF_ASSIGN(const std::vector<engine::Image> images, context_.engine->ListImages());
  for (const engine::Image& image : images) {
    const auto project = image.config.labels.find(std::string(kProjectLabel));
    const bool ours =
        project != image.config.labels.end() && project->second == project_.name;
    const bool named =
        !image.references.empty() || !image.digests.empty() || !image.platform_of.empty();
    if (!ours || named) continue;
    const auto removed = context_.engine->RemoveImage(image.id, false);
    // A container has it still.
    if (!removed && removed.error().code != Code::kFailedPrecondition &&
        removed.error().code != Code::kAlreadyExists && removed.error().code != Code::kNotFound) {
      return Fail(removed.error());
    }
  }
  return context_.engine->Commit();
}

Result<std::vector<ObservedContainer>> WatchSession::ContainersOf(const std::string& service) {
  SKIFF_ASSIGN(std::vector<ObservedContainer> containers,
               ObserveContainers(*context_.engine, project_.name));
  std::erase_if(containers, [&](const ObservedContainer& observed) {
    return observed.oneoff || observed.service != service;
  });
  return containers;
}

Status WatchSession::Sync(const std::string& service,
                          const std::vector<engine::SyncedPath>& paths) {
  SKIFF_ASSIGN(const auto containers, ContainersOf(service));
  for (const ObservedContainer& observed : containers) {
    SKIFF_TRY(context_.engine->SyncPaths(observed.container.id, paths));
  }
  return context_.engine->Commit();
}

Status WatchSession::Restart(const Services& services) {
  RestartOptions options;
  options.services.assign(services.begin(), services.end());
  SKIFF_TRY(compose::Restart(context_, {project_.name, &project_}, options));
  say_(fmt::format("service(s) {} restarted", Quoted(services)));
  return {};
}

Status WatchSession::RunHook(const WatchRule& rule) {
  const engine::ExecConfig config = HookConfig(rule.trigger->exec);
  const HookLineSink on_line = [&](engine::LogStream stream, std::string_view line) {
    const bool is_out = stream == engine::LogStream::kStdout;
    // Whoever reads no more does not end the watch.
    (void)WriteAll(is_out ? context_.output.out : context_.output.err, std::string(line) + "\n",
                   "output of a command");
  };
  SKIFF_ASSIGN(const auto containers, ContainersOf(rule.service->name));
  for (const ObservedContainer& observed : containers) {
    if (!observed.container.state.running()) continue;
    SKIFF_ASSIGN(const HookResult result,
                 RunHookProcess(*context_.engine, observed.container.id, config,
                                context_.interrupt_fd, on_line));
    if (result.exit_code == 0) continue;
    return Fail(Error(Code::kFailedPrecondition,
                      fmt::format("the command of the watch rule ended with exit code {} in {}",
                                  result.exit_code, observed.container.name))
                    .At(rule.trigger->span));
  }
  return {};
}

Status Watch(const Context& context, const schema::Project& project, const WatchOptions& options) {
  SKIFF_ASSIGN(const auto session,
               WatchSession::Open(context, project, options, [&](const std::string& line) {
                 // Whoever reads no more does not end the watch.
                 (void)WriteAll(context.output.out, line + "\n", "the standard output stream");
               }));
  return session->Run(context.interrupt_fd, [](bool) {});
}

}  // namespace skiff::compose
