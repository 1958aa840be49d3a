#pragma once

#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/build_progress.h"

namespace skiff::cli {

// What renderers of build progress know about the steps. They are numbered from 1.
struct BuildStepState {
  int number = 0;
  std::string title;
  int64_t begun = 0;  // Nanoseconds since the epoch.
  int64_t ended = 0;  // 0: not yet.
  builder::StepOutcome outcome = builder::StepOutcome::kDone;
  std::string message;            // Why it failed.
  std::string rest;               // Output without an end of line so far.
  std::deque<std::string> lines;  // The last lines of output, with their times.
};

// Keeps the states and calls the renderer under the lock.
class BuildStepTracker : public BuildReporter {
 public:
  explicit BuildStepTracker(BuildProgressOptions options) : options_(std::move(options)) {}

  int Begin(const std::string& title) final;
  void Output(int step, engine::LogStream stream, std::string_view text) final;
  void Detail(int step, const std::string& text) final;
  void End(int step, builder::StepOutcome outcome, const std::string& message) final;
  void Finish() final;
  std::string FailedOutput() const final;

 protected:
  virtual void Begun(BuildStepState& /*step*/) {}
  // A line of output, "0.123 text".
  virtual void Line(BuildStepState& /*step*/, const std::string& /*line*/) {}
  // Output as it came.
  virtual void Raw(BuildStepState& /*step*/, engine::LogStream /*stream*/,
                   std::string_view /*text*/) {}
  virtual void Detailed(BuildStepState& /*step*/, const std::string& /*text*/) {}
  virtual void Ended(BuildStepState& /*step*/) {}
  virtual void Finished() {}

  void Write(std::string_view text) const;
  // "0.1s"
  std::string Elapsed(const BuildStepState& step) const;
  const BuildProgressOptions& options() const { return options_; }
  std::deque<BuildStepState>& steps() { return steps_; }
  std::mutex& mutex() { return mutex_; }

 private:
  void AddLine(BuildStepState& step, std::string_view text);

  BuildProgressOptions options_;
  mutable std::mutex mutex_;
  std::deque<BuildStepState> steps_;
};

std::unique_ptr<BuildReporter> MakeTtyBuildReporter(const BuildProgressOptions& options);
std::unique_ptr<BuildReporter> MakeRawJsonBuildReporter(const BuildProgressOptions& options);

}  // namespace skiff::cli
