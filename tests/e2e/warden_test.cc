// Test programs that are killed at their time limit leave no containers.

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using WardenTest = SkiffTest;

TEST_F(WardenTest, EndsTheContainersOfAKilledTest) {
  const std::string folder = directory() + "/inner";
  std::filesystem::create_directory(folder);
  std::map<std::string, std::string> roots = MakeRoots("inner/");
  ProcessOptions options;
  options.environment = roots;
  const pid_t test = fork();
  if (test == 0) {
    const Warden warden = Warden::Start(folder, SkiffProgram());
    const Words run = {"docker",         "run",   "-d",  "--network", "none",
                       "busybox:latest", "sleep", "1000"};
    if (!Skiff(run, options).ok()) _exit(1);
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(waitpid(test, &status, 0), test);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_TRUE(Eventually([&] { return !std::filesystem::exists(folder); }, 20s));
  EXPECT_EQ(Count().counts.at("process"), 0);
  EXPECT_EQ(Count().counts.at("cgroup"), 0);
  // Again, for the end of this test to look into.
  MakeRoots("inner/");
}

}  // namespace
}  // namespace skiff::e2e
