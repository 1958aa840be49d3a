#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "engine-core/layout.h"
#include "tests/kernel/engine-core/engine_fixture.h"

namespace skiff::engine {
namespace {

TEST_F(EngineTest, ContainerRunsIsListedStopsAndLeavesNothing) {
  const auto before = KernelObjects(Options().root);
  const std::string id = Run(Sleeper("one"));
  auto listed = Another()->ListContainers({});
  ASSERT_TRUE(listed) << listed.error().Text();
  ASSERT_EQ(listed->size(), 1u);
  EXPECT_EQ((*listed)[0].name, "one");
  EXPECT_EQ((*listed)[0].state.status, ContainerStatus::kRunning);
  EXPECT_GT((*listed)[0].state.pid, 0);
  EXPECT_EQ((*listed)[0].command, (std::vector<std::string>{"sleep", "1000"}));

  const auto stopped = engine_->StopContainer("one", {});
  ASSERT_TRUE(stopped) << stopped.error().Text();
  const auto state = engine_->InspectContainer(id);
  ASSERT_TRUE(state);
  EXPECT_EQ(state->state.status, ContainerStatus::kExited);
  EXPECT_EQ(state->state.exit_code, 143);

  ASSERT_TRUE(engine_->StartContainer(id.substr(0, 8)));
  const auto refused = engine_->RemoveContainer("one", {});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message,
            "cannot remove container \"one\": container is running: stop the container before "
            "removing or force remove");
  const auto removed = engine_->RemoveContainer("one", {true, false});
  ASSERT_TRUE(removed) << removed.error().Text();
  ASSERT_TRUE(engine_->Commit());
  EXPECT_FALSE(engine_->InspectContainer("one"));
  ExpectNothingLeft(before, Options().root);
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/containers"));
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/trash"));
  EXPECT_TRUE(std::filesystem::is_empty(Options().run + "/containers"));
}

TEST_F(EngineTest, ExitCodesAndLogs) {
  Run(Shell("talks", "echo out; echo err >&2; exit 3"));
  const ContainerState state = Await("talks", ContainerStatus::kExited);
  EXPECT_EQ(state.exit_code, 3);
  EXPECT_EQ(LogsOf("talks"), "out\nerr\n");
}

TEST_F(EngineTest, StartOfAMissingProgramFailsWith127) {
  ContainerConfig config = Sleeper("broken");
  config.command = {"no-such-program"};
  const auto created = engine_->CreateContainer(config);
  ASSERT_TRUE(created);
  const auto started = engine_->StartContainer("broken");
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().message.find("executable file not found in $PATH"), std::string::npos)
      << started.error().message;
  const auto state = engine_->InspectContainer("broken");
  ASSERT_TRUE(state);
  EXPECT_EQ(state->state.exit_code, 127);
}

TEST_F(EngineTest, ExecRunsInsideAndReportsItsCode) {
  ContainerConfig config = Sleeper("inside");
  config.environment = {"GREETING=hello"};
  config.hostname = "boat";
  Run(config);
  EXPECT_EQ(ExecShell("inside", "echo $GREETING $(hostname) $(id -u); exit 7"),
            (std::pair<int, std::string>(7, "hello boat 0\n")));
}

TEST_F(EngineTest, AttachBeforeTheStartGetsEveryByte) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe);
  ContainerConfig config = Shell("attached", "echo first; echo last; exit 5");
  const auto created = engine_->CreateContainer(config);
  ASSERT_TRUE(created);
  auto session = engine_->Attach("attached", {-1, pipe->write.get(), pipe->write.get()});
  ASSERT_TRUE(session) << session.error().Text();
  pipe->write.Reset();
  const auto started = engine_->StartContainer("attached");
  ASSERT_TRUE(started) << started.error().Text();
  const auto code = (*session)->Wait();
  ASSERT_TRUE(code) << code.error().Text();
  EXPECT_EQ(*code, 5);
  session->reset();
  EXPECT_EQ(ReadAll(pipe->read.get(), 1 << 16, "output").value_or("?"), "first\nlast\n");
}

TEST_F(EngineTest, NamesAreUniqueAlsoBeforeTheCommit) {
  ASSERT_TRUE(engine_->CreateContainer(Sleeper("same")));
  const auto again = engine_->CreateContainer(Sleeper("same"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kAlreadyExists);
  // Another command sees the reservation although no row is written yet.
  const auto other = Another()->CreateContainer(Sleeper("same"));
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kAlreadyExists);
}

TEST_F(EngineTest, ReplacementTakesTheName) {
  const std::string old = Run(Sleeper("web"));
  ContainerConfig config = Sleeper("web");
  config.replaces = old;
  const auto created = engine_->CreateContainer(config);
  ASSERT_TRUE(created) << created.error().Text();
  ASSERT_TRUE(engine_->StartContainer(created->id));
  EXPECT_EQ(engine_->InspectContainer("web")->id, old);
  ASSERT_TRUE(engine_->RemoveContainer(old, {true, false}));
  EXPECT_EQ(engine_->InspectContainer("web")->id, created->id);
  ASSERT_TRUE(engine_->Commit());
  EXPECT_EQ(Another()->InspectContainer("web")->id, created->id);
}

