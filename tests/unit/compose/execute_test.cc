#include "compose/execute.h"

#include "tests/unit/compose/fixture.h"

namespace skiff::compose {
namespace {

using Condition = schema::DependencyCondition;
using engine::ContainerState;
using engine::ContainerStatus;
using engine::HealthStatus;

class ExecuteTest : public ComposeTest {
 protected:
  // web waits for db.
  void MakePair(Condition condition) {
    schema::Service& db = AddService("db");
    if (condition == Condition::kHealthy) AddHealthcheck(db);
    AddService("web");
    Depend("web", "db", condition);
  }
  void When(const std::string& line, std::function<void()> act) {
    progress_.on_line = [line, act](const std::string& reported) {
      if (reported == line) act();
    };
  }
  std::string ErrorOfUp(const PlanOptions& options = {}) {
    const Status status = UpNow(options);
    if (status) return "no error";
    std::string text = status.error().Text();
    for (const Note& note : status.error().notes) text += "\nnote: " + note.message;
    return text;
  }
};

TEST_F(ExecuteTest, DeclaresEverythingBeforeAnythingStarts) {
  MakePair(Condition::kStarted);
  ASSERT_TRUE(UpNow());
  EXPECT_THAT(engine_.Calls(),
              testing::ElementsAre("CreateNetwork p_default", "CreateContainer p-db-1",
                                   "CreateContainer p-web-1", "StartContainer p-db-1",
                                   "StartContainer p-web-1", "Commit"));
}

TEST_F(ExecuteTest, ReportsEachStep) {
  MakePair(Condition::kStarted);
  ASSERT_TRUE(UpNow());
  EXPECT_THAT(progress_.lines(),
              testing::ElementsAre("Network p_default Creating", "Network p_default Created",
                                   "Container p-db-1 Creating", "Container p-db-1 Created",
                                   "Container p-web-1 Creating", "Container p-web-1 Created",
                                   "Container p-db-1 Starting", "Container p-db-1 Started",
                                   "Container p-web-1 Starting", "Container p-web-1 Started"));
}

TEST_F(ExecuteTest, ARecreationIsOneThingForPeople) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  project_.services["web"].environment["A"] = "1";
  progress_.on_line = nullptr;
  const size_t before = progress_.lines().size();
  ASSERT_TRUE(UpNow());
  std::vector<std::string> lines = progress_.lines();
  lines.erase(lines.begin(), lines.begin() + static_cast<long>(before));
  EXPECT_THAT(lines,
              testing::ElementsAre("Container p-web-1 Recreate", "Container p-web-1 Recreated",
                                   "Container p-web-1 Starting", "Container p-web-1 Started"));
}

TEST_F(ExecuteTest, CommitsBeforeItWaits) {
  MakePair(Condition::kHealthy);
  // Healthy only once a commit has been seen.
  engine_.SetBehaviour("p-db-1", {.health = HealthStatus::kStarting});
  std::thread healer([&] {
    while (true) {
      const auto calls = engine_.Calls();
      if (std::count(calls.begin(), calls.end(), "Commit")) break;
      std::this_thread::yield();
    }
    engine_.SetHealth("p-db-1", HealthStatus::kHealthy);
  });
  ASSERT_TRUE(UpNow());
  healer.join();
  EXPECT_THAT(engine_.Calls(),
              testing::ElementsAre("CreateNetwork p_default", "CreateContainer p-db-1",
                                   "CreateContainer p-web-1", "StartContainer p-db-1", "Commit",
                                   "StartContainer p-web-1", "Commit"));
  EXPECT_TRUE(progress_.Has("Container p-db-1 Healthy"));
}

TEST_F(ExecuteTest, WaitsForAllReplicas) {
  MakePair(Condition::kHealthy);
  int waiting = 0;
  progress_.on_line = [&](const std::string& line) {
    if (!line.ends_with(" Waiting") || ++waiting < 2) return;
    engine_.SetHealth("p-db-2", HealthStatus::kHealthy);
    engine_.SetHealth("p-db-1", HealthStatus::kHealthy);
  };
  ASSERT_TRUE(UpNow({.scale = {{"db", 2}}}));
  EXPECT_TRUE(progress_.Has("Container p-db-1 Healthy"));
  EXPECT_TRUE(progress_.Has("Container p-db-2 Healthy"));
}

TEST_F(ExecuteTest, AnUnhealthyDependencyFailsWithProbeAndOutput) {
  MakePair(Condition::kHealthy);
  When("Container p-db-1 Waiting", [&] {
    engine_.AppendLog("p-db-1", {.text = "no space left\n"});
    ContainerState state = engine_.InspectContainer("p-db-1")->state;
    state.health = HealthStatus::kUnhealthy;
    state.health_log = {{.exit_code = 7, .output = "connection refused\n"}};
    engine_.SetState("p-db-1", state);
  });
  EXPECT_EQ(ErrorOfUp(),
            "dependency failed to start: container p-db-1 is unhealthy\n"
            "note: last probe of p-db-1 exited with 7: connection refused\n"
            "note: last output of p-db-1:\n    no space left\n"
            "note: service_healthy is needed by 'web'");
  EXPECT_EQ(engine_.InspectContainer("p-web-1")->state.status, ContainerStatus::kCreated);
  EXPECT_TRUE(progress_.Has("Container p-web-1 Error: dependency db failed to start"));
  EXPECT_EQ(engine_.Calls().back(), "Commit");
}

TEST_F(ExecuteTest, ADependencyThatEndsFailsTheWait) {
  MakePair(Condition::kHealthy);
  When("Container p-db-1 Waiting", [&] { engine_.Exit("p-db-1", 3); });
  EXPECT_EQ(ErrorOfUp(),
            "dependency failed to start: container p-db-1 exited (3)\n"
            "note: service_healthy is needed by 'web'");
}

TEST_F(ExecuteTest, ADependencyThatIsRemovedFailsTheWait) {
  MakePair(Condition::kHealthy);
  When("Container p-db-1 Waiting",
       [&] { ASSERT_TRUE(engine_.RemoveContainer("p-db-1", {.force = true})); });
  EXPECT_EQ(ErrorOfUp(),
            "dependency failed to start: container p-db-1 was removed\n"
            "note: service_healthy is needed by 'web'");
}

TEST_F(ExecuteTest, AFailedJobFailsWithItsCode) {
  MakePair(Condition::kCompletedSuccessfully);
  engine_.SetBehaviour("p-db-1", {.exits_with = 1});
  EXPECT_EQ(ErrorOfUp(),
            "service \"db\" didn't complete successfully: exit 1\n"
            "note: service_completed_successfully is needed by 'web'");
}

TEST_F(ExecuteTest, ACompletedJobLetsItsDependentsStart) {
  MakePair(Condition::kCompletedSuccessfully);
  engine_.SetBehaviour("p-db-1", {.exits_with = 0});
  ASSERT_TRUE(UpNow());
  EXPECT_TRUE(progress_.Has("Container p-db-1 Exited"));
  EXPECT_EQ(engine_.InspectContainer("p-web-1")->state.status, ContainerStatus::kRunning);
}

TEST_F(ExecuteTest, AnOptionalDependencyOnlyWarns) {
  MakePair(Condition::kCompletedSuccessfully);
  project_.services["web"].depends_on[0].required = false;
  engine_.SetBehaviour("p-db-1", {.exits_with = 1});
  ASSERT_TRUE(UpNow());
  EXPECT_TRUE(
      progress_.Has("warning: optional dependency \"db\" didn't complete successfully: exit 1"));
  EXPECT_EQ(engine_.InspectContainer("p-web-1")->state.status, ContainerStatus::kRunning);
}

TEST_F(ExecuteTest, AFailedStartStopsTheRestAndNamesTheStep) {
  MakePair(Condition::kStarted);
  engine_.SetBehaviour("p-db-1", {.start_error = Error(Code::kNotFound, "exec: \"x\": not found")});
  EXPECT_EQ(ErrorOfUp(),
            "exec: \"x\": not found\nnote: while: start container p-db-1 (new service)");
  EXPECT_EQ(engine_.InspectContainer("p-web-1")->state.status, ContainerStatus::kCreated);
  EXPECT_EQ(engine_.Calls().back(), "Commit");
}

TEST_F(ExecuteTest, AFailedCreationStartsNothing) {
  MakePair(Condition::kStarted);
  engine_.FailNext("CreateContainer p-web-1", Error(Code::kExhausted, "no addresses left"));
  EXPECT_EQ(ErrorOfUp(), "no addresses left\nnote: while: create container p-web-1 (new service)");
  EXPECT_THAT(engine_.Calls(), testing::Not(testing::Contains("StartContainer p-db-1")));
}

TEST_F(ExecuteTest, AnInterruptionEndsWaitsAndStartsNothing) {
  MakePair(Condition::kHealthy);
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe);
  When("Container p-db-1 Waiting", [&] { ASSERT_TRUE(WriteAll(pipe->write.get(), "x", "pipe")); });
  const auto plan = MakeUpPlan();
  ASSERT_TRUE(plan);
  const Status status =
      Execute(*plan, engine_, progress_, {.parallel = 1, .interrupt_fd = pipe->read.get()});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().code, Code::kCancelled);
  EXPECT_EQ(engine_.InspectContainer("p-web-1")->state.status, ContainerStatus::kCreated);
  EXPECT_EQ(engine_.Calls().back(), "Commit");
}

