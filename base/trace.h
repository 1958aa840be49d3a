#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

#include "base/error.h"

namespace skiff {

// Where a command spends its time, step by step. With SKIFF_TRACE=FILE every span appends one line
// to FILE ("pid tid begin_ns end_ns name", CLOCK_BOOTTIME), from the command and from the monitors
// it starts; tests/bench/breakdown adds them up. Without it a span costs one predictable branch.
namespace trace_internal {
extern std::atomic<int> g_fd;
int64_t Begin();
void End(std::string_view name, int64_t begin);
}  // namespace trace_internal

// Opens `path` for appending; "" leaves tracing off. Called once by each main(), or with a
// descriptor that was passed to a monitor.
Status StartTracing(const char* path);
void StartTracingTo(int fd);

// One step, from construction to destruction. `name` outlives it: a literal,
// "engine.start.network".
class TraceSpan {
 public:
  explicit TraceSpan(std::string_view name) : name_(name) {
    if (trace_internal::g_fd.load(std::memory_order_relaxed) >= 0) [[unlikely]] {
      begin_ = trace_internal::Begin();
    }
  }
  ~TraceSpan() { Done(); }
  TraceSpan(const TraceSpan&) = delete;
  TraceSpan& operator=(const TraceSpan&) = delete;

  // Ends the step before the scope does.
  void Done() {
    if (begin_ != 0) [[unlikely]] {
      trace_internal::End(name_, begin_);
      begin_ = 0;
    }
  }

 private:
  std::string_view name_;
  int64_t begin_ = 0;
};

}  // namespace skiff
