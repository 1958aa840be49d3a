// What the built programs consist of: symbols of the code between clone and exec, libraries of the
// monitor and of the command (DESIGN: "Processes", "Speed").

#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "tests/architecture/source_tree.h"
#include "tests/e2e/support/process.h"

namespace skiff::architecture {
namespace {

std::vector<std::string> Split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) {
    if (!part.empty()) parts.push_back(part);
  }
  return parts;
}

struct Symbols {
  std::set<std::string> defined, undefined;
};

// Symbols of object files or of a program, by nm.
Symbols SymbolsOf(const std::vector<std::string>& files, bool demangle = false) {
  std::vector<std::string> command = {"nm", "--format=posix"};
  if (demangle) command.push_back("-C");
  command.insert(command.end(), files.begin(), files.end());
  const e2e::Outcome listed = e2e::RunCommand(command);
  EXPECT_EQ(listed.exit_code, 0) << listed.err;
  Symbols symbols;
  // "NAME TYPE [VALUE SIZE]"; a demangled name may contain spaces.
  static const std::regex form(R"((.+?) ([A-Za-z])( +[0-9a-f]+( +[0-9a-f]+)?)?\s*)");
  for (const std::string& line : Split(listed.out, '\n')) {
    std::smatch match;
    if (line.ends_with(':') || !std::regex_match(line, match, form)) continue;
    const char type = match[2].str()[0];
    (type == 'U' || type == 'w' || type == 'v' ? symbols.undefined : symbols.defined)
        .insert(match[1]);
  }
  return symbols;
}

// Names of the shared libraries a program needs; nullopt-like: {"?"} when it cannot be read.
std::vector<std::string> NeededLibraries(const std::string& program) {
  const e2e::Outcome listed = e2e::RunCommand({"readelf", "--dynamic", "--wide", program});
  if (listed.exit_code != 0) return {"?"};
  std::vector<std::string> needed;
  static const std::regex form(R"(\(NEEDED\).*\[(.*)\])");
  for (const std::string& line : Split(listed.out, '\n')) {
    std::smatch match;
    if (std::regex_search(line, match, form)) needed.push_back(match[1]);
  }
  return needed;
}

bool Sanitized() {
  return std::string_view(SKIFF_TEST_SANITIZE) != "";
}

TEST(BinariesTest, CodeBetweenCloneAndExecUsesListedSymbolsOnly) {
  const std::vector<std::string> objects = Split(SKIFF_TEST_CHILD_OBJECTS, ':');
  ASSERT_GT(objects.size(), 3U);
  const Symbols symbols = SymbolsOf(objects);
  const std::vector<std::string> list = ReadList("tests/architecture/child_symbols.txt");
  ASSERT_FALSE(list.empty());
  const std::set<std::string> allowed(list.begin(), list.end());
  for (const std::string& name : symbols.undefined) {
    EXPECT_TRUE(symbols.defined.count(name) != 0 || allowed.count(name) != 0)
        << name << " is used between clone and exec and not in child_symbols.txt";
  }
  for (const std::string& name : allowed) {
    EXPECT_EQ(symbols.undefined.count(name), 1U)
        << "child_symbols.txt lists " << name << ", which nothing uses";
  }
}

// Everything an allocation would need is on no list.
TEST(BinariesTest, CodeBetweenCloneAndExecDoesNotAllocate) {
  static const std::regex form(R"((malloc|calloc|realloc|free|_Zn[wa].*|_Zd[la].*|__cxa_.*))");
  for (const std::string& name : SymbolsOf(Split(SKIFF_TEST_CHILD_OBJECTS, ':')).undefined) {
    EXPECT_FALSE(std::regex_match(name, form)) << name;
  }
}

TEST(BinariesTest, MonitorIsStatic) {
  if (Sanitized()) GTEST_SKIP() << "sanitizers have no static runtime";
  EXPECT_EQ(NeededLibraries(SKIFF_TEST_MONITOR), (std::vector<std::string>{}));
  const e2e::Outcome headers =
      e2e::RunCommand({"readelf", "--program-headers", "--wide", SKIFF_TEST_MONITOR});
  ASSERT_EQ(headers.exit_code, 0) << headers.err;
  EXPECT_EQ(headers.out.find("INTERP"), std::string::npos);
}

TEST(BinariesTest, MonitorLinksNoLibraryOfTheCommand) {
  static const std::regex foreign(
      R"((YAML::|sqlite3_|curl_|archive_read|archive_write|archive_entry|nft_|nl_|nla_|rtnl_|SSL_|re2::|nlohmann|seccomp_|CLI::|spdlog))"
      R"(.*)");
  // The engine's other half, and the module whose names and relay it borrows.
  static const std::regex ours(R"(skiff::(schema|compose|cli|volumes|engine::(Store|Embedded)).*)");
  const Symbols symbols = SymbolsOf({SKIFF_TEST_MONITOR}, /*demangle=*/true);
  ASSERT_GT(symbols.defined.size(), 100U) << "no symbols to look at";
  for (const std::string& name : symbols.defined) {
    EXPECT_FALSE(std::regex_match(name, foreign)) << "skiff-monitor contains " << name;
    EXPECT_FALSE(std::regex_match(name, ours)) << "skiff-monitor contains " << name;
  }
}

// A megabyte more is a page more in each of a thousand monitors.
TEST(BinariesTest, MonitorIsSmall) {
  if (Sanitized()) GTEST_SKIP() << "sanitizers make it large";
  const std::string copy = std::filesystem::temp_directory_path() /
                           ("skiff-monitor-stripped." + std::to_string(getpid()));
  const e2e::Outcome stripped = e2e::RunCommand({"strip", "-o", copy, SKIFF_TEST_MONITOR});
  ASSERT_EQ(stripped.exit_code, 0) << stripped.err;
  EXPECT_LT(std::filesystem::file_size(copy), 4U << 20);
  std::filesystem::remove(copy);
}

// Loading libraries is what a command's start would spend most of its time with.
TEST(BinariesTest, CommandLoadsOnlyTheCLibrary) {
  if (Sanitized()) GTEST_SKIP() << "sanitizers are shared libraries";
  static const std::set<std::string> allowed = {"libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"};
  const std::vector<std::string> needed = NeededLibraries(SKIFF_TEST_SKIFF);
  EXPECT_FALSE(needed.empty());
  for (const std::string& library : needed) {
    EXPECT_EQ(allowed.count(library), 1U) << "skiff loads " << library;
  }
}

TEST(BinariesTest, CommandHasNoNetworkClientOrArchiveReader) {
  static const std::regex foreign(R"((curl_|archive_read_|archive_write_|SSL_).*)");
  const Symbols symbols = SymbolsOf({SKIFF_TEST_SKIFF});
  for (const auto* names : {&symbols.defined, &symbols.undefined}) {
    for (const std::string& name : *names) {
      EXPECT_FALSE(std::regex_match(name, foreign)) << "skiff contains " << name;
    }
  }
}

}  // namespace
}  // namespace skiff::architecture
