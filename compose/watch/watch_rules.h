#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/source.h"
#include "builder/ignore_file.h"
#include "compose/use_cases.h"
#include "schema/project.h"

namespace skiff::compose {

// One entry of `develop.watch` of a service.
struct WatchRule {
  const schema::Service* service = nullptr;
  const schema::WatchTrigger* trigger = nullptr;

  bool syncs() const { return trigger->action.starts_with("sync"); }
  // What `path` is called in the container; absolute.
  std::string TargetOf(const std::string& path) const;
};

// Which changes matter to whom: below the path of a rule, included, and not ignored by the rule, by
// the service's .dockerignore, nor as a file of Git or an editor.
class WatchRules {
 public:
  // kInvalidArgument: a pattern is malformed, a service cannot do what it asks for; kNotFound: there
  // are no rules. `can_build`: false with --no-build. `warn` is told of paths that are not watched.
  static Result<WatchRules> Make(const schema::Project& project,
                                 const std::vector<std::string>& services, bool can_build,
                                 const std::function<void(const Error&)>& warn);

  const std::vector<WatchRule>& rules() const { return rules_; }
  std::vector<std::string> Paths() const;
  bool Matches(size_t rule, const std::string& path) const;
  bool MatchesAny(const std::string& path) const;
  // Whether nothing below a folder can matter.
  bool Skips(const std::string& folder) const;

 private:
  struct Patterns {
    builder::IgnoreMatcher ignore;                  // From the rule's path on.
    std::optional<builder::IgnoreMatcher> include;  // The same.
    std::string context;                            // Folder of the build; "": none.
    builder::IgnoreMatcher context_ignore;          // From there on.
  };

  Status Add(const schema::Service& service, const schema::WatchTrigger& trigger, bool can_build);
  Status ReadContext(const schema::Service& service, Patterns& patterns);
  bool Ignores(const Patterns& patterns, const WatchRule& rule, const std::string& path) const;

  SourceMap sources_;
  builder::IgnoreMatcher everywhere_;  // From "/" on.
  std::vector<WatchRule> rules_;
  std::vector<Patterns> patterns_;  // Of each rule.
};

}  // namespace skiff::compose
