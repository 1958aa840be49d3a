#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/atomic_file.h"
#include "base/error.h"
#include "cli/command.h"
#include "cli/signals.h"
#include "compose/progress.h"
#include "compose/use_cases.h"
#include "engine-core/embedded.h"
#include "schema/load.h"

namespace skiff::cli {

// Flags before the verb, and what COMPOSE_* says instead of them.
struct GlobalOptions {
  std::vector<std::string> files, profiles, env_files;
  std::string project_name, project_directory;
  std::string ansi = "auto";
  std::string progress = "auto";
  int parallel = 0;
  bool compatibility = false;
  bool dry_run = false;
  bool all_resources = false;
  bool strict = false;
  std::string root, run;
};

// Everything a command takes from outside. main() fills it from the process; tests as they like.
struct Surroundings {
  int in = 0, out = 1, err = 2;
  std::map<std::string, std::string> environment;
  std::string working_dir;
  std::function<int64_t()> now;  // Nanoseconds since the epoch.
  std::function<Result<std::unique_ptr<engine::Engine>>(const engine::EmbeddedOptions&)>
      open_engine;
  std::function<Result<engine::SystemReport>(const engine::EmbeddedOptions&, bool repair)>
      system_check;
  // run, project, told when somebody else holds the lock.
  std::function<Result<FileLock>(const std::string&, const std::string&,
                                 const std::function<void()>& waiting)>
      lock_project;
  std::function<Status(const engine::EmbeddedOptions&)> retire_root;
  std::function<Result<std::vector<engine::RestoredContainer>>(const engine::EmbeddedOptions&)>
      restore_containers;
};

class RemoteFiles;

// What one command works with. Nothing is opened before it is asked for.
class Context {
 public:
  Context(Surroundings surroundings, Grammar grammar, std::string program);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  GlobalOptions globals;

  const Surroundings& around() const { return surroundings_; }
  Grammar grammar() const { return grammar_; }
  // How the program was called up to the verb: "skiff", "docker compose".
  const std::string& program() const { return program_; }
  int64_t now() const { return surroundings_.now(); }
  // A variable of the environment, "" when unset.
  std::string Variable(const std::string& name) const;
  bool TruthVariable(const std::string& name) const;

  // -- output --
  Status Print(std::string_view text) const;
  void PrintError(std::string_view text) const;
  bool ColorOn(int fd) const;
  bool json_progress() const { return globals.progress == "json"; }
  // Writes an error in the form asked for (lines for people, or JSON).
  void Report(const Error& error, const SourceMap* sources) const;

  // -- what verbs use --
  Result<engine::Engine*> Engine();
  engine::EmbeddedOptions EngineOptions();
  // Readable when the person wants to stop; opened on first use.
  Result<int> InterruptFd();
  // Whether that has happened; nothing is taken from it.
  Result<bool> Interrupted();
  // The answer to a question that has been printed (ReadYes of cli/terminal.h).
  bool ReadYes(bool otherwise = false) const;
  // The use cases' view of all this. `sources` outlives it.
  Result<compose::Context> ComposeContext(const SourceMap* sources);
  schema::LoadOptions LoadOptions() const;
  // From now on Compose files at addresses are fetched; before, only what is here is used.
  void FetchRemoteFiles();
  const RemoteFiles& remote_files() const { return *remote_; }
  // Loads the project and prints what was found wrong; fails with an empty message then.
  enum class Warnings { kNone, kOfFile, kOfFileAndEngine };
  Result<schema::LoadResult*> LoadProject(const schema::LoadOptions& options, Warnings warnings);
  // What LoadProject has read, for the places of errors; null before.
  const SourceMap* sources() const { return loaded_ ? loaded_->sources.get() : nullptr; }

 private:
  Result<compose::ProgressOptions> ProgressChoice(const SourceMap* sources) const;

  Surroundings surroundings_;
  Grammar grammar_;
  std::string program_;
  std::unique_ptr<engine::Engine> engine_;
  std::unique_ptr<SignalRouter> interrupts_;
  std::unique_ptr<schema::LoadResult> loaded_;
  std::unique_ptr<compose::Progress> progress_;
  std::unique_ptr<RemoteFiles> remote_;
};

}  // namespace skiff::cli
