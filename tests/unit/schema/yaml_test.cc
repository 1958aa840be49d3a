#include <gtest/gtest.h>

#include "schema/render/render.h"
#include "schema/yaml/parser.h"

namespace skiff::schema {
namespace {

struct Outcome {
  SourceMap sources;
  Diagnostics found;
  std::vector<Node> documents;

  std::string Json() const {
    std::string text;
    for (const Node& document : documents) text += RenderCompactJson(document) + "\n";
    return text;
  }
  std::string Problems() const { return FormatDiagnostics(found, sources); }
};

Outcome Read(const std::string& text, const YamlLimits& limits = {}) {
  Outcome outcome;
  const uint32_t file = outcome.sources.Add("f.yaml", text);
  outcome.documents = ParseYaml(outcome.sources, file, outcome.found, limits);
  return outcome;
}

struct Row {
  std::string text, json;
};
class Yaml : public testing::TestWithParam<Row> {};

TEST_P(Yaml, IsReadAsTheReferenceDoes) {
  const Outcome outcome = Read(GetParam().text);
  EXPECT_EQ(outcome.Problems(), "");
  EXPECT_EQ(outcome.Json(), GetParam().json);
}

INSTANTIATE_TEST_SUITE_P(
    Scalars, Yaml,
    testing::Values(
        Row{"[true, True, FALSE, yes, on, n]", "[true,true,false,\"yes\",\"on\",\"n\"]\n"},
        Row{"[null, ~, NULL, \"\", '~']", "[null,null,null,\"\",\"~\"]\n"},
        Row{"[1, -2, +3, 0x1f, 0o17, 017, 0b11, 1_000, 08]", "[1,-2,3,31,15,15,3,1000,8]\n"},
        Row{"[1.5, .5, 1e3, -1.0, 1., 08.5]", "[1.5,0.5,1000,-1,1,8.5]\n"},
        Row{"[1:30, 22:22, 1.2.3, 1a, '1', -, +]",
            "[\"1:30\",\"22:22\",\"1.2.3\",\"1a\",\"1\",\"-\",\"+\"]\n"},
        Row{"[12345678901234567890, 1e400]", "[12345678901234567890,\"1e400\"]\n"},
        Row{"!!str 12", "\"12\"\n"}, Row{"!!int \"12\"", "12\n"}, Row{"!!float 1", "1\n"},
        Row{"a: |\n  x\n  y\n", "{\"a\":\"x\\ny\\n\"}\n"},
        Row{"a: >-\n  x\n  y\n", "{\"a\":\"x y\"}\n"}, Row{"a: \"x\\ty\"", "{\"a\":\"x\\ty\"}\n"},
        Row{"a: \"\u00e4\\_y\\Nz\"", "{\"a\":\"\u00e4\u00a0y\u0085z\"}\n"}));

INSTANTIATE_TEST_SUITE_P(
    Collections, Yaml,
    testing::Values(Row{"a: 1\nb: [x, {c: d}]\n", "{\"a\":1,\"b\":[\"x\",{\"c\":\"d\"}]}\n"},
                    Row{"a:\r\n  b: 1\r\n", "{\"a\":{\"b\":1}}\n"},
                    Row{"\xef\xbb\xbf"
                        "a: 1",
                        "{\"a\":1}\n"},
                    Row{"a: &x {k: 1}\nb: *x\n", "{\"a\":{\"k\":1},\"b\":{\"k\":1}}\n"},
                    Row{"a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}\n"},
                    Row{"a: &x {k: 1, l: 1}\nb:\n  <<: *x\n  k: 2\n",
                        "{\"a\":{\"k\":1,\"l\":1},\"b\":{\"k\":2,\"l\":1}}\n"},
                    Row{"a: &x {k: 1}\nb: &y {k: 2, m: 2}\nc:\n  <<: [*x, *y]\n",
                        "{\"a\":{\"k\":1},\"b\":{\"k\":2,\"m\":2},\"c\":{\"k\":1,\"m\":2}}\n"},
                    Row{"l: &l [{k: 1}, {m: 2}]\nc: {<<: *l}\n",
                        "{\"c\":{\"k\":1,\"m\":2},\"l\":[{\"k\":1},{\"m\":2}]}\n"},
                    Row{"a: &x {k: 1}\nb: {!!merge <<: *x, k: 2}\nc: {!!merge m: *x}\n",
                        "{\"a\":{\"k\":1},\"b\":{\"k\":2},\"c\":{\"k\":1}}\n"},
                    Row{"\"<<\": 1\n", "{\"<<\":1}\n"},
                    Row{"a: 1\n---\na: 2\n", "{\"a\":1}\n{\"a\":2}\n"}, Row{"", ""},
                    Row{"# nothing\n", ""}, Row{"a: [1, !reset 2, 3]", "{\"a\":[1,3]}\n"}));

struct Problem {
  std::string text, problem;
};
class BadYaml : public testing::TestWithParam<Problem> {};

TEST_P(BadYaml, IsToldWithItsPlace) {
  EXPECT_EQ(Read(GetParam().text).Problems(), GetParam().problem);
}

INSTANTIATE_TEST_SUITE_P(
    Errors, BadYaml,
    testing::Values(
        Problem{"a: 1\nb: 2\na: 3\n",
                "f.yaml:3:1: error: the key 'a' is given twice\n  3 | a: 3\n    | ^\n"
                "  note: f.yaml:1:1: it is first given here\n    1 | a: 1\n      | ^\n"},
        Problem{"1: x\n",
                "f.yaml:1:1: error: the key '1' must be text\n  1 | 1: x\n    | ^\n"
                "  note: write it in quotes: \"1\"\n"},
        Problem{"a: *b\n",
                "f.yaml:1:4: error: this alias has no anchor\n  1 | a: *b\n    |    ^\n"},
        Problem{"a: &a [*a]\n",
                "f.yaml:1:8: error: the alias '*a' refers to a value that contains it\n"
                "  1 | a: &a [*a]\n    |        ^~\n"},
        Problem{"a: {<<: 1}\n",
                "f.yaml:1:5: error: '<<' takes a mapping or a list of mappings\n"
                "  1 | a: {<<: 1}\n    |     ^~\n"},
        Problem{"a: \"x\n",
                "f.yaml:1:4: error: the quoted text that starts here does not end\n"
                "  1 | a: \"x\n    |    ^\n"},
        Problem{"a:\n\tb: 1\n",
                "f.yaml:2:1: error: a tab cannot indent a line\n  2 | \tb: 1\n    | ^\n"
                "  note: YAML indents with spaces\n"},
        Problem{"a: \xff\n",
                "f.yaml:1:4: error: the file is not valid UTF-8\n"
                "  1 | a: \xff\n    |    ^\n"},
        Problem{"a: \x01\n",
                "f.yaml:1:4: error: the file has a control character\n"
                "  1 | a: \x01\n    |    ^\n"},
        Problem{"[a]: 1\n",
                "f.yaml:1:1: error: a mapping key must be text, not a collection\n"
                "  1 | [a]: 1\n    | ^\n"}));

std::string Bomb() {
  std::string text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 9; ++i) {
    const std::string before = "*a" + std::to_string(i - 1);
    text += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 9; ++k) text += (k > 0 ? ", " : "") + before;
    text += "]\n";
  }
  return text;
}

