#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/text.h"
#include "engine-core/layout.h"
#include "tests/kernel/engine-core/engine_fixture.h"

// Below systemd (DESIGN 3). Elsewhere these say nothing: tests/guest runs them.
namespace skiff::engine {
namespace {

class SystemdTest : public EngineTest {
 protected:
  void SetUp() override {
    if (::access("/run/systemd/system", F_OK) != 0) GTEST_SKIP() << "needs systemd as PID 1";
    EngineTest::SetUp();
    unit_ = "skiff-" + RootHash(Options().root) + ".scope";
  }

  // The folder of a process that is followed by systemd: that of v2, or of "name=systemd".
  static std::string CgroupOf(pid_t pid) {
    const std::string text =
        ReadFile("/proc/" + std::to_string(pid) + "/cgroup").value_or(std::string());
    EXPECT_NE(text, "");
    std::string found;
    for (const std::string_view line : Split(text, '\n')) {
      const std::vector<std::string_view> parts = Split(line, ':');
      if (parts.size() == 3 && (parts[0] == "0" || parts[1] == "name=systemd")) found = parts[2];
    }
    return found;
  }
  static pid_t ParentOf(pid_t pid) {
    const auto text = ReadFile("/proc/" + std::to_string(pid) + "/status");
    EXPECT_TRUE(text) << "no process " << pid;
    if (!text) return -1;
    const size_t at = text->find("\nPPid:");
    return ParseNumber<pid_t>(Trim(text->substr(at + 6, text->find('\n', at + 1) - at - 6)))
        .value_or(-1);
  }
  pid_t PidOf(const std::string& name) {
    const auto container = engine_->InspectContainer(name);
    EXPECT_TRUE(container) << container.error().Text();
    return container ? static_cast<pid_t>(container->state.pid) : -1;
  }
  bool Stands() const { return ::access(("/run/systemd/transient/" + unit_).c_str(), F_OK) == 0; }
  // systemd puts a unit away some time after its last process, and its file with it.
  bool Gone() const {
    const Fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    EXPECT_GE(::inotify_add_watch(changes.get(), "/run/systemd/transient", IN_DELETE), 0);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (Stands()) {
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
          deadline - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
      pollfd waiting = {changes.get(), POLLIN, 0};
      ::poll(&waiting, 1, static_cast<int>(left.count()));
      char events[4096];
      while (::read(changes.get(), events, sizeof events) > 0) {
      }
    }
    return true;
  }
  static std::string Show(const std::string& unit, const std::string& property) {
    auto pipe = MakePipe();
    EXPECT_TRUE(pipe);
    const pid_t pid = ::fork();
    if (pid == 0) {
      ::dup2(pipe->write.get(), 1);
      ::execlp("systemctl", "systemctl", "show", "--value", "-p", property.c_str(), unit.c_str(),
               nullptr);
      ::_exit(127);
    }
    pipe->write.Reset();
    const auto output = ReadAll(pipe->read.get(), 1 << 16, "systemctl");
    EXPECT_EQ(::waitpid(pid, nullptr, 0), pid);
    return std::string(Trim(output.value_or("")));
  }

