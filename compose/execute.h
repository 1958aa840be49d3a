#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "compose/plan.h"
#include "compose/progress.h"
#include "engine-core/engine.h"

namespace skiff::compose {

struct ExecuteOptions {
  int parallel = 0;       // Operations at once; 0 or less: twice the cores.
  int interrupt_fd = -1;  // Readable: start nothing more. Nothing is read from it.
  // Called once, when everything is declared and before anything starts. Any thread.
  std::function<void()> before_run_stage;
  // Gets the output of hooks by lines, with the name of the container. Any thread.
  std::function<void(const Operation& hook, engine::LogStream stream, std::string_view line)>
      hook_output;
};

// Walks the plan in parallel and decides nothing. Operations run on worker threads, waits are
// answered from the engine's events by the calling thread. What has been done is committed before
// anything is waited for and at the end, also after a failure.
//
// After a failure nothing more is started; what runs is completed. The error is the first one, with
// the others as notes; kCancelled when interrupted.
Status Execute(const Plan& plan, engine::Engine& engine, Progress& progress,
               const ExecuteOptions& options);

// Whether a wait is over for one container.
enum class WaitVerdict { kPending, kSatisfied, kFailed };
struct WaitAnswer {
  WaitVerdict verdict = WaitVerdict::kPending;
  std::string problem;  // "is unhealthy", "exited (1)"
};
WaitAnswer JudgeWait(WaitCondition condition, bool exit_zero_is_success,
                     const engine::ContainerState& state);

// Adds what helps to understand why a container failed: its last probe and its last output.
void ExplainContainer(engine::Engine& engine, const std::string& id, const std::string& name,
                      Error& error);

}  // namespace skiff::compose
