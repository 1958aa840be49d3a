#include "compose/use_cases.h"

#include <fcntl.h>

#include <condition_variable>
#include <csignal>

#include "base/event_loop.h"
#include "tests/unit/compose/fixture.h"

namespace skiff::compose {
namespace {

using Condition = schema::DependencyCondition;
using engine::ContainerStatus;

// Stops only what is killed.
class StubbornEngine : public engine::FakeEngine {
 public:
  Status StopContainer(std::string_view ref, const engine::StopOptions& options) override {
    std::unique_lock lock(mutex_);
    killed_.wait(lock, [&] { return was_killed_; });
    return FakeEngine::StopContainer(ref, options);
  }
  Status KillContainer(std::string_view ref, int signal_number) override {
    SKIFF_TRY(FakeEngine::KillContainer(ref, signal_number));
    const std::lock_guard lock(mutex_);
    was_killed_ = true;
    killed_.notify_all();
    return {};
  }

 private:
  std::mutex mutex_;
  std::condition_variable killed_;
  bool was_killed_ = false;
};

class FakeDriver : public SessionDriver {
 public:
  engine::StandardStreams streams() const override { return {0, 1, 2}; }
  engine::TerminalSize size() const override { return {24, 80}; }
  Result<int> Drive(engine::Session& session) override {
    ++driven;
    return session.Wait();
  }
  int driven = 0;
};

class UseCasesTest : public ComposeTest {
 protected:
  UseCasesTest() {
    out_ = std::move(*MakePipe());
    err_ = std::move(*MakePipe());
    interrupts_ = std::move(*MakePipe(O_NONBLOCK));
    context_.output = {out_.write.get(), err_.write.get(), false};
    context_.interrupt_fd = interrupts_.read.get();
    engine_.SetClock(WallClockNanoseconds());
  }
  std::string Out() {
    out_.write.Reset();
    return *ReadAll(out_.read.get(), 1 << 20, "pipe");
  }
  Status UpDetached() {
    Seal();
    UpOptions options;
    options.detach = true;
    SKIFF_TRY(Up(context_, project_, options));
    return {};
  }
  Result<int> UpAttached(UpOptions options = {}) {
    Seal();
    return Up(context_, project_, options);
  }
  void Interrupt() { ASSERT_TRUE(WriteAll(interrupts_.write.get(), "x", "pipe")); }
  // Acts when a container has started.
  void When(const std::string& line, std::function<void()> act) {
    progress_.on_line = [line, act](const std::string& reported) {
      if (reported == line) act();
    };
  }
  void Log(const std::string& container, const std::string& text) {
    engine_.AppendLog(container, {.time = WallClockNanoseconds() + 3600'000'000'000, .text = text});
  }
  ProjectRef Ref() const { return {"p", &project_}; }

  Pipe out_, err_, interrupts_;
};

TEST_F(UseCasesTest, UpTwiceCallsTheEngineOnce) {
  AddService("web");
  ASSERT_TRUE(UpDetached());
  engine_.ClearCalls();
  ASSERT_TRUE(UpDetached());
  EXPECT_THAT(engine_.Calls(), testing::IsEmpty());
  EXPECT_TRUE(progress_.Has("Container p-web-1 Running"));
}

TEST_F(UseCasesTest, ADryRunHandsThePlanOverAndChangesNothing) {
  AddService("web");
  std::string text;
  context_.plan_sink = [&](const Plan& plan) { text = PlanToText(plan); };
  ASSERT_TRUE(UpDetached());
  EXPECT_EQ(text,
            "Project \"p\": 3 operations\n"
            " 1  create network p_default  new network\n"
            " 2  create container p-web-1  new service  after 1\n"
            " 3  start container p-web-1   new service  after 2\n");
  EXPECT_THAT(engine_.Calls(), testing::IsEmpty());
}

TEST_F(UseCasesTest, UpTakesTheProjectsLock) {
  AddService("web");
  std::vector<std::string> locked;
  context_.lock_project = [&](const std::string& project) -> Result<std::shared_ptr<void>> {
    locked.push_back(project);
    return std::shared_ptr<void>();
  };
  ASSERT_TRUE(UpDetached());
  EXPECT_THAT(locked, testing::ElementsAre("p"));
}

TEST_F(UseCasesTest, RefusesContradictoryOptions) {
  AddService("web");
  Seal();
  UpOptions options;
  options.create.force_recreate = options.create.no_recreate = true;
  EXPECT_EQ(Up(context_, project_, options).error().Text(),
            "--force-recreate and --no-recreate are incompatible");
}

TEST_F(UseCasesTest, AttachedUpEndsWithItsContainers) {
  AddService("web");
  When("Container p-web-1 Started", [&] {
    Log("p-web-1", "hello\n");
    engine_.Exit("p-web-1", 3);
  });
  EXPECT_EQ(UpAttached().value_or(-1), 0);
  EXPECT_EQ(Out(), "Attaching to web-1\nweb-1  | hello\nweb-1 exited with code 3\n");
}

TEST_F(UseCasesTest, AttachedUpSeesContainersThatEndAtOnce) {
  AddService("job");
  engine_.SetBehaviour("p-job-1", {.exits_with = 0});
  EXPECT_EQ(UpAttached().value_or(-1), 0);
  EXPECT_EQ(Out(), "Attaching to job-1\njob-1 exited with code 0\n");
}

TEST_F(UseCasesTest, AttachedUpLeavesOutNoAttach) {
  AddService("a");
  AddService("b");
  When("Container p-b-1 Started", [&] {
    Log("p-a-1", "from a\n");
    Log("p-b-1", "from b\n");
    engine_.Exit("p-a-1", 0);
    engine_.Exit("p-b-1", 0);
  });
  EXPECT_EQ(UpAttached({.no_attach = {"b"}}).value_or(-1), 0);
  EXPECT_EQ(Out(), "Attaching to a-1\na-1  | from a\na-1 exited with code 0\n");
}

TEST_F(UseCasesTest, AbortOnContainerExitStopsTheRestAndReturnsItsCode) {
  AddService("a");
  AddService("b");
  When("Container p-b-1 Started", [&] { engine_.Exit("p-a-1", 7); });
  EXPECT_EQ(UpAttached({.abort_on_container_exit = true}).value_or(-1), 7);
  EXPECT_TRUE(progress_.Has("Aborting on container exit..."));
  EXPECT_EQ(engine_.InspectContainer("p-b-1")->state.status, ContainerStatus::kExited);
}

TEST_F(UseCasesTest, AbortOnFailureIgnoresSuccess) {
  AddService("a");
  AddService("b");
  engine_.SetBehaviour("p-a-1", {.exits_with = 0});
  engine_.SetBehaviour("p-b-1", {.exits_with = 111});
  EXPECT_EQ(UpAttached({.abort_on_container_failure = true}).value_or(-1), 111);
}

TEST_F(UseCasesTest, ExitCodeFromIsThatOfTheNamedService) {
  AddService("db");
  AddService("test");
  When("Container p-test-1 Started", [&] { engine_.Exit("p-test-1", 42); });
  EXPECT_EQ(UpAttached({.exit_code_from = "test"}).value_or(-1), 42);
  EXPECT_EQ(engine_.InspectContainer("p-db-1")->state.status, ContainerStatus::kExited);
}

TEST_F(UseCasesTest, AFailedStartEndsAttachedUp) {
  AddService("web");
  engine_.SetBehaviour("p-web-1", {.start_error = Error(Code::kNotFound, "no such program")});
  const auto code = UpAttached();
  ASSERT_FALSE(code);
  EXPECT_EQ(code.error().Text(), "no such program");
}

TEST_F(UseCasesTest, InterruptStopsGracefully) {
  AddService("web");
  When("Container p-web-1 Started", [&] { Interrupt(); });
  EXPECT_EQ(UpAttached().value_or(-1), 130);
  EXPECT_TRUE(progress_.Has("Gracefully Stopping... press Ctrl+C again to force"));
  EXPECT_THAT(engine_.Calls(), testing::Contains("StopContainer p-web-1"));
}

TEST_F(UseCasesTest, InterruptStopsOnlyTheSelected) {
  AddService("app");
  AddService("db");
  Depend("app", "db");
  When("Container p-app-1 Started", [&] { Interrupt(); });
  UpOptions options;
  options.create.services = {"app"};
  EXPECT_EQ(UpAttached(options).value_or(-1), 130);
  EXPECT_EQ(engine_.InspectContainer("p-app-1")->state.status, ContainerStatus::kExited);
  EXPECT_EQ(engine_.InspectContainer("p-db-1")->state.status, ContainerStatus::kRunning);
}

TEST_F(UseCasesTest, InterruptWhileWaitingEndsIt) {
  AddHealthcheck(AddService("db"));
  AddService("web");
  Depend("web", "db", Condition::kHealthy);
  When("Container p-db-1 Waiting", [&] { Interrupt(); });
  EXPECT_EQ(UpAttached().value_or(-1), 130);
  EXPECT_EQ(engine_.InspectContainer("p-web-1")->state.status, ContainerStatus::kCreated);
}

TEST_F(UseCasesTest, SecondInterruptKills) {
  StubbornEngine stubborn;
  stubborn.AddImage("busybox");
  stubborn.SetClock(WallClockNanoseconds());
  context_.engine = &stubborn;
  AddService("web");
  progress_.on_line = [&](const std::string& line) {
    if (line == "Container p-web-1 Started" || line == "Container p-web-1 Stopping") Interrupt();
  };
  EXPECT_EQ(UpAttached().value_or(-1), 130);
  EXPECT_THAT(stubborn.Calls(), testing::Contains(testing::StartsWith("KillContainer p-web-1")));
}

TEST_F(UseCasesTest, DownRemovesEverything) {
  AddVolume("data");
  Mount(AddService("web"), "data", "/data");
  ASSERT_TRUE(UpDetached());
  ASSERT_TRUE(Down(context_, {"p", nullptr}, {.volumes = true}));
  EXPECT_THAT(*engine_.ListContainers({.all = true}), testing::IsEmpty());
  EXPECT_EQ(engine_.ListNetworks({})->size(), 3u);  // The predefined ones.
  EXPECT_THAT(*engine_.ListVolumes({}), testing::IsEmpty());
}

TEST_F(UseCasesTest, DownOfNothingIsAWarning) {
  ASSERT_TRUE(Down(context_, {"p", nullptr}, {}));
  EXPECT_THAT(progress_.lines(),
              testing::ElementsAre("warning: No resource found to remove for project \"p\"."));
}

TEST_F(UseCasesTest, ContentOfConfigsIsWrittenAndRemoved) {
  schema::FileObject& object = project_.configs["app"];
  object.key = "app";
  object.content = "hello";
  schema::FileGrant grant;
  grant.source = "app";
  grant.mode = 0400;
  AddService("web").configs.push_back(grant);
  ASSERT_TRUE(UpDetached());
  const auto container = engine_.InspectContainer("p-web-1");
  ASSERT_EQ(container->config.mounts.size(), 1u);
  EXPECT_EQ(container->config.mounts[0].target, "/app");
  EXPECT_EQ(ReadFile(container->config.mounts[0].source).value_or("?"), "hello");
  EXPECT_EQ(UpPlanText({.file_dir = state_dir_ + "/p"}), "Project \"p\": nothing to do\n");
  project_.configs["app"].content = "bye";
  EXPECT_THAT(UpPlanText({.file_dir = state_dir_ + "/p"}),
              testing::HasSubstr("content of a config or secret changed"));
  ASSERT_TRUE(Down(context_, Ref(), {}));
  EXPECT_FALSE(ReadFile(container->config.mounts[0].source));
}

TEST_F(UseCasesTest, PsListsByNameWithFilters) {
  AddService("web");
  AddService("db");
  ASSERT_TRUE(UpDetached());
  engine_.Exit("p-db-1", 1);
  const auto names = [&](const PsOptions& options) {
    std::vector<std::string> result;
    const auto entries = Ps(context_, Ref(), options);
    for (const PsEntry& entry : *entries) result.push_back(entry.container.name);
    return result;
  };
  EXPECT_THAT(names({}), testing::ElementsAre("p-web-1"));
  EXPECT_THAT(names({.all = true}), testing::ElementsAre("p-db-1", "p-web-1"));
  EXPECT_THAT(names({.statuses = {"exited"}}), testing::ElementsAre("p-db-1"));
  EXPECT_THAT(names({.services = {"db"}, .all = true}), testing::ElementsAre("p-db-1"));
  EXPECT_EQ(Ps(context_, Ref(), {.services = {"x"}}).error().Text(), "no such service: x");
}

TEST_F(UseCasesTest, PortPrintsWhereItIsPublished) {
  AddPort(AddService("web"), 80, "8080");
  ASSERT_TRUE(UpDetached());
  EXPECT_EQ(Port(context_, Ref(), {.service = "web", .port = 80}).value_or("?"), "0.0.0.0:8080");
  EXPECT_EQ(Port(context_, Ref(), {.service = "web", .port = 81}).error().Text(),
            "no port 81/tcp for container p-web-1: :8080->80/tcp");
}

TEST_F(UseCasesTest, LsCountsByStatus) {
  AddService("web");
  AddService("db");
  ASSERT_TRUE(UpDetached());
  engine_.Exit("p-db-1", 1);
  const auto all = Ls(context_, true);
  ASSERT_EQ(all->size(), 1u);
  EXPECT_EQ((*all)[0].status, "exited(1), running(1)");
  EXPECT_EQ((*all)[0].config_files, "/srv/p/compose.yaml");
  EXPECT_EQ((*Ls(context_, false))[0].status, "running(1)");
}

TEST_F(UseCasesTest, ExecRunsInTheChosenReplica) {
  AddService("web");
  Seal();
  ASSERT_TRUE(Scale(context_, project_, {.scale = {{"web", 2}}}));
  engine_.SetExecResult("p-web-2", {.exit_code = 5});
  FakeDriver driver;
  EXPECT_EQ(
      Exec(context_, Ref(), {.service = "web", .command = {"x"}, .index = 2}, driver).value_or(-1),
      5);
  EXPECT_EQ(Exec(context_, Ref(), {.service = "web", .command = {"x"}, .index = 3}, driver)
                .error()
                .Text(),
            "service \"web\" is not running container #3");
  engine_.Exit("p-web-1", 0);
  engine_.Exit("p-web-2", 0);
  EXPECT_EQ(Exec(context_, Ref(), {.service = "web", .command = {"x"}}, driver).error().Text(),
            "service \"web\" is not running");
}

TEST_F(UseCasesTest, RunStartsDependenciesAndReturnsTheCode) {
  AddService("db");
  AddPort(AddService("web"), 80, "8080");
  Depend("web", "db");
  Seal();
  engine_.SetBehaviour("once", {.exits_with = 9});
  FakeDriver driver;
  const auto result = compose::Run(
      context_, project_,
      {.service = "web", .command = std::vector<std::string>{"true"}, .name = "once"}, driver);
  ASSERT_TRUE(result) << result.error().Text();
  EXPECT_EQ(result->exit_code, 9);
  EXPECT_EQ(driver.driven, 1);
  EXPECT_TRUE(engine_.InspectContainer("p-db-1")->state.running());
  EXPECT_FALSE(engine_.InspectContainer("p-web-1"));
  const auto once = engine_.InspectContainer("once");
  EXPECT_THAT(once->config.ports, testing::IsEmpty());
  EXPECT_EQ(once->labels.at("com.docker.compose.oneoff"), "True");
}

TEST_F(UseCasesTest, RunNamesItsContainerAndRemovesIt) {
  AddService("web");
  Seal();
  FakeDriver driver;
  const auto result =
      compose::Run(context_, project_, {.service = "web", .remove = true, .detach = true}, driver);
  ASSERT_TRUE(result);
  EXPECT_THAT(result->container, testing::MatchesRegex("p-web-run-[0-9a-f]{12}"));
  EXPECT_TRUE(engine_.InspectContainer(result->container)->config.auto_remove);
  EXPECT_EQ(driver.driven, 0);
}

TEST_F(UseCasesTest, RunAppliesItsFlags) {
  AddService("web").environment["A"] = "1";
  Seal();
  FakeDriver driver;
  ASSERT_TRUE(compose::Run(context_, project_,
                           {.service = "web",
                            .environment = {"A=2", "B=3"},
                            .volumes = {"/host:/inside:ro"},
                            .publish = {"127.0.0.1:8080:80/udp"},
                            .name = "once",
                            .user = "nobody",
                            .detach = true},
                           driver));
  const engine::ContainerConfig config = engine_.InspectContainer("once")->config;
  EXPECT_THAT(config.environment, testing::ElementsAre("A=2", "B=3"));
  EXPECT_EQ(config.mounts[0].source, "/host");
  EXPECT_TRUE(config.mounts[0].read_only);
  ASSERT_EQ(config.ports.size(), 1u);
  EXPECT_EQ(config.ports[0].host_ip, "127.0.0.1");
  EXPECT_EQ(config.ports[0].host_port, 8080);
  EXPECT_EQ(config.ports[0].protocol, engine::Protocol::kUdp);
  EXPECT_EQ(config.user, "nobody");
}

TEST_F(UseCasesTest, LifecycleVerbsCallTheEngine) {
  AddService("web");
  ASSERT_TRUE(UpDetached());
  engine_.ClearCalls();
  ASSERT_TRUE(Pause(context_, Ref(), {}));
  ASSERT_TRUE(Unpause(context_, Ref(), {}));
  ASSERT_TRUE(Restart(context_, Ref(), {}));
  ASSERT_TRUE(Kill(context_, Ref(), {.signal = "int"}));
  ASSERT_TRUE(Stop(context_, {"p", nullptr}, {.timeout = Seconds(1)}));
  ASSERT_TRUE(Start(context_, {"p", nullptr}, {}));
  std::vector<std::string> verbs;
  for (const std::string& call : engine_.Calls()) {
    const std::string verb = call.substr(0, call.find(' '));
    if (verb != "Commit") verbs.push_back(verb);
  }
  EXPECT_THAT(verbs, testing::ElementsAre("PauseContainer", "UnpauseContainer", "RestartContainer",
                                          "KillContainer", "StopContainer", "StartContainer"));
  EXPECT_EQ(Kill(context_, Ref(), {.signal = "SIGNONE"}).error().Text(), "invalid signal: SIGNONE");
}

TEST_F(UseCasesTest, RmTakesStoppedContainersAfterAsking) {
  AddService("a");
  AddService("b");
  ASSERT_TRUE(UpDetached());
  engine_.Exit("p-a-1", 0);
  std::vector<std::string> asked;
  RmOptions options;
  options.confirm = [&](const std::vector<std::string>& names) {
    asked = names;
    return false;
  };
  ASSERT_TRUE(Rm(context_, Ref(), options));
  EXPECT_THAT(asked, testing::ElementsAre("p-a-1"));
  EXPECT_TRUE(engine_.InspectContainer("p-a-1"));
  ASSERT_TRUE(Rm(context_, Ref(), {.stop = true}));
  EXPECT_THAT(*engine_.ListContainers({.all = true}), testing::IsEmpty());
  ASSERT_TRUE(Rm(context_, Ref(), {}));
  EXPECT_TRUE(progress_.Has("No stopped containers"));
}

TEST_F(UseCasesTest, VerbsWithoutAProjectSayWhatIsMissing) {
  EXPECT_EQ(Stop(context_, {"p", nullptr}, {}).error().Text(),
            "no container found for project \"p\": not found");
}

TEST_F(UseCasesTest, WaitReturnsTheExitCode) {
  AddService("web");
  ASSERT_TRUE(UpDetached());
  std::thread waiter([&] { EXPECT_EQ(Wait(context_, Ref(), {"web"}, false).value_or(-1), 6); });
  engine_.Exit("p-web-1", 6);
  waiter.join();
}

TEST_F(UseCasesTest, ImagesAndVolumesOfAProject) {
  AddVolume("data");
  Mount(AddService("web"), "data", "/data");
  ASSERT_TRUE(UpDetached());
  const auto images = Images(context_, Ref(), {});
  ASSERT_EQ(images->size(), 1u);
  EXPECT_EQ((*images)[0].repository, "busybox");
  EXPECT_EQ((*images)[0].tag, "latest");
  const auto volumes = Volumes(context_, Ref(), {"web"});
  ASSERT_EQ(volumes->size(), 1u);
  EXPECT_EQ((*volumes)[0].config.name, "p_data");
}

}  // namespace
}  // namespace skiff::compose
