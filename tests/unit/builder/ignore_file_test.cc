#include "builder/ignore_file.h"

#include <gtest/gtest.h>

namespace skiff::builder {
namespace {

TEST(IgnoreFileTest, PatternsMatchAsTheReferenceSays) {
  struct Row {
    std::string_view pattern, path;
    bool ignored;
  };
  static constexpr Row kRows[] = {
      {"foo", "foo", true},         {"foo", "foo/bar", true},
      {"foo", "a/foo", false},      {"**/foo", "a/b/foo", true},
      {"**/foo", "foo", true},      {"*.txt", "a/b.txt", false},
      {"a/*.txt", "a/b.txt", true}, {"a**/*.txt", "a/b/c.txt", true},
      {"abc/**", "abc", false},     {"abc/**", "abc/d", true},
      {"a[b-d]e", "ace", true},     {"a[b-d]e", "ae", false},
      {"a[^b]e", "abe", false},     {"a\\*b", "a*b", true},
      {"a\\*b", "axb", false},      {"/abs", "abs", true},
      {"d/", "d/x", true},          {"?x", "/x", false},
  };
  for (const Row& row : kRows) {
    const auto matcher = IgnoreMatcher::FromPatterns({std::string(row.pattern)});
    ASSERT_TRUE(matcher) << row.pattern;
    EXPECT_EQ(matcher->Ignores(row.path), row.ignored) << row.pattern << " " << row.path;
  }
}

TEST(IgnoreFileTest, TheLastPatternThatMatchesDecides) {
  const auto matcher = IgnoreMatcher::FromPatterns({"docs", "!docs/keep", "docs/keep/not"});
  EXPECT_TRUE(matcher->Ignores("docs/a"));
  EXPECT_FALSE(matcher->Ignores("docs/keep/a"));
  EXPECT_EQ(matcher->DecidingRule("docs/keep/not/a")->pattern, "docs/keep/not");
  EXPECT_TRUE(matcher->MayContainException("docs"));
  EXPECT_FALSE(matcher->MayContainException("src"));
}

TEST(IgnoreFileTest, AWalkSaysTheSameAsSinglePaths) {
  const auto matcher = IgnoreMatcher::FromPatterns({"a", "!a/b", "**/*.o"});
  const auto a = matcher->Step({}, "a");
  const auto b = matcher->Step(a, "a/b");
  const auto object = matcher->Step(b, "a/b/x.o");
  EXPECT_TRUE(a.ignored);
  EXPECT_FALSE(b.ignored);
  EXPECT_TRUE(object.ignored);
}

TEST(IgnoreFileTest, AMalformedPatternHasItsPlace) {
  SourceMap sources;
  const uint32_t file = sources.Add(".dockerignore", "# [comment\nok\n  a[ \n");
  const auto matcher = IgnoreMatcher::Parse(sources, file);
  ASSERT_FALSE(matcher);
  EXPECT_EQ(sources.Describe(matcher.error().span), ".dockerignore:3:3");
}

}  // namespace
}  // namespace skiff::builder
