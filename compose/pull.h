#pragma once

#include <functional>
#include <string>
#include <vector>

#include "compose/use_cases.h"
#include "schema/project.h"

// Images that services need from registries, and send there.
namespace skiff::compose {

// How the registry of an image is reached; the front end reads that from the user's files.
using AccessSource = std::function<Result<engine::RegistryAccess>(const std::string& image)>;

enum class PullChoice {
  kVerb,    // `pull`: what is named, also when it is here, unless its policy says otherwise.
  kNeeded,  // Before `up`: what is not here, and what its policy wants anew.
};

struct PullOptions {
  std::vector<std::string> services;  // Empty: all.
  PullChoice choice = PullChoice::kVerb;
  // Instead of the services' own: "always", "missing", "never", "build"; "" for none.
  std::string policy;
  bool with_dependencies = false;
  bool ignore_buildable = false;
  bool ignore_failures = false;
  bool quiet = false;  // No lines on the way.
};
// Each image once, several at a time; one that fails lets the others end. An image that can be
// built as well may fail. With a plan_sink nothing is done.
Status Pull(const Context& context, const schema::Project& project, const PullOptions& options,
            const AccessSource& access);

struct PushOptions {
  std::vector<std::string> services;
  bool with_dependencies = false;
  bool ignore_failures = false;
  bool quiet = false;
};
// Images of services that are built here and have a name (`image:`).
Status Push(const Context& context, const schema::Project& project, const PushOptions& options,
            const AccessSource& access);

}  // namespace skiff::compose
