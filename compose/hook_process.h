#pragma once

#include <functional>
#include <string>

#include "base/error.h"
#include "engine-core/engine.h"
#include "schema/project.h"

namespace skiff::compose {

struct HookResult {
  int exit_code = 0;
  std::string tail;  // End of its standard error, or of its output when there was none on that.
};

engine::ExecConfig HookConfig(const schema::LifecycleHook& hook);

// Gets lines without their end; called by the thread that waits.
using HookLineSink = std::function<void(engine::LogStream stream, std::string_view line)>;

// Runs a command in a container until it ends. kCancelled when `interrupt_fd` (-1: none) becomes
// readable first; the command then goes on.
Result<HookResult> RunHookProcess(engine::Engine& engine, const std::string& container,
                                  const engine::ExecConfig& config, int interrupt_fd,
                                  const HookLineSink& on_line);

}  // namespace skiff::compose
