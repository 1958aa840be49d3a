#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "tests/kernel/child/container_fixture.h"

namespace skiff::engine::child {
namespace {

using UserTest = ContainerTest;

// "uid gid groups HOME" as the kernel has them; `id -G` would add the gid to the groups by itself.
constexpr char kShow[] =
    "echo $(id -u) $(id -g) "
    "$(sed -n 's/^Groups:.//p' /proc/self/status | sed 's/ *$//; s/ /,/g') $HOME";

struct UserCase {
  std::string user;
  std::vector<std::string> groups;
  std::string output;  // Or, when it does not start ...
  std::string error;
};

TEST_F(UserTest, ResolvesEveryFormOfAUser) {
  const std::string range = "uids and gids must be in range 0-2147483647: ";
  const UserCase cases[] = {
      {"", {}, "0 0 0 /root\n", ""},
      {"root", {}, "0 0 0 /root\n", ""},
      {"0", {}, "0 0 0 /root\n", ""},
      {"alice", {}, "1000 1001 10,29,1001 /home/alice\n", ""},
      {"1000", {}, "1000 1001 10,29,1001 /home/alice\n", ""},
      {"1000:", {}, "1000 1001 10,29,1001 /home/alice\n", ""},
      {"01000", {}, "1000 1001 10,29,1001 /home/alice\n", ""},
      {"+1000", {}, "1000 1001 10,29,1001 /home/alice\n", ""},
      {"alice:wheel", {}, "1000 10 10 /home/alice\n", ""},
      {"alice:5000", {}, "1000 5000 5000 /home/alice\n", ""},
      {"1000:1000", {}, "1000 1000 1000 /home/alice\n", ""},
      {":10", {}, "0 10 10 /root\n", ""},
      {"1", {}, "1 0 0 /\n", ""},
      {"1:2", {}, "1 2 2 /\n", ""},
      {"77", {}, "77 0 0 /\n", ""},  // Somebody's name, but digits are never a name.
      {"2147483647", {}, "2147483647 0 0 /\n", ""},
      {"alice", {"games", "7"}, "1000 1001 7,10,29,60,1001 /home/alice\n", ""},
      {"1:2", {"audio"}, "1 2 2,29 /\n", ""},
      {"2147483648", {}, "", range + "'2147483648'"},
      {"4294967295", {}, "", range + "'4294967295'"},
      {"4294967296", {}, "", range + "'4294967296'"},
      {"18446744073709551616", {}, "", range + "'18446744073709551616'"},
      {"-1", {}, "", range + "'-1'"},
      {"1000:2147483648", {}, "", range + "'2147483648'"},
      {" 1", {}, "", "unable to find user  1: no matching entries in passwd file"},
      {"1x", {}, "", "unable to find user 1x: no matching entries in passwd file"},
      {"nobody", {}, "", "unable to find user nobody: no matching entries in passwd file"},
      {"alice:nogroup", {}, "", "unable to find group nogroup: no matching entries in group file"},
      {"alice", {"nogroup"}, "", "unable to find group nogroup: no matching entries in group file"},
  };
  for (const UserCase& test : cases) {
    RuntimeSpec spec = ShellSpec(kShow);
    spec.user = test.user;
    spec.additional_groups = test.groups;
    const Outcome outcome = Run(spec);
    EXPECT_EQ(outcome.output, test.output) << "user '" << test.user << "'";
    EXPECT_EQ(outcome.error, test.error) << "user '" << test.user << "'";
  }
}

TEST_F(UserTest, KeepsAHomeThatIsSet) {
  RuntimeSpec spec = ShellSpec("echo $HOME");
  spec.user = "alice";
  spec.environment.push_back("HOME=/elsewhere");
  EXPECT_EQ(Output(spec), "/elsewhere\n");
  spec.environment.back() = "HOME=";
  EXPECT_EQ(Output(spec), "/home/alice\n");
}

TEST_F(UserTest, NeedsNoFiles) {
  std::filesystem::remove(ImagePath("/etc/passwd"));
  std::filesystem::remove(ImagePath("/etc/group"));
  EXPECT_EQ(Output(ShellSpec(kShow)), "0 0 0 /\n");
  RuntimeSpec spec = ShellSpec(kShow);
  spec.user = "5:6";
  EXPECT_EQ(Output(spec), "5 6 6 /\n");
}

TEST_F(UserTest, RefusesFilesMadeToHarm) {
  const auto error_with = [&](const std::string& file) {
    RuntimeSpec spec = MakeSpec({"true"});
    spec.user = "alice";
    const Outcome outcome = Run(spec);
    EXPECT_FALSE(outcome.executed);
    const std::string prefix = "cannot use the container's " + file + ": ";
    EXPECT_EQ(outcome.error.substr(0, prefix.size()), prefix);
    return outcome.error.substr(std::min(prefix.size(), outcome.error.size()));
  };
  const std::string passwd = ImagePath("/etc/passwd");
  const std::string group = ImagePath("/etc/group");
  const std::string good = "alice:x:1000:1001::/:/bin/sh\n";

  std::ofstream(passwd) << std::string(65537, 'x') << "\n" << good;
  EXPECT_EQ(error_with("/etc/passwd"), "it has a line of more than 64 KiB");
  std::ofstream(passwd) << good;
  std::ofstream(group) << "g:x:1:\n";
  ASSERT_EQ(truncate(group.c_str(), int64_t{10} << 30), 0);  // Sparse.
  EXPECT_EQ(error_with("/etc/group"), "it has a line of more than 64 KiB");
  std::filesystem::remove(group);
  std::ofstream many(group);
  for (int i = 0; i < 100000; ++i) many << "g" << i << ":x:1:\n";
  many.close();
  EXPECT_EQ(error_with("/etc/group"), "it is larger than 1 MiB");
  std::filesystem::remove(group);

  std::filesystem::remove(passwd);
  ASSERT_EQ(mkfifo(passwd.c_str(), 0644), 0);
  EXPECT_EQ(error_with("/etc/passwd"), "it is not a regular file");
  std::filesystem::remove(passwd);
  std::filesystem::create_symlink("/dev/zero", passwd);
  EXPECT_EQ(error_with("/etc/passwd"), "it is not a regular file");
  std::filesystem::remove(passwd);
}

TEST_F(UserTest, ReadsNoFileOfTheHost) {
  const std::string outside = MakeFolder("outside");
  std::ofstream(outside + "/passwd") << "eve:x:1234:1234::/:/bin/sh\n";
  std::filesystem::remove(ImagePath("/etc/passwd"));
  std::filesystem::create_symlink("../../../../../.." + outside + "/passwd",
                                  ImagePath("/etc/passwd"));
  RuntimeSpec spec = MakeSpec({"true"});
  spec.user = "eve";
  EXPECT_EQ(Run(spec).error, "unable to find user eve: no matching entries in passwd file");
}

TEST_F(UserTest, LetsAnotherUserReopenItsOutput) {
  RuntimeSpec spec = ShellSpec("echo reopened > /dev/stdout");
  spec.user = "alice";
  EXPECT_EQ(Output(spec), "reopened\n");
}

TEST_F(UserTest, EntersAFolderOnlyRootMay) {
  std::filesystem::create_directory(ImagePath("/secret"));
  ASSERT_EQ(chmod(ImagePath("/secret").c_str(), 0700), 0);
  RuntimeSpec spec = ShellSpec("pwd");
  spec.user = "alice";
  spec.cwd = "/secret";
  EXPECT_EQ(Output(spec), "/secret\n") << "docker enters it as root";
}

}  // namespace
}  // namespace skiff::engine::child
