// RUN --mount=type=ssh: agents of the user, and keys in files.

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

// Runs in the image, which has no ssh: the machine's own, with its libraries.
constexpr const char* kAdd =
    "--mount=type=bind,source=tools,target=/tools /tools/ld-linux-x86-64.so.2 "
    "--library-path /tools /tools/ssh-add";

class BuildSshTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    if (::access("/usr/bin/ssh-agent", X_OK) != 0) GTEST_SKIP() << "ssh-agent is not installed";
    fs::create_directories(project_directory() + "/tools");
    Sh("for file in /usr/bin/ssh-add $(ldd /usr/bin/ssh-add | grep -o '/[^ ]*'); do"
       " cp -L $file tools/; done");
    MakeKey("key", "");
  }

  Outcome Sh(const std::string& script) {
    ProcessOptions options;
    options.environment = environment();
    options.directory = project_directory();
    const Outcome outcome = RunCommand({"/bin/sh", "-c", script}, options);
    EXPECT_THAT(outcome, Succeeds()) << outcome;
    return outcome;
  }
  void MakeKey(const std::string& name, const std::string& passphrase) {
    Sh("ssh-keygen -q -t ed25519 -C comment-of-" + name + " -N '" + passphrase + "' -f " + name);
  }
  void WriteRun(const std::string& run) {
    WriteFile("Dockerfile", "FROM busybox\n" + run + "\n");
  }
  Outcome Build(Words flags, const std::map<std::string, std::string>& variables = {}) {
    Words words = {"docker", "build", "--network", "none", "--progress=plain", "--no-cache"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(".");
    ProcessOptions options;
    options.environment = environment();
    for (const auto& [name, value] : variables) options.environment[name] = value;
    return Skiff(words, options);
  }
  // Agents that commands of this test have started: they have its folders in their environment.
  size_t Agents() {
    return Lines(Sh("for p in /proc/[0-9]*; do test \"$(cat $p/comm)\" = ssh-agent && grep -q " +
                    directory() + " $p/environ && echo $p; done 2>/dev/null; true")
                     .out)
        .size();
  }
};

TEST_F(BuildSshTest, KeysInFilesAreInAnAgentForTheBuild) {
  MakeKey("second", "");
  ::chmod((project_directory() + "/key").c_str(), 0644);  // OpenSSH itself would refuse it.
  WriteRun(std::string("RUN --mount=type=ssh ") + kAdd + " -l && stat -c %A-%u-%g $SSH_AUTH_SOCK");
  const Outcome one = Build({"--ssh", "default=key"});
  EXPECT_THAT(one, Succeeds()) << one;
  EXPECT_THAT(one.err, HasSubstr("comment-of-key"));
  EXPECT_THAT(one.err, HasSubstr("srw--------0-0"));
  const Outcome both = Build({"--ssh", "default=key,second"});
  EXPECT_THAT(both.err, HasSubstr("comment-of-second"));
  EXPECT_EQ(Agents(), 0u);
}

TEST_F(BuildSshTest, AnAgentServesWhomTheMountNames) {
  ProcessOptions options;
  options.environment = environment();
  options.directory = project_directory();
  Process agent = Process::Start({"/usr/bin/ssh-agent", "-D", "-a", "agent"}, options);
  ASSERT_TRUE(agent.AwaitOutput("SSH_AUTH_SOCK"));
  Sh("SSH_AUTH_SOCK=agent ssh-add -q key");
  WriteRun(std::string("USER 1234\n") +
           "RUN --mount=type=ssh,id=mine,target=/agent,uid=1234,gid=7,mode=0640 " + kAdd +
           " -l && stat -c %A-%u-%g /agent");
  const Outcome built = Build({"--ssh", "mine=agent"});
  EXPECT_THAT(built, Succeeds()) << built;
  EXPECT_THAT(built.err, HasSubstr("comment-of-key"));
  EXPECT_THAT(built.err, HasSubstr("srw-r------1234-7"));
  // Without a value: the variable.
  WriteRun(std::string("RUN --mount=type=ssh ") + kAdd + " -l");
  const Outcome by_variable =
      Build({"--ssh", "default"}, {{"SSH_AUTH_SOCK", project_directory() + "/agent"}});
  EXPECT_THAT(by_variable.err, HasSubstr("comment-of-key"));
}

TEST_F(BuildSshTest, TheAgentGoesWithABuildThatIsKilled) {
  // The title of the step does not say "waits".
  WriteRun("RUN --mount=type=ssh echo wai\"\"ts && sleep 1000");
  ProcessOptions options;
  options.environment = environment();
  Process build = StartSkiff({"docker", "build", "--network", "none", "--progress=plain", "--ssh",
                              "default=key", "."},
                             options);
  ASSERT_TRUE(build.AwaitOutput("waits"));
  EXPECT_EQ(Agents(), 1u);
  build.Signal(SIGKILL);
  build.Finish();
  EXPECT_TRUE(Eventually([&] { return Agents() == 0; }));
  EXPECT_THAT(Skiff({"system", "check", "--repair"}), Succeeds());
}

TEST_F(BuildSshTest, ComposeFilesNameKeys) {
  WriteRun(std::string("RUN --mount=type=ssh,id=deploy ") + kAdd + " -l");
  WriteProject(
      "name: sshproject\n"
      "services:\n"
      "  app:\n"
      "    build:\n"
      "      context: .\n"
      "      network: none\n"
      "      ssh: [deploy=key]\n");
  const Outcome built = Skiff({"build", "--progress=plain"});
  EXPECT_THAT(built, Succeeds()) << built;
  EXPECT_THAT(built.err, HasSubstr("comment-of-key"));
}

TEST_F(BuildSshTest, WhatCannotBeUsedIsSaid) {
  MakeKey("locked", "secret");
  WriteFile("text", "no key\n");
  WriteRun("RUN --mount=type=ssh,required true");
  EXPECT_THAT(Build({}).err, HasSubstr("unset ssh forward key default"));
  EXPECT_THAT(Build({"--ssh", "default=nowhere"}).err,
              HasSubstr("/nowhere' for ssh: No such file or directory"));
  EXPECT_THAT(Build({"--ssh", "default=tools"}).err, HasSubstr("neither an agent's socket nor"));
  for (const char* file : {"locked", "text"}) {
    const Outcome refused = Build({"--ssh", std::string("default=") + file});
    EXPECT_THAT(refused, ExitsWith(1)) << refused;
    EXPECT_THAT(refused.err, HasSubstr(std::string("/") + file + "' cannot be used: ")) << refused;
    EXPECT_THAT(refused.err, HasSubstr("one with a passphrase is to be added to an agent"));
  }
  EXPECT_EQ(Agents(), 0u);
}

}  // namespace
}  // namespace skiff::e2e
