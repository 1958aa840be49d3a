#include "base/failpoint.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic_file.h"
#include "base/fd.h"

namespace skiff {
namespace {

class FailpointTest : public ::testing::Test {
 protected:
  ~FailpointTest() override { EXPECT_TRUE(ConfigureFailpoints("")); }
};

TEST_F(FailpointTest, DoesNothingUnlessNamed) {
  EXPECT_TRUE(Failpoint("a"));
  ASSERT_TRUE(ConfigureFailpoints("b=error"));
  EXPECT_TRUE(Failpoint("a"));
}

TEST_F(FailpointTest, FailsWithTheErrnoAskedForOnThePassAskedFor) {
  ASSERT_TRUE(ConfigureFailpoints("a=error:ENOSPC@2"));
  EXPECT_TRUE(Failpoint("a"));
  const Status second = Failpoint("a");
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, Code::kExhausted);
  EXPECT_EQ(second.error().Text(), "failpoint a: No space left on device");
  EXPECT_TRUE(Failpoint("a"));
}

TEST_F(FailpointTest, KillsTheProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!ConfigureFailpoints("a=kill")) ::_exit(1);
    if (!Failpoint("a")) ::_exit(2);
    ::_exit(3);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
}

TEST_F(FailpointTest, ListsWhatIsPassed) {
  const std::string trace = ::testing::TempDir() + "failpoint-trace-" + std::to_string(::getpid());
  ASSERT_TRUE(ConfigureFailpoints("*=trace:" + trace));
  EXPECT_TRUE(Failpoint("a"));
  EXPECT_TRUE(Failpoint("b"));
  EXPECT_TRUE(Failpoint("a"));
  const auto text = ReadFile(trace);
  ::unlink(trace.c_str());
  ASSERT_TRUE(text);
  EXPECT_EQ(*text, "a\nb\na\n");
}

TEST_F(FailpointTest, FollowsItsFile) {
  const std::string list = ::testing::TempDir() + "failpoint-list-" + std::to_string(::getpid());
  const auto write = [&](std::string_view text) {
    return WriteFileAtomically(list, text, 0600, Durability::kVolatile);
  };
  ASSERT_TRUE(write("a=error@2"));
  ASSERT_TRUE(ConfigureFailpoints("@" + list));
  EXPECT_TRUE(Failpoint("a"));
  EXPECT_FALSE(Failpoint("a"));
  ASSERT_TRUE(write(""));
  EXPECT_TRUE(Failpoint("a"));
  ASSERT_TRUE(write("b=error"));
  EXPECT_TRUE(Failpoint("a"));
  EXPECT_FALSE(Failpoint("b"));
  // What cannot be read any more says what it said last.
  ::unlink(list.c_str());
  EXPECT_FALSE(Failpoint("b"));
}

TEST_F(FailpointTest, RefusesMalformedSpecs) {
  for (const char* bad :
       {"a", "a=boom", "a=error:EFOO", "a=delay:x", "a=error@x", "*=trace:relative"}) {
    EXPECT_FALSE(ConfigureFailpoints(bad)) << bad;
  }
}

}  // namespace
}  // namespace skiff
