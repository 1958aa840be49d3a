#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "tests/kernel/child/container_fixture.h"

namespace skiff::engine::child {
namespace {

using InitTest = ContainerTest;

TEST_F(InitTest, RunsAProgramAndReportsItsStatus) {
  EXPECT_EQ(Run(ShellSpec("echo hello; exit 7")).output, "hello\n");
  EXPECT_EQ(Run(ShellSpec("exit 7")).exit_code, 7);
  EXPECT_EQ(Run(MakeSpec({"true"})).exit_code, 0);
}

}  // namespace
}  // namespace skiff::engine::child
