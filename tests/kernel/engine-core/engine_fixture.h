#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine-core/embedded.h"
#include "engine-core/engine.h"

namespace skiff::engine {

// An engine on roots of its own with the image busybox:latest, and a count of what it leaves in the
// kernel.
class EngineTest : public ::testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // As a second command would: another engine on the same roots.
  std::unique_ptr<Engine> Another() const;
  EmbeddedOptions Options() const;
  ContainerConfig Sleeper(const std::string& name) const;
  ContainerConfig Shell(const std::string& name, const std::string& script) const;
  // Creates, starts and commits; the id.
  std::string Run(const ContainerConfig& config);
  // Runs `script` by exec; output and exit code.
  std::pair<int, std::string> ExecShell(const std::string& container, const std::string& script);
  // Everything the container has said, with a wait for its end first.
  std::string LogsOf(const std::string& container);
  // Waits for a state by the engine's watch.
  ContainerState Await(const std::string& container, ContainerStatus status);
  // Names unique to this test on this machine.
  std::string Unique(const std::string& name) const { return name; }

  std::string folder_;
  std::unique_ptr<Engine> engine_;
  std::vector<std::string> notices_;
};

// What the kernel holds, by kind: to compare before and after.
std::map<std::string, std::vector<std::string>> KernelObjects(const std::string& root);
// Fails unless the objects become those of `before` within 2 s.
void ExpectNothingLeft(const std::map<std::string, std::vector<std::string>>& before,
                       const std::string& root);

}  // namespace skiff::engine
