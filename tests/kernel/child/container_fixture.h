#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "engine-core/child/child.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine::child {

// What became of a process that a test started.
struct Outcome {
  bool executed = false;
  int exit_code = -1;  // Of the process, or of the failed start.
  std::string output;  // Standard output and error.
  std::string error;   // Of a failed start.
  std::vector<std::string> warnings;
};

// A process that runs, with its output in a pipe.
struct Running {
  Starting process;
  Fd output;
  Fd terminal;
  std::vector<std::string> warnings;
  std::string error;  // Not empty: the start failed.
  int exit_code = -1;
};

// Containers from a root with Debian's static busybox, without any engine: what the monitor does
// with child.h, by hand. Everything lives in a temporary folder that is removed.
class ContainerTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // A specification as the engine would make it: docker's defaults, no network (the host's).
  RuntimeSpec MakeSpec(std::vector<std::string> args) const;
  // {"sh", "-c", script}
  RuntimeSpec ShellSpec(const std::string& script) const { return MakeSpec({"sh", "-c", script}); }

  Running Start(const RuntimeSpec& spec);
  Running StartExecIn(const RuntimeSpec& spec, const Running& init, const ExecSpec& exec);
  // Reads the output to its end and reaps.
  Outcome Finish(Running running);
  Outcome Run(const RuntimeSpec& spec) { return Finish(Start(spec)); }
  // Output of a shell script that must end with 0.
  std::string Output(const RuntimeSpec& spec);

  // Below the image's root (the lowest layer).
  void WriteImageFile(const std::string& path, std::string_view text, mode_t mode = 0644);
  std::string ImagePath(const std::string& path) const { return root_ + "/image" + path; }
  const std::string& folder() const { return root_; }
  // A further empty layer folder.
  std::string MakeFolder(const std::string& name);

 private:
  Running Follow(Result<Starting> started, Fd output);

  std::string root_;
  std::vector<std::string> mounts_before_;
};

}  // namespace skiff::engine::child
