#include "base/trace.h"

#include "base/text.h"
#include "tests/unit/base/temp_folder.h"

namespace skiff {
namespace {

TEST(Trace, WritesOneLineForEachSpanAndNoneWhenOff) {
  testing::TempFolder folder;
  { const TraceSpan off("before"); }
  ASSERT_TRUE(StartTracing(folder.Path("trace").c_str()));
  {
    TraceSpan outer("outer");
    { const TraceSpan inner("inner"); }
    outer.Done();
  }
  StartTracingTo(-1);
  { const TraceSpan off("after"); }
  const std::string text = folder.Read("trace");
  const auto lines = Split(Trim(text), '\n');
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_TRUE(lines[0].ends_with(" inner"));
  EXPECT_TRUE(lines[1].ends_with(" outer"));
  const auto inner = SplitWords(lines[0]);
  const auto outer = SplitWords(lines[1]);
  ASSERT_EQ(outer.size(), 5u);
  EXPECT_LE(ParseNumber<int64_t>(outer[2]).value(), ParseNumber<int64_t>(inner[2]).value());
  EXPECT_GE(ParseNumber<int64_t>(outer[3]).value(), ParseNumber<int64_t>(inner[3]).value());
}

}  // namespace
}  // namespace skiff
