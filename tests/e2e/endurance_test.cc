// The same again and again, and several at once: nothing grows, nothing is lost, nobody is turned
// away.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>

#include "tests/e2e/support/chance.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

// `more`: further volumes of `web`.
std::string Project(const std::string& more) {
  return R"(name: endure
services:
  web:
    image: busybox:latest
    init: true
    command: sleep 1000
    ports: ["127.0.0.1::80", "81"]
    volumes: ["data:/etc/data")" +
         more +
         R"(]
    networks: [inner]
  job:
    image: busybox:latest
    init: true
    command: sh -c "echo started; exec sleep 1000"
    networks: [inner, other]
    restart: always
    healthcheck: {test: ["CMD", "true"], interval: 1s}
volumes: {data: {}}
networks: {inner: {}, other: {}}
)";
}

class EnduranceTest : public SkiffTest {
 protected:
  static int64_t SizeOf(const std::string& path) {
    std::error_code error;
    const auto size = std::filesystem::file_size(path, error);
    return error ? 0 : static_cast<int64_t>(size);
  }
  // Pages that hold something. How many stand free depends on how many commits a command needed.
  // The header's numbers: https://sqlite.org/fileformat.html, 1.3.
  static int64_t UsedPages(const std::string& database) {
    const auto data = ReadFile(database);
    if (!data || data->size() < 100) return -1;
    const auto number = [&](size_t offset) {
      int64_t value = 0;
      for (size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>((*data)[offset + i]);
      return value;
    };
    return number(28) - number(36);
  }
  void ExpectClean() {
    const Outcome check = Skiff({"system", "check"});
    EXPECT_THAT(check, Succeeds()) << check;
  }
};

TEST_F(EnduranceTest, CyclesOfUpAndDownLeaveNothingAndSlowNothing) {
  WriteProject(Project(", /anonymous"));
  const Words up = {"up", "-d"};
  const Words down = {"down", "-v", "-t", "0"};
  const auto cycle = [&] {
    const Outcome started = Skiff(up);
    EXPECT_THAT(started, Succeeds()) << started;
    const Outcome ended = Skiff(down);
    EXPECT_THAT(ended, Succeeds()) << ended;
    return started.elapsed + ended.elapsed;
  };
  // What is made once and kept: lock files, pages of the database.
  for (int i = 0; i < 10; ++i) cycle();
  Census before;
  ASSERT_TRUE(Eventually([&] {
    before = Count();
    return before.counts.at("process") == 0 && before.counts.at("link") <= 1;
  }));
  const std::string database = directory() + "/root/skiff.db";
  const int64_t database_pages = UsedPages(database);
  EXPECT_GT(database_pages, 0);
  std::vector<milliseconds> times;
  const int cycles = Rounds(60, 1000);
  for (int i = 0; i < cycles && !HasFailure(); ++i) {
    times.push_back(cycle());
    // Of an odd number, so that it is not always the same moment after the cycle before.
    if (i % 17 != 16) continue;
    EXPECT_EQ(DifferenceTo(before), "") << "after cycle " << i;
  }
  EXPECT_EQ(DifferenceTo(before), "");
  EXPECT_EQ(UsedPages(database), database_pages);
  EXPECT_LE(SizeOf(database), 1 << 20);
  EXPECT_LE(SizeOf(directory() + "/run/events.jsonl"), 2 << 20);
  ExpectClean();
  const size_t part = times.size() / 3;
  const auto median = [&](auto from, auto to) {
    std::vector<milliseconds> sorted(from, to);
    std::ranges::sort(sorted);
    return sorted.empty() ? 0L : static_cast<long>(sorted[sorted.size() / 2].count());
  };
  std::printf("%d cycles, median of the first third %ld ms, of the last %ld ms\n", cycles,
              median(times.begin(), times.begin() + static_cast<long>(part)),
              median(times.end() - static_cast<long>(part), times.end()));
}

// What two commands that change one project at once may say. Anything else is a mistake.
bool IsExpected(const Outcome& outcome) {
  if (outcome.ok()) return true;
  // `logs` and `ps` look at containers that another command removes just then.
  for (const char* text : {"No such container", "is not running", "no such service"}) {
    if (outcome.err.find(text) != std::string::npos) return true;
  }
  return false;
}

TEST_F(EnduranceTest, EightProcessesRaceOnOneProject) {
  // `down` keeps anonymous volumes: they would be counted.
  WriteProject(Project(""));
  Succeed({"up", "-d"});
  Succeed({"down", "-v", "-t", "0"});
  ASSERT_TRUE(Eventually([&] { return Count().counts.at("process") == 0; }));
  const Census before = Count();
  Chance chance;
  const std::vector<Words> all = {{"up", "-d", "-t", "0"},
                                  {"down", "-t", "0"},
                                  {"up", "-d", "-t", "0", "--scale", "job=3"},
                                  {"scale", "job=2"},
                                  {"ps", "-a"},
                                  {"logs"},
                                  {"restart", "-t", "0"},
                                  {"ps", "-q"},
                                  {"down", "-v", "-t", "0"},
                                  {"up", "-d", "--force-recreate", "-t", "0"}};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(Rounds(5, 600));
  struct Running {
    Words words;
    Process process;
  };
  std::vector<Running> running;
  std::map<std::string, int> ran;
  const auto finish = [&](Running& one) {
    const Outcome outcome = one.process.Finish(30s);
    EXPECT_FALSE(outcome.timed_out) << ::testing::PrintToString(one.words) << outcome;
    EXPECT_TRUE(IsExpected(outcome)) << ::testing::PrintToString(one.words) << outcome;
    ++ran[one.words[0]];
  };
  while (std::chrono::steady_clock::now() < end && !HasFailure()) {
    while (running.size() < 8) {
      const Words& words = all[static_cast<size_t>(chance.Below(static_cast<int>(all.size())))];
      running.push_back({words, StartSkiff(words)});
    }
    // Whichever is done first: the others go on meanwhile.
    const size_t chosen = static_cast<size_t>(chance.Below(8));
    finish(running[chosen]);
    running.erase(running.begin() + static_cast<long>(chosen));
  }
  for (Running& one : running) finish(one);
  for (const auto& [verb, times] : ran) std::printf("%s: %d\n", verb.c_str(), times);
  ExpectClean();
  Succeed({"up", "-d", "-t", "0"});
  EXPECT_EQ(Lines(Succeed({"ps", "-q"})).size(), 2u);
  ExpectClean();
  Succeed({"down", "-v", "-t", "0"});
  ExpectClean();
  EXPECT_EQ(DifferenceTo(before), "") << "SKIFF_SEED=" << chance.seed();
}

}  // namespace
}  // namespace skiff::e2e
