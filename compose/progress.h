#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "base/event_loop.h"

namespace skiff::compose {

enum class ProgressPhase { kWorking, kDone, kWarning, kError };

// One change of one resource, as docker compose names and words them.
struct ProgressEvent {
  std::string id;      // "Container p-web-1", "Network p_default", "Volume p_data"
  std::string status;  // "Creating", "Started", "Healthy", "Error", ...
  ProgressPhase phase = ProgressPhase::kWorking;
  std::string details;   // An error's text, "" otherwise.
  std::string cause;     // Why the planner wanted it: "image changed: ...". "" when obvious.
  bool explain = false;  // The cause is news for a person.
};

// Where use cases tell what they do. Implementations are thread safe; the executor reports from its
// worker threads.
class Progress {
 public:
  virtual ~Progress() = default;

  // A run of operations begins: "up", "down". Runs do not nest.
  virtual void Begin(std::string_view operation) = 0;
  virtual void Report(const ProgressEvent& event) = 0;
  // Errors are for the caller to print with the failed Result; this is for warnings on the way.
  virtual void Diagnose(const Diagnostic& diagnostic) = 0;
  // A remark for people: "Gracefully Stopping... press Ctrl+C again to force".
  virtual void Message(std::string_view text) = 0;
  // Output of containers may come between from now on: nothing is redrawn any more, events are
  // single lines, and those of starts are not shown (docker compose: attached up).
  virtual void OutputFollows() {}
  virtual void End(bool ok) = 0;
  // Redraws times and spinner. The executor calls it every 100 ms while a run lasts and
  // WantsTicks() holds.
  virtual void Tick() {}
  virtual bool WantsTicks() const { return false; }
};

enum class ProgressMode { kTty, kPlain, kJson, kQuiet };

struct ProgressOptions {
  ProgressMode mode = ProgressMode::kPlain;
  int fd = 2;
  bool color = false;
  int columns = 80;  // kTty: lines are cut to it.
  int rows = 24;
  // For places in diagnostics; may be null. Must outlive the renderer.
  const SourceMap* sources = nullptr;
  // Shows ProgressEvent::cause behind the status.
  bool causes = true;
};

// kTty draws a live list as docker compose does; kPlain one line per event; kJson one object per
// line with every field; kQuiet nothing but warnings and messages of errors.
std::unique_ptr<Progress> MakeProgress(const ProgressOptions& options);

}  // namespace skiff::compose
