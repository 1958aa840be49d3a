#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "compose/use_cases.h"
#include "compose/watch/tree_watch.h"
#include "compose/watch/watch_rules.h"

namespace skiff::compose {

// Carries changes of files over to the containers of a project until it is told to end (compose.md
// 4.33). Used by one thread; the project outlives it.
class WatchSession {
 public:
  // A line for the person.
  using Say = std::function<void(const std::string&)>;
  static Result<std::unique_ptr<WatchSession>> Open(const Context& context,
                                                    const schema::Project& project,
                                                    const WatchOptions& options, Say say);

  // Until `cancel_fd` is readable. `busy` is told when work on containers begins and ends. What
  // fails on the way is told and does not end it, but kCancelled.
  Status Run(int cancel_fd, const std::function<void(bool)>& busy);

 private:
  using Services = std::set<std::string>;

  WatchSession(const Context& context, const schema::Project& project, const WatchOptions& options,
               Say say, WatchRules rules)
      : context_(context),
        project_(project),
        options_(options),
        say_(std::move(say)),
        rules_(std::move(rules)) {}
  Status SyncAtFirst();
  // Fails with kCancelled only.
  Status Handle(const std::set<std::string>& paths);
  // Tells what has failed, but that it was cancelled.
  Status Told(Status status);
  Status Rebuild(const Services& services);
  Status Prune();
  Status Sync(const std::string& service, const std::vector<engine::SyncedPath>& paths);
  Status Restart(const Services& services);
  Status RunHook(const WatchRule& rule);
  Result<std::vector<ObservedContainer>> ContainersOf(const std::string& service);

  Context context_;
  const schema::Project& project_;
  const WatchOptions options_;
  const Say say_;
  const WatchRules rules_;
  std::unique_ptr<TreeWatch> tree_;
};

}  // namespace skiff::compose
