#include "base/fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "tests/unit/base/temp_folder.h"

namespace skiff {
namespace {

TEST(Fd, ClosesOnceAndMoves) {
  Pipe pipe = MakePipe().value();
  const int number = pipe.read.get();
  Fd moved = std::move(pipe.read);
  EXPECT_FALSE(
      pipe.read.valid());  // NOLINT(bugprone-use-after-move): the moved-from state is the test.
  EXPECT_EQ(moved.get(), number);
  moved.Reset();
  EXPECT_EQ(::fcntl(number, F_GETFD), -1);
}

TEST(Fd, IsCloseOnExec) {
  const Pipe pipe = MakePipe().value();
  const Fd copy = pipe.read.Duplicate().value();
  EXPECT_EQ(::fcntl(copy.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(::fcntl(pipe.write.get(), F_GETFD), FD_CLOEXEC);
}

TEST(ReadAll, StopsAtTheLimit) {
  testing::TempFolder folder;
  folder.Write("f", std::string(5000, 'x'));
  EXPECT_EQ(ReadFile(folder.Path("f"), 5000).value().size(), 5000u);
  const auto over = ReadFile(folder.Path("f"), 4999);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Code::kExhausted);
}

TEST(ReadFile, NamesTheMissingFile) {
  const auto missing = ReadFile("/nonexistent/file");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().Text(), "cannot open '/nonexistent/file': No such file or directory");
}

TEST(SendMessage, PassesDescriptorsAndData) {
  auto [left, right] = MakeSocketPair(SOCK_SEQPACKET).value();
  Pipe pipe = MakePipe().value();
  const std::array fds = {pipe.write.get()};
  ASSERT_TRUE(SendMessage(left.get(), "hello", fds));
  pipe.write.Reset();
  ReceivedMessage got = ReceiveMessage(right.get(), 100).value();
  EXPECT_EQ(got.data, "hello");
  ASSERT_EQ(got.fds.size(), 1u);
  ASSERT_TRUE(WriteAll(got.fds[0].get(), "through", "pipe"));
  got.fds.clear();
  EXPECT_EQ(ReadAll(pipe.read.get(), 100, "pipe").value(), "through");
  left.Reset();
  EXPECT_EQ(ReceiveMessage(right.get(), 100).value().data, "");
}

TEST(ReceiveMessage, RefusesWhatDoesNotFit) {
  auto [left, right] = MakeSocketPair(SOCK_SEQPACKET).value();
  ASSERT_TRUE(SendMessage(left.get(), "0123456789", {}));
  const auto got = ReceiveMessage(right.get(), 4);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnavailable);
}

}  // namespace
}  // namespace skiff