TEST(YamlLimits, StopABombOfAliases) {
  const Outcome outcome = Read(Bomb());
  ASSERT_EQ(outcome.found.list().size(), 1u);
  EXPECT_EQ(outcome.found.list()[0].error.message,
            "the aliases of this file expand to more than 400000 values");
}

TEST(YamlLimits, StopDeepNesting) {
  const Outcome outcome = Read("a: " + std::string(300, '[') + std::string(300, ']'));
  ASSERT_EQ(outcome.found.list().size(), 1u);
  EXPECT_EQ(outcome.found.list()[0].error.message, "values are nested deeper than 256 levels");
}

TEST(YamlLimits, StopManyValuesAndLargeFiles) {
  YamlLimits limits;
  limits.nodes = 10;
  EXPECT_EQ(Read("[1,2,3,4,5,6,7,8,9,10]", limits).found.list()[0].error.message,
            "the document has more than 10 values");
  limits.document_bytes = 1u << 20;
  EXPECT_EQ(Read(std::string((1u << 20) + 1, ' '), limits).found.list()[0].error.message,
            "the file is larger than 1 MiB");
}

TEST(YamlPlaces, CoverTheValueWithoutQuotesTagsAndAnchors) {
  const Outcome outcome = Read("a: &x !override 'text'\nb: \"q\"\nc: plain\nd:\n");
  ASSERT_EQ(outcome.documents.size(), 1u);
  const Node& top = outcome.documents[0];
  const auto text = [&](const Node& node) {
    return std::string(outcome.sources.File(0).text().substr(node.span.offset, node.span.length));
  };
  EXPECT_EQ(text(*top.Find("a")), "text");
  EXPECT_EQ(top.Find("a")->tag, Node::Tag::kOverride);
  EXPECT_EQ(text(*top.Find("b")), "q");
  EXPECT_EQ(text(*top.Find("c")), "plain");
  EXPECT_EQ(text(*top.Find("d")), "d");
}

}  // namespace
}  // namespace skiff::schema