TEST_F(ExecuteTest, WaitingEndsAtItsDeadline) {
  AddHealthcheck(AddService("db"));
  const Status status = UpNow({.wait = true, .wait_timeout = std::chrono::milliseconds(1)});
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().Text(), "application not healthy after 1ms");
  EXPECT_EQ(status.error().code, Code::kTimeout);
}

TEST_F(ExecuteTest, WaitAcceptsRunningWithoutHealthcheck) {
  AddService("web");
  ASSERT_TRUE(UpNow({.wait = true}));
}

TEST_F(ExecuteTest, WaitFailsForAContainerThatEnds) {
  AddService("web");
  engine_.SetBehaviour("p-web-1", {.exits_with = 0});
  EXPECT_EQ(ErrorOfUp({.wait = true}), "container p-web-1 exited (0)");
}

TEST_F(ExecuteTest, WaitAcceptsAJobSomebodyNeeds) {
  MakePair(Condition::kCompletedSuccessfully);
  engine_.SetBehaviour("p-db-1", {.exits_with = 0});
  EXPECT_EQ(ErrorOfUp({.wait = true}), "no error");
}

TEST_F(ExecuteTest, ManyServicesKeepTheirOrderInParallel) {
  for (int i = 0; i < 40; ++i) {
    AddService("s" + std::to_string(100 + i));
    if (i > 0) Depend("s" + std::to_string(100 + i), "s" + std::to_string(100 + i / 2));
  }
  const auto plan = MakeUpPlan();
  ASSERT_TRUE(plan);
  ASSERT_TRUE(Execute(*plan, engine_, progress_, {.parallel = 8}));
  const std::vector<std::string> calls = engine_.Calls();
  const auto position = [&](int i) {
    return std::find(calls.begin(), calls.end(),
                     "StartContainer p-s" + std::to_string(100 + i) + "-1") -
           calls.begin();
  };
  for (int i = 1; i < 40; ++i) {
    ASSERT_LT(position(i), static_cast<long>(calls.size()));
    EXPECT_LT(position(i / 2), position(i));
  }
}

