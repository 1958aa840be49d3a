#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "engine-core/cgroup.h"
#include "engine-core/launcher.h"
#include "engine-core/log_file.h"
#include "engine-core/monitor_client.h"
#include "engine-core/runtime_spec.h"

namespace skiff::engine {

// A monitor that was launched, with what a command would know of it.
struct LaunchedMonitor {
  Launcher::Launched process;
  StartReport report;
  std::string run_dir;
  std::string log_path;

  MonitorClient client() const { return MonitorClient(run_dir); }
};

// Real monitors with real containers (a root with Debian's static busybox, the host's network), but
// without an engine. Everything lives in a temporary folder; at the end no process, mount or cgroup
// of a test may be left.
class MonitorTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  RuntimeSpec MakeSpec(std::vector<std::string> args);
  RuntimeSpec ShellSpec(const std::string& script) { return MakeSpec({"sh", "-c", script}); }
  // Gives the container cgroups of its own. Skips the test where there are none.
  void UseCgroups(RuntimeSpec* spec, const Resources& resources);

  // Until the container runs or has failed to start.
  LaunchedMonitor& Launch(const RuntimeSpec& spec, Launcher::Request request = {});
  LaunchedMonitor& LaunchShell(const std::string& script) { return Launch(ShellSpec(script)); }
  // Until the monitor has ended; gives the container's last state.
  ContainerState AwaitEnd(LaunchedMonitor& monitor);
  // Until its state satisfies `wanted`; fails after 20 s.
  ContainerState AwaitState(const LaunchedMonitor& monitor,
                            const std::function<bool(const ContainerState&)>& wanted);
  std::vector<std::string> Log(const LaunchedMonitor& monitor, LogStream stream) const;
  // Until a line of its log is `line`.
  void AwaitLine(const LaunchedMonitor& monitor, const std::string& line);
  // Exit code and output of an exec.
  struct ExecResult {
    int exit_code = -1;
    std::string output;
    std::string error;
  };
  ExecResult Exec(const LaunchedMonitor& monitor, const ExecConfig& config,
                  std::string_view input = "");
  std::string Journal() const;

  const std::string& folder() const { return root_; }

 private:
  std::string root_;
  int next_id_ = 1;
  std::unique_ptr<Launcher> launcher_;
  std::unique_ptr<CgroupManager> cgroups_;
  std::vector<std::string> cgroup_ids_;
  std::vector<std::unique_ptr<LaunchedMonitor>> monitors_;
};

// Reads until the end of file, or until `n` bytes are there.
std::string ReadUntil(int fd, const std::function<bool(const std::string&)>& enough);

}  // namespace skiff::engine
