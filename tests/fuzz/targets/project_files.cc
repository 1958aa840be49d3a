// Several files: overrides, extends, include, env files, from a file system in memory. A line
// "%% NAME" begins a file below /p; those called over*.yaml are further -f.

#include <nlohmann/json.hpp>

#include "schema/load.h"
#include "schema/text/short_syntax.h"
#include "tests/fuzz/memory_files.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(project_files) {
  using skiff::fuzz::TakeUntil;
  skiff::fuzz::MemoryFiles files;
  skiff::schema::LoadOptions options;
  TakeUntil(input, "%% ");
  for (int count = 0; count < 8 && !input.empty(); ++count) {
    const std::string name(TakeUntil(input, "\n"));
    const std::string path = skiff::schema::JoinPath("/p", name);
    const std::string text(TakeUntil(input, "%% "));
    if (name.empty() || name.size() > 60 || !path.starts_with("/p/")) continue;
    files.files[path] = text;
    if (name.starts_with("over")) options.files.push_back(path);
  }
  if (files.files.count("/p/compose.yaml") != 0) {
    options.files.insert(options.files.begin(), "/p/compose.yaml");
  }
  options.files_seen = &files;
  options.working_dir = "/p";
  options.environment = {{"HOME", "/home/u"}, {"NAME", "value"}};
  const auto loaded = LoadProject(options);
  FormatDiagnostics(loaded.diagnostics, *loaded.sources);
  if (!loaded.ok()) return;
  skiff::fuzz::Require(nlohmann::json::accept(RenderJson(*loaded.tree)), "config prints JSON");
}
