#include "base/program.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include "base/fd.h"

namespace skiff {
namespace {

ProgramCall Shell(const std::string& script) {
  ProgramCall call;
  call.arguments = {"sh", "-c", script};
  call.environment = {{"PATH", "/usr/bin:/bin"}, {"WORD", "from outside"}};
  return call;
}

TEST(ProgramTest, GivesInputAndTakesBothOutputs) {
  ProgramCall call = Shell("cat; echo \"$WORD\" >&2; pwd; exit 3");
  call.input = "in\n";
  call.folder = "/usr";
  const auto outcome = RunProgram(call);
  ASSERT_TRUE(outcome);
  EXPECT_EQ(outcome->out, "in\n/usr\n");
  EXPECT_EQ(outcome->err, "from outside\n");
  EXPECT_EQ(outcome->exit_code, 3);
}

TEST(ProgramTest, TellsOfSignalsAndOfWhatIsNotThere) {
  EXPECT_EQ(RunProgram(Shell("kill -TERM $$"))->exit_code, 128 + 15);
  ProgramCall call = Shell("");
  call.arguments[0] = "no-such-program";
  EXPECT_EQ(RunProgram(call).error().code, Code::kNotFound);
  call.arguments[0] = "/nowhere/program";
  EXPECT_EQ(RunProgram(call).error().sys_errno, ENOENT);
}

TEST(ProgramTest, EndsWhatSaysTooMuchOrIsNotWantedAnyMore) {
  ProgramCall call = Shell("exec cat /dev/zero");
  call.limit = 1 << 20;
  EXPECT_EQ(RunProgram(call).error().code, Code::kExhausted);
  const Fd cancelled(::eventfd(1, EFD_CLOEXEC));
  call = Shell("exec tail -f /dev/null");
  call.cancel_fd = cancelled.get();
  EXPECT_EQ(RunProgram(call).error().code, Code::kCancelled);
}

}  // namespace
}  // namespace skiff
