#include "engine-core/launcher.h"

#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <map>

#include "engine-core/cgroup.h"

namespace skiff::engine {
namespace {

class LauncherTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "needs root: monitors are made in a PID namespace";
    program_ = std::filesystem::read_symlink("/proc/self/exe").parent_path() / "fake_monitor";
  }

  // What the monitor says about itself, by name.
  std::map<std::string, std::string> Launch(Launcher& launcher, const Launcher::Request& request) {
    std::map<std::string, std::string> facts;
    auto launched = launcher.Launch(request);
    EXPECT_TRUE(launched.has_value()) << launched.error().Text();
    if (!launched) return facts;
    auto report = Launcher::AwaitStart(*launched);
    EXPECT_TRUE(report.has_value()) << report.error().Text();
    int status = 0;
    EXPECT_EQ(waitpid(launched->pid, &status, 0), launched->pid);
    if (!report) return facts;
    facts["pid"] = std::to_string(report->host_pid);
    for (const std::string& line : report->warnings)
      facts[line.substr(0, line.find('='))] = line.substr(line.find('=') + 1);
    return facts;
  }

  static Launcher::Request Plain(const RuntimeSpec& spec) {
    Launcher::Request request;
    request.spec = EncodeRuntimeSpec(spec);
    return request;
  }
  static RuntimeSpec Spec() {
    RuntimeSpec spec;
    spec.id = "abc";
    return spec;
  }

  std::string program_;
};

TEST_F(LauncherTest, PutsMonitorsIntoANormalContext) {
  auto launcher = Launcher::Create(program_);
  ASSERT_TRUE(launcher.has_value()) << launcher.error().Text();
  // A context as cron, nohup and friends leave it, in a process of its own.
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, nullptr);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    umask(077);
    setpriority(PRIO_PROCESS, 0, 15);
    const gid_t groups[] = {5, 6};
    setgroups(2, groups);
    const rlimit files = {64, 64};
    setrlimit(RLIMIT_NOFILE, &files);
    const rlimit more = {64, 65};
    const bool may_raise = setrlimit(RLIMIT_NOFILE, &more) == 0;  // CAP_SYS_RESOURCE
    cpu_set_t first;
    CPU_ZERO(&first);
    CPU_SET(0, &first);
    sched_setaffinity(0, sizeof first, &first);
    if (chdir("/tmp") != 0) _exit(3);
    const Fd leaked(open("/", O_RDONLY));  // Without close-on-exec.
    dup2(leaked.get(), 50);
    const auto facts = Launch(**launcher, Plain(Spec()));
    EXPECT_EQ(facts.at("pid"), "1");
    EXPECT_EQ(facts.at("args"), "2 skiff-monitor abc");
    EXPECT_EQ(facts.at("fds"), "0 1 2 3 ");
    EXPECT_EQ(facts.at("cwd"), "/");
    EXPECT_EQ(facts.at("blocked"), "0000000000000000");
    EXPECT_EQ(facts.at("ignored"), "0000000000000000");
    EXPECT_EQ(facts.at("groups"), "");
    EXPECT_EQ(facts.at("umask"), "0022");
    EXPECT_EQ(facts.at("nice"), "0");
    EXPECT_EQ(facts.at("soft"), may_raise ? "1024" : "64");
    EXPECT_EQ(facts.at("session"), "own");
    EXPECT_EQ(facts.at("cpus"), std::to_string(sysconf(_SC_NPROCESSORS_ONLN)));
    EXPECT_EQ(facts.at("network"), "none");
    _exit(HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(LauncherTest, HandsOverDescriptorsAndLargeSpecifications) {
  auto launcher = Launcher::Create(program_);
  ASSERT_TRUE(launcher.has_value()) << launcher.error().Text();
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.has_value());
  RuntimeSpec spec = Spec();
  spec.environment.assign(1000, std::string(1000, 'x'));  // 1 MB
  Launcher::Request request;
  request.spec = EncodeRuntimeSpec(spec);
  request.attach_output = pipe->write.get();
  request.network_namespace = pipe->read.get();
  request.ports.assign(450, pipe->read.get());
  const auto facts = Launch(**launcher, request);
  EXPECT_EQ(facts.at("spec"), "abc 1000");
  EXPECT_EQ(facts.at("ports"), "450");
  EXPECT_EQ(facts.at("output"), "pipe");
  EXPECT_EQ(facts.at("network"), "there");
}

TEST_F(LauncherTest, RunsAProgramNobodyCanWriteTo) {
  auto launcher = Launcher::Create(program_);
  ASSERT_TRUE(launcher.has_value()) << launcher.error().Text();
  EXPECT_EQ(Launch(**launcher, Plain(Spec())).at("writable"), "no");
}

TEST_F(LauncherTest, StaysInTheHostsPidNamespaceForThoseWhoShareIt) {
  auto launcher = Launcher::Create(program_);
  ASSERT_TRUE(launcher.has_value()) << launcher.error().Text();
  RuntimeSpec spec = Spec();
  spec.pid.mode = NamespaceMode::kHost;
  EXPECT_NE(Launch(**launcher, Plain(spec)).at("pid"), "1");
}

TEST_F(LauncherTest, MovesMonitorsOutOfTheCallersCgroup) {
  auto manager = CgroupManager::Create({"1a0c0e5" + std::to_string(getpid() % 10), ""});
  ASSERT_TRUE(manager.has_value()) << manager.error().Text();
  const std::vector<std::string> folders = (*manager)->MonitorCgroups();
  if (folders.empty()) GTEST_SKIP() << "this process is in the root of every hierarchy";
  auto launcher = Launcher::Create({program_, folders});
  ASSERT_TRUE(launcher.has_value()) << launcher.error().Text();
  const auto facts = Launch(**launcher, Plain(Spec()));
  EXPECT_NE(facts.at("memory").find("/monitors"), std::string::npos) << facts.at("memory");
  const Status removed = (*manager)->RemoveRoot();
  EXPECT_TRUE(removed.has_value()) << removed.error().Text();
}

TEST_F(LauncherTest, SaysWhatKeepsAMonitorFromStarting) {
  EXPECT_EQ(Launcher::Create("/no/such/monitor").error().Text(),
            "cannot open the monitor's program '/no/such/monitor': No such file or directory");
  auto launcher = Launcher::Create("/etc/passwd");
  ASSERT_TRUE(launcher.has_value());
  EXPECT_EQ((*launcher)->Launch(Plain(Spec())).error().Text(),
            "cannot execute the monitor '/etc/passwd': Permission denied");
  // A program that ends without a word.
  launcher = Launcher::Create("/bin/true");
  ASSERT_TRUE(launcher.has_value());
  auto launched = (*launcher)->Launch(Plain(Spec()));
  ASSERT_TRUE(launched.has_value());
  EXPECT_EQ(Launcher::AwaitStart(*launched).error().code, Code::kUnavailable);
  EXPECT_EQ(waitpid(launched->pid, nullptr, 0), launched->pid);
}

}  // namespace
}  // namespace skiff::engine
