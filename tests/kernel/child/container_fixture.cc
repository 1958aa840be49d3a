#include "tests/kernel/child/container_fixture.h"

#include <fcntl.h>
#include <linux/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/atomic_file.h"
#include "engine-core/capabilities.h"
#include "engine-core/runtime_defaults.h"

namespace skiff::engine::child {
namespace {

constexpr const char* kApplets[] = {
    "sh",   "cat",   "echo",     "ls",      "id",     "true",     "false", "grep",
    "stat", "mount", "sleep",    "touch",   "mkdir",  "hostname", "env",   "tty",
    "wc",   "ps",    "kill",     "unshare", "mknod",  "dd",       "rm",    "ln",
    "test", "sort",  "readlink", "awk",     "printf", "chroot",   "find",  "umount",
    "head", "cut",   "sed",      "setsid",  "stty"};

std::vector<std::string> MountsBelow(const std::string& folder) {
  std::ifstream mountinfo("/proc/self/mountinfo");
  std::vector<std::string> lines;
  for (std::string line; std::getline(mountinfo, line);) {
    if (line.find(folder) != line.npos) lines.push_back(line);
  }
  return lines;
}

}  // namespace

void ContainerTest::SetUp() {
  if (geteuid() != 0) GTEST_SKIP() << "needs root: it makes namespaces and mounts";
  if (access("/bin/busybox", X_OK) != 0) GTEST_SKIP() << "needs /bin/busybox (busybox-static)";
  char name[] = "/tmp/skiff-child-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  root_ = name;
  for (const char* path : {"/image/bin", "/image/etc", "/image/tmp", "/image/proc", "/image/sys",
                           "/image/dev", "/upper", "/work"}) {
    std::filesystem::create_directories(root_ + path);
  }
  std::filesystem::copy_file("/bin/busybox", ImagePath("/bin/busybox"));
  for (const char* applet : kApplets)
    std::filesystem::create_symlink("busybox", ImagePath("/bin/") + applet);
  WriteImageFile("/etc/passwd",
                 "root:x:0:0:root:/root:/bin/sh\n"
                 "alice:x:1000:1001:Alice:/home/alice:/bin/sh\n"
                 "2147483648:x:0:0:trap:/:/bin/sh\n"
                 "77:x:0:0:trap:/:/bin/sh\n");
  WriteImageFile("/etc/group",
                 "root:x:0:\nalice:x:1001:\nwheel:x:10:bob,alice\naudio:x:29:alice\n"
                 "games:x:60:malice\n");
}

void ContainerTest::TearDown() {
  if (root_.empty()) return;
  ForceOverlayMethodForTesting(OverlayMethod::kAutomatic);
  EXPECT_EQ(MountsBelow(root_), std::vector<std::string>()) << "the host carries a mount of ours";
  EXPECT_TRUE(RemoveTree(root_).has_value());
}

RuntimeSpec ContainerTest::MakeSpec(std::vector<std::string> args) const {
  RuntimeSpec spec;
  spec.id = "0123456789ab";
  spec.hostname = "box";
  spec.args = std::move(args);
  spec.environment = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
  spec.capabilities = kDefaultCapabilities;
  spec.root.lower = {root_ + "/image"};
  spec.root.upper = root_ + "/upper";
  spec.root.work = root_ + "/work";
  spec.mounts = DefaultMounts({});
  spec.masked_paths = DefaultMaskedPaths();
  spec.read_only_paths = DefaultReadOnlyPaths();
  spec.network.mode = NamespaceMode::kHost;
  return spec;
}

void ContainerTest::WriteImageFile(const std::string& path, std::string_view text, mode_t mode) {
  const std::string full = ImagePath(path);
  std::filesystem::create_directories(std::filesystem::path(full).parent_path());
  std::ofstream(full) << text;
  ASSERT_EQ(chmod(full.c_str(), mode), 0);
}

std::string ContainerTest::MakeFolder(const std::string& name) {
  std::filesystem::create_directories(root_ + "/" + name);
  return root_ + "/" + name;
}

Running ContainerTest::Follow(Result<Starting> started, Fd output) {
  Running running;
  running.output = std::move(output);
  if (!started) {
    running.error = started.error().Text();
    return running;
  }
  running.process = std::move(*started);
  for (;;) {
    auto report = ReadReport(running.process);
    if (!report) {
      running.error = report.error().Text();
      return running;
    }
    if (*report == nullptr) return running;
    switch ((*report)->stage) {
      case Stage::kReady:
        EXPECT_TRUE(Release(running.process).has_value());
        break;
      case Stage::kWarning:
        running.warnings.push_back((*report)->text);
        break;
      case Stage::kTerminal:
        running.terminal = std::move((*report)->terminal);
        break;
      case Stage::kFailed:
        running.error = (*report)->text;
        running.exit_code = (*report)->exit_code;
        return running;
    }
  }
}

Running ContainerTest::Start(const RuntimeSpec& spec) {
  auto pipe = MakePipe();
  EXPECT_TRUE(pipe.has_value());
  const Stdio stdio = {-1, pipe->write.get(), pipe->write.get()};
  return Follow(StartInit(spec, -1, stdio), std::move(pipe->read));
}

Running ContainerTest::StartExecIn(const RuntimeSpec& spec, const Running& init,
                                   const ExecSpec& exec) {
  auto pipe = MakePipe();
  EXPECT_TRUE(pipe.has_value());
  const Stdio stdio = {-1, pipe->write.get(), pipe->write.get()};
  return Follow(StartExec(spec, init.process.pidfd.get(), exec, stdio), std::move(pipe->read));
}

Outcome ContainerTest::Finish(Running running) {
  Outcome outcome;
  outcome.warnings = std::move(running.warnings);
  outcome.error = running.error;
  outcome.executed = running.error.empty();
  outcome.exit_code = running.exit_code;
  if (running.process.pid <= 0) return outcome;
  const int source = running.terminal ? running.terminal.get() : running.output.get();
  char buffer[4096];
  for (ssize_t got; (got = read(source, buffer, sizeof buffer)) > 0;)
    outcome.output.append(buffer, got);
  int status = 0;
  EXPECT_EQ(waitpid(running.process.pid, &status, 0), running.process.pid);
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  if (outcome.executed) outcome.exit_code = code;
  return outcome;
}

std::string ContainerTest::Output(const RuntimeSpec& spec) {
  const Outcome outcome = Run(spec);
  EXPECT_EQ(outcome.error, "");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.output;
  return outcome.output;
}

}  // namespace skiff::engine::child
