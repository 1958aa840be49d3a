#pragma once

#include <functional>
#include <memory>
#include <string>

#include "builder/build.h"

namespace skiff::cli {

enum class BuildProgressMode { kPlain, kTty, kRawJson, kQuiet };

struct BuildProgressOptions {
  BuildProgressMode mode = BuildProgressMode::kPlain;
  int fd = 2;
  bool color = false;
  std::function<int64_t()> now;  // Nanoseconds since the epoch.
  std::function<int()> columns;  // kTty: of the terminal now.
  std::function<int()> rows;
};

// Tells what a build does, as BuildKit's clients do. Thread safe.
class BuildReporter : public builder::BuildProgress {
 public:
  // Nothing more comes; draws what is left to draw.
  virtual void Finish() = 0;
  // The end of the output of the steps that failed, each under its title; "" when there are none.
  virtual std::string FailedOutput() const = 0;
};

// kPlain: lines with a step's number in front ("#5 [2/3] RUN make", "#5 DONE 0.1s"). kTty: a live
// list. kRawJson: one JSON object a line, buildkit's SolveStatus. kQuiet: nothing.
std::unique_ptr<BuildReporter> MakeBuildReporter(const BuildProgressOptions& options);

// --progress: auto is kTty on a terminal. Fails for other words.
Result<BuildProgressMode> ParseBuildProgress(const std::string& word, bool terminal);

}  // namespace skiff::cli
