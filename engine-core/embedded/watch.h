#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/engine.h"
#include "engine-core/layout.h"

namespace skiff::engine::embedded {

class EmbeddedEngine;

// Changes of containers by one inotify instance: the folder of run directories tells of new and
// removed ones, each run directory of a new state.json and of a lock file closed by the monitor
// that held it, which is how the death of one that could not write is seen.
class ContainerWatch : public Watch {
 public:
  static Result<std::unique_ptr<Watch>> Open(EmbeddedEngine* engine, const Layout& layout,
                                             const ContainerFilter& filter);

  int fd() const override { return inotify_.get(); }
  Result<std::vector<StateChange>> Next(int cancel_fd) override;

 private:
  ContainerWatch(EmbeddedEngine* engine, const Layout& layout, ContainerFilter filter, Fd inotify)
      : engine_(engine),
        layout_(layout),
        filter_(std::move(filter)),
        inotify_(std::move(inotify)) {}

  Status Rescan();
  Status Add(const std::string& id);
  // Notes the containers that the queued events speak of.
  Status Drain();
  std::vector<StateChange> Collect();

  EmbeddedEngine* engine_;
  Layout layout_;
  ContainerFilter filter_;
  Fd inotify_;
  int root_watch_ = -1;
  std::map<int, std::string> watches_;  // Of run directories.
  std::set<std::string> watched_;
  std::set<std::string> changed_;
  std::set<std::string> removed_;
  std::set<std::string> matching_;  // Ids known to match: their removal is told.
};

}  // namespace skiff::engine::embedded
