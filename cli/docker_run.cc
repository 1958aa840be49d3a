#include "cli/docker_run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "cli/exit_status.h"
#include "cli/image_output.h"
#include "cli/registry_config.h"
#include "cli/terminal_session.h"
#include "cli/verbs.h"
#include "engine-core/image_platform.h"
#include "engine-core/references.h"

namespace skiff::cli {
namespace {

// Claims the file before anything is made, as docker does: an existing one is an error.
Result<Fd> OpenIdFile(const Arguments& arguments) {
  const std::string path = arguments.Text("cidfile");
  if (path.empty()) return Fd();
  auto file = OpenFile(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
  if (!file && file.error().code == Code::kAlreadyExists) {
    return Fail(Code::kAlreadyExists,
                fmt::format("container ID file found, make sure the other container isn't running "
                            "or delete {}",
                            path));
  }
  return file;
}

// Sees to it that the image a container is made from is here, pulled as --pull says.
class ImageForRun {
 public:
  ImageForRun(Context& context, engine::Engine& engine, const Arguments& arguments)
      : context_(context), engine_(engine), arguments_(arguments) {}

  // It may be missing still (--pull never): the engine tells.
  Status Prepare(engine::ContainerConfig& config) {
    SKIFF_TRY(CheckChoice(arguments_, "pull", {"always", "missing", "never"}));
    const std::string policy = arguments_.Text("pull");
    config.platform = arguments_.Text("platform");
    if (config.platform.empty()) config.platform = context_.Variable("DOCKER_DEFAULT_PLATFORM");
    engine::Platform platform;
    if (!config.platform.empty()) {
      SKIFF_ASSIGN(platform, engine::ParsePlatform(config.platform));
    }
    if (policy == "never") return {};
    if (policy == "missing") {
      const auto image = engine::FindImageFor(engine_, config.image, platform);
      if (image) return {};
      if (image.error().code != Code::kNotFound) return Fail(image.error());
    }
    return Pull(config.image, platform, policy == "missing");
  }

 private:
  Status Pull(const std::string& name, const engine::Platform& platform, bool missing) {
    const bool quiet = arguments_.Bool("quiet");
    SKIFF_ASSIGN(const engine::Reference reference, engine::ParseReference(name));
    if (missing && !quiet) {
      context_.PrintError(
          fmt::format("Unable to find image '{}' locally\n", reference.Familiar()));
    }
    engine::PullOptions options;
    options.platform = platform;
    SKIFF_ASSIGN(options.access, AccessTo(context_, reference.domain));
    ImageOutput output(context_, quiet, ImageOutput::Stream::kError);
    options.progress = output.Sink();
    SKIFF_ASSIGN(const engine::PulledImage pulled, engine_.PullImage(name, options));
    SKIFF_TRY(output.status());
    if (!quiet) context_.PrintError(PulledText(pulled, reference.Familiar()));
    return engine_.Commit();
  }

  Context& context_;
  engine::Engine& engine_;
  const Arguments& arguments_;
};

struct Declared {
  std::string id;
  engine::ContainerConfig config;
};

Result<Declared> Declare(Context& context, const Arguments& arguments, engine::Engine& engine) {
  Declared declared;
  SKIFF_ASSIGN(declared.config, ContainerConfigOf(arguments, context.around().environment,
                                                  context.around().working_dir));
  SKIFF_ASSIGN(const Fd id_file, OpenIdFile(arguments));
  const auto create = [&]() -> Result<engine::CreatedContainer> {
    SKIFF_TRY(ImageForRun(context, engine, arguments).Prepare(declared.config));
    return engine.CreateContainer(declared.config);
  };
  auto created = create();
  if (!created) {
    if (id_file) unlink(arguments.Text("cidfile").c_str());
    return Fail(std::move(created.error()));
  }
  declared.id = created->id;
  for (const std::string& warning : created->warnings) {
    context.PrintError(fmt::format("WARNING: {}\n", warning));
  }
  if (id_file) SKIFF_TRY(WriteAll(id_file.get(), declared.id, "the container ID file"));
  return declared;
}

Status Discard(engine::Engine& engine, const std::string& id) {
  Status removed = engine.RemoveContainer(id, {.force = true, .anonymous_volumes = true});
  // It may have removed itself.
  if (!removed && removed.error().code != Code::kNotFound) return removed;
  return engine.Commit();
}

// The start failed: says why, and answers with docker's status for it.
Result<int> StartFailed(Context& context, engine::Engine& engine, const Declared& declared,
                        const Error& error) {
  context.Report(error, nullptr);
  const auto container = engine.InspectContainer(declared.id);
  const int code = container ? container->state.exit_code : 0;
  if (declared.config.auto_remove) SKIFF_TRY(Discard(engine, declared.id));
  if (code == kExitNotExecutable || code == kExitNotFound) return code;
  return StartFailureStatus(error, kExitEngine);
}

Result<int> RunAttached(Context& context, const Arguments& arguments, engine::Engine& engine,
                        const Declared& declared) {
  const std::vector<std::string>& attach = arguments.List("attach");
  const auto wants = [&](std::string_view stream) {
    return attach.empty() ||
           std::any_of(attach.begin(), attach.end(),
                       [&](const std::string& name) { return EqualsIgnoreCase(name, stream); });
  };
  SessionOptions options;
  options.tty = declared.config.tty;
  options.interactive = declared.config.open_stdin && wants("stdin");
  options.forward_signals = arguments.Bool("sig-proxy");
  options.detach_keys = arguments.Text("detach-keys");
  options.in = context.around().in;
  options.out = wants("stdout") ? context.around().out : -1;
  options.err = wants("stderr") ? context.around().err : -1;
  if (options.tty && options.interactive && !IsTerminal(options.in)) {
    SKIFF_TRY(Discard(engine, declared.id));
    return Fail(Code::kInvalidArgument, "the input device is not a TTY");
  }
  SKIFF_ASSIGN(const auto driver, TerminalSession::Create(options));
  auto session = engine.Attach(declared.id, driver->streams());
  Status started = session ? engine.StartContainer(declared.id) : Fail(session.error());
  if (started) started = engine.Commit();
  if (!started) return StartFailed(context, engine, declared, started.error());
  const Result<int> code = driver->Drive(**session);
  session->reset();
  if (declared.config.auto_remove && !driver->detached()) {
    SKIFF_TRY(Discard(engine, declared.id));
  }
  return code;
}

}  // namespace

Result<int> RunDockerRun(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  const bool detached = arguments.Bool("detach");
  SKIFF_ASSIGN(const Declared declared, Declare(context, arguments, *engine));
  if (!detached) return RunAttached(context, arguments, *engine, declared);
  Status started = engine->StartContainer(declared.id);
  if (started) started = engine->Commit();
  if (!started) return StartFailed(context, *engine, declared, started.error());
  SKIFF_TRY(context.Print(declared.id + '\n'));
  return 0;
}

Result<int> RunDockerCreate(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const Declared declared, Declare(context, arguments, *engine));
  SKIFF_TRY(engine->Commit());
  SKIFF_TRY(context.Print(declared.id + '\n'));
  return 0;
}

}  // namespace skiff::cli
