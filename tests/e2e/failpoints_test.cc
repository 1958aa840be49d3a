// Commands that die, or fail, at every step that changes something: the next command repairs.

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

constexpr const char* kProject = R"(name: fault
services:
  web:
    image: busybox:latest
    init: true
    command: sleep 1000
    ports: ["127.0.0.1::80"]
    volumes: ["data:/data"]
    networks: [inner]
  job:
    image: busybox:latest
    init: true
    command: sleep 1000
    networks: [inner]
    restart: always
volumes: {data: {}}
networks: {inner: {}}
)";

// Not on the way of these commands, or the test's own scaffolding.
bool Concerns(std::string_view name) {
  for (const std::string_view other :
       {"builder.", "compose.", "image.", "layout.", "transfer.", "engine.image.", "engine.rename",
        "engine.delegated_unit", "journal.rotate", "monitor.log.rotate", "store.migrate"}) {
    if (name.starts_with(other)) return false;
  }
  return true;
}

class FailpointsTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteProject(kProject);
    const Outcome list = RunCommand(
        {"cmake", "-P", SourceDirectory() + "/tests/architecture/list_failpoints.cmake"});
    ASSERT_THAT(list, Succeeds()) << list;
    for (const std::string& line : Lines(list.out)) {
      std::string name = line.substr(0, line.find(' '));
      if (Concerns(name)) names_.insert(std::move(name));
    }
    ASSERT_GT(names_.size(), 40u);
  }

  void Fault(const std::string& name, const std::string& action, const Words& words) {
    ProcessOptions options;
    options.environment = environment();
    options.environment["SKIFF_FAILPOINTS"] = name + "=" + action;
    const Outcome outcome = Skiff(words, options, 20s);
    EXPECT_FALSE(outcome.timed_out) << words[0] << " hangs";
    // 137: killed; with `kill` in a monitor, or at a place that was not passed, anything is right.
    fired_ = fired_ || outcome.exit_code != 0;
  }
  void ExpectWhole() {
    const Outcome up = Skiff({"up", "-d", "-t", "0"});
    ASSERT_THAT(up, Succeeds()) << up;
    EXPECT_EQ(Lines(Succeed({"ps", "-q"})).size(), 2u);
    const Outcome check = Skiff({"system", "check"});
    EXPECT_THAT(check, Succeeds()) << check;
  }
  // `up`, `restart`, `up --force-recreate`, `run` and `down` with the fault, and back each time.
  void GoThrough(const std::string& name, const std::string& action) {
    SCOPED_TRACE(name + "=" + action);
    Fault(name, action, {"up", "-d"});
    ASSERT_NO_FATAL_FAILURE(ExpectWhole()) << "after up";
    Fault(name, action, {"restart", "-t", "0"});
    Fault(name, action, {"up", "-d", "--force-recreate", "-t", "0"});
    ASSERT_NO_FATAL_FAILURE(ExpectWhole()) << "after restart and recreation";
    Fault(name, action, {"run", "--rm", "-T", "web", "true"});
    Fault(name, action, {"down", "-v", "-t", "0"});
    // One repair, and all is well; what had been done stays done.
    Skiff({"system", "check", "--repair"});
    const Outcome check = Skiff({"system", "check"});
    EXPECT_THAT(check, Succeeds()) << "after down: " << check;
    Succeed({"down", "-v", "-t", "0"});
    EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
    const Outcome end = Skiff({"system", "check"});
    EXPECT_THAT(end, Succeeds()) << "at the end: " << end;
  }

  std::set<std::string> names_;
  bool fired_ = false;
};

TEST_F(FailpointsTest, AKilledCommandIsRepairedByTheNext) {
  for (const std::string& name : names_) {
    ASSERT_NO_FATAL_FAILURE(GoThrough(name, "kill"));
  }
  EXPECT_TRUE(fired_);
}

TEST_F(FailpointsTest, AFailedStepLeavesNothingTheNextCommandCannotRepair) {
  for (const std::string& name : names_) {
    // A container nobody can hear of: each next start waits out its deadline.
    if (name == "monitor.state.write") continue;
    ASSERT_NO_FATAL_FAILURE(GoThrough(name, "error"));
  }
  EXPECT_TRUE(fired_);
}

}  // namespace
}  // namespace skiff::e2e
