#include "schema/text/template.h"

#include <gtest/gtest.h>

#include <map>

namespace skiff::schema {
namespace {

std::optional<std::string> Known(std::string_view name) {
  static const std::map<std::string, std::string, std::less<>> kVariables = {
      {"A", "alpha"}, {"B", "beta"}, {"EMPTY", ""}, {"_x1", "under"}, {"DOLLAR", "$A"}};
  const auto found = kVariables.find(name);
  if (found == kVariables.end()) return std::nullopt;
  return found->second;
}

struct Row {
  std::string_view text, expected;
};

class TemplateValues : public testing::TestWithParam<Row> {};

TEST_P(TemplateValues, AreReplaced) {
  const Substitution result = Substitute(GetParam().text, Known);
  EXPECT_EQ(result.text, GetParam().expected);
  EXPECT_TRUE(result.issues.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Grammar, TemplateValues,
    testing::Values(Row{"plain", "plain"}, Row{"", ""}, Row{"$A", "alpha"}, Row{"${A}", "alpha"},
                    Row{"x$A-y", "xalpha-y"}, Row{"$A$B", "alphabeta"},
                    Row{"${A}${B}", "alphabeta"}, Row{"$$A", "$A"}, Row{"$$$A", "$alpha"},
                    Row{"$$$$", "$$"}, Row{"$", "$"}, Row{"$1", "$1"}, Row{"$ A", "$ A"},
                    Row{"a$", "a$"}, Row{"$_x1", "under"}, Row{"${_x1}", "under"},
                    Row{"$A.b", "alpha.b"}, Row{"${A:-d}", "alpha"}, Row{"${N:-d}", "d"},
                    Row{"${EMPTY:-d}", "d"}, Row{"${N-d}", "d"}, Row{"${EMPTY-d}", ""},
                    Row{"${N:-}", ""}, Row{"${N:-a b}", "a b"}, Row{"${N:-{}}", "{}"},
                    Row{"${N:-{\"k\": 1}}x", "{\"k\": 1}x"}, Row{"${N:-$A}", "alpha"},
                    Row{"${N:-${M:-deep}}", "deep"}, Row{"${N:-${M:-x}${A}}!", "xalpha!"},
                    Row{"${N-a?b}", "a?b"}, Row{"${N:-a:-b}", "a:-b"}, Row{"${A:+alt}", "alt"},
                    Row{"${EMPTY:+alt}", ""}, Row{"${N:+alt}", ""}, Row{"${A+alt}", "alt"},
                    Row{"${EMPTY+alt}", "alt"}, Row{"${N+alt}", ""}, Row{"${A:+${B}}", "beta"},
                    Row{"${A:?message}", "alpha"}, Row{"${EMPTY?message}", ""},
                    Row{"${A?message}", "alpha"}, Row{"${DOLLAR}", "$A"}, Row{"${A:-$N}", "alpha"},
                    Row{"${N:+$M}", ""}, Row{"${A} } x", "alpha } x"}, Row{"${N:-$$}", "$"}));

struct IssueRow {
  std::string_view text;
  TemplateIssue::Kind kind;
  std::string_view name, message;
  uint32_t offset, length;
};

class TemplateIssues : public testing::TestWithParam<IssueRow> {};

TEST_P(TemplateIssues, HaveAPlace) {
  const Substitution result = Substitute(GetParam().text, Known);
  ASSERT_EQ(result.issues.size(), 1u);
  const TemplateIssue& issue = result.issues[0];
  EXPECT_EQ(issue.kind, GetParam().kind);
  EXPECT_EQ(issue.name, GetParam().name);
  EXPECT_EQ(issue.message, GetParam().message);
  EXPECT_EQ(issue.offset, GetParam().offset);
  EXPECT_EQ(issue.length, GetParam().length);
}

using Kind = TemplateIssue::Kind;
INSTANTIATE_TEST_SUITE_P(
    Grammar, TemplateIssues,
    testing::Values(IssueRow{"a $N b", Kind::kUnset, "N", "", 2, 2},
                    IssueRow{"a ${N} b", Kind::kUnset, "N", "", 2, 4},
                    IssueRow{"${A:-x}${B}${N}", Kind::kUnset, "N", "", 11, 4},
                    IssueRow{"${M:-$N}", Kind::kUnset, "N", "", 5, 2},
                    IssueRow{"${N:?}", Kind::kRequired, "N", "", 0, 6},
                    IssueRow{"${N:?set it}", Kind::kRequired, "N", "set it", 0, 12},
                    IssueRow{"${N?set $A}", Kind::kRequired, "N", "set alpha", 0, 11},
                    IssueRow{"${EMPTY:?m}", Kind::kRequired, "EMPTY", "m", 0, 11},
                    IssueRow{"x${", Kind::kInvalid, "${", "", 1, 2},
                    IssueRow{"${}", Kind::kInvalid, "${}", "", 0, 3},
                    IssueRow{"${ A}", Kind::kInvalid, "${ A}", "", 0, 5},
                    IssueRow{"${A!}", Kind::kInvalid, "${A!}", "", 0, 5},
                    IssueRow{"${A:x}", Kind::kInvalid, "${A:x}", "", 0, 6},
                    IssueRow{"${1A}", Kind::kInvalid, "${1A}", "", 0, 5},
                    IssueRow{"${A", Kind::kInvalid, "${A", "", 0, 3},
                    IssueRow{"${A:-b", Kind::kInvalid, "${A:-b", "", 0, 6},
                    IssueRow{"${A }", Kind::kInvalid, "${A }", "", 0, 5},
                    IssueRow{"${A/x/y}", Kind::kInvalid, "${A/x/y}", "", 0, 8}));

TEST(TemplateVariables, AreListedWithTheirDefaults) {
  const auto variables = ExtractVariables("$A ${B:-b} ${C?} ${D:+${E-e}} $$F");
  ASSERT_EQ(variables.size(), 5u);
  EXPECT_EQ(variables[0].name, "A");
  EXPECT_EQ(variables[1].default_value, "b");
  EXPECT_TRUE(variables[2].required);
  EXPECT_EQ(variables[3].alternate_value, "${E-e}");
  EXPECT_EQ(variables[4].name, "E");
  EXPECT_EQ(variables[4].default_value, "e");
}

TEST(Template, VariablesGiveNoMoreThanTheLimit) {
  EXPECT_EQ(Substitute("$A$A", Known, 10).text, "alphaalpha");
  const Substitution result = Substitute("$A $B ${A:-x} ${N:-d}", Known, 8);
  ASSERT_EQ(result.issues.size(), 1u);
  EXPECT_EQ(result.issues[0].kind, Kind::kTooLong);
  EXPECT_EQ(result.issues[0].name, "B");
  EXPECT_EQ(result.issues[0].offset, 3u);
}

}  // namespace
}  // namespace skiff::schema