  std::string unit_;
};

TEST_F(SystemdTest, MonitorsAndContainersLiveInAUnitOfTheirOwn) {
  const std::string id = Run(Sleeper("one"));
  const pid_t pid = PidOf("one");
  ASSERT_GT(pid, 0);
  const std::string base = "/system.slice/" + unit_ + "/skiff-" + RootHash(Options().root);
  EXPECT_EQ(CgroupOf(pid), base + "/" + id);
  EXPECT_EQ(CgroupOf(ParentOf(pid)), base + "/monitors");
  EXPECT_EQ(Show(unit_, "ActiveState"), "active");
  EXPECT_EQ(Show(unit_, "Delegate"), "yes");
  EXPECT_EQ(Show(unit_, "TasksMax"), "infinity");
  EXPECT_EQ(notices_, std::vector<std::string>());
}

TEST_F(SystemdTest, TheCallerStaysWhereItIs) {
  const std::string before = CgroupOf(::getpid());
  Run(Sleeper("one"));
  EXPECT_EQ(CgroupOf(::getpid()), before);
  EXPECT_NE(CgroupOf(PidOf("one")).find(unit_), std::string::npos);
}

TEST_F(SystemdTest, LimitsHoldBelowTheUnit) {
  ContainerConfig config = Sleeper("one");
  config.resources.memory = 64 << 20;
  config.resources.pids = 32;
  const std::string id = Run(config);
  const std::string folder = "/sys/fs/cgroup" + CgroupOf(PidOf("one"));
  if (!std::filesystem::exists("/sys/fs/cgroup/cgroup.controllers")) {
    GTEST_SKIP() << "needs cgroup v2 alone";
  }
  EXPECT_EQ(ReadFile(folder + "/memory.max").value_or(""), "67108864\n");
  EXPECT_EQ(ReadFile(folder + "/pids.max").value_or(""), "32\n");
  for (const char* controller : {"cpu", "memory", "pids", "io"}) {
    EXPECT_NE(ReadFile(folder + "/cgroup.controllers").value_or("").find(controller),
              std::string::npos)
        << controller;
  }
}

TEST_F(SystemdTest, TheUnitOutlivesTheCommandAndEndsWithTheLastContainer) {
  Run(Sleeper("one"));
  engine_ = Another();  // The command that started it is over.
  EXPECT_TRUE(Stands());
  EXPECT_EQ(Show(unit_, "ActiveState"), "active");
  ASSERT_TRUE(engine_->RemoveContainer("one", {true, false}));
  ASSERT_TRUE(engine_->Commit());
  engine_.reset();
  EXPECT_TRUE(Gone());
  EXPECT_FALSE(std::filesystem::exists("/sys/fs/cgroup/system.slice/" + unit_));
  engine_ = Another();
  Run(Sleeper("two"));
  EXPECT_NE(CgroupOf(PidOf("two")).find(unit_), std::string::npos);
  EXPECT_TRUE(Stands());
}

TEST_F(SystemdTest, LookingAndStoppingMakeNoUnit) {
  Run(Sleeper("one"));
  ASSERT_TRUE(engine_->StopContainer("one", {}));
  engine_ = Another();
  ASSERT_TRUE(Gone());
  ASSERT_TRUE(engine_->ListContainers({true, {}}));
  ASSERT_TRUE(engine_->StopContainer("one", {}));
  EXPECT_FALSE(Stands());
  ASSERT_TRUE(engine_->RemoveContainer("one", {true, false}));
  ASSERT_TRUE(engine_->Commit());
  EXPECT_FALSE(Stands());
}

TEST_F(SystemdTest, AfterAStopOfTheUnitTheSameCommandMakesItAnew) {
  Run(Sleeper("one"));
  const std::string kill = "/sys/fs/cgroup/system.slice/" + unit_ + "/cgroup.kill";
  if (::access(kill.c_str(), W_OK) != 0) GTEST_SKIP() << "needs cgroup.kill (cgroup v2)";
  const pid_t monitor = ParentOf(PidOf("one"));
  const Fd ended(static_cast<int>(::syscall(SYS_pidfd_open, monitor, 0)));
  ASSERT_TRUE(ended);
  const auto file = OpenFile(kill, O_WRONLY);
  ASSERT_TRUE(file);
  ASSERT_TRUE(WriteAll(file->get(), "1", kill));
  pollfd waiting = {ended.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&waiting, 1, 20'000), 1);
  EXPECT_EQ(engine_->InspectContainer("one")->state.status, ContainerStatus::kExited);
  ASSERT_TRUE(Gone());  // What "systemctl stop" waits for.
  Run(Sleeper("two"));
  EXPECT_EQ(CgroupOf(ParentOf(PidOf("two"))),
            "/system.slice/" + unit_ + "/skiff-" + RootHash(Options().root) + "/monitors");
  EXPECT_TRUE(Stands());
  EXPECT_EQ(Show(unit_, "ActiveState"), "active");
}

TEST_F(SystemdTest, WithoutTheUnitAContainerRunsWithANotice) {
  ASSERT_TRUE(ConfigureFailpoints("engine.delegated_unit=error"));
  const std::string id = Run(Sleeper("one"));
  ASSERT_TRUE(ConfigureFailpoints(""));
  ASSERT_EQ(notices_.size(), 1u);
  EXPECT_TRUE(notices_[0].starts_with("containers run without a unit of systemd: ")) << notices_[0];
  EXPECT_FALSE(Stands());
  EXPECT_EQ(CgroupOf(PidOf("one")),
            "/system.slice/" + unit_ + "/skiff-" + RootHash(Options().root) + "/" + id);
}

}  // namespace
}  // namespace skiff::engine
