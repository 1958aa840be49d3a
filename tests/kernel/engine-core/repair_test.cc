#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/failpoint.h"
#include "base/fd.h"
#include "engine-core/store/store.h"
#include "tests/kernel/engine-core/engine_fixture.h"

namespace skiff::engine {
namespace {

class EngineRepairTest : public EngineTest {
 protected:
  // Another process makes a container in a network and is killed at `failpoint`.
  void DieAt(const std::string& failpoint) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      if (!ConfigureFailpoints(failpoint + "=kill")) ::_exit(1);
      EmbeddedOptions options = Options();
      options.notice = {};
      auto engine = OpenEmbeddedEngine(options);
      if (!engine) ::_exit(2);
      NetworkConfig network;
      network.name = "doomed-net";
      if (!(*engine)->CreateNetwork(network)) ::_exit(3);
      ContainerConfig config = Sleeper("doomed");
      config.network_mode.clear();
      config.endpoints.resize(1);
      config.endpoints[0].network = "doomed-net";
      const auto created = (*engine)->CreateContainer(config);
      if (!created) ::_exit(4);
      if (!(*engine)->StartContainer(created->id)) ::_exit(5);
      if (!(*engine)->Commit()) ::_exit(6);
      if (!(*engine)->RemoveContainer(created->id, {true, false})) ::_exit(7);
      if (!(*engine)->RemoveNetwork("doomed-net")) ::_exit(8);
      if (!(*engine)->Commit()) ::_exit(9);
      ::_exit(0);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << failpoint << ": exit " << WEXITSTATUS(status);
  }
};

TEST_F(EngineRepairTest, ACommandKilledAnywhereIsRepairedByTheNextOne) {
  // The fork must not carry this process's connection and threads.
  engine_.reset();
  for (const char* failpoint :
       {"engine.network.before_intent", "engine.network.create", "engine.create.before_intent",
        "engine.create.after_intent", "engine.create.folders", "engine.create.before_row",
        "engine.start.cgroup", "engine.start.network", "engine.start.names",
        "engine.start.before_launch", "engine.start.after_launch", "store.before_commit",
        "store.after_commit", "engine.commit.before_purge", "engine.remove.after_intent",
        "engine.after_end", "engine.remove.before_row", "engine.network.remove.after_intent",
        "engine.network.remove"}) {
    SCOPED_TRACE(failpoint);
    DieAt(failpoint);
    {
      auto engine = Another();
      // A mutating call repairs; then the same names are usable or taken by something whole.
      ASSERT_TRUE(engine->CreateVolume({"nudge", "", {}, {}, {}}));
      const auto committed = engine->Commit();
      ASSERT_TRUE(committed) << committed.error().Text();
      const auto left = engine->ListContainers({true, {}});
      ASSERT_TRUE(left);
      for (const Container& container : *left) {
        EXPECT_EQ(container.name, "doomed");
        const auto removed = engine->RemoveContainer(container.id, {true, false});
        ASSERT_TRUE(removed) << removed.error().Text();
      }
      const auto networks = engine->ListNetworks({});
      ASSERT_TRUE(networks);
      for (const Network& network : *networks) {
        if (network.predefined) continue;
        const auto removed = engine->RemoveNetwork(network.id);
        ASSERT_TRUE(removed) << removed.error().Text();
      }
      const auto again = engine->Commit();
      ASSERT_TRUE(again) << again.error().Text();
    }
    const auto report = SystemCheck(Options(), false);
    ASSERT_TRUE(report) << report.error().Text();
    for (const SystemProblem& problem : report->problems) {
      // Links go by a detached process.
      if (problem.kind == "link") continue;
      ADD_FAILURE() << problem.kind << " " << problem.object << ": " << problem.message;
    }
    ExpectNothingLeft(KernelObjects("/nowhere"), Options().root);
  }
}

TEST_F(EngineRepairTest, SystemCheckFindsAndRepairsGarbage) {
  engine_.reset();
  const std::string id(64, 'e');
  ASSERT_TRUE(std::filesystem::create_directories(Options().root + "/containers/" + id + "/diff"));
  ASSERT_TRUE(std::filesystem::create_directories(Options().root + "/layers/" + id));
  auto report = SystemCheck(Options(), false);
  ASSERT_TRUE(report) << report.error().Text();
  ASSERT_EQ(report->problems.size(), 2u);
  EXPECT_EQ(report->problems[0].kind, "container");
  EXPECT_EQ(report->problems[1].kind, "layer");
  report = SystemCheck(Options(), true);
  ASSERT_TRUE(report) << report.error().Text();
  for (const SystemProblem& problem : report->problems)
    EXPECT_TRUE(problem.repaired) << problem.message;
  report = SystemCheck(Options(), false);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->problems.size(), 0u);
}

TEST_F(EngineRepairTest, SystemCheckTakesAPlatformThatIsGoneOutOfItsName) {
  const auto image = engine_->InspectImage("busybox:latest");
  ASSERT_TRUE(image);
  EXPECT_FALSE(engine_->CreateImage({*engine_->ReadImageConfig(image->id), {"set"}, "",
                                     {"sha256:" + std::string(64, 'e')}}));
  engine_.reset();
  {
    store::Store store(Layout(Options().root, Options().run));
    ASSERT_TRUE(store.PutReference("docker.io/library/busybox:latest", image->id,
                                   {"sha256:" + std::string(64, 'e')}));
    ASSERT_TRUE(store.Commit());
  }
  auto report = SystemCheck(Options(), false);
  ASSERT_TRUE(report) << report.error().Text();
  ASSERT_EQ(report->problems.size(), 1u);
  EXPECT_EQ(report->problems[0].message, "its image of another platform does not exist");
  ASSERT_TRUE(SystemCheck(Options(), true));
  report = SystemCheck(Options(), false);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->problems.size(), 0u);
  const auto after = Another()->InspectImage("busybox:latest");
  ASSERT_TRUE(after) << after.error().Text();
  EXPECT_TRUE(after->other_platforms.empty());
}

TEST_F(EngineRepairTest, AfterARebootContainersComeBackByTheirPolicy) {
  ContainerConfig config = Sleeper("always");
  config.restart.mode = RestartMode::kAlways;
  Run(config);
  Run(Sleeper("never"));
  // A reboot kills everything and gives a new boot id.
  for (const char* name : {"always", "never"}) {
    ASSERT_TRUE(engine_->KillContainer(name, 9));
  }
  // As the power cut would have left it: wanted, not stopped.
  ASSERT_TRUE(engine_->Commit());
  engine_.reset();
  ::setenv("SKIFF_TEST_BOOT_ID", "another boot", 1);
  engine_ = Another();
  EXPECT_EQ(engine_->InspectContainer("never")->state.status, ContainerStatus::kExited);
  ASSERT_TRUE(engine_->CreateVolume({"nudge", "", {}, {}, {}}));
  ASSERT_TRUE(engine_->Commit());
  EXPECT_EQ(engine_->InspectContainer("always")->state.status, ContainerStatus::kRunning);
  EXPECT_EQ(engine_->InspectContainer("never")->state.status, ContainerStatus::kExited);
  for (const char* name : {"always", "never"}) {
    ASSERT_TRUE(engine_->RemoveContainer(name, {true, false}));
  }
  ASSERT_TRUE(engine_->Commit());
  engine_.reset();
  ::unsetenv("SKIFF_TEST_BOOT_ID");
  engine_ = Another();
}

}  // namespace
}  // namespace skiff::engine