TEST_F(EngineTest, OneCommitForManyContainers) {
  for (int i = 0; i < 5; ++i) {
    const auto created = engine_->CreateContainer(Sleeper("many-" + std::to_string(i)));
    ASSERT_TRUE(created);
    ASSERT_TRUE(engine_->StartContainer(created->id));
  }
  // Nothing is durable yet.
  EXPECT_EQ(Another()->ListContainers({true, {}})->size(), 0u);
  ASSERT_TRUE(engine_->Commit());
  EXPECT_EQ(Another()->ListContainers({})->size(), 5u);
}

TEST_F(EngineTest, ManyRemovedContainersAreDeletedBehindTheCommand) {
  for (int i = 0; i < 6; ++i) Run(Sleeper("many-" + std::to_string(i)));
  for (int i = 0; i < 6; ++i) {
    ASSERT_TRUE(engine_->RemoveContainer("many-" + std::to_string(i), {true, false}));
  }
  ASSERT_TRUE(engine_->Commit());
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/containers"));
  // The process that deletes holds this lock until it is done.
  const auto done = FileLock::Acquire(Options().run + "/locks/trash", FileLock::Mode::kExclusive);
  ASSERT_TRUE(done);
  engine_ = Another();
  ASSERT_TRUE(engine_->CreateVolume({"nudge", "", {}, {}, {}}));
}

TEST_F(EngineTest, AutoRemoveContainerNeedsNoCommitAndGoesWithTheNextCommand) {
  ContainerConfig config = Shell("brief", "exit 0");
  config.auto_remove = true;
  Run(config);
  Await("brief", ContainerStatus::kExited);
  EXPECT_EQ(engine_->ListContainers({true, {}})->size(), 0u);
  engine_ = Another();
  ASSERT_TRUE(engine_->CreateContainer(Sleeper("next")));
  EXPECT_FALSE(engine_->InspectContainer("brief"));
}

TEST_F(EngineTest, KilledProcessIsRestartedByItsPolicyKilledByUsIsNot) {
  ContainerConfig config = Sleeper("phoenix");
  config.init = false;
  config.restart.mode = RestartMode::kAlways;
  const std::string id = Run(config);
  const int64_t first = engine_->InspectContainer(id)->state.pid;
  auto watch = engine_->WatchContainers({true, {}});
  ASSERT_TRUE(watch);
  ASSERT_EQ(::kill(static_cast<pid_t>(first), SIGKILL), 0);
  int64_t second = first;
  while (second == first || second == 0) {
    const auto changes = (*watch)->Next(-1);
    ASSERT_TRUE(changes);
    second = engine_->InspectContainer(id)->state.pid;
  }
  EXPECT_EQ(engine_->InspectContainer(id)->state.restart_count, 1);
  ASSERT_TRUE(engine_->KillContainer(id, SIGKILL));
  EXPECT_EQ(engine_->InspectContainer(id)->state.status, ContainerStatus::kExited);
  EXPECT_EQ(engine_->InspectContainer(id)->state.exit_code, 137);
}

TEST_F(EngineTest, DeathOfAMonitorEndsItsContainerAndTheNextCommandStartsItAgain) {
  ContainerConfig config = Sleeper("orphan");
  config.restart.mode = RestartMode::kUnlessStopped;
  const std::string id = Run(config);
  const int64_t pid = engine_->InspectContainer(id)->state.pid;
  // The monitor is the parent of the container's init.
  const auto status = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  ASSERT_TRUE(status);
  const size_t after_name = status->rfind(')');
  const int parent = std::atoi(status->c_str() + after_name + 4);
  ASSERT_GT(parent, 1);
  ASSERT_EQ(::kill(parent, SIGKILL), 0);
  EXPECT_EQ(Await(id, ContainerStatus::kExited).exit_code, 137);
  engine_ = Another();
  ASSERT_TRUE(engine_->CreateVolume({"nudge", "", {}, {}, {}}));
  ASSERT_TRUE(engine_->Commit());
  EXPECT_EQ(engine_->InspectContainer(id)->state.status, ContainerStatus::kRunning);
  EXPECT_EQ(notices_,
            (std::vector<std::string>{"container orphan ended because its monitor was killed",
                                      "container orphan was started again by its restart policy"}));
}

TEST_F(EngineTest, PauseStopsAndUnpauseContinues) {
  Run(Sleeper("still"));
  ASSERT_TRUE(engine_->PauseContainer("still"));
  EXPECT_EQ(engine_->InspectContainer("still")->state.status, ContainerStatus::kPaused);
  const auto exec = engine_->Exec("still", {{"true"}, {}, "", "", false, false}, {}, {});
  ASSERT_FALSE(exec);
  EXPECT_EQ(exec.error().code, Code::kFailedPrecondition);
  ASSERT_TRUE(engine_->UnpauseContainer("still"));
  EXPECT_EQ(ExecShell("still", "echo on").second, "on\n");
}

TEST_F(EngineTest, TwoRootsSideBySideDoNotSeeEachOther) {
  Run(Sleeper("mine"));
  EmbeddedOptions other = Options();
  other.root += "-other";
  other.run += "-other";
  auto engine = OpenEmbeddedEngine(other);
  ASSERT_TRUE(engine);
  EXPECT_EQ((*engine)->ListContainers({true, {}})->size(), 0u);
  EXPECT_EQ((*engine)->ListImages()->size(), 0u);
}

}  // namespace
}  // namespace skiff::engine
