#include "schema/text/dotenv.h"

#include <gtest/gtest.h>

namespace skiff::schema {
namespace {

using Variables = std::map<std::string, std::string>;

struct Outcome {
  bool good = false;
  Variables variables;
  std::string problems;
};

Outcome Read(const std::string& text, bool raw = false) {
  Outcome outcome;
  SourceMap sources;
  Diagnostics found;
  const uint32_t file = sources.Add(".env", text);
  const Lookup lookup = [](std::string_view name) -> std::optional<std::string> {
    if (name == "OS") return "outer";
    return std::nullopt;
  };
  outcome.good = raw ? ParseRawEnv(sources, file, lookup, outcome.variables, found)
                     : ParseDotenv(sources, file, lookup, outcome.variables, found);
  outcome.problems = FormatDiagnostics(found, sources);
  return outcome;
}

struct Row {
  std::string text;
  Variables expected;
};

class DotenvRows : public testing::TestWithParam<Row> {};

TEST_P(DotenvRows, AreRead) {
  const Outcome outcome = Read(GetParam().text);
  EXPECT_TRUE(outcome.good);
  EXPECT_EQ(outcome.variables, GetParam().expected);
  EXPECT_EQ(outcome.problems, "");
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, DotenvRows,
    testing::Values(
        Row{"", {}}, Row{"# only a comment", {}}, Row{"A=1", {{"A", "1"}}},
        Row{"A=1\nB=2\n", {{"A", "1"}, {"B", "2"}}},
        Row{"A=1\r\nB=2\r\n", {{"A", "1"}, {"B", "2"}}},
        Row{"\xef\xbb\xbf"
            "A=1",
            {{"A", "1"}}},
        Row{"export A=1", {{"A", "1"}}}, Row{"export\tA=1", {{"A", "1"}}},
        Row{"exported=1", {{"exported", "1"}}}, Row{"A: yaml", {{"A", "yaml"}}},
        Row{"A = spaced ", {{"A", "spaced"}}}, Row{"A=", {{"A", ""}}},
        Row{"A=\nB=1", {{"A", ""}, {"B", "1"}}}, Row{"A=x # comment", {{"A", "x"}}},
        Row{"A=x#no", {{"A", "x#no"}}}, Row{"A=a=b", {{"A", "a=b"}}},
        Row{"a.b-c[0]=1", {{"a.b-c[0]", "1"}}}, Row{"A='raw $OS \\n'", {{"A", "raw $OS \\n"}}},
        Row{"A='it\\'s'", {{"A", "it's"}}}, Row{"A=\"a\\nb\\t\"", {{"A", "a\nb\t"}}},
        Row{"A=\"q\\\"q\"", {{"A", "q\"q"}}}, Row{"A=\"\\$OS\"", {{"A", "$OS"}}},
        Row{"A=\"\\0101\"", {{"A", "A"}}}, Row{"A=\"one\ntwo\"", {{"A", "one\ntwo"}}},
        Row{"A=\"x\" # c\nB=1", {{"A", "x"}, {"B", "1"}}}, Row{"A=a\\nb", {{"A", "a\\nb"}}},
        Row{"A=$OS", {{"A", "outer"}}}, Row{"A=1\nB=${A}2", {{"A", "1"}, {"B", "12"}}},
        Row{"OS=inner\nB=$OS", {{"OS", "inner"}, {"B", "outer"}}}, Row{"A=${N:-d}", {{"A", "d"}}},
        Row{"A=$$x", {{"A", "$x"}}}, Row{"OS\n", {{"OS", "outer"}}},
        Row{"UNSET\nA=1", {{"A", "1"}}}, Row{"A=1\nA=2", {{"A", "2"}}}));

TEST(Dotenv, TellsThePlaceOfAnUnclosedQuote) {
  EXPECT_EQ(Read("A=1\nB=\"x\n").problems,
            ".env:2:3: error: the quoted value that starts here does not end\n"
            "  2 | B=\"x\n"
            "    |   ^~\n");
}

TEST(Dotenv, RefusesANameWithASpace) {
  EXPECT_EQ(Read("A B=1").problems,
            ".env:1:2: error: a variable name cannot contain a space\n"
            "  1 | A B=1\n"
            "    |  ^\n");
}

TEST(Dotenv, RefusesOtherCharactersInNames) {
  EXPECT_EQ(Read("A/B=1").problems,
            ".env:1:2: error: unexpected character '/' in a variable name\n"
            "  1 | A/B=1\n"
            "    |  ^\n"
            "  note: a line is KEY=VALUE; names have letters, digits, '_', '.', '-'\n");
}

TEST(Dotenv, WarnsOfAnUnsetVariable) {
  const Outcome outcome = Read("A=$N");
  EXPECT_TRUE(outcome.good);
  EXPECT_EQ(outcome.problems,
            ".env:1:3: warning: the variable 'N' is not set; it becomes an empty text\n"
            "  1 | A=$N\n"
            "    |   ^~\n");
}

// 2^30 bytes, if nobody counts.
TEST(Dotenv, RefusesValuesThatRepeatEachOther) {
  std::string text = "A=12345678\n";
  for (int i = 0; i < 27; ++i) text += "A=$A$A\n";
  const Outcome outcome = Read(text);
  EXPECT_FALSE(outcome.good);
  EXPECT_EQ(outcome.problems,
            ".env:21:3: error: with the value of 'A' this file grows beyond 8 MiB\n"
            "  21 | A=$A$A\n"
            "     |   ^~~~\n"
            "  note: its values repeat each other\n");
}

TEST(RawEnv, HasNoQuotesAndNoExpansion) {
  const Outcome outcome = Read("# c\n  A=\"x\" # $OS\nOS\nGONE\nB= y \n", true);
  EXPECT_TRUE(outcome.good);
  EXPECT_EQ(outcome.variables, (Variables{{"A", "\"x\" # $OS"}, {"OS", "outer"}, {"B", " y "}}));
}

TEST(RawEnv, RefusesANameWithWhiteSpace) {
  EXPECT_FALSE(Read("A B=1", true).good);
  EXPECT_FALSE(Read("=1", true).good);
}

}  // namespace
}  // namespace skiff::schema
