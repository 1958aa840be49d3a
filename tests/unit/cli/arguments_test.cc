#include "cli/arguments.h"

#include <gtest/gtest.h>

namespace skiff::cli {
namespace {

using enum FlagKind;
using Words = std::vector<std::string>;

constexpr Flag kFlags[] = {
    {"detach", 'd', kBool, "", "x"},          {"tty", 't', kBool, "", "x"},
    {"sig-proxy", 0, kBool, "", "x", "true"}, {"env", 'e', kList, "list", "x"},
    {"name", 0, kText, "string", "x"},        {"user", 'u', kText, "string", "x", "root"},
    {"timeout", 'n', kNumber, "int", "x"},    {"entrypoint", 0, kText, "string", "x"},
};

struct Row {
  Words words;
  bool flags_first;
  // What the parser sees: name=value of the given flags, then the operands.
  Words expected;
};

Words Describe(const Arguments& arguments) {
  Words out;
  for (const Flag& flag : kFlags) {
    for (const std::string& value : arguments.List(flag.name)) {
      out.push_back(std::string(flag.name) + "=" + value);
    }
  }
  out.insert(out.end(), arguments.operands().begin(), arguments.operands().end());
  return out;
}

TEST(Arguments, ParseAsPflagDoes) {
  const Row rows[] = {
      {{"-d", "web"}, false, {"detach=true", "web"}},
      {{"web", "-d"}, false, {"detach=true", "web"}},
      {{"-dt", "web"}, false, {"detach=true", "tty=true", "web"}},
      {{"-dtu", "me", "web"}, false, {"detach=true", "tty=true", "user=me", "web"}},
      {{"-ume", "web"}, false, {"user=me", "web"}},
      {{"-u=me", "web"}, false, {"user=me", "web"}},
      {{"--name=a=b"}, false, {"name=a=b"}},
      {{"--name", "-x"}, false, {"name=-x"}},
      {{"-e", "A=1", "-e", "B=[x]", "c"}, false, {"env=A=1", "env=B=[x]", "c"}},
      {{"-n", "-1"}, false, {"timeout=-1"}},
      {{"--sig-proxy=false", "web"}, false, {"sig-proxy=false", "web"}},
      {{"--entrypoint=", "web", "sh"}, true, {"entrypoint=", "web", "sh"}},
      {{"--entrypoint", "", "web"}, true, {"entrypoint=", "web"}},
      // Everything behind the first operand belongs to the command.
      {{"-d", "web", "sh", "-c", "x", "--name=", "-e"},
       true,
       {"detach=true", "web", "sh", "-c", "x", "--name=", "-e"}},
      {{"web", "--", "-d"}, false, {"web", "-d"}},
      {{"--", "-d"}, true, {"-d"}},
      {{"-"}, false, {"-"}},
      {{"a", "-1"}, false, {}},
  };
  for (const Row& row : rows) {
    const auto parsed = ParseArguments(kFlags, row.flags_first, row.words);
    if (row.expected.empty()) {
      EXPECT_FALSE(parsed) << testing::PrintToString(row.words);
      continue;
    }
    ASSERT_TRUE(parsed) << testing::PrintToString(row.words) << parsed.error().Text();
    EXPECT_EQ(Describe(*parsed), row.expected) << testing::PrintToString(row.words);
  }
}

TEST(Arguments, TellWhatIsWrong) {
  const std::pair<Words, std::string> rows[] = {
      {{"--bogus"}, "unknown flag: --bogus"},
      {{"--bogus=1"}, "unknown flag: --bogus"},
      {{"-z"}, "unknown shorthand flag: 'z' in -z"},
      {{"--name"}, "flag needs an argument: --name"},
      {{"-n", "x"}, "invalid argument \"x\" for \"-n, --timeout\" flag"},
      {{"--detach=maybe"}, "invalid argument \"maybe\" for \"-d, --detach\" flag"},
  };
  for (const auto& [words, message] : rows) {
    const auto parsed = ParseArguments(kFlags, false, words);
    ASSERT_FALSE(parsed) << message;
    EXPECT_EQ(parsed.error().message, message);
    EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
  }
}

TEST(Arguments, SuggestTheNearestFlag) {
  const auto parsed = ParseArguments(kFlags, false, {"--detatch"});
  ASSERT_FALSE(parsed);
  ASSERT_EQ(parsed.error().notes.size(), 1u);
  EXPECT_EQ(parsed.error().notes[0].message, "did you mean --detach?");
}

TEST(Arguments, FallBackToTheTable) {
  const auto parsed = ParseArguments(kFlags, false, {});
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->Bool("sig-proxy"));
  EXPECT_EQ(parsed->Text("user"), "root");
  EXPECT_FALSE(parsed->Has("user"));
  EXPECT_FALSE(parsed->Number("timeout"));
  EXPECT_EQ(parsed->Operand(3), "");
}

TEST(Arguments, AbortOnAFlagThatIsInNoTable) {
  const auto parsed = ParseArguments(kFlags, false, {});
  EXPECT_DEATH(parsed->Bool("typo"), "no flag --typo in this command's table");
}

TEST(Arguments, CountOperands) {
  constexpr Command kTwo = {"port", "", "A B", 2, 2, false, "", "", {}, nullptr};
  EXPECT_TRUE(CheckOperandCount(kTwo, "skiff port", 2));
  EXPECT_EQ(CheckOperandCount(kTwo, "skiff port", 1).error().message,
            "'skiff port' requires 2 arguments");
  constexpr Command kNone = {"ls", "", "", 0, 0, false, "", "", {}, nullptr};
  EXPECT_EQ(CheckOperandCount(kNone, "skiff ls", 1).error().message,
            "'skiff ls' accepts no arguments");
  constexpr Command kSome = {"rm", "", "A...", 1, kAnyNumber, false, "", "", {}, nullptr};
  EXPECT_EQ(CheckOperandCount(kSome, "docker rm", 0).error().message,
            "'docker rm' requires at least 1 argument");
}

}  // namespace
}  // namespace skiff::cli
