#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "compose/log_printer.h"
#include "compose/observe.h"
#include "engine-core/engine.h"

namespace skiff::compose {

// Follows the output of a project's containers, also of those that start later, and tells which
// have ended (compose.md 4.29). Threads: one for events, one per container that is followed.
class LogFollower {
 public:
  enum class Interest { kIgnore, kWatch, kShow };
  struct Options {
    std::function<Interest(const ObservedContainer&)> interest;
    int64_t since = 0;
    int64_t until = 0;
    int64_t tail = -1;  // Of the first look; later runs are shown from their beginning.
    // Also shows output of containers that have ended before (`logs`, not `up`).
    bool include_stopped = false;
  };
  struct Exit {
    std::string id, name, service;
    int code = 0;
  };

  LogFollower(engine::Engine& engine, LogPrinter& printer, std::string project, Options options);
  ~LogFollower();  // Stops following.

  Status Start();
  // Looks at every container now, so that what has been started before this call is followed.
  Status Sync();
  // Readable when an exit was noted.
  int fd() const { return event_.get(); }
  std::vector<Exit> TakeExits();
  // Containers of interest that run, or whose output is not all printed.
  int active();
  // The first failure of an engine call on the way.
  Status status();

 private:
  struct Tracked {
    ObservedContainer observed;
    Interest interest = Interest::kIgnore;
    bool following = false;
    bool running = false;
    int restart_count = 0;
    int64_t seen_start = 0;   // started_at of the last run whose end was told.
    int64_t resume_from = 0;  // Output before it has been printed.
  };

  void RunEvents();
  void RunFollow(std::string id, engine::LogOptions options);
  void Look(const ObservedContainer& observed, bool first);
  void OnChange(const engine::StateChange& change);
  void Follow(Tracked& tracked, bool first);
  void NoteEnd(Tracked& tracked, const engine::ContainerState& state);
  void NoteFailure(Error error);
  std::string NameOf(const ObservedContainer& observed) const;
  void Signal();

  engine::Engine& engine_;
  LogPrinter& printer_;
  const std::string project_;
  const Options options_;
  Fd event_;   // eventfd for the owner.
  Fd cancel_;  // eventfd: readable ends every thread.
  std::unique_ptr<engine::Watch> watch_;
  std::thread events_thread_;

  std::mutex mutex_;  // Guards everything below.
  std::map<std::string, Tracked> containers_;
  std::list<std::thread> followers_;
  std::vector<Exit> exits_;
  std::vector<Error> errors_;
  bool stopping_ = false;
};

}  // namespace skiff::compose
