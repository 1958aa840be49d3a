#include "engine-core/fake_engine.h"

#include <gtest/gtest.h>
#include <poll.h>

namespace skiff::engine {
namespace {

class FakeEngineTest : public ::testing::Test {
 protected:
  FakeEngineTest() { engine_.AddImage("busybox"); }
  std::string Make(const std::string& name) {
    ContainerConfig config;
    config.name = name;
    config.image = "busybox";
    config.labels = {{"l", name}};
    return engine_.CreateContainer(config)->id;
  }
  FakeEngine engine_;
};

TEST_F(FakeEngineTest, ContainersChangeStateWhenTold) {
  Make("web");
  ASSERT_TRUE(engine_.StartContainer("web"));
  EXPECT_EQ(engine_.ListContainers({})->size(), 1u);
  engine_.Exit("web", 3);
  EXPECT_EQ(engine_.ListContainers({})->size(), 0u);
  EXPECT_EQ(engine_.InspectContainer("web")->state.exit_code, 3);
  EXPECT_EQ(engine_.Calls(),
            (std::vector<std::string>{"CreateContainer web", "StartContainer web"}));
}

TEST_F(FakeEngineTest, WatchTellsOfMatchingContainersByDescriptor) {
  auto watch = engine_.WatchContainers({true, {"l=web"}});
  ASSERT_TRUE(watch);
  pollfd ready{(*watch)->fd(), POLLIN, 0};
  Make("other");
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
  const std::string id = Make("web");
  EXPECT_EQ(::poll(&ready, 1, 0), 1);
  ASSERT_TRUE(engine_.StartContainer("web"));
  const auto changes = (*watch)->Next(-1);
  ASSERT_TRUE(changes);
  ASSERT_EQ(changes->size(), 2u);
  EXPECT_EQ((*changes)[1].id, id);
  EXPECT_EQ((*changes)[1].state.status, ContainerStatus::kRunning);
  EXPECT_EQ(::poll(&ready, 1, 0), 0);
}

TEST_F(FakeEngineTest, ScriptedBehaviourAndFailures) {
  Make("job");
  engine_.SetBehaviour("job", {std::nullopt, 4, HealthStatus::kStarting});
  ASSERT_TRUE(engine_.StartContainer("job"));
  EXPECT_EQ(engine_.InspectContainer("job")->state.exit_code, 4);
  engine_.FailNext("StopContainer", Error(Code::kSystem, "no"));
  EXPECT_FALSE(engine_.StopContainer("job", {}));
  EXPECT_TRUE(engine_.StopContainer("job", {}));
}

TEST_F(FakeEngineTest, ReplacementGetsTheNameWhenTheOldOneGoes) {
  const std::string old = Make("web");
  ContainerConfig config;
  config.name = "web";
  config.image = "busybox";
  config.replaces = old;
  const auto created = engine_.CreateContainer(config);
  ASSERT_TRUE(created);
  EXPECT_EQ(engine_.InspectContainer("web")->id, old);
  ASSERT_TRUE(engine_.RemoveContainer(old, {}));
  EXPECT_EQ(engine_.InspectContainer("web")->id, created->id);
}

}  // namespace
}  // namespace skiff::engine
