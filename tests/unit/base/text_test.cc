#include "base/text.h"

#include <gtest/gtest.h>

#include "base/json_text.h"

namespace skiff {
namespace {

using Pieces = std::vector<std::string_view>;

TEST(Split, KeepsEmptyPieces) {
  EXPECT_EQ(Split("a,,b", ','), (Pieces{"a", "", "b"}));
  EXPECT_EQ(Split("", ','), (Pieces{""}));
  EXPECT_EQ(Split(",", ','), (Pieces{"", ""}));
}

TEST(SplitWords, SkipsRunsOfSpace) {
  EXPECT_EQ(SplitWords("  a\t b\n"), (Pieces{"a", "b"}));
  EXPECT_EQ(SplitWords(" \n"), Pieces{});
}

TEST(Text, TrimsJoinsAndLowers) {
  EXPECT_EQ(Trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(Join({"a", "b"}, ", "), "a, b");
  EXPECT_EQ(ToLower("AbC\xc3\x84"), "abc\xc3\x84");
  EXPECT_TRUE(EqualsIgnoreCase("YES", "yes"));
  EXPECT_FALSE(EqualsIgnoreCase("yes", "ye"));
}

TEST(ParseNumber, TakesWholeTextsOnly) {
  EXPECT_EQ(ParseNumber<int>("42"), 42);
  EXPECT_EQ(ParseNumber<int>("-7"), -7);
  EXPECT_EQ(ParseNumber<int>("777", 8), 0777);
  for (const char* bad : {"", "4x", " 4", "4 ", "99999999999999999999", "+4"}) {
    EXPECT_FALSE(ParseNumber<int>(bad)) << bad;
  }
  EXPECT_FALSE(ParseNumber<uint16_t>("65536"));
}

TEST(IsValidUtf8, FollowsTheStandardsTable) {
  for (const std::string_view good : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    EXPECT_TRUE(IsValidUtf8(good));
  }
  for (const std::string_view bad :
       {"\x80", "\xc0\xaf", "\xc3", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff"}) {
    EXPECT_FALSE(IsValidUtf8(bad));
  }
}

TEST(JsonQuote, EscapesWhatJsonRequires) {
  EXPECT_EQ(JsonQuote("a\"\\\n\t\x01"), "\"a\\\"\\\\\\n\\t\\u0001\"");
  EXPECT_EQ(JsonQuote("\xc3\xa9 \xff."), "\"\xc3\xa9 \\ufffd.\"");
  EXPECT_EQ(JsonQuote(std::string_view("\0", 1)), "\"\\u0000\"");
}

}  // namespace
}  // namespace skiff
