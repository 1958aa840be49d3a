#include "schema/render/render.h"

#include <gtest/gtest.h>

#include "schema/load.h"
#include "schema/tree.h"

namespace skiff::schema {
namespace {

std::string Rendered(const std::string& text) {
  Node top = Node::Mapping();
  top.Set("k", Node::String(text));
  return RenderYaml(top).substr(3);
}

TEST(YamlText, IsQuotedAsTheReferenceDoes) {
  const std::pair<std::string, std::string> rows[] = {
      {"plain", "plain\n"},
      {"", "\"\"\n"},
      {"80", "\"80\"\n"},
      {"1.5", "\"1.5\"\n"},
      {"true", "\"true\"\n"},
      {"null", "\"null\"\n"},
      {"yes", "'yes'\n"},
      {"1:30", "'1:30'\n"},
      {"<<", "'<<'\n"},
      {"2020-01-01", "\"2020-01-01\"\n"},
      {"a: b", "'a: b'\n"},
      {"a #b", "'a #b'\n"},
      {"#a", "'#a'\n"},
      {"- a", "'- a'\n"},
      {"-a", "-a\n"},
      {"*a", "'*a'\n"},
      {"it's", "it's\n"},
      {"'a", "'''a'\n"},
      {" a", "' a'\n"},
      {"a\tb", "\"a\\tb\"\n"},
      {"a\nb", "|-\n  a\n  b\n"},
      {"a\n", "|\n  a\n"},
      {"a\n\n", "|+\n  a\n\n"},
      {"\na", "|-\n\n  a\n"},
      {"  a\nb", "|2-\n    a\n  b\n"},
      {"\n a\nb", "|2-\n\n   a\n  b\n"},  // The reference forgets the indicator.
      {"\U0001F600", "\"\\U0001F600\"\n"},
      {"$A", "$$A\n"},
      {"\u00e9", "\u00e9\n"},
      {std::string(78, 'x') + " y z", std::string(78, 'x') + "\n  y z\n"},
  };
  for (const auto& [text, expected] : rows) EXPECT_EQ(Rendered(text), expected) << text;
}

TEST(YamlKeys, AreExplicitWhenTheyAreLong) {
  const std::string key(129, 'k');
  Node top = Node::Mapping();
  top.Set(key, Node::String("v"));
  EXPECT_EQ(RenderYaml(top), "? " + key + "\n: v\n");
  Node inner = Node::Mapping();
  inner.Set(key, std::move(top));
  Node outer = Node::Mapping();
  outer.Set("a", std::move(inner));
  EXPECT_EQ(RenderYaml(outer), "a:\n  ? " + key + "\n  :\n    ? " + key + "\n    : v\n");
  Node shorter = Node::Mapping();
  shorter.Set(std::string(128, 'k'), Node::String("v"));
  EXPECT_EQ(RenderYaml(shorter), std::string(128, 'k') + ": v\n");
}

TEST(YamlKeys, AreSortedWithNumbersAsNumbers) {
  EXPECT_TRUE(NaturalLess("a2", "a10"));
  EXPECT_TRUE(NaturalLess("a", "b"));
  EXPECT_TRUE(NaturalLess("A", "a"));
  EXPECT_TRUE(NaturalLess("a", "a1"));
  EXPECT_FALSE(NaturalLess("a10", "a2"));
  EXPECT_TRUE(NaturalLess("a-1", "ab"));
}

TEST(Json, EscapesDollarsUnlessVariablesAreKept) {
  Node top = Node::Mapping();
  top.Set("k", Node::String("$A"));
  EXPECT_EQ(RenderJson(top), "{\n  \"k\": \"$$A\"\n}");
  top.literal = true;
  EXPECT_EQ(RenderJson(top), "{\n  \"k\": \"$A\"\n}");
}

TEST(Floats, HaveTheirShortestText) {
  EXPECT_EQ(FormatFloat(0.1), "0.1");
  EXPECT_EQ(FormatFloat(1000), "1000");
  EXPECT_EQ(FormatFloat(1e21), "1e+21");
  EXPECT_EQ(FormatFloat(1e-5), "1e-05");
  EXPECT_EQ(FormatFloat(static_cast<double>(0.1f), 32), "0.1");
}

}  // namespace
}  // namespace skiff::schema
