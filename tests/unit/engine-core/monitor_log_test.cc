#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>
#include <vector>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/units.h"
#include "engine-core/log_file.h"
#include "engine-core/monitor/log_writer.h"

namespace skiff::engine {
namespace {

using monitor::LogWriter;
using ::testing::ElementsAre;

constexpr int64_t kTime = 1'735'689'600'123'456'789;  // 2025-01-01T00:00:00.123456789Z
constexpr LogStream kOut = LogStream::kStdout;
constexpr LogStream kErr = LogStream::kStderr;

class LogTest : public ::testing::Test {
 protected:
  LogTest() {
    char name[] = "/tmp/skiff-log-test-XXXXXX";
    folder_ = ::mkdtemp(name);
    path_ = folder_ + "/c-json.log";
  }
  ~LogTest() override {
    EXPECT_TRUE(ConfigureFailpoints(""));
    EXPECT_TRUE(RemoveTree(folder_));
  }

  std::string Raw(const std::string& path) const { return ReadFile(path).value_or(""); }
  std::vector<std::string> Read(const LogOptions& options = {}) const {
    std::vector<std::string> texts;
    const Status read = ReadLogFile(path_, options, nullptr, -1, [&](const LogEntry& entry) {
      texts.emplace_back(entry.text);
      return true;
    });
    EXPECT_TRUE(read);
    return texts;
  }
  static std::string Numbered(int from, int to) {
    std::string text;
    for (int i = from; i < to; ++i) text += "line " + std::to_string(i) + "\n";
    return text;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(LogTest, LinesAreDockers) {
  LogWriter writer(path_, LogLimits{});
  writer.Write(kOut, "hello\nsecond", kTime);
  EXPECT_EQ(Raw(path_),
            "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":"
            "\"2025-01-01T00:00:00.123456789Z\"}\n");
  writer.Write(kErr, "<a&b>\t\"\\\r\x7f\n", kTime);
  writer.Write(kOut, " half\n", kTime);
  writer.Write(kOut, "no end", kTime);
  writer.End(kOut, kTime);
  EXPECT_EQ(
      Raw(path_),
      "{\"log\":\"hello\\n\",\"stream\":\"stdout\",\"time\":\"2025-01-01T00:00:00.123456789Z\"}\n"
      "{\"log\":\"\\u003ca\\u0026b\\u003e\\u0009\\\"\\\\\\r\x7f\\n\",\"stream\":\"stderr\","
      "\"time\":\"2025-01-01T00:00:00.123456789Z\"}\n"
      "{\"log\":\"second half\\n\",\"stream\":\"stdout\",\"time\":"
      "\"2025-01-01T00:00:00.123456789Z\"}\n"
      "{\"log\":\"no end\",\"stream\":\"stdout\",\"time\":\"2025-01-01T00:00:00.123456789Z\"}\n");
}

TEST_F(LogTest, AnyByteComesBack) {
  std::string text;
  for (int c = 1; c < 128; ++c) {
    if (c != '\n') text += static_cast<char>(c);
  }
  text += "\u00e9\u20ac\U0001f600\n";
  LogWriter(path_, LogLimits{}).Write(kOut, text, kTime);
  EXPECT_THAT(Read(), ElementsAre(text));
}

TEST_F(LogTest, InvalidUtf8BecomesTheReplacementCharacter) {
  LogWriter(path_, LogLimits{})
      .Write(kOut,
             "a\xff"
             "b\n",
             kTime);
  EXPECT_THAT(Read(), ElementsAre("a\xef\xbf\xbd"
                                  "b\n"));
}

TEST_F(LogTest, LongLinesAreSplitBetweenCharacters) {
  const std::string head(16 * 1024 - 1, 'x');
  LogWriter writer(path_, LogLimits{});
  // In pieces, as reads of a pipe give them.
  const std::string text = head + "\u00e9" + std::string(20000, 'y') + "\n";
  for (size_t i = 0; i < text.size(); i += 5000) {
    writer.Write(kOut, std::string_view(text).substr(i, 5000), kTime);
  }
  const std::vector<std::string> entries = Read();
  ASSERT_EQ(entries.size(), 3u);
  EXPECT_EQ(entries[0], head);
  std::string joined;
  for (const std::string& entry : entries) {
    joined += entry;
    EXPECT_LE(entry.size(), 16u * 1024 + 1);
  }
  EXPECT_EQ(joined, text);
}

TEST_F(LogTest, ALineOfExactlyTheLimitIsOneEntry) {
  const std::string text = std::string(16 * 1024, 'x') + "\n";
  LogWriter(path_, LogLimits{}).Write(kOut, text, kTime);
  EXPECT_THAT(Read(), ElementsAre(text));
}

TEST_F(LogTest, RotatesAndKeepsTheNewest) {
  LogLimits limits;
  limits.max_size = 4096;
  limits.max_files = 3;
  LogWriter writer(path_, limits);
  writer.Write(kOut, Numbered(0, 1000), kTime);
  struct stat info = {};
  for (const char* suffix : {"", ".1", ".2"}) {
    ASSERT_EQ(::stat((path_ + suffix).c_str(), &info), 0) << suffix;
    EXPECT_LT(info.st_size, 4096 + 200);
  }
  EXPECT_NE(::stat((path_ + ".3").c_str(), &info), 0);
  const std::vector<std::string> lines = Read();
  ASSERT_GT(lines.size(), 80u);
  for (size_t i = 0; i < lines.size(); ++i) {
    EXPECT_EQ(lines[i], "line " + std::to_string(1000 - lines.size() + i) + "\n");
  }
}

TEST_F(LogTest, OneFileBeginsAnew) {
  LogLimits limits;
  limits.max_size = 4096;
  limits.max_files = 1;
  LogWriter(path_, limits).Write(kOut, Numbered(0, 1000), kTime);
  struct stat info = {};
  ASSERT_EQ(::stat(path_.c_str(), &info), 0);
  EXPECT_LT(info.st_size, 4096 + 200);
  EXPECT_NE(::stat((path_ + ".1").c_str(), &info), 0);
  EXPECT_EQ(Read().back(), "line 999\n");
}

TEST_F(LogTest, NoneWritesNothing) {
  LogLimits limits;
  limits.enabled = false;
  LogWriter(path_, limits).Write(kOut, "x\n", kTime);
  EXPECT_EQ(::access(path_.c_str(), F_OK), -1);
}

TEST_F(LogTest, AFullDiskIsCountedAndMarked) {
  LogWriter writer(path_, LogLimits{});
  writer.Write(kOut, "before\n", kTime);
  ASSERT_TRUE(ConfigureFailpoints("monitor.log.write=error:ENOSPC"));
  writer.Write(kOut, "lost 1\nlost 2\n", kTime);
  writer.Write(kErr, "lost 3\n", kTime);
  EXPECT_EQ(writer.lost_lines(), 3);
  ASSERT_TRUE(ConfigureFailpoints(""));
  writer.Write(kOut, "after\n", kTime);
  EXPECT_THAT(Read(), ElementsAre("before\n",
                                  "skiff: 3 lines of output were lost: No space left on device\n",
                                  "after\n"));
  EXPECT_EQ(writer.lost_lines(), 0);
}

TEST_F(LogTest, ATornLineOfADeadWriterIsSkipped) {
  LogWriter(path_, LogLimits{}).Write(kOut, "one\n", kTime);
  ASSERT_EQ(::truncate(path_.c_str(), static_cast<off_t>(Raw(path_).size()) - 5), 0);
  LogWriter(path_, LogLimits{}).Write(kOut, "two\n", kTime);
  EXPECT_THAT(Read(), ElementsAre("two\n"));
}

TEST_F(LogTest, AMissingLogIsEmpty) {
  EXPECT_TRUE(Read().empty());
}

TEST_F(LogTest, TailCountsAcrossFiles) {
  LogLimits limits;
  limits.max_size = 4096;
  LogWriter(path_, limits).Write(kOut, Numbered(0, 90), kTime);
  ASSERT_EQ(::access((path_ + ".1").c_str(), F_OK), 0);
  for (const int64_t tail : {0, 1, 2, 45, 60, 89}) {
    LogOptions options;
    options.tail = tail;
    const std::vector<std::string> lines = Read(options);
    ASSERT_EQ(lines.size(), static_cast<size_t>(tail));
    if (tail > 0) {
      EXPECT_EQ(lines.front(), "line " + std::to_string(90 - tail) + "\n");
      EXPECT_EQ(lines.back(), "line 89\n");
    }
  }
  LogOptions options;
  options.tail = 1000;
  EXPECT_EQ(Read(options).size(), 90u);
}

TEST_F(LogTest, SinceAndUntilAreInclusive) {
  LogWriter writer(path_, LogLimits{});
  for (int i = 0; i < 5; ++i) writer.Write(kOut, std::to_string(i) + "\n", kTime + i);
  LogOptions options;
  options.since = kTime + 1;
  options.until = kTime + 3;
  EXPECT_THAT(Read(options), ElementsAre("1\n", "2\n", "3\n"));
}

TEST_F(LogTest, TheSinkCanEndIt) {
  LogWriter(path_, LogLimits{}).Write(kOut, Numbered(0, 10), kTime);
  int seen = 0;
  EXPECT_TRUE(ReadLogFile(path_, {}, nullptr, -1, [&](const LogEntry&) { return ++seen < 3; }));
  EXPECT_EQ(seen, 3);
}

// Between two renames of a rotation one number is free: also that of the newest file.
TEST_F(LogTest, TheGapOfARotationHidesNothing) {
  const auto write = [&](const std::string& file, const std::string& line) {
    LogWriter(file, LogLimits{}).Write(kOut, line + "\n", kTime);
  };
  write(path_ + ".3", "a");
  write(path_ + ".1", "b");
  EXPECT_THAT(Read(), ElementsAre("a\n", "b\n"));
  LogOptions options;
  options.tail = 2;
  EXPECT_THAT(Read(options), ElementsAre("a\n", "b\n"));
  write(path_, "c");
  EXPECT_THAT(Read(), ElementsAre("a\n", "b\n", "c\n"));
}

TEST_F(LogTest, FollowsAcrossRotationsUntilTheEnd) {
  LogLimits limits;
  limits.max_size = 20'000;
  limits.max_files = 100;
  constexpr int kLines = 3000;
  std::atomic<bool> done = false;
  Pipe end = std::move(*MakePipe());
  std::thread writing([&] {
    LogWriter writer(path_, limits);
    for (int i = 0; i < kLines; i += 10) writer.Write(kOut, Numbered(i, i + 10), kTime);
    done = true;
    end.write.Reset();
  });
  LogOptions options;
  options.follow = true;
  int next = 0;
  const Status read = ReadLogFile(
      path_, options, [&] { return done.load(); }, end.read.get(),
      [&](const LogEntry& entry) {
        EXPECT_EQ(entry.text, "line " + std::to_string(next) + "\n");
        ++next;
        return true;
      });
  writing.join();
  EXPECT_TRUE(read);
  EXPECT_EQ(next, kLines);
}

TEST_F(LogTest, FollowingCanBeCancelled) {
  Pipe cancel = std::move(*MakePipe());
  cancel.write.Reset();
  LogOptions options;
  options.follow = true;
  options.cancel_fd = cancel.read.get();
  EXPECT_TRUE(ReadLogFile(
      path_, options, [] { return false; }, -1, [](const LogEntry&) { return true; }));
}

TEST(ParseLogLine, ReadsWhatDockerWrites) {
  LogEntry entry;
  std::string text;
  ASSERT_TRUE(
      ParseLogLine("{\"log\":\"a\\u003c\\ud83d\\ude00\\n\",\"stream\":\"stderr\","
                   "\"attrs\":{\"k\":\"v,}\",\"n\":[1,{}]},"
                   "\"time\":\"2025-01-01T00:00:00.5Z\"}",
                   &entry, &text));
  EXPECT_EQ(entry.text, "a<\U0001f600\n");
  EXPECT_EQ(entry.stream, kErr);
  EXPECT_EQ(entry.time, 1'735'689'600'500'000'000);
  // The writer's own form takes another way; both must agree.
  for (const char* time : {"2025-01-01T00:00:00.123456789Z", "1999-12-31T23:59:59.999999999Z",
                           "2024-02-29T12:34:56.000000001Z"}) {
    const std::string line =
        "{\"log\":\"\",\"stream\":\"stdout\",\"time\":\"" + std::string(time) + "\"}";
    ASSERT_TRUE(ParseLogLine(line, &entry, &text));
    EXPECT_EQ(entry.time, ParseTimestamp(time).value()) << time;
  }
  for (const char* line : {"", "{", "{}", "null", "{\"log\":\"x\"}", "{\"log\":\"x", "\n",
                           "{\"log\":\"x\",\"time\":\"yesterday\"}",
                           "{\"log\":\"\\u12\",\"time\":\"2025-01-01T00:00:00Z\"}",
                           "{\"log\":\"x\",\"time\":\"2025-01-01T00:00:00Z\"} trailing"}) {
    EXPECT_FALSE(ParseLogLine(line, &entry, &text)) << line;
  }
}

TEST(ParseLogLimits, DefaultsAreBounded) {
  const LogLimits limits = ParseLogLimits({}).value();
  EXPECT_TRUE(limits.enabled);
  EXPECT_EQ(limits.max_size, 10'000'000);
  EXPECT_EQ(limits.max_files, 3);
}

TEST(ParseLogLimits, OptionsAreDockers) {
  const struct {
    const char* text;
    int64_t size;
  } kSizes[] = {{"10m", 10'000'000}, {"1k", 1'000},      {"1.5g", 1'500'000'000},
                {"77", 77},          {"2MB", 2'000'000}, {"-1", 0}};
  for (const auto& [text, size] : kSizes) {
    const Result<LogLimits> limits = ParseLogLimits({"json-file", {{"max-size", text}}});
    ASSERT_TRUE(limits) << text;
    EXPECT_EQ(limits->max_size, size) << text;
  }
  for (const char* text : {"", "x", "-5", "0", "1.x"}) {
    EXPECT_FALSE(ParseLogLimits({"json-file", {{"max-size", text}}})) << text;
  }
  EXPECT_EQ(ParseLogLimits({"", {{"max-file", "7"}}})->max_files, 7);
  EXPECT_FALSE(ParseLogLimits({"", {{"max-file", "0"}}}));
  EXPECT_FALSE(ParseLogLimits({"none", {}})->enabled);
  EXPECT_EQ(ParseLogLimits({"fluentd", {}}).error().code, Code::kInvalidArgument);
}

}  // namespace
}  // namespace skiff::engine
