#include "builder/expand.h"

#include <gtest/gtest.h>

namespace skiff::builder {
namespace {

Environment Variables() {
  Environment variables;
  variables.Set("name", "app-1.2.tar.gz");
  variables.Set("empty", "");
  variables.Set("ports", "80 443/udp");
  return variables;
}

TEST(ExpandTest, EverySubstitutionGivesItsValue) {
  struct Row {
    std::string_view word, text;
  };
  static constexpr Row kRows[] = {
      {"$name", "app-1.2.tar.gz"},
      {"${unset:-x}", "x"},
      {"${empty-x}", ""},
      {"${empty:-x}", "x"},
      {"${name:+y}", "y"},
      {"${unset+y}", ""},
      {"${name%.*}", "app-1.2.tar"},
      {"${name%%.*}", "app-1"},
      {"${name#*.}", "2.tar.gz"},
      {"${name##*.}", "gz"},
      {"${name/./_}", "app-1_2.tar.gz"},
      {"${name//./_}", "app-1_2_tar_gz"},
      {"'$name'", "$name"},
      {"\"$empty\"", ""},
      {"\\$name", "$name"},
      {"a\\ b", "a b"},
      {"$.", "$."},
      {"${unset:-${name}}", "app-1.2.tar.gz"},
  };
  for (const Row& row : kRows) {
    const auto expansion = Expand(row.word, Variables());
    ASSERT_TRUE(expansion) << row.word << ": " << expansion.error().message;
    EXPECT_EQ(expansion->text, row.text) << row.word;
  }
}

TEST(ExpandTest, BlanksOfAValueSplitWordsAndQuotesKeepThem) {
  EXPECT_EQ(Expand("$ports", Variables())->words, (std::vector<std::string>{"80", "443/udp"}));
  EXPECT_EQ(Expand("\"$ports\"", Variables())->words, (std::vector<std::string>{"80 443/udp"}));
}

TEST(ExpandTest, NamesThatWereLookedUpAreTold) {
  const auto expansion = Expand("$name$gone$name", Variables());
  EXPECT_EQ(expansion->used, (std::vector<std::string>{"name"}));
  EXPECT_EQ(expansion->unset, (std::vector<std::string>{"gone"}));
}

TEST(ExpandTest, BadSubstitutionsFail) {
  for (const std::string_view word : {"${", "${}", "${name", "${name^}", "'open", "\"open",
                                      "${unset:?needed}", "${name:#x}", "${name#\\x}"}) {
    EXPECT_FALSE(Expand(word, Variables())) << word;
  }
}

// Each level of the nesting makes the result eight times as large.
TEST(ExpandTest, WhatGrowsWithoutEndFails) {
  Environment variables;
  variables.Set("s", "////////");
  std::string word = "x";
  for (int depth = 0; depth < 20; ++depth) word = "${s//\\//" + word + "}";
  const auto bomb = Expand(word, variables);
  ASSERT_FALSE(bomb);
  EXPECT_EQ(bomb.error().message,
            "cannot expand '" + word + "': the result is larger than 1 MiB");
  variables.Set("a", std::string(600 << 10, 'a'));
  EXPECT_TRUE(Expand("$a", variables));
  EXPECT_FALSE(Expand("$a$a", variables));
  EXPECT_FALSE(Expand("\"$a$a\"", variables));
}

// A long value with many matches takes no time that grows with their product.
TEST(ExpandTest, ManyMatchesAreReplaced) {
  Environment variables;
  variables.Set("long", std::string(500'000, 'a'));
  EXPECT_EQ(Expand("${long//a/b}", variables).value().text, std::string(500'000, 'b'));
  EXPECT_EQ(Expand("${long//a?/b}", variables).value().text, std::string(250'000, 'b'));
}

}  // namespace
}  // namespace skiff::builder
