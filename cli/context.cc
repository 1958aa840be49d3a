#include "cli/context.h"

#include <poll.h>
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

#include "base/diagnostic.h"
#include "base/fd.h"
#include "base/json_text.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/remote_files.h"
#include "cli/terminal.h"

namespace skiff::cli {
namespace {

constexpr std::string_view kProgressModes[] = {"auto", "tty", "plain", "json", "quiet"};

std::string ErrorJson(const Error& error) {
  std::string out = fmt::format("{{\"error\":true,\"code\":\"{}\",\"message\":{}",
                                CodeName(error.code), JsonQuote(error.Text()));
  if (!error.notes.empty()) {
    out += ",\"notes\":[";
    for (const Note& note : error.notes) {
      if (&note != &error.notes.front()) out += ',';
      out += JsonQuote(note.message);
    }
    out += ']';
  }
  return out + "}\n";
}

}  // namespace

Context::Context(Surroundings surroundings, Grammar grammar, std::string program)
    : surroundings_(std::move(surroundings)),
      grammar_(grammar),
      program_(std::move(program)),
      remote_(std::make_unique<RemoteFiles>(*this)) {}
Context::~Context() = default;

std::string Context::Variable(const std::string& name) const {
  const auto found = surroundings_.environment.find(name);
  return found == surroundings_.environment.end() ? std::string() : found->second;
}

bool Context::TruthVariable(const std::string& name) const {
  return ParseBool(Variable(name)).value_or(false);
}

Status Context::Print(std::string_view text) const {
  return WriteAll(surroundings_.out, text, "the standard output");
}

void Context::PrintError(std::string_view text) const {
  // There is nobody left to tell when the standard error stream is gone.
  const Status ignored = WriteAll(surroundings_.err, text, "the standard error stream");
  static_cast<void>(ignored);
}

bool Context::ColorOn(int fd) const {
  if (globals.ansi == "never") return false;
  if (globals.ansi == "always") return true;
  return Variable("NO_COLOR").empty() && Variable("TERM") != "dumb" && IsTerminal(fd);
}

void Context::Report(const Error& error, const SourceMap* sources) const {
  if (error.message.empty()) return;  // Told already.
  if (error.span.valid() && sources != nullptr) {
    const Diagnostic diagnostic{Severity::kError, error};
    PrintError(json_progress()
                   ? DiagnosticToJson(diagnostic, *sources) + '\n'
                   : FormatDiagnostic(diagnostic, *sources, {.color = ColorOn(surroundings_.err)}));
    return;
  }
  if (json_progress()) {
    PrintError(ErrorJson(error));
    return;
  }
  const bool color = ColorOn(surroundings_.err);
  std::string out = fmt::format("{}error:{} {}\n", color ? "\x1b[1;31m" : "",
                                color ? "\x1b[0m" : "", error.Text());
  for (const Note& note : error.notes) out += fmt::format("  note: {}\n", note.message);
  if (error.code == Code::kPermissionDenied && ::geteuid() != 0) {
    out += "  note: containers need root: run the command with sudo\n";
  }
  PrintError(out);
}

engine::EmbeddedOptions Context::EngineOptions() {
  engine::EmbeddedOptions options;
  const auto choose = [&](const std::string& flag, const char* variable, std::string& place) {
    const std::string value = flag.empty() ? Variable(variable) : flag;
    if (!value.empty()) {
      place = value.starts_with('/') ? value : surroundings_.working_dir + '/' + value;
    }
  };
  choose(globals.root, "SKIFF_ROOT", options.root);
  choose(globals.run, "SKIFF_RUN", options.run);
  options.notice = [this](const std::string& text) {
    PrintError(json_progress() ? fmt::format("{{\"notice\":{}}}\n", JsonQuote(text))
                               : fmt::format("note: {}\n", text));
  };
  return options;
}

Result<engine::Engine*> Context::Engine() {
  if (engine_ == nullptr) {
    SKIFF_ASSIGN(engine_, surroundings_.open_engine(EngineOptions()));
  }
  return engine_.get();
}

Result<int> Context::InterruptFd() {
  if (interrupts_ == nullptr) {
    SKIFF_ASSIGN(interrupts_, SignalRouter::Create({SIGINT, SIGTERM}));
  }
  return interrupts_->fd();
}

Result<bool> Context::Interrupted() {
  SKIFF_ASSIGN(const int fd, InterruptFd());
  pollfd wanted = {fd, POLLIN, 0};
  return ::poll(&wanted, 1, 0) > 0;
}

bool Context::ReadYes(bool otherwise) const {
  return cli::ReadYes(surroundings_.in, interrupts_ ? interrupts_->fd() : -1, otherwise);
}

Result<compose::ProgressOptions> Context::ProgressChoice(const SourceMap* sources) const {
  compose::ProgressOptions options;
  options.fd = TruthVariable("COMPOSE_STATUS_STDOUT") ? surroundings_.out : surroundings_.err;
  options.color = ColorOn(options.fd);
  options.sources = sources;
  const engine::TerminalSize size = SizeOf(options.fd);
  if (size.columns != 0) options.columns = size.columns;
  if (size.rows != 0) options.rows = size.rows;
  const std::string& mode = globals.progress;
  if (mode == "tty")
    options.mode = compose::ProgressMode::kTty;
  else if (mode == "plain")
    options.mode = compose::ProgressMode::kPlain;
  else if (mode == "json")
    options.mode = compose::ProgressMode::kJson;
  else if (mode == "quiet")
    options.mode = compose::ProgressMode::kQuiet;
  else if (mode == "auto") {
    const bool live = size.columns != 0 && globals.ansi != "never" && Variable("TERM") != "dumb";
    options.mode = live ? compose::ProgressMode::kTty : compose::ProgressMode::kPlain;
  } else {
    const std::vector<std::string_view> modes(std::begin(kProgressModes), std::end(kProgressModes));
    Error error(Code::kInvalidArgument, fmt::format("unsupported --progress value \"{}\"", mode));
    const std::string nearest = DidYouMean(mode, modes);
    return Fail(std::move(error).With(nearest.empty() ? "use auto, tty, plain, json or quiet"
                                                      : fmt::format("did you mean {}?", nearest)));
  }
  return options;
}

Result<compose::Context> Context::ComposeContext(const SourceMap* sources) {
  compose::Context context;
  SKIFF_ASSIGN(const compose::ProgressOptions choice, ProgressChoice(sources));
  progress_ = compose::MakeProgress(choice);
  context.progress = progress_.get();
  SKIFF_ASSIGN(context.engine, Engine());
  context.output = {surroundings_.out, surroundings_.err, ColorOn(surroundings_.out)};
  SKIFF_ASSIGN(context.interrupt_fd, InterruptFd());
  context.parallel = globals.parallel;
  const engine::EmbeddedOptions options = EngineOptions();
  context.state_dir = options.run + "/projects";
  context.lock_project = [run = options.run,
                          this](const std::string& project) -> Result<std::shared_ptr<void>> {
    SKIFF_ASSIGN(FileLock lock, surroundings_.lock_project(run, project, [&] {
      PrintError(fmt::format("waiting for another command on project {}\n", project));
    }));
    return std::shared_ptr<void>(std::make_shared<FileLock>(std::move(lock)));
  };
  if (globals.dry_run) {
    context.plan_sink = [this](const compose::Plan& plan) {
      const Status printed =
          Print(json_progress() ? compose::PlanToJson(plan) + '\n' : compose::PlanToText(plan));
      if (!printed) Report(printed.error(), nullptr);
    };
  }
  return context;
}

void Context::FetchRemoteFiles() {
  remote_->Fetch();
}

schema::LoadOptions Context::LoadOptions() const {
  schema::LoadOptions options;
  options.files = globals.files;
  options.project_name = globals.project_name;
  options.project_directory = globals.project_directory;
  options.env_files = globals.env_files;
  options.profiles = globals.profiles;
  options.environment = surroundings_.environment;
  options.working_dir = surroundings_.working_dir;
  options.all_resources = globals.all_resources;
  options.remote = remote_.get();
  return options;
}

Result<schema::LoadResult*> Context::LoadProject(const schema::LoadOptions& options,
                                                 Warnings warnings) {
  loaded_ = std::make_unique<schema::LoadResult>(schema::LoadProject(options));
  const schema::LoadResult& loaded = *loaded_;
  bool failed = !loaded.ok();
  std::string text;
  const auto show = [&](const Diagnostics& diagnostics) {
    for (Diagnostic diagnostic : diagnostics.list()) {
      if (diagnostic.severity == Severity::kWarning) {
        if (warnings == Warnings::kNone) continue;
        if (globals.strict) {
          diagnostic.severity = Severity::kError;
          failed = true;
        } else if (globals.progress == "quiet") {
          continue;
        }
      }
      text += json_progress() ? DiagnosticToJson(diagnostic, *loaded.sources) + '\n'
                              : FormatDiagnostic(diagnostic, *loaded.sources,
                                                 {.color = ColorOn(surroundings_.err)});
    }
  };
  show(loaded.diagnostics);
  if (warnings == Warnings::kOfFileAndEngine) show(loaded.not_honoured);
  PrintError(text);
  if (failed) return Fail(Code::kInvalidArgument, "");
  return loaded_.get();
}

}  // namespace skiff::cli
