// Habits of the tree that a reader relies on (docs and STYLE of the project).

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/architecture/source_tree.h"
#include "tests/e2e/support/process.h"

namespace skiff::architecture {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaximumLines = 800;

std::vector<std::string> WithTests() {
  std::vector<std::string> folders = kModules;
  folders.push_back("tests");
  return folders;
}

// Reports every match of `form` in the code (not in comments or strings) of `file`.
void ExpectNoCode(const SourceFile& file, const std::regex& form, const char* why) {
  for (auto it = std::sregex_iterator(file.code.begin(), file.code.end(), form);
       it != std::sregex_iterator(); ++it) {
    ADD_FAILURE() << file.path << ":" << LineOf(file.code, static_cast<size_t>(it->position()) + 1)
                  << ": '" << it->str() << "': " << why;
  }
}

TEST(HabitsTest, FilesAreOfReadableSize) {
  // Lines of long_files.txt: PATH REASON...
  std::map<std::string, std::string> reasons;
  for (const std::string& line : ReadList("tests/architecture/long_files.txt")) {
    const size_t space = line.find(' ');
    ASSERT_NE(space, std::string::npos) << "no reason given: " << line;
    reasons[line.substr(0, space)] = line.substr(space + 1);
  }
  for (const SourceFile& file : ReadSources(WithTests())) {
    const bool is_long = file.line_count > kMaximumLines;
    EXPECT_TRUE(!is_long || reasons.count(file.path) != 0)
        << file.path << " has " << file.line_count << " lines, more than " << kMaximumLines;
    if (!is_long) {
      EXPECT_EQ(reasons.count(file.path), 0U) << file.path << " is not long any more";
    }
    reasons.erase(file.path);
  }
  for (const auto& [path, reason] : reasons) ADD_FAILURE() << "long_files.txt names " << path;
}

TEST(HabitsTest, NoProgramIsRunThroughAShell) {
  static const std::regex form(R"((^|[^\w.>])(?:std::|::)?(system|popen)\s*\()");
  for (const SourceFile& file : ReadSources(WithTests())) {
    ExpectNoCode(file, form, "programs are started with an argument vector");
  }
}

TEST(HabitsTest, NothingSleeps) {
  static const std::regex form(
      R"((^|[^\w.>])(?:std::|::)?(sleep|usleep|nanosleep|clock_nanosleep|sleep_for|sleep_until)\s*\()");
  static const std::regex thread_form(R"(this_thread::sleep)");
  for (const SourceFile& file : ReadSources(WithTests())) {
    ExpectNoCode(file, form, "wait for the event");
    ExpectNoCode(file, thread_form, "wait for the event");
  }
}

TEST(HabitsTest, DescriptorsAreClosedByTheirOwner) {
  static const std::regex form(R"((^|[^\w.>:])(?:::)?close\s*\()");
  for (const SourceFile& file : ReadSources(kModules)) {
    // Fd itself, and the code between clone and exec, which has no destructors to rely on.
    if (file.path == "base/fd.cc" || file.path.starts_with("engine-core/child/")) continue;
    ExpectNoCode(file, form, "skiff::Fd owns descriptors");
  }
}

TEST(HabitsTest, NothingIsLeftForLater) {
  // Assembled, so that this file does not contain them.
  const std::regex form(std::string(R"(\b(TO)") + R"(DO|FIX)" + R"(ME|XX)" + R"(X)\b)");
  for (const SourceFile& file : ReadSources(WithTests())) {
    std::smatch match;
    EXPECT_FALSE(std::regex_search(file.text, match, form))
        << file.path << ":" << LineOf(file.text, static_cast<size_t>(match.position()));
  }
}

TEST(HabitsTest, NoTestIsDisabled) {
  const std::regex form(std::string("DISAB") + R"(LED_\w)");
  for (const SourceFile& file : ReadSources({"tests"})) {
    EXPECT_FALSE(std::regex_search(file.code, form)) << file.path;
  }
}

TEST(HabitsTest, HeadersAreIncludedOnce) {
  for (const SourceFile& file : ReadSources(WithTests())) {
    if (!file.path.ends_with(".h")) continue;
    EXPECT_NE(file.text.find("#pragma once"), std::string::npos) << file.path;
  }
}

TEST(HabitsTest, EveryModuleHasAGuide) {
  for (const std::string& module : kModules) {
    if (ReadSources({module}).empty()) continue;
    EXPECT_TRUE(Exists(module + "/README.md")) << module;
  }
}

// A test that is not built does not exist.
TEST(HabitsTest, EveryTestFileIsBuilt) {
  const std::string build = fs::relative(SKIFF_TEST_BUILD_DIR, RepositoryRoot()).string();
  std::string database = ReadTextFile(build + "/compile_commands.json");
  ASSERT_FALSE(database.empty()) << "no compile_commands.json in " << SKIFF_TEST_BUILD_DIR;
  // Sources that are compiled several at once are named by a file that includes them.
  const std::regex batch("\"file\": \"[^\"]*/(tests/[^\"]*/unity_[0-9]+_cxx[.]cxx)\"");
  const std::string commands = database;
  for (std::sregex_iterator it(commands.begin(), commands.end(), batch), end; it != end; ++it) {
    database += ReadTextFile(build + "/" + (*it)[1].str());
  }
  for (const SourceFile& file : ReadSources({"tests"})) {
    if (!file.path.ends_with("_test.cc")) continue;
    EXPECT_NE(database.find(file.path), std::string::npos) << file.path << " is in no target";
  }
}

// The list that fault runs use is complete, and a name means one place.
TEST(HabitsTest, FailpointsHaveNamesOfTheirOwn) {
  const e2e::Outcome listed = e2e::RunCommand(
      {SKIFF_TEST_CMAKE, "-P", RepositoryRoot() + "/tests/architecture/list_failpoints.cmake"});
  ASSERT_EQ(listed.exit_code, 0) << listed;
  std::map<std::string, std::string> places;
  std::istringstream lines(listed.out);
  for (std::string line; std::getline(lines, line);) {
    const size_t space = line.find(' ');
    const std::string name = line.substr(0, space);
    const std::string place = line.substr(space + 1);
    static const std::regex form(R"([a-z0-9_]+(\.[a-z0-9_]+)+)");
    EXPECT_TRUE(std::regex_match(name, form)) << name << " in " << place;
    const auto [old, inserted] = places.emplace(name, place);
    EXPECT_TRUE(inserted) << name << " is in " << old->second << " and in " << place;
  }
  static const std::regex call(R"((^|[^\w])Failpoint\s*\()");
  size_t calls = 0;
  for (const SourceFile& file : ReadSources(kModules)) {
    if (file.path.starts_with("base/failpoint.")) continue;
    calls += static_cast<size_t>(std::distance(
        std::sregex_iterator(file.code.begin(), file.code.end(), call), std::sregex_iterator()));
  }
  EXPECT_EQ(places.size(), calls) << "a failpoint's name must be a literal";
}

// Two commands and nothing else stand in the README's code blocks before its pointers.
TEST(HabitsTest, ReadmeHasExactlyTwoCommands) {
  std::istringstream lines(ReadTextFile("README.md"));
  std::vector<std::string> commands;
  bool in_block = false;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("```")) {
      in_block = !in_block;
    } else if ((in_block || line.starts_with("    ")) &&
               line.find_first_not_of(' ') != std::string::npos) {
      commands.push_back(line.substr(line.find_first_not_of(' ')));
    }
  }
  EXPECT_EQ(commands, (std::vector<std::string>{"samples/run-hello", "tests/run"}));
  for (const std::string& command : commands) {
    EXPECT_TRUE(Exists(command.substr(0, command.find(' '))));
  }
  EXPECT_NE(ReadTextFile(".ci/run").find("tests/run"), std::string::npos);
}

}  // namespace
}  // namespace skiff::architecture
