// RUN: a container of the engine on the step's layer.
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/descriptor.h"
#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "builder/execute/run_mounts.h"
#include "builder/execute/session.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kContainerLabel = "skiff.build";

std::string QuoteProcess(const std::vector<std::string>& arguments) {
  std::string text;
  for (const char c : Join(arguments, " ")) {
    if (c == '"' || c == '\\') text += '\\';
    if (c == '\n') {
      text += "\\n";
    } else {
      text += c;
    }
  }
  return "process \"" + text + "\"";
}

std::string_view ModeOf(NetworkMode mode) {
  if (mode == NetworkMode::kNone) return "none";
  return mode == NetworkMode::kHost ? "host" : "bridge";
}

// One of a container's output streams.
struct Output {
  int fd;
  engine::LogStream stream;
  bool open = true;
};

// Reads all there is.
Status Pump(Output& output, BuildProgress& progress, int step) {
  char buffer[16384];
  while (output.open) {
    const ssize_t got = ::read(output.fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return {};
    if (got < 0) return FailErrno("cannot read the output of a step");
    if (got > 0) progress.Output(step, output.stream, {buffer, static_cast<size_t>(got)});
    output.open = got > 0;
  }
  return {};
}

// Until `done` is readable; then what is there still.
Status PumpAll(const Fd& out, const Fd& err, const Fd& done, BuildProgress& progress, int step) {
  Output outputs[] = {{out.get(), engine::LogStream::kStdout},
                      {err.get(), engine::LogStream::kStderr}};
  for (bool ended = false; !ended;) {
    pollfd fds[] = {{outputs[0].open ? outputs[0].fd : -1, POLLIN, 0},
                    {outputs[1].open ? outputs[1].fd : -1, POLLIN, 0},
                    {done.get(), POLLIN, 0}};
    if (::poll(fds, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot wait for the output of a step");
    }
    ended = fds[2].revents != 0;
    for (Output& output : outputs) SKIFF_TRY(Pump(output, progress, step));
  }
  return {};
}

void AddMountKey(StepKey& key, const Mount& mount) {
  key.Add(static_cast<int64_t>(mount.type)).Add(mount.source).Add(mount.target);
  key.Add(mount.read_only).Add(mount.id).Add(static_cast<int64_t>(mount.sharing));
  key.Add(mount.required).Add(mount.variable.value_or("")).Add(mount.size);
  for (const auto& number : {mount.mode, mount.uid, mount.gid}) {
    key.Add(number ? static_cast<int64_t>(*number) : -1);
  }
}

}  // namespace

// Secrets, agents and what a cache mount holds are in no key.
Result<std::string> BuildSession::RunKey(const StepPlace& place, const RunStep& run) {
  StepKey key("run");
  key.Add(place.parents).Add(run.arguments).Add(run.environment);
  key.Add(run.working_dir).Add(run.user).Add(settings_.hostname);
  const NetworkMode network =
      run.network == NetworkMode::kDefault ? settings_.network : run.network;
  key.Add(ModeOf(network)).Add(static_cast<int64_t>(run.security));
  for (const Mount& mount : run.mounts) {
    AddMountKey(key, mount);
    const bool has_files = mount.type == MountType::kBind || mount.type == MountType::kCache;
    if (!has_files || std::holds_alternative<EmptySource>(mount.from)) continue;
    if (!std::holds_alternative<BuildContext>(mount.from) &&
        !std::holds_alternative<ContextSource>(mount.from)) {
      SKIFF_ASSIGN(const std::vector<std::string> layers, LayersOf(mount.from));
      key.Add(layers);
      continue;
    }
    SKIFF_ASSIGN(const OpenedSource source, OpenSource(mount.from));
    CopySource wanted;
    wanted.path = mount.source;
    wanted.span = place.step.span;
    SKIFF_ASSIGN(auto items, SelectItems(CopyStep(), wanted, source));
    SKIFF_TRY(DigestFiles(source.fd.get(), items, DigestsOf(source)));
    SKIFF_ASSIGN(const std::string digest, DigestItems(source.fd.get(), items, true));
    key.Add(digest);
  }
  if (run.script) key.Add(run.script->path).Add(run.script->content);
  // An emulator may show another machine to programs of equal bytes.
  if (!IsOfHost(place.stage.platform)) key.Add(FormatPlatform(place.stage.platform));
  return key.Finish();
}

Result<MadeLayer> BuildSession::MakeRun(const StepPlace& place, const RunStep& run) {
  if (run.network == NetworkMode::kHost && !settings_.allow_host_network) {
    return Fail(Error(Code::kPermissionDenied,
                      "granting entitlement network.host is not allowed "
                      "by build daemon configuration")
                    .With("--allow network.host permits it"));
  }
  if (run.security == SecurityMode::kInsecure && !settings_.allow_insecure) {
    return Fail(Error(Code::kPermissionDenied,
                      "granting entitlement security.insecure is not "
                      "allowed by build daemon configuration")
                    .With("--allow security.insecure permits it"));
  }
  for (const Device& device : run.devices) {
    if (!device.required) continue;
    return Fail(Code::kUnsupported, "the device '" + device.name + "' is not known here");
  }
  SKIFF_ASSIGN(const std::string key, RunKey(place, run));
  return Cached(place, key, [&] { return Execute(place, run); });
}

Result<MadeLayer> BuildSession::Execute(const StepPlace& place, const RunStep& run) {
  const TraceSpan span("build.run");
  SKIFF_TRY(Failpoint("build.run"));
  SKIFF_ASSIGN(const auto layer, CreateLayer(place.parents));
  {
    RunMounts mounts;
    SKIFF_ASSIGN(const engine::ContainerConfig config, ContainerOf(run, *layer, mounts));
    auto ended = RunContainer(config, place.progress, mounts);
    if (!ended && !IsOfHost(place.stage.platform)) {
      Error error = std::move(ended.error());
      error.notes.push_back({"the step is for " + FormatPlatform(place.stage.platform) +
                                 ": its programs run here only with an emulator registered in "
                                 "binfmt_misc (Debian: qemu-user-static)",
                             {}});
      return Fail(std::move(error));
    }
    SKIFF_ASSIGN(const int code, std::move(ended));
    if (code != 0) {
      return Fail(Code::kFailedPrecondition,
                  QuoteProcess(run.arguments) +
                      " did not complete successfully: exit code: " + std::to_string(code));
    }
  }
  return Commit(*layer);
}

Result<engine::ContainerConfig> BuildSession::ContainerOf(const RunStep& run,
                                                          engine::WritableLayer& layer,
                                                          RunMounts& mounts) {
  engine::ContainerConfig config;
  config.writable_layer = layer.id();
  config.auto_remove = true;
  config.labels[std::string(kContainerLabel)] = "true";
  config.entrypoint = run.arguments;
  config.command = std::vector<std::string>();
  config.environment = settings_.proxies;
  config.environment.insert(config.environment.end(), run.environment.begin(),
                            run.environment.end());
  config.working_dir = run.working_dir;
  config.user = run.user;
  config.log.driver = "none";
  config.extra_hosts = settings_.extra_hosts;
  config.shm_size = settings_.shm_size;
  config.ulimits = settings_.ulimits;
  config.cgroup_parent = settings_.cgroup_parent;
  config.resources = settings_.resources;
  const NetworkMode network =
      run.network == NetworkMode::kDefault ? settings_.network : run.network;
  config.network_mode = ModeOf(network);
  if (network != NetworkMode::kHost) config.hostname = settings_.hostname;
  config.privileged = run.security == SecurityMode::kInsecure;
  SKIFF_TRY(AddMounts(run, config, mounts));
  return config;
}

Result<int> BuildSession::RunContainer(const engine::ContainerConfig& config, int progress,
                                       RunMounts& mounts) {
  engine::Engine& engine = shared_.engine();
  SKIFF_ASSIGN(Pipe out, MakePipe());
  SKIFF_ASSIGN(Pipe err, MakePipe());
  SKIFF_ASSIGN(const engine::CreatedContainer created, engine.CreateContainer(config));
  const auto run = [&]() -> Result<int> {
    SKIFF_ASSIGN(auto session, engine.Attach(created.id, {-1, out.write.get(), err.write.get()}));
    out.write.Reset();
    err.write.Reset();
    SKIFF_TRY(engine.StartContainer(created.id));
    SKIFF_TRY(mounts.Started());
    return Follow(*session, out.read, err.read, progress);
  };
  Result<int> code = run();
  const Status removed = engine.RemoveContainer(created.id, {true, true});
  if (code && !removed && removed.error().code != Code::kNotFound) return Fail(removed.error());
  return code;
}

// Waits for the end of the process; ends it when the build stops. What the monitor still holds is
// written by Wait(), so another thread reads.
Result<int> BuildSession::Follow(engine::Session& session, const Fd& out, const Fd& err,
                                 int progress) {
  const Fd done(::eventfd(0, EFD_CLOEXEC));
  if (!done) return FailErrno("cannot make an event");
  for (const Fd* fd : {&out, &err}) SKIFF_TRY(SetNonBlocking(fd->get(), true));
  Status pumped;
  std::thread reader([&] { pumped = PumpAll(out, err, done, progress_, progress); });
  Result<int> code = AwaitEnd(session);
  RaiseEvent(done);
  reader.join();
  if (code && !pumped) return Fail(pumped.error());
  return code;
}

Result<int> BuildSession::AwaitEnd(engine::Session& session) const {
  for (;;) {
    pollfd fds[] = {{session.exit_fd(), POLLIN, 0},
                    {stop_.get(), POLLIN, 0},
                    {shared_.options().cancel_fd, POLLIN, 0}};
    if (::poll(fds, 3, -1) < 0) {
      if (errno == EINTR) continue;
      return FailErrno("cannot wait for a step");
    }
    if (fds[1].revents != 0 || fds[2].revents != 0) {
      return Fail(Code::kCancelled, "the build was stopped");
    }
    if (fds[0].revents != 0) return session.Wait();
  }
}

}  // namespace skiff::builder
