#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/event_loop.h"
#include "engine-core/journal.h"
#include "engine-core/types.h"

// What goes into the monitor's brain (core.h) and what comes out: plain values.
namespace skiff::engine::monitor {

// The two clocks at the time of an event: deadlines use `boot`, time stamps `wall` (nanoseconds
// since the epoch).
struct Moment {
  BootTime boot{};
  int64_t wall = 0;
};

enum class TimerKind : uint8_t { kStop, kRestart, kNextProbe, kProbeTimeout };
inline constexpr size_t kTimerKinds = 4;

// Who asked; 0 is nobody.
using ClientId = uint64_t;

// ---- Events ------------------------------------------------------------------------------------

struct InitReady {};  // Root and mounts stand; it waits for ReleaseInit.
struct InitExeced {   // The container's program runs.
  int64_t host_pid = 0;
};
struct InitFailed {  // It could not be started; nothing of it is left.
  int exit_code = 128;
  std::string text;
};
struct InitExited {  // It was reaped.
  int exit_code = 0;
  bool oom_killed = false;
};
// After EndRun: no process of the container is left and its output is in the log.
struct RunEnded {};
struct TimerFired {
  TimerKind kind = TimerKind::kStop;
};
struct OomHappened {};
struct ProbeDone {
  uint64_t probe = 0;
  int exit_code = 0;
  std::string output;  // Already capped.
};
struct FreezeDone {  // Answer to SetFrozen.
  bool frozen = false;
  std::string error;  // Empty: done.
};
struct StopRequest {
  ClientId client = 0;
  int signal = 0;                      // 0: the container's.
  std::optional<Nanoseconds> timeout;  // Absent: the container's; negative: never kill.
};
struct RestartRequest {
  ClientId client = 0;
  int signal = 0;
  std::optional<Nanoseconds> timeout;
};
struct KillRequest {
  ClientId client = 0;
  int signal = 0;
};
struct PauseRequest {
  ClientId client = 0;
  bool pause = true;
};
struct RenameRequest {
  ClientId client = 0;
  std::string name;
};
using Event = std::variant<InitReady, InitExeced, InitFailed, InitExited, RunEnded, TimerFired,
                           OomHappened, ProbeDone, FreezeDone, StopRequest, RestartRequest,
                           KillRequest, PauseRequest, RenameRequest>;

// ---- Actions -----------------------------------------------------------------------------------

struct StartInit {};
struct ReleaseInit {};
struct SignalInit {
  int signal = 0;
};
struct KillContainer {};  // SIGKILL to every process of it.
struct SetFrozen {
  bool frozen = false;
};
struct SetTimer {
  TimerKind kind = TimerKind::kStop;
  BootTime deadline{};
};
struct CancelTimer {
  TimerKind kind = TimerKind::kStop;
};
struct WriteState {};  // Core::state() has changed.
struct RunProbe {
  uint64_t probe = 0;
};
struct KillProbe {  // No ProbeDone is wanted any more.
  uint64_t probe = 0;
};
struct AppendJournal {
  std::string action;
  JournalAttributes attributes;
};
// What the launcher waits for; sent once.
struct ReportStart {
  int64_t host_pid = 0;
  int exit_code = 0;
  std::string error;  // Empty: it runs.
};
struct Reply {
  ClientId client = 0;
  std::optional<Error> error;
};
// Init is gone: end what is left of the container and drain its output, then RunEnded.
struct EndRun {};
// The container has stopped for good: its names are taken out of the tables, then the monitor ends.
struct RemoveNames {};
struct Exit {};
using Action = std::variant<StartInit, ReleaseInit, SignalInit, KillContainer, SetFrozen, SetTimer,
                            CancelTimer, WriteState, RunProbe, KillProbe, AppendJournal,
                            ReportStart, Reply, EndRun, RemoveNames, Exit>;
using Actions = std::vector<Action>;

}  // namespace skiff::engine::monitor
