#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "base/source.h"
#include "schema/files.h"
#include "schema/project.h"

namespace skiff::schema {

class Node;  // schema/tree.h

struct LoadOptions {
  std::vector<std::string> files;      // -f; empty: COMPOSE_FILE, else discovered upwards.
  std::string project_name;            // -p
  std::string project_directory;       // --project-directory
  std::vector<std::string> env_files;  // --env-file
  std::vector<std::string> profiles;   // --profile
  std::map<std::string, std::string> environment;  // The process's own.
  std::string working_dir;                         // Absolute; the process's own.
  // Services named on the command line: their own profiles are enabled; with `restrict` only they
  // and (unless no_deps) their dependencies remain in the project.
  std::vector<std::string> services;
  bool restrict_to_services = false;
  bool no_deps = false;
  bool all_resources = false;
  const Files* files_seen = &MachineFiles();  // Borrowed. "-" is always standard input.
  RemoteFiles* remote = nullptr;  // Borrowed; null: files at addresses are errors.
  bool interpolate = true;
  bool normalize = true;
  bool resolve_paths = true;
  bool check_consistency = true;
  bool resolve_environment = true;
  bool typed = true;  // Without it `project` has no services, networks and so on.
};

// What one load has read and found. `sources` outlives every span.
struct LoadResult {
  std::unique_ptr<SourceMap> sources;
  Diagnostics diagnostics;           // All of them, sorted; also the warnings of a good file.
  std::map<std::string, std::string> environment;  // What variables were replaced from.
  std::vector<std::string> named_files;  // As -f or COMPOSE_FILE say them; empty: discovered.
  Diagnostics not_honoured;          // Warnings for valid keys that Skiff does not act on (`up`).
  std::shared_ptr<const Node> tree;  // The canonical tree; null with errors.
  Project project;                   // Meaningful without errors.
  bool ok() const { return !diagnostics.HasErrors(); }
};

// Reads the files and everything they refer to. Never throws; unreadable files are diagnostics.
LoadResult LoadProject(const LoadOptions& options);

// Project name only, by the reference's rules (-p, COMPOSE_PROJECT_NAME, name:, folder), for verbs
// that work from what exists when there is no file.
Result<std::string> ProjectNameOf(const LoadOptions& options);

// The canonical tree as `docker compose config` prints it.
std::string RenderYaml(const Node& tree);
std::string RenderJson(const Node& tree);
// What a Compose file may contain, from the tables the files are checked against: a JSON Schema
// (draft 2020-12) for editors.
std::string RenderJsonSchema();

}  // namespace skiff::schema
