#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "schema/load/context.h"

namespace skiff::schema {

// What is known before any Compose file is parsed: variables, files, folder.
struct Setting {
  Environment environment;         // The process's own, then `.env` beneath it.
  std::vector<std::string> files;  // Absolute, or "-".
  std::vector<std::string> named_files;  // As they were named, before they became paths.
  std::vector<std::string> env_files;
  std::string working_dir;  // The project's folder, absolute: what paths start from.
  // Where `.env` is looked for and what the project is called after. The same folder, unless Compose
  // files come from an address: then the one without them.
  std::string own_dir;
  std::vector<std::string> profiles;
  bool incomplete = false;  // A file was named that cannot be had; that is reported.
};

// compose.md 1.11 and 1.12: `.env`, COMPOSE_FILE, discovery upwards, COMPOSE_PROFILES. Mistakes are
// reported; a missing Compose file is not one yet (files stays empty).
Setting ReadSetting(Context& context);

// Lower case, without what a project name cannot have.
std::string NormaliseProjectName(std::string_view name);
// The rules of -p, COMPOSE_PROJECT_NAME, `name:` and the folder; `in_files` is the interpolated
// `name:`, `named` whether the first document of a file has one.
Result<std::string> ChooseProjectName(const LoadOptions& options, const Setting& setting,
                                      const std::string& in_files, bool named);

}  // namespace skiff::schema
