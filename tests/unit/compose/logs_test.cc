#include <unistd.h>

#include <thread>

#include "compose/log_printer.h"
#include "tests/unit/compose/fixture.h"

namespace skiff::compose {
namespace {

using engine::LogStream;

// Two pipes whose content is read at the end; output of these tests is far below a pipe's size.
class LogsTest : public ComposeTest {
 protected:
  LogsTest() {
    auto out = MakePipe();
    auto err = MakePipe();
    out_ = std::move(*out);
    err_ = std::move(*err);
    context_.output = {out_.write.get(), err_.write.get(), false};
  }
  std::string Out() { return Drain(out_); }
  std::string Err() { return Drain(err_); }
  static std::string Drain(Pipe& pipe) {
    pipe.write.Reset();
    const auto text = ReadAll(pipe.read.get(), 1 << 20, "pipe");
    return text ? *text : "unreadable";
  }
  static engine::LogEntry Entry(std::string_view text, LogStream stream = LogStream::kStdout) {
    return {stream, 1'700'000'000'000'000'000, text};
  }
  Pipe out_, err_;
};

TEST_F(LogsTest, AlignsPrefixes) {
  {
    LogPrinter printer(context_.output, {});
    printer.Register("web-1", "web");
    printer.Register("backend-10", "backend");
    printer.Write("web-1", Entry("hello\n"));
    printer.Write("backend-10", Entry("world\n"));
  }
  EXPECT_EQ(Out(), "web-1       | hello\nbackend-10  | world\n");
}

TEST_F(LogsTest, KeepsStreamsApart) {
  {
    LogPrinter printer(context_.output, {}, true);
    printer.Register("web-1", "web");
    printer.Write("web-1", Entry("a\n"));
    printer.Write("web-1", Entry("b\n", LogStream::kStderr));
    printer.Write("web-1", Entry("c\n"));
  }
  EXPECT_EQ(Out(), "web-1  | a\nweb-1  | c\n");
  EXPECT_EQ(Err(), "web-1  | b\n");
}

TEST_F(LogsTest, JoinsPartsOfALine) {
  {
    LogPrinter printer(context_.output, {});
    printer.Register("a-1", "a");
    printer.Register("b-1", "b");
    printer.Write("a-1", Entry("one "));
    printer.Write("b-1", Entry("other\n"));
    printer.Write("a-1", Entry("line\nrest"));
    printer.Finish("a-1");
  }
  EXPECT_EQ(Out(), "b-1  | other\na-1  | one line\na-1  | rest\n");
}

TEST_F(LogsTest, ColoursBelongToServices) {
  {
    OutputStreams output = context_.output;
    output.color = true;
    LogPrinter printer(output, {});
    printer.Register("a-1", "a");
    printer.Register("b-1", "b");
    printer.Register("a-2", "a");
    printer.Write("a-1", Entry("x\n"));
    printer.Write("a-2", Entry("y\n"));
    printer.Write("b-1", Entry("z\n"));
    printer.Status("b-1", "exited with code 0");
  }
  EXPECT_EQ(Out(),
            "\x1b[36ma-1  | \x1b[0mx\n\x1b[36ma-2  | \x1b[0my\n\x1b[33mb-1  | \x1b[0mz\n"
            "\x1b[33mb-1 exited with code 0\x1b[0m\n");
}

TEST_F(LogsTest, PrintsTimestampsAndNoPrefixWhenAsked) {
  {
    LogPrinter printer(context_.output, {.prefix = false, .timestamps = true});
    printer.Register("a-1", "a");
    printer.Write("a-1", Entry("x\n"));
  }
  EXPECT_EQ(Out(), "2023-11-14T22:13:20.000000000Z x\n");
}

TEST_F(LogsTest, LogNameDropsTheProject) {
  EXPECT_EQ(LogName("p", "p-web-1"), "web-1");
  EXPECT_EQ(LogName("p", "custom"), "custom");
}

TEST_F(LogsTest, LogsPrintsServicesInOrder) {
  AddService("web");
  AddService("db");
  ASSERT_TRUE(UpNow());
  engine_.AppendLog("p-web-1", {.text = "from web\n"});
  engine_.AppendLog("p-db-1", {.text = "from db\n"});
  ASSERT_TRUE(Logs(context_, {"p", nullptr}, {}));
  EXPECT_EQ(Out(), "db-1   | from db\nweb-1  | from web\n");
}

TEST_F(LogsTest, LogsOfOneServiceAndUnknownOnes) {
  AddService("web");
  AddService("db");
  ASSERT_TRUE(UpNow());
  engine_.AppendLog("p-web-1", {.text = "from web\n"});
  engine_.AppendLog("p-db-1", {.text = "from db\n"});
  ASSERT_TRUE(Logs(context_, {"p", &project_}, {.services = {"web"}}));
  const Status unknown = Logs(context_, {"p", &project_}, {.services = {"wen"}});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().Text(), "no such service: wen");
  EXPECT_EQ(Out(), "web-1  | from web\n");
}

TEST_F(LogsTest, AttachFalseIsLeftOutUnlessNamed) {
  AddService("web").attach = false;
  ASSERT_TRUE(UpNow());
  engine_.AppendLog("p-web-1", {.text = "x\n"});
  ASSERT_TRUE(Logs(context_, {"p", &project_}, {}));
  ASSERT_TRUE(Logs(context_, {"p", &project_}, {.services = {"web"}}));
  EXPECT_EQ(Out(), "web-1  | x\n");
}

TEST_F(LogsTest, ARestartedContainerIsFollowedWithoutRepeating) {
  AddService("keep");
  AddService("web");
  ASSERT_TRUE(UpNow());
  engine_.AppendLog("p-web-1", {.time = 1, .text = "first\n"});
  auto pipe = MakePipe();
  ASSERT_TRUE(pipe);
  context_.output.out = pipe->write.get();
  std::thread follower([&] {
    ASSERT_TRUE(Logs(context_, {"p", nullptr}, {.services = {"web", "keep"}, .follow = true}));
  });
  const auto expect = [&](const std::string& text) {
    std::string got(text.size(), ' ');
    for (size_t at = 0; at < got.size();) {
      const ssize_t size = read(pipe->read.get(), got.data() + at, got.size() - at);
      ASSERT_GT(size, 0);
      at += static_cast<size_t>(size);
    }
    EXPECT_EQ(got, text);
  };
  expect("web-1   | first\n");
  engine_.Exit("p-web-1", 2);
  expect("web-1 exited with code 2\n");
  ASSERT_TRUE(engine_.StartContainer("p-web-1"));
  engine_.AppendLog("p-web-1", {.time = 4'000'000'000'000'000'000, .text = "second\n"});
  expect("web-1   | second\n");
  engine_.Exit("p-web-1", 0);
  expect("web-1 exited with code 0\n");
  engine_.Exit("p-keep-1", 0);
  follower.join();
}

TEST_F(LogsTest, FollowingEndsWhenNothingRuns) {
  AddService("web");
  ASSERT_TRUE(UpNow());
  engine_.AppendLog("p-web-1", {.text = "before\n"});
  std::thread follower([&] { ASSERT_TRUE(Logs(context_, {"p", nullptr}, {.follow = true})); });
  engine_.AppendLog("p-web-1", {.text = "after\n"});
  engine_.Exit("p-web-1", 4);
  follower.join();
  EXPECT_EQ(Out(), "web-1  | before\nweb-1  | after\nweb-1 exited with code 4\n");
}

}  // namespace
}  // namespace skiff::compose
