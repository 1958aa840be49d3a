#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "compose/plan.h"
#include "compose/progress.h"
#include "engine-core/engine.h"
#include "schema/project.h"

namespace skiff::compose {

// ---- What every use case gets ------------------------------------------------------------------

// Where output of containers goes. Descriptors are written to with whole lines.
struct OutputStreams {
  int out = 1;
  int err = 2;
  bool color = false;  // Coloured prefixes.
};

// Somebody's terminal, or pipes: the front end's part of exec and run.
class SessionDriver {
 public:
  virtual ~SessionDriver() = default;
  virtual engine::StandardStreams streams() const = 0;
  virtual engine::TerminalSize size() const = 0;
  // Connects the session to the person until it ends: raw mode and copying when it has a terminal,
  // forwarding of signals, resizes. Returns the exit code.
  virtual Result<int> Drive(engine::Session& session) = 0;
};

struct Context {
  engine::Engine* engine = nullptr;
  Progress* progress = nullptr;
  OutputStreams output;
  // Receives one byte per SIGINT or SIGTERM (read end of a pipe, non-blocking); -1: none. A use
  // case that is interrupted fails with Code::kCancelled.
  int interrupt_fd = -1;
  int parallel = 0;  // Operations at once; 0 or less: twice the cores.
  // Folder for files made from `content:` and `environment:` of configs and secrets; made on
  // demand, 0700. Below the volatile root, one per project is made in it.
  std::string state_dir;
  // Takes the project's lock for the life of the returned object. Empty: no locking.
  std::function<Result<std::shared_ptr<void>>(const std::string& project)> lock_project;
  // When set, verbs that change something hand their plan to it and change nothing (--dry-run).
  std::function<void(const Plan&)> plan_sink;
};

// A project by its file, or by its name alone; then it is rebuilt from labels (compose.md 4.26).
struct ProjectRef {
  std::string name;
  const schema::Project* model = nullptr;
};

using Seconds = std::chrono::seconds;

// ---- Verbs that start things -------------------------------------------------------------------

struct CreateOptions {
  std::vector<std::string> services;  // Empty: all.
  bool no_deps = false;
  bool force_recreate = false;
  bool no_recreate = false;
  bool always_recreate_deps = false;
  bool renew_anon_volumes = false;
  bool remove_orphans = false;
  bool ignore_orphans = false;  // COMPOSE_IGNORE_ORPHANS: no warning.
  std::map<std::string, int> scale;
  std::optional<Seconds> timeout;  // Of stops.
};

struct LogStyle {
  bool prefix = true;
  bool timestamps = false;
};

struct WatchOptions {
  std::vector<std::string> services;  // Empty: all.
  bool prune = true;                  // Removes what the images of rebuilt services were before.
  // Builds the images of services; gives up with kCancelled when the descriptor becomes readable.
  // Absent: nothing may be built.
  std::function<Status(const std::vector<std::string>& services, int interrupt_fd)> build;
};
// Carries changes of files over to containers as `develop.watch` says, until interrupted.
Status Watch(const Context& context, const schema::Project& project, const WatchOptions& options);

struct UpOptions {
  CreateOptions create;
  bool detach = false;
  bool no_start = false;
  bool wait = false;  // Implies detach.
  std::optional<Seconds> wait_timeout;
  bool abort_on_container_exit = false;
  bool abort_on_container_failure = false;
  std::string exit_code_from;       // Implies abort_on_container_exit.
  std::vector<std::string> attach;  // Only these; empty: the selected ones.
  std::vector<std::string> no_attach;
  bool attach_dependencies = false;
  LogStyle log_style;
  std::optional<WatchOptions> watch;  // In the foreground, from when all has started.
};

// The plan `up` would run, for `plan`. Never changes anything.
Result<Plan> PlanUp(const Context& context, const schema::Project& project,
                    const UpOptions& options);
// Returns the exit code: 0, that of --exit-code-from or of the container that aborted, 130.
Result<int> Up(const Context& context, const schema::Project& project, const UpOptions& options);
Status Create(const Context& context, const schema::Project& project, const CreateOptions& options);
struct ScaleOptions {
  std::map<std::string, int> scale;
  bool no_deps = false;
};
Status Scale(const Context& context, const schema::Project& project, const ScaleOptions& options);

struct RunOptions {
  std::string service;
  std::optional<std::vector<std::string>> command;
  std::optional<std::vector<std::string>> entrypoint;
  std::vector<std::string> environment;  // KEY=VALUE; a bare KEY is resolved by the caller.
  std::vector<std::string> volumes;      // Short syntax, absolute host paths.
  std::vector<std::string> publish;      // Short syntax.
  std::map<std::string, std::string> labels;
  std::vector<std::string> cap_add, cap_drop;
  std::string name, user, working_dir;
  bool remove = false;
  bool detach = false;
  bool service_ports = false;
  bool no_deps = false;
  bool tty = true;  // The caller clears it with -T or when its own stdin or stdout is no terminal.
  bool interactive = true;
  bool use_aliases = false;
  bool remove_orphans = false;
};
struct RunResult {
  int exit_code = 0;
  std::string container;  // Name; printed with detach.
};
Result<RunResult> Run(const Context& context, const schema::Project& project,
                      const RunOptions& options, SessionDriver& driver);

struct StartOptions {
  std::vector<std::string> services;
  bool wait = false;
  std::optional<Seconds> wait_timeout;
};
Status Start(const Context& context, const ProjectRef& project, const StartOptions& options);

// ---- Verbs that stop things --------------------------------------------------------------------

struct DownOptions {
  std::vector<std::string> services;
  bool volumes = false;
  bool remove_orphans = false;
  std::optional<Seconds> timeout;
  std::string rmi;  // "", "local" or "all"
};
Status Down(const Context& context, const ProjectRef& project, const DownOptions& options);

struct StopOptions {
  std::vector<std::string> services;
  std::optional<Seconds> timeout;
};
Status Stop(const Context& context, const ProjectRef& project, const StopOptions& options);

struct RestartOptions {
  std::vector<std::string> services;
  std::optional<Seconds> timeout;
  bool no_deps = false;
};
Status Restart(const Context& context, const ProjectRef& project, const RestartOptions& options);

struct KillOptions {
  std::vector<std::string> services;
  std::string signal = "SIGKILL";
  bool remove_orphans = false;
};
Status Kill(const Context& context, const ProjectRef& project, const KillOptions& options);

struct RmOptions {
  std::vector<std::string> services;
  bool stop = false;
  bool volumes = false;
  // Asked with the names of what would go; false: leave them. Empty: do not ask (--force).
  std::function<bool(const std::vector<std::string>& names)> confirm;
};
Status Rm(const Context& context, const ProjectRef& project, const RmOptions& options);

Status Pause(const Context& context, const ProjectRef& project,
             const std::vector<std::string>& services);
Status Unpause(const Context& context, const ProjectRef& project,
               const std::vector<std::string>& services);

// ---- Verbs that look at things -----------------------------------------------------------------

struct PsOptions {
  std::vector<std::string> services;
  bool all = false;
  bool orphans = true;
  std::vector<std::string> statuses;  // --status, --filter status=: "running", ...
};
struct PsEntry {
  engine::Container container;
  std::string project, service;
  int number = 0;
  bool oneoff = false;
};
// Sorted by name.
Result<std::vector<PsEntry>> Ps(const Context& context, const ProjectRef& project,
                                const PsOptions& options);

// The replica of a service that a command for one container means; `index` 0 is the first, and one
// that runs comes before one that does not. `running`: another one will not do.
Result<engine::Container> FindReplica(const Context& context, const ProjectRef& project,
                                      const std::string& service, int index, bool running);

// Those that a copy means: the replica `index`, or all of the service (0), running or not; `oneoffs`:
// also those that `run` made. At least one.
Result<std::vector<engine::Container>> FindReplicas(const Context& context,
                                                    const ProjectRef& project,
                                                    const std::string& service, int index,
                                                    bool oneoffs);

struct LogsOptions {
  std::vector<std::string> services;
  bool follow = false;
  int64_t tail = -1;
  int64_t since = 0, until = 0;  // Nanoseconds since the epoch; 0: no bound.
  int index = 0;                 // 0: all replicas.
  LogStyle style;
};
Status Logs(const Context& context, const ProjectRef& project, const LogsOptions& options);

struct ExecOptions {
  std::string service;
  std::vector<std::string> command;
  std::vector<std::string> environment;
  std::string user, working_dir;
  int index = 0;  // 0: the first.
  bool detach = false;
  bool privileged = false;
  bool tty = true;
};
// The exit code of the command.
Result<int> Exec(const Context& context, const ProjectRef& project, const ExecOptions& options,
                 SessionDriver& driver);

struct PortOptions {
  std::string service;
  uint16_t port = 0;
  std::string protocol = "tcp";
  int index = 0;
};
// "0.0.0.0:8080"
Result<std::string> Port(const Context& context, const ProjectRef& project,
                         const PortOptions& options);

struct LsEntry {
  std::string name;
  std::string status;  // "running(3)", "exited(1), running(2)"
  std::string config_files;
};
Result<std::vector<LsEntry>> Ls(const Context& context, bool all);

// Blocks until every container of the services has stopped; the exit code of the last one.
Result<int> Wait(const Context& context, const ProjectRef& project,
                 const std::vector<std::string>& services, bool down_project);

struct ImagesEntry {
  std::string container, repository, tag, platform, image_id;
  int64_t size = 0, created_at = 0;
};
Result<std::vector<ImagesEntry>> Images(const Context& context, const ProjectRef& project,
                                        const std::vector<std::string>& services);
Result<std::vector<engine::Volume>> Volumes(const Context& context, const ProjectRef& project,
                                            const std::vector<std::string>& services);

}  // namespace skiff::compose
