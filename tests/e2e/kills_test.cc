// kill -9 of commands, monitors and containers at random moments: the next command repairs, what
// runs keeps running, and all that is counted is as before.

#include <poll.h>
#include <signal.h>

#include <filesystem>
#include <map>

#include "base/fd.h"
#include "tests/e2e/support/chance.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;

constexpr const char* kProject = R"(name: kills
services:
  web:
    image: busybox:latest
    init: true
    command: sleep 1000
    ports: ["127.0.0.1::80", "81"]
    volumes: ["data:/home"]
    networks: [inner]
  job:
    image: busybox:latest
    init: true
    command: sleep 1000
    networks: [inner]
    restart: always
  keeper:
    image: busybox:latest
    init: true
    command: sleep 1000
    networks: [inner, other]
volumes: {data: {}}
networks: {inner: {}, other: {}}
)";

const Words kUp = {"up", "-d", "-t", "0"};
const Words kDown = {"down", "-v", "-t", "0"};

class KillsTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteProject(kProject);
    for (int round = 0; round < 2; ++round) {
      up_time_ = Timed(kUp);
      standing_ = Count();
      recreate_time_ = Timed(kRecreate);
      down_time_ = Timed(kDown);
      EXPECT_TRUE(Eventually([&] {
        nothing_ = Count();
        return nothing_.counts.at("process") == 0 && nothing_.counts.at("link") <= 1;
      }));
    }
  }

  milliseconds Timed(const Words& words) {
    const Outcome outcome = Skiff(words);
    EXPECT_THAT(outcome, Succeeds()) << outcome;
    return outcome.elapsed;
  }

  // The random moment of a kill: a point in time, and no event that could be awaited.
  void Pause(int microseconds) {
    const timespec time = {microseconds / 1'000'000, microseconds % 1'000'000 * 1000L};
    ppoll(nullptr, 0, &time, nullptr);
  }

  // Starts the command and kills it at a random moment of the time it takes.
  void KillCommand(const Words& words, milliseconds time) {
    Process process = StartSkiff(words);
    Pause(chance_.Below(static_cast<int>(time.count()) * 1200 + 1));
    process.Signal(SIGKILL);
    process.Finish();
  }

  std::string IdOf(const std::string& service) {
    return Inspect("kills-" + service + "-1", "{{.Id}}");
  }
  pid_t InitOf(const std::string& service) {
    return std::atoi(Inspect("kills-" + service + "-1", "{{.State.Pid}}").c_str());
  }
  std::map<std::string, pid_t> Inits() {
    std::map<std::string, pid_t> all;
    for (const char* service : {"web", "job", "keeper"}) all[service] = InitOf(service);
    return all;
  }
  static pid_t MonitorOf(const std::string& id) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
      const auto words = ReadFile(entry.path().string() + "/cmdline");
      if (words && words->starts_with("skiff-monitor") && words->find(id) != std::string::npos) {
        return std::atoi(entry.path().filename().c_str());
      }
    }
    return 0;
  }

  // The next command, the check, the counts.
  void ExpectStanding(std::string* said = nullptr) {
    const Outcome up = Skiff(kUp);
    EXPECT_THAT(up, Succeeds()) << up;
    if (said != nullptr) *said += up.err;
    EXPECT_EQ(Lines(Succeed({"ps", "-q"})).size(), 3u);
    const Outcome check = Skiff({"system", "check"});
    EXPECT_THAT(check, Succeeds()) << check;
    EXPECT_EQ(DifferenceTo(standing_), "");
  }
  void ExpectNothing() {
    Succeed(kDown);
    const Outcome check = Skiff({"system", "check"});
    EXPECT_THAT(check, Succeeds()) << check;
    EXPECT_EQ(DifferenceTo(nothing_), "");
  }

  void UpFromNothing() {
    ExpectNothing();
    KillCommand(kUp, up_time_);
    ExpectStanding();
  }
  void Recreation() {
    const auto before = Inits();
    KillCommand(kRecreate, recreate_time_);
    EXPECT_EQ(InitOf("keeper"), before.at("keeper")) << "what runs keeps running";
    ExpectStanding();
    EXPECT_EQ(InitOf("keeper"), before.at("keeper"));
  }
  void Removal() {
    KillCommand(kDown, down_time_);
    ExpectNothing();
    ExpectStanding();
  }
  // `during`: a command that speaks to the monitor meanwhile, or none.
  void MonitorKilled(const Words& during) {
    const char* const services[] = {"web", "job"};
    const std::string service = services[chance_.Below(2)];
    const auto before = Inits();
    const std::string id = IdOf(service);
    const pid_t monitor = MonitorOf(id);
    ASSERT_GT(monitor, 1) << "no monitor of " << service;
    if (during.empty()) {
      kill(monitor, SIGKILL);
    } else {
      Process process = StartSkiff(during);
      Pause(chance_.Below(20'000));
      kill(monitor, SIGKILL);
      process.Finish(20s);  // It may have been done, or not.
    }
    // A signal has been sent, not yet obeyed, when kill(2) returns; and a restart has replaced init.
    EXPECT_TRUE(Eventually([&] { return HasEnded(monitor); }));
    EXPECT_TRUE(Eventually([&] { return HasEnded(before.at(service)); }))
        << "the container of a dead monitor goes on";
    if (during.empty()) {
      EXPECT_EQ(Inspect(id, "{{.State.Status}} {{.State.ExitCode}}"), "exited 137");
    }
    std::string said;
    ExpectStanding(&said);
    if (during.empty()) {
      EXPECT_THAT(said, HasSubstr("kills-" + service + "-1 ended because its monitor was killed"));
    }
    EXPECT_EQ(InitOf("keeper"), before.at("keeper")) << "what runs keeps running";
  }
  void InitKilled() {
    const auto before = Inits();
    const bool restarts = chance_.Below(2) == 0;
    const std::string service = restarts ? "job" : "web";
    Pause(chance_.Below(5'000));
    kill(before.at(service), SIGKILL);
    if (restarts) {
      EXPECT_TRUE(Eventually([&] {
        return Inspect("kills-job-1", "{{.State.Running}}") == "true" &&
               InitOf("job") != before.at("job");
      })) << "its monitor starts it again";
    } else {
      EXPECT_TRUE(Eventually([&] {
        return Inspect("kills-web-1", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137";
      }));
    }
    ExpectStanding();
    EXPECT_EQ(InitOf("keeper"), before.at("keeper")) << "what runs keeps running";
  }

  const Words kRecreate = {"up", "-d", "-t", "0", "--force-recreate", "--no-deps", "web", "job"};
  Chance chance_;
  milliseconds up_time_{}, recreate_time_{}, down_time_{};
  Census standing_, nothing_;
};

TEST_F(KillsTest, TheNextCommandRepairsAndWhatRunsKeepsRunning) {
  Succeed(kUp);
  const int rounds = Rounds(60, 1000);
  std::map<std::string, int> done;
  for (int round = 0; round < rounds; ++round) {
    const int victim = chance_.Below(7);
    const char* const names[] = {
        "up", "recreation", "down", "monitor", "monitor in restart", "monitor in exec", "init"};
    SCOPED_TRACE(std::string("round ") + std::to_string(round) + ": " + names[victim]);
    switch (victim) {
      case 0:
        UpFromNothing();
        break;
      case 1:
        Recreation();
        break;
      case 2:
        Removal();
        break;
      case 3:
        MonitorKilled({});
        break;
      case 4:
        MonitorKilled({"restart", "-t", "0", "web", "job"});
        break;
      case 5:
        MonitorKilled({"exec", "-T", "web", "true"});
        break;
      default:
        InitKilled();
    }
    ++done[names[victim]];
    ASSERT_FALSE(HasFailure()) << "SKIFF_SEED=" << chance_.seed();
  }
  for (const auto& [name, times] : done) std::printf("%s: %d\n", name.c_str(), times);
}

}  // namespace
}  // namespace skiff::e2e
