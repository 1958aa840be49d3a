#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "engine-core/engine.h"

namespace skiff::engine::embedded {

// Reads the event journal (engine-core/journal.h) from its beginning and goes on with what is
// appended, also past a rotation.
class JournalReader {
 public:
  // `folder`: the volatile root. The watch stands before the first line is read.
  static Result<JournalReader> Open(std::string folder);

  // Whole lines that have come since the last call, oldest first. What is no entry is left out.
  Result<std::vector<Event>> Read();
  // Blocks until there may be more (true), `until` (nanoseconds since the epoch, 0: never) has come
  // or `cancel_fd` (-1: none) is readable.
  Result<bool> Await(int64_t until, int cancel_fd);

 private:
  struct File {
    Fd fd;
    uint64_t inode = 0;
    std::string rest;  // Of a line that is not whole yet.
  };

  JournalReader(std::string folder, Fd inotify)
      : folder_(std::move(folder)), inotify_(std::move(inotify)) {}
  static Status ReadFile(File& file, std::vector<Event>& events);
  Status Switch();

  std::string folder_;
  Fd inotify_;
  File before_;  // The one that was rotated away: somebody may still have it open.
  File current_;
};

// Attributes of containers by id: their journal entries name only what is new.
class KnownContainers {
 public:
  // An entry that tells all: of a creation or a removal.
  void Learn(const Event& event);
  bool Knows(const std::string& id) const { return attributes_.contains(id); }
  void Add(const std::string& id, std::map<std::string, std::string> attributes);
  void Complete(Event& event) const;

 private:
  std::map<std::string, std::map<std::string, std::string>> attributes_;
};

// Labels, image and name, as docker tells them with each event.
std::map<std::string, std::string> EventAttributes(const Labels& labels, const std::string& image,
                                                   const std::string& name);

}  // namespace skiff::engine::embedded
