#include "base/diagnostic.h"

#include <gtest/gtest.h>

namespace skiff {
namespace {

SourceSpan SpanOf(const SourceMap& sources, uint32_t file, std::string_view word) {
  const size_t at = sources.File(file).text().find(word);
  EXPECT_NE(at, std::string_view::npos) << word;
  return {file, static_cast<uint32_t>(at), static_cast<uint32_t>(word.size())};
}

TEST(FormatDiagnostic, ShowsPlaceLineCaretAndNotes) {
  SourceMap sources;
  const uint32_t file = sources.Add("compose.yaml", "services:\n  web:\n    imagee: nginx\n");
  Error error(Code::kInvalidArgument, "services.web: unknown key 'imagee'");
  error.span = SpanOf(sources, file, "imagee");
  error.notes.push_back({"did you mean 'image'?", {}});
  EXPECT_EQ(FormatDiagnostic({Severity::kError, error}, sources),
            "compose.yaml:3:5: error: services.web: unknown key 'imagee'\n"
            "  3 |     imagee: nginx\n"
            "    |     ^~~~~~\n"
            "  note: did you mean 'image'?\n");
}

TEST(FormatDiagnostic, KeepsTheCaretBelowWideTextAndTabs) {
  SourceMap sources;
  const uint32_t file = sources.Add("a.yaml", "\tk\xc3\xa9y: v\xc3\xa4lue");
  Error error(Code::kInvalidArgument, "bad");
  error.span = SpanOf(sources, file, "v\xc3\xa4lue");
  EXPECT_EQ(FormatDiagnostic({Severity::kWarning, error}, sources),
            "a.yaml:1:7: warning: bad\n"
            "  1 | \tk\xc3\xa9y: v\xc3\xa4lue\n"
            "    | \t     ^~~~~\n");
}

TEST(FormatDiagnostic, PointsAtTheEndOfFile) {
  SourceMap sources;
  const uint32_t file = sources.Add("a.yaml", "x");
  Error error(Code::kInvalidArgument, "unexpected end");
  error.span = {file, 1, 0};
  EXPECT_EQ(FormatDiagnostic({Severity::kError, error}, sources),
            "a.yaml:1:2: error: unexpected end\n  1 | x\n    |  ^\n");
}

TEST(FormatDiagnostic, AppendsTheCauseOfASystemCall) {
  const SourceMap sources;
  EXPECT_EQ(FormatDiagnostic({Severity::kError, Error(Code::kNotFound, "cannot open 'x'", ENOENT)},
                             sources),
            "error: cannot open 'x': No such file or directory\n");
}

TEST(DiagnosticToJson, CarriesPlaceAndNotes) {
  SourceMap sources;
  const uint32_t file = sources.Add("a.yaml", "a\nbad: \"q\"\n");
  Error error(Code::kInvalidArgument, "not \"good\"");
  error.span = SpanOf(sources, file, "bad");
  error.notes.push_back({"first here", {file, 0, 1}});
  EXPECT_EQ(DiagnosticToJson({Severity::kError, error}, sources),
            R"({"severity":"error","code":"invalid-argument","message":"not \"good\"",)"
            R"("file":"a.yaml","line":2,"column":1,"length":3,"notes":[{"message":"first here",)"
            R"("file":"a.yaml","line":1,"column":1,"length":1}]})");
}

TEST(Diagnostics, SortsByPlaceAndDropsRepetitions) {
  Diagnostics all;
  Error late(Code::kInvalidArgument, "late");
  late.span = {0, 9, 1};
  Error early(Code::kInvalidArgument, "early");
  early.span = {0, 2, 1};
  all.AddWarning(late);
  all.AddError(early);
  all.AddError(early);
  all.SortAndDeduplicate();
  ASSERT_EQ(all.list().size(), 2u);
  EXPECT_EQ(all.list()[0].error.message, "early");
  EXPECT_TRUE(all.HasErrors());
}

struct NearRow {
  std::string_view word;
  std::string_view expected;
};
class DidYouMeanTest : public ::testing::TestWithParam<NearRow> {};
TEST_P(DidYouMeanTest, FindsTheNearest) {
  const std::vector<std::string_view> keys = {"image", "environment", "ports", "depends_on",
                                              "init"};
  EXPECT_EQ(DidYouMean(GetParam().word, keys), GetParam().expected);
}
INSTANTIATE_TEST_SUITE_P(Rows, DidYouMeanTest,
                         ::testing::Values(NearRow{"imagee", "image"}, NearRow{"iamge", "image"},
                                           NearRow{"enviroment", "environment"},
                                           NearRow{"port", "ports"},
                                           NearRow{"dependson", "depends_on"}, NearRow{"xyz", ""},
                                           NearRow{"", ""}, NearRow{"image", ""}));

TEST(SourceFile, LocatesAfterEveryKindOfLineEnd) {
  const SourceFile file("f", "a\r\nbc\n\nd");
  EXPECT_EQ(file.LineCount(), 4u);
  EXPECT_EQ(file.Line(1), "a");
  EXPECT_EQ(file.Line(2), "bc");
  EXPECT_EQ(file.Line(4), "d");
  EXPECT_EQ(file.Locate(4).line, 2u);
  EXPECT_EQ(file.Locate(4).column, 2u);
  EXPECT_EQ(file.Locate(1000).line, 4u);
  EXPECT_EQ(file.OffsetOf(1, 1), 4u);
  EXPECT_EQ(file.OffsetOf(77, 0), 8u);
}

}  // namespace
}  // namespace skiff
