#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "base/source.h"
#include "builder/build.h"
#include "compose/use_cases.h"
#include "schema/project.h"

// Images of services that have `build:`.
namespace skiff::compose {

enum class BuildChoice {
  kAll,      // Every selected service that can be built.
  kMissing,  // Those without an image, and those whose pull_policy is "build".
};

struct BuildOptions {
  std::vector<std::string> services;  // Empty: all.
  BuildChoice choice = BuildChoice::kAll;
  bool with_dependencies = false;  // Also what the services depend on.
  bool no_cache = false;
  bool pull = false;
  // To run them: of several platforms of a build only the one that will be used is built.
  bool single_platform = false;
  std::string default_platform;  // DOCKER_DEFAULT_PLATFORM
  std::map<std::string, std::string, std::less<>> arguments;  // Above those of the file.
  std::vector<std::string> agents;                            // --ssh ID=SOCKET
};

// What the front end gives.
struct BuildTools {
  builder::BuildProgress* progress = nullptr;
  std::string working_dir;          // Of relative folders of caches and layouts.
  builder::BuilderOptions builder;  // Its environment is also that of secrets and agents.
  // A failure with the files its places are in.
  std::function<void(const Error&, const SourceMap*)> report;
};

struct BuiltService {
  std::string service, image, id;
};

// What the file of a service says without being built.
struct CheckedService {
  std::string service;
  SourceMap sources;
  uint32_t file = SourceSpan::kNoFile;  // The Dockerfile.
  std::vector<builder::LintWarning> warnings;
  Diagnostics mistakes;  // Those of the file, or the first one of the plan.
};
// Sorted by service. Base images that are not here are assumed.
Result<std::vector<CheckedService>> Check(const Context& context, const schema::Project& project,
                                          const BuildOptions& options, const BuildTools& tools);

// Builds at once what does not depend on each other; a service waits for those whose result it
// names: additional_contexts "service:x", or FROM the image of x. Equal steps are done once.
// Sorted by service. What fails has been reported; the error has no text then.
Result<std::vector<BuiltService>> Build(const Context& context, const schema::Project& project,
                                        const BuildOptions& options, const BuildTools& tools);

}  // namespace skiff::compose