TEST_F(ExecuteTest, NothingToDoMakesNoCall) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  engine_.ClearCalls();
  ASSERT_TRUE(UpNow());
  EXPECT_THAT(engine_.Calls(), testing::IsEmpty());
}

TEST_F(ExecuteTest, ANetworkInUseIsAWarning) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  engine_.FailNext("RemoveNetwork p_default", Error(Code::kFailedPrecondition, "in use"));
  const auto observed = Observe(engine_, "p");
  const auto plan = MakeDownPlan("p", &project_, *observed, {});
  ASSERT_TRUE(plan);
  ASSERT_TRUE(Execute(*plan, engine_, progress_, {.parallel = 1}));
  EXPECT_TRUE(progress_.Has("Network p_default Resource is still in use"));
}

struct Judged {
  WaitCondition condition;
  bool exit_zero;
  ContainerStatus status;
  int exit_code;
  HealthStatus health;
  WaitVerdict verdict;
  std::string problem;
};

TEST(JudgeWaitTest, KnowsEveryState) {
  using enum WaitCondition;
  using enum ContainerStatus;
  using enum WaitVerdict;
  const Judged rows[] = {
      {kHealthy, false, kCreated, 0, HealthStatus::kNone, kPending, ""},
      {kHealthy, false, kRunning, 0, HealthStatus::kStarting, kPending, ""},
      {kHealthy, false, kRunning, 0, HealthStatus::kHealthy, kSatisfied, ""},
      {kHealthy, false, kRunning, 0, HealthStatus::kUnhealthy, kFailed, "is unhealthy"},
      {kHealthy, false, kRunning, 0, HealthStatus::kNone, kFailed, "has no healthcheck configured"},
      {kHealthy, false, kRestarting, 1, HealthStatus::kStarting, kPending, ""},
      {kHealthy, false, kExited, 0, HealthStatus::kNone, kFailed, "exited (0)"},
      {kCompletedSuccessfully, false, kRunning, 0, HealthStatus::kNone, kPending, ""},
      {kCompletedSuccessfully, false, kExited, 0, HealthStatus::kNone, kSatisfied, ""},
      {kCompletedSuccessfully, false, kExited, 2, HealthStatus::kNone, kFailed, "exited (2)"},
      {kRunningOrHealthy, false, kRunning, 0, HealthStatus::kNone, kSatisfied, ""},
      {kRunningOrHealthy, false, kRunning, 0, HealthStatus::kStarting, kPending, ""},
      {kRunningOrHealthy, false, kExited, 0, HealthStatus::kNone, kFailed, "exited (0)"},
      {kRunningOrHealthy, true, kExited, 0, HealthStatus::kNone, kSatisfied, ""},
      {kRunningOrHealthy, true, kExited, 1, HealthStatus::kNone, kFailed, "exited (1)"},
  };
  int number = 0;
  for (const Judged& row : rows) {
    ContainerState state;
    state.status = row.status;
    state.exit_code = row.exit_code;
    state.health = row.health;
    const WaitAnswer answer = JudgeWait(row.condition, row.exit_zero, state);
    EXPECT_EQ(answer.verdict, row.verdict) << "row " << number;
    EXPECT_EQ(answer.problem, row.problem) << "row " << number;
    ++number;
  }
}

}  // namespace
}  // namespace skiff::compose
