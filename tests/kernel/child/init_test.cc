#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "base/fd.h"
#include "base/text.h"
#include "engine-core/capabilities.h"
#include "engine-core/runtime_defaults.h"
#include "tests/kernel/child/container_fixture.h"

namespace skiff::engine::child {
namespace {

using InitTest = ContainerTest;

std::string FieldOf(const std::string& text, const std::string& name) {
  for (const std::string_view line : Split(text, '\n')) {
    if (line.rfind(name, 0) == 0) return std::string(Trim(line.substr(name.size())));
  }
  return "(no " + name + ")";
}

TEST_F(InitTest, RunsAProgramAndReportsItsStatus) {
  EXPECT_EQ(Run(ShellSpec("echo hello; exit 7")).output, "hello\n");
  EXPECT_EQ(Run(ShellSpec("exit 7")).exit_code, 7);
  EXPECT_EQ(Run(MakeSpec({"true"})).exit_code, 0);
  EXPECT_EQ(Run(ShellSpec("kill -9 $$")).exit_code, 0) << "PID 1 cannot kill itself";
}

struct ProgramCase {
  std::string program;
  int exit_code;
  std::string error;
};

TEST_F(InitTest, SaysWhyAProgramCannotBeExecuted) {
  WriteImageFile("/bin/plain", "text", 0644);
  WriteImageFile("/bin/lost", "#!/no/such/interpreter\n", 0755);
  WriteImageFile("/bin/garbage", "garbage", 0755);
  WriteImageFile("/file", "text", 0644);
  const ProgramCase cases[] = {
      {"nothing", 127, "exec: \"nothing\": executable file not found in $PATH"},
      {"plain", 127, "exec: \"plain\": executable file not found in $PATH"},
      {"", 127, "exec: \"\": executable file not found in $PATH"},
      {"/nothing", 127, "exec: \"/nothing\": stat /nothing: no such file or directory"},
      {"/file/x", 127, "exec: \"/file/x\": stat /file/x: not a directory"},
      {"/bin/plain", 126, "exec: \"/bin/plain\": permission denied"},
      {"/bin", 126, "exec: \"/bin\": is a directory"},
      {"/bin/lost", 127, "exec: \"/bin/lost\": no such file or directory"},
      {"/bin/garbage", 128, "exec: \"/bin/garbage\": exec format error"},
  };
  for (const ProgramCase& test : cases) {
    for (const bool init : {false, true}) {
      RuntimeSpec spec = MakeSpec({test.program});
      spec.use_init = init;
      const Outcome outcome = Run(spec);
      EXPECT_EQ(outcome.error, test.error);
      EXPECT_EQ(outcome.exit_code, test.exit_code) << test.program;
    }
  }
}

TEST_F(InitTest, GivesDockersCapabilitiesToRoot) {
  const std::string status = Output(MakeSpec({"cat", "/proc/self/status"}));
  EXPECT_EQ(FieldOf(status, "CapInh:"), "0000000000000000");
  EXPECT_EQ(FieldOf(status, "CapPrm:"), "00000000a80425fb");
  EXPECT_EQ(FieldOf(status, "CapEff:"), "00000000a80425fb");
  EXPECT_EQ(FieldOf(status, "CapBnd:"), "00000000a80425fb");
  EXPECT_EQ(FieldOf(status, "CapAmb:"), "0000000000000000");
  EXPECT_EQ(FieldOf(status, "NoNewPrivs:"), "0");
  EXPECT_EQ(FieldOf(status, "Seccomp:"), "2");
  EXPECT_EQ(FieldOf(status, "SigBlk:"), "0000000000000000");
  EXPECT_EQ(FieldOf(status, "SigIgn:"), "0000000000000000");
  EXPECT_EQ(FieldOf(status, "Umask:"), "0022");
  EXPECT_EQ(FieldOf(status, "NSpid:"), "1");
}

TEST_F(InitTest, LeavesAnOtherUserOnlyTheBoundingSet) {
  for (const bool no_new_privileges : {false, true}) {
    RuntimeSpec spec = MakeSpec({"cat", "/proc/self/status"});
    spec.user = "alice";
    spec.no_new_privileges = no_new_privileges;
    const std::string status = Output(spec);
    EXPECT_EQ(FieldOf(status, "CapInh:"), "0000000000000000");
    EXPECT_EQ(FieldOf(status, "CapPrm:"), "0000000000000000");
    EXPECT_EQ(FieldOf(status, "CapEff:"), "0000000000000000");
    EXPECT_EQ(FieldOf(status, "CapBnd:"), "00000000a80425fb");
    EXPECT_EQ(FieldOf(status, "NoNewPrivs:"), no_new_privileges ? "1" : "0");
    EXPECT_EQ(FieldOf(status, "Seccomp:"), "2");
  }
}

TEST_F(InitTest, DropsAllCapabilities) {
  RuntimeSpec spec = MakeSpec({"cat", "/proc/self/status"});
  spec.capabilities = 0;
  const std::string status = Output(spec);
  EXPECT_EQ(FieldOf(status, "CapEff:"), "0000000000000000");
  EXPECT_EQ(FieldOf(status, "CapBnd:"), "0000000000000000");
  EXPECT_EQ(FieldOf(status, "Seccomp:"), "2");
}

TEST_F(InitTest, ShowsOnlyStandardDescriptors) {
  const Fd leaked(open("/", O_RDONLY));  // Without close-on-exec.
  ASSERT_TRUE(leaked.valid());
  for (const bool init : {false, true}) {
    RuntimeSpec spec =
        ShellSpec("for f in /proc/self/fd/*; do test -e $f && echo ${f##*/}; done; true");
    spec.use_init = init;
    EXPECT_EQ(Output(spec), "0\n1\n2\n");
  }
  RuntimeSpec spec = ShellSpec("ls /proc/1/fd | wc -l");
  spec.capabilities = AvailableCapabilities();
  spec.use_init = true;
  EXPECT_EQ(Output(spec), "3\n");
}

TEST_F(InitTest, MountsDockersFileSystems) {
  const std::string mounts = Output(MakeSpec({"cat", "/proc/self/mounts"}));
  EXPECT_NE(mounts.find("overlay / overlay rw,"), mounts.npos) << mounts;
  EXPECT_NE(mounts.find("proc /proc proc rw,nosuid,nodev,noexec,relatime"), mounts.npos) << mounts;
  EXPECT_NE(mounts.find(" /dev tmpfs rw,nosuid,size=65536k,mode=755"), mounts.npos) << mounts;
  EXPECT_NE(mounts.find(" /dev/pts devpts rw,nosuid,noexec,relatime,gid=5,mode=620,ptmxmode=666"),
            mounts.npos)
      << mounts;
  EXPECT_NE(mounts.find(" /sys sysfs ro,nosuid,nodev,noexec,relatime"), mounts.npos) << mounts;
  EXPECT_NE(mounts.find(" /dev/mqueue mqueue rw,nosuid,nodev,noexec,relatime"), mounts.npos);
  EXPECT_NE(mounts.find(" /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k"), mounts.npos)
      << mounts;
}

TEST_F(InitTest, MakesDockersDevices) {
  const std::string listing = Output(
      ShellSpec("cd /dev; stat -c '%n %F %t:%T %a %u:%g' null zero full random urandom tty; "
                "for l in fd stdin stdout stderr core ptmx; do echo $l $(readlink $l); done; "
                "ls -d console 2>/dev/null; echo x > /dev/null && head -c 1 /dev/zero | wc -c"));
  EXPECT_EQ(listing,
            "null character special file 1:3 666 0:0\n"
            "zero character special file 1:5 666 0:0\n"
            "full character special file 1:7 666 0:0\n"
            "random character special file 1:8 666 0:0\n"
            "urandom character special file 1:9 666 0:0\n"
            "tty character special file 5:0 666 0:0\n"
            "fd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\n"
            "stderr /proc/self/fd/2\n" +
                std::string(std::filesystem::exists("/proc/kcore") ? "core /proc/kcore" : "core") +
                "\nptmx pts/ptmx\n1\n");
}

TEST_F(InitTest, MakesAskedDevices) {
  RuntimeSpec spec = MakeSpec({"stat", "-c", "%n %t:%T %a %u:%g", "/dev/snd/x", "/opt/loop"});
  spec.devices = {{"/dev/snd/x", false, 10, 200, 0640, 1, 2},
                  {"/opt/loop", true, 7, 3, 0600, 0, 0}};
  EXPECT_EQ(Output(spec), "/dev/snd/x a:c8 640 1:2\n/opt/loop 7:3 600 0:0\n");
}

TEST_F(InitTest, HidesAndProtectsPathsOfProc) {
  EXPECT_EQ(Output(ShellSpec("cat /proc/keys /proc/timer_list /proc/interrupts | wc -c; "
                             "ls /sys/firmware | wc -l")),
            "0\n0\n");
  EXPECT_EQ(Output(ShellSpec("stat -c '%F %t:%T' /proc/keys")), "character special file 1:3\n");
  const Outcome sysctl = Run(ShellSpec("echo 1 > /proc/sys/kernel/panic"));
  EXPECT_NE(sysctl.output.find("Read-only file system"), sysctl.output.npos) << sysctl.output;
  const Outcome irq = Run(ShellSpec("echo 1 > /proc/irq/default_smp_affinity"));
  EXPECT_NE(irq.output.find("Read-only file system"), irq.output.npos) << irq.output;
  const Outcome write = Run(ShellSpec("echo x > /sys/firmware/x"));
  EXPECT_NE(write.output.find("Read-only file system"), write.output.npos) << write.output;
}

TEST_F(InitTest, MountsTheRootReadOnly) {
  RuntimeSpec spec = ShellSpec("touch /x; touch /dev/x && echo dev; touch /data/x && echo data");
  spec.root.read_only = true;
  RuntimeMount data;
  data.kind = RuntimeMountKind::kTmpfs;
  data.target = "/data";
  spec.mounts.push_back(data);
  EXPECT_EQ(Output(spec), "touch: /x: Read-only file system\ndev\ndata\n");
}

TEST_F(InitTest, KeepsChangesInTheUpperFolder) {
  EXPECT_EQ(Output(ShellSpec("echo kept > /etc/kept")), "");
  EXPECT_EQ(Output(ShellSpec("cat /etc/kept")), "kept\n");
  EXPECT_FALSE(std::filesystem::exists(ImagePath("/etc/kept")));
}

TEST_F(InitTest, SetsNamesAndSysctls) {
  RuntimeSpec spec = ShellSpec("hostname; cat /proc/sys/kernel/domainname /proc/sys/kernel/msgmax");
  spec.domainname = "example.org";
  spec.sysctls = {"kernel.msgmax=4321"};
  EXPECT_EQ(Output(spec), "box\nexample.org\n4321\n");
  spec.sysctls = {"kernel.nonsense=1"};
  EXPECT_EQ(Run(spec).error, "cannot set sysctl 'kernel.nonsense': No such file or directory");
  spec.sysctls = {"../../etc/passwd=1"};
  EXPECT_FALSE(Run(spec).executed);
}

TEST_F(InitTest, SetsLimitsAsFarAsAllowed) {
  RuntimeSpec spec = ShellSpec("ulimit -n; ulimit -Hn; cat /proc/self/oom_score_adj");
  spec.ulimits = {{7, 512, 600}};
  spec.oom_score_adj = 321;
  EXPECT_EQ(Output(spec), "512\n600\n321\n");
  spec.ulimits = {{7, 4, 4}};
  EXPECT_EQ(Output(spec), "4\n4\n321\n") << "less than the start itself needs";
  if ((AvailableCapabilities() >> 24 & 1) != 0) GTEST_SKIP() << "may raise every limit";
  spec.ulimits = {{7, 2000000000, 2000000000}};
  const Outcome outcome = Run(spec);
  EXPECT_TRUE(outcome.executed) << outcome.error;
  EXPECT_EQ(outcome.warnings,
            std::vector<std::string>{"cannot raise the hard limit; it stays as it is: ulimit "
                                     "'nofile': Operation not permitted"});
}

TEST_F(InitTest, NeverTakesTheHostsNetworkByMistake) {
  RuntimeSpec spec = MakeSpec({"true"});
  spec.network.mode = NamespaceMode::kNew;
  EXPECT_EQ(Run(spec).error, "the container's network namespace is missing");
}

TEST_F(InitTest, EntersTheNetworkItIsGiven) {
  // A namespace of its own, held by a process that waits for its end.
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.has_value());
  const pid_t holder = fork();
  ASSERT_GE(holder, 0);
  if (holder == 0) {
    pipe->write.Reset();
    char byte;
    _exit(unshare(CLONE_NEWNET) == 0 && write(1, "", 0) == 0 &&
                  read(pipe->read.get(), &byte, 1) == 0
              ? 0
              : 1);
  }
  const std::string path = "/proc/" + std::to_string(holder) + "/ns/net";
  const auto own = std::filesystem::read_symlink("/proc/self/ns/net");
  while (std::filesystem::read_symlink(path) == own) sched_yield();
  RuntimeSpec spec = ShellSpec("ls /sys/class/net; cat /proc/sys/net/ipv4/ip_default_ttl");
  spec.network = {NamespaceMode::kJoin, path};
  spec.sysctls = {"net.ipv4.ip_default_ttl=77"};
  EXPECT_EQ(Output(spec), "lo\n77\n");
  EXPECT_NE(*ReadFile("/proc/sys/net/ipv4/ip_default_ttl"), "77\n");
  pipe->write.Reset();
  EXPECT_EQ(waitpid(holder, nullptr, 0), holder);
}

TEST_F(InitTest, BindsFilesAndFolders) {
  const std::string source = MakeFolder("source");
  std::ofstream(source + "/file") << "content\n";
  RuntimeMount folder, file, made;
  folder.source = source;
  folder.target = "/new/deep/folder";
  folder.flags = MS_RDONLY;
  file.source = source + "/file";
  file.target = "/etc/new/file";
  RuntimeSpec spec = ShellSpec(
      "cat /new/deep/folder/file /etc/new/file; touch /new/deep/folder/x; echo more >> "
      "/etc/new/file");
  spec.mounts.push_back(folder);
  spec.mounts.push_back(file);
  EXPECT_EQ(Run(spec).output,
            "content\ncontent\ntouch: /new/deep/folder/x: Read-only file system\n");
  EXPECT_EQ(*ReadFile(source + "/file"), "content\nmore\n");

  spec = MakeSpec({"true"});
  folder.source = source + "/missing";
  spec.mounts.push_back(folder);
  const Outcome missing = Run(spec);
  EXPECT_EQ(missing.error, "bind source path does not exist: " + source + "/missing");
  EXPECT_EQ(missing.exit_code, 128);
}

TEST_F(InitTest, MakesReadOnlyBindsRecursive) {
  const std::string source = MakeFolder("source");
  std::filesystem::create_directories(source + "/below");
  // /dev/pts is a mount below /dev of the host: a read-only bind of /dev covers it too.
  RuntimeMount bind;
  bind.source = "/dev";
  bind.target = "/hostdev";
  bind.flags = MS_RDONLY;
  RuntimeSpec spec = ShellSpec("touch /hostdev/shm/skiff-must-not-exist");
  spec.mounts.push_back(bind);
  EXPECT_NE(Run(spec).output.find("Read-only file system"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists("/dev/shm/skiff-must-not-exist"));
}

TEST_F(InitTest, RefusesBindsInsideProcAndKindsThatDoNotMatch) {
  const std::string source = MakeFolder("source");
  RuntimeMount bind;
  bind.source = source;
  bind.target = "/proc/sys";
  RuntimeSpec spec = MakeSpec({"true"});
  spec.mounts.push_back(bind);
  EXPECT_EQ(Run(spec).error, "cannot mount on '/proc/sys': it is inside /proc");
  spec.mounts.back().target = "/etc/passwd";
  const Outcome outcome = Run(spec);
  EXPECT_EQ(outcome.error,
            "cannot mount on '/etc/passwd': not a directory (a directory on a file, or a file on a "
            "directory)");
  EXPECT_EQ(outcome.exit_code, 127);
}

TEST_F(InitTest, ResolvesMountTargetsInsideTheRoot) {
  const std::string canary = MakeFolder("canary");
  const std::string source = MakeFolder("source");
  std::ofstream(source + "/file") << "bound\n";
  std::filesystem::create_symlink(canary, ImagePath("/absolute"));
  std::filesystem::create_symlink("../../../../../../.." + canary, ImagePath("/relative"));
  std::filesystem::create_symlink("/run", ImagePath("/var-run"));
  for (const char* target : {"/absolute", "/relative/x", "/var-run/secrets", "/absolute/a/b"}) {
    RuntimeSpec spec = MakeSpec({"cat", std::string(target) + "/file"});
    RuntimeMount bind;
    bind.source = source;
    bind.target = target;
    spec.mounts.push_back(bind);
    EXPECT_EQ(Output(spec), "bound\n") << target;
  }
  EXPECT_TRUE(std::filesystem::is_empty(canary));
}

TEST_F(InitTest, RefusesLinksWhereItsOwnFileSystemsGo) {
  for (const std::string name : {"/proc", "/sys", "/dev"}) {
    const std::string path = ImagePath(name);
    std::filesystem::remove(path);
    std::filesystem::create_symlink("/tmp", path);
    EXPECT_EQ(Run(MakeSpec({"true"})).error,
              "cannot mount on '" + name +
                  "': it must be an ordinary directory, the image has a link there");
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
  }
}

TEST_F(InitTest, GivesATmpfsTheModeOfWhatItCovers) {
  std::filesystem::create_directory(ImagePath("/private"));
  ASSERT_EQ(chmod(ImagePath("/private").c_str(), 0750), 0);
  RuntimeSpec spec = MakeSpec({"stat", "-c", "%a", "/private", "/fresh", "/given"});
  for (const char* target : {"/private", "/fresh", "/given"}) {
    RuntimeMount mount;
    mount.kind = RuntimeMountKind::kTmpfs;
    mount.target = target;
    mount.data = "size=1m,noexec";
    spec.mounts.push_back(mount);
  }
  spec.mounts.back().data = "mode=0711";
  EXPECT_EQ(Output(spec), "750\n1777\n711\n");
  spec.mounts.back().data = "nonsense=1";
  EXPECT_EQ(Run(spec).error, "cannot mount on '/given': option 'nonsense': Invalid argument");
}

TEST_F(InitTest, WorksWhereItShould) {
  RuntimeSpec spec = ShellSpec("pwd; stat -c '%u %a' .");
  spec.cwd = "/srv/new/place";
  EXPECT_EQ(Output(spec), "/srv/new/place\n0 755\n");
  spec.root.read_only = true;
  EXPECT_EQ(Output(spec), "/srv/new/place\n0 755\n");
  spec.cwd = "relative";
  EXPECT_EQ(Run(spec).error, "the working directory 'relative' is not an absolute path");
  spec.cwd = "/etc/passwd";
  EXPECT_EQ(Run(spec).error, "cannot use the working directory '/etc/passwd': Not a directory");
}

TEST_F(InitTest, NeverWorksInAFolderOfTheHost) {
  const Fd leaked(open("/", O_RDONLY | O_DIRECTORY));
  for (int number = 3; number < 40; ++number) {
    RuntimeSpec spec = MakeSpec({"true"});
    spec.cwd = "/proc/self/fd/" + std::to_string(number);
    EXPECT_FALSE(Run(spec).executed) << spec.cwd;
  }
  const std::string canary = MakeFolder("canary");
  std::filesystem::create_symlink(canary, ImagePath("/link"));
  RuntimeSpec spec = ShellSpec("pwd");
  spec.cwd = "/link/below";
  EXPECT_EQ(Output(spec), canary + "/below\n");
  EXPECT_TRUE(std::filesystem::is_empty(canary));
}

TEST_F(InitTest, IsPartOfNoForeignSession) {
  EXPECT_EQ(Output(ShellSpec("awk '{print $5, $6, $7}' /proc/1/stat")), "1 1 0\n");
}

TEST_F(InitTest, RefusesWhatTheSeccompPolicyDenies) {
  const Outcome outcome =
      Run(ShellSpec("unshare -m true; mount -t tmpfs none /tmp; chroot / true"));
  EXPECT_EQ(outcome.output,
            "unshare: unshare(0x20000): Operation not permitted\n"
            "mount: permission denied (are you root?)\n");
  EXPECT_EQ(outcome.exit_code, 0);
}

TEST_F(InitTest, PrivilegedMayMount) {
  RuntimeSpec spec = ShellSpec("mount -t tmpfs none /tmp && grep -c ' /tmp tmpfs' /proc/mounts");
  spec.privileged = true;
  spec.seccomp = false;
  spec.capabilities = AvailableCapabilities();
  spec.mounts = DefaultMounts({.privileged = true});
  spec.masked_paths.clear();
  spec.read_only_paths.clear();
  EXPECT_EQ(Output(spec), "1\n");
}

TEST_F(InitTest, PrivilegedSeesTheHostsDevices) {
  RuntimeSpec spec = ShellSpec("ls /dev/null /dev/zero && find /dev -type b -o -type c | wc -l");
  spec.capabilities = AvailableCapabilities();
  spec.seccomp = false;
  spec.devices = HostDevices();
  ASSERT_GT(spec.devices.size(), 10u);
  const std::string output = Output(spec);
  EXPECT_EQ(output.rfind("/dev/null\n/dev/zero\n", 0), 0u);
  EXPECT_GE(std::stoul(output.substr(20)), spec.devices.size());
}

// A process of the test in a mount namespace of its own, where mounts may be made and shared.
void InOwnMountNamespace(const std::function<void()>& body) {
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    if (unshare(CLONE_NEWNS) != 0 ||
        syscall(SYS_mount, "", "/", "", MS_REC | MS_PRIVATE, nullptr) != 0) {
      _exit(2);
    }
    body();
    _exit(::testing::Test::HasFailure() ? 1 : 0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(InitTest, PropagatesMountsAsAsked) {
  const std::string source = MakeFolder("source");
  InOwnMountNamespace([&] {
    ASSERT_EQ(syscall(SYS_mount, "t", source.c_str(), "tmpfs", 0, nullptr), 0);
    ASSERT_EQ(syscall(SYS_mount, "", source.c_str(), "", MS_SHARED, nullptr), 0);
    struct Case {
      const char* propagation;
      const char* inside;   // Is a mount made on the host seen?
      const char* outside;  // Is a mount made in the container seen?
    };
    for (const Case& test :
         {Case{"", "no", "no"}, Case{"rslave", "yes", "no"}, Case{"rshared", "yes", "yes"}}) {
      RuntimeMount bind;
      bind.source = source;
      bind.target = "/data";
      bind.propagation = test.propagation;
      // Says that it is there, waits for a line, then looks and mounts.
      RuntimeSpec spec = ShellSpec(
          "echo ready; while ! test -e /data/go; do :; done; "
          "grep -q ' /data/host ' /proc/mounts && echo yes || echo no; "
          "mkdir -p /data/inner && mount -t tmpfs t /data/inner; echo done; "
          "while test -e /data/go; do :; done");
      spec.capabilities = AvailableCapabilities();
      spec.seccomp = false;
      spec.mounts.push_back(bind);
      Running running = Start(spec);
      ASSERT_EQ(running.error, "") << test.propagation;
      char line[64];
      ASSERT_EQ(read(running.output.get(), line, 6), 6);
      std::filesystem::create_directory(source + "/host");
      ASSERT_EQ(syscall(SYS_mount, "t", (source + "/host").c_str(), "tmpfs", 0, nullptr), 0);
      std::ofstream(source + "/go") << "x";
      std::string answer;
      while (answer.find("done\n") == answer.npos) {
        const ssize_t got = read(running.output.get(), line, sizeof line);
        ASSERT_GT(got, 0);
        answer.append(line, static_cast<size_t>(got));
      }
      EXPECT_EQ(answer, std::string(test.inside) + "\ndone\n") << test.propagation;
      const std::string mounts = *ReadFile("/proc/self/mounts");
      EXPECT_EQ(mounts.find("source/inner ") != mounts.npos ? "yes" : "no",
                std::string(test.outside))
          << test.propagation;
      std::filesystem::remove(source + "/go");
      Finish(std::move(running));
      syscall(SYS_umount2, (source + "/inner").c_str(), 2);
      ASSERT_EQ(syscall(SYS_umount2, (source + "/host").c_str(), 2), 0);
    }
  });
}

TEST_F(InitTest, IsNotLedAstrayByARace) {
  // CVE-2021-30465, CVE-2024-45310: somebody swaps a folder on the way to a mount target for a link
  // to the host, all the time.
  const std::string canary = MakeFolder("canary");
  const std::string volume = MakeFolder("volume");
  const std::string source = MakeFolder("source");
  std::filesystem::create_directories(volume + "/a");
  std::filesystem::create_symlink("../../../../../../../../.." + canary, volume + "/b");
  std::atomic<bool> stop = false;
  std::thread racer([&] {
    while (!stop)
      syscall(SYS_renameat2, AT_FDCWD, (volume + "/a").c_str(), AT_FDCWD, (volume + "/b").c_str(),
              2 /* RENAME_EXCHANGE */);
  });
  RuntimeSpec spec = MakeSpec({"true"});
  RuntimeMount shared, target;
  shared.source = volume;
  shared.target = "/vol";
  target.source = source;
  target.target = "/vol/a/deep/target";
  spec.mounts.push_back(shared);
  spec.mounts.push_back(target);
  spec.cwd = "/vol/a/work";
  int started = 0;
  for (int i = 0; i < 150; ++i) started += Run(spec).executed ? 1 : 0;
  stop = true;
  racer.join();
  EXPECT_GT(started, 0);
  EXPECT_TRUE(std::filesystem::is_empty(canary));
}

TEST_F(InitTest, SharesTheHostsProcesses) {
  RuntimeSpec spec = ShellSpec("test $$ -gt 1 && echo host");
  spec.pid.mode = NamespaceMode::kHost;
  EXPECT_EQ(Output(spec), "host\n");
}

TEST_F(InitTest, JoinsNamespacesOfAnother) {
  Running first = Start(MakeSpec({"sleep", "1000"}));
  ASSERT_EQ(first.error, "");
  const std::string folder = "/proc/" + std::to_string(first.process.pid) + "/ns/";
  RuntimeSpec spec = ShellSpec("ps | grep -c 'slee[p] 1000'; hostname");
  spec.pid = {NamespaceMode::kJoin, folder + "pid"};
  spec.ipc = {NamespaceMode::kJoin, folder + "ipc"};
  spec.uts = {NamespaceMode::kJoin, folder + "uts"};
  spec.root.upper = MakeFolder("upper2");
  spec.root.work = MakeFolder("work2");
  EXPECT_EQ(Output(spec), "1\nbox\n");
  EXPECT_EQ(std::filesystem::read_symlink("/proc/self/ns/pid_for_children"),
            std::filesystem::read_symlink("/proc/self/ns/pid"));
  ASSERT_EQ(kill(first.process.pid, SIGKILL), 0);
  EXPECT_EQ(Finish(std::move(first)).exit_code, 137);
}

TEST_F(InitTest, EndsWithoutRelease) {
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe.has_value());
  auto started = StartInit(MakeSpec({"true"}), -1, {-1, pipe->write.get(), pipe->write.get()});
  ASSERT_TRUE(started.has_value());
  auto report = ReadReport(*started);
  ASSERT_TRUE(report.has_value() && *report);
  EXPECT_EQ((*report)->stage, Stage::kReady) << (*report)->text;
  started->status.Reset();
  int status = 0;
  ASSERT_EQ(waitpid(started->pid, &status, 0), started->pid);
  EXPECT_EQ(WEXITSTATUS(status), 128);
}

TEST_F(InitTest, TellsThatItWasKilledBeforeTheProgramRan) {
  auto started = StartInit(MakeSpec({"true"}), -1, {});
  ASSERT_TRUE(started.has_value());
  auto report = ReadReport(*started);
  ASSERT_TRUE(report.has_value() && *report);
  ASSERT_EQ(kill(started->pid, SIGKILL), 0);
  report = ReadReport(*started);
  ASSERT_TRUE(report.has_value() && *report);
  EXPECT_EQ((*report)->stage, Stage::kFailed);
  EXPECT_EQ((*report)->text, "the process was killed before its program was executed");
  EXPECT_EQ(waitpid(started->pid, nullptr, 0), started->pid);
}

// ---- layers ------------------------------------------------------------------------------------

struct LayerCase {
  int layers;
  OverlayMethod method;
};
class LayersTest : public ContainerTest, public ::testing::WithParamInterface<LayerCase> {};

TEST_P(LayersTest, ShowsAllLayersInTheirOrder) {
  RuntimeSpec spec = ShellSpec("cat /top; cat /l/* | wc -l");
  for (int i = 1; i < GetParam().layers; ++i) {
    // As long as a name in a store: 64 digits.
    const std::string layer =
        MakeFolder("layers/" + std::string(60, 'a') + std::to_string(1000 + i));
    std::filesystem::create_directory(layer + "/l");
    std::ofstream(layer + "/l/" + std::to_string(i)) << "x\n";
    std::ofstream(layer + "/top") << i << "\n";
    spec.root.lower.insert(spec.root.lower.begin(), layer);
  }
  if (GetParam().layers == 1) {
    WriteImageFile("/top", "0\n");
    WriteImageFile("/l/0", "");
  }
  ForceOverlayMethodForTesting(GetParam().method);
  const Outcome outcome = Run(spec);
  if (GetParam().method == OverlayMethod::kFsconfig &&
      outcome.error.find("by fsconfig") != std::string::npos) {
    GTEST_SKIP() << "this kernel has no lowerdir+ (Linux 6.7)";
  }
  EXPECT_EQ(outcome.error, "");
  const std::string top = std::to_string(GetParam().layers - 1);
  EXPECT_EQ(outcome.output, top + "\n" + top + "\n");
}

INSTANTIATE_TEST_SUITE_P(Methods, LayersTest,
                         ::testing::Values(LayerCase{1, OverlayMethod::kFsconfig},
                                           LayerCase{40, OverlayMethod::kFsconfig},
                                           LayerCase{120, OverlayMethod::kFsconfig},
                                           LayerCase{1, OverlayMethod::kMount},
                                           LayerCase{40, OverlayMethod::kMount},
                                           LayerCase{120, OverlayMethod::kMount},
                                           LayerCase{120, OverlayMethod::kAutomatic}));

TEST_F(InitTest, MountsASingleReadOnlyLayerWithoutUpper) {
  RuntimeSpec spec = ShellSpec("touch /x");
  for (const char* path : {"/dev/shm", "/sys/fs/cgroup"})
    std::filesystem::create_directories(ImagePath(path));
  spec.root.upper.clear();
  spec.root.work.clear();
  EXPECT_EQ(Run(spec).output, "touch: /x: Read-only file system\n");
}

}  // namespace
}  // namespace skiff::engine::child
