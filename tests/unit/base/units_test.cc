#include "base/units.h"

#include <gtest/gtest.h>

namespace skiff {
namespace {

using namespace std::chrono_literals;

struct BytesRow {
  std::string_view text;
  int64_t bytes;
};
class ParseBytesTest : public ::testing::TestWithParam<BytesRow> {};
TEST_P(ParseBytesTest, Parses) {
  EXPECT_EQ(ParseBytes(GetParam().text).value(), GetParam().bytes);
}
INSTANTIATE_TEST_SUITE_P(Rows, ParseBytesTest,
                         ::testing::Values(BytesRow{"0", 0}, BytesRow{"512", 512},
                                           BytesRow{"64k", 65536}, BytesRow{"64kb", 65536},
                                           BytesRow{"1KiB", 1024}, BytesRow{"10M", 10485760},
                                           BytesRow{"1.5gb", 1610612736},
                                           BytesRow{"2 g", 2147483648}, BytesRow{"-1", -1},
                                           BytesRow{"10b", 10}, BytesRow{"1t", 1099511627776}));

TEST(ParseBytes, RefusesOtherText) {
  for (const char* bad : {"", "k", "1x", "1kk", "1 2", "--1", "99999e", "1e3"}) {
    EXPECT_FALSE(ParseBytes(bad)) << bad;
  }
}

struct DurationRow {
  std::string_view text;
  std::chrono::nanoseconds value;
  std::string_view printed;
};
class DurationTest : public ::testing::TestWithParam<DurationRow> {};
TEST_P(DurationTest, ParsesAndPrintsAsGo) {
  EXPECT_EQ(ParseDuration(GetParam().text).value(), GetParam().value);
  EXPECT_EQ(FormatDuration(GetParam().value), GetParam().printed);
}
INSTANTIATE_TEST_SUITE_P(
    Rows, DurationTest,
    ::testing::Values(DurationRow{"0", 0ns, "0s"}, DurationRow{"10s", 10s, "10s"},
                      DurationRow{"1m30s", 90s, "1m30s"}, DurationRow{"1.5s", 1500ms, "1.5s"},
                      DurationRow{"1h", 1h, "1h0m0s"}, DurationRow{"-2m", -2min, "-2m0s"},
                      DurationRow{"500us", 500us, "500\xc2\xb5s"}, DurationRow{"7ns", 7ns, "7ns"},
                      DurationRow{".5s", 500ms, "500ms"}, DurationRow{"1.s", 1s, "1s"},
                      DurationRow{"1h5m30s20ms", 3930020ms, "1h5m30.02s"}));

TEST(ParseDuration, RefusesOtherText) {
  for (const char* bad : {"", "5", "s", "1x", "1s2", "1 s", "-", "1..2s"}) {
    EXPECT_FALSE(ParseDuration(bad)) << bad;
  }
}

TEST(FormatSize, PrintsAsDocker) {
  EXPECT_EQ(FormatSize(0), "0B");
  EXPECT_EQ(FormatSize(999), "999B");
  EXPECT_EQ(FormatSize(1840000), "1.84MB");
  EXPECT_EQ(FormatSize(123456789), "123.5MB");
}

TEST(Timestamp, PrintsAndParses) {
  EXPECT_EQ(FormatTimestamp(1), "1970-01-01T00:00:00.000000001Z");
  EXPECT_EQ(ParseTimestamp("1970-01-01T00:00:01.5Z").value(), 1'500'000'000);
  EXPECT_EQ(ParseTimestamp("1970-01-01T01:00:00+01:00").value(), 0);
  EXPECT_EQ(ParseTimestamp("1136073600.000000001").value(), 1136073600'000000001);
  for (const char* far : {"0001-01-01T00:00:00Z", "9999-12-31", "99999999999", "-99999999999.5"}) {
    EXPECT_FALSE(ParseTimestamp(far)) << far;
  }
  const int64_t now = 1'800'000'000'123'456'789;
  EXPECT_EQ(ParseTimestamp(FormatTimestamp(now)).value(), now);
  for (const char* bad : {"", "yesterday", "1970-13-01T00:00:00Z", "1970-01-01T00:00:00X"}) {
    EXPECT_FALSE(ParseTimestamp(bad)) << bad;
  }
}

TEST(HumanDuration, UsesDockersWords) {
  EXPECT_EQ(HumanDuration(0s), "Less than a second");
  EXPECT_EQ(HumanDuration(1s), "1 second");
  EXPECT_EQ(HumanDuration(59s), "59 seconds");
  EXPECT_EQ(HumanDuration(61s), "About a minute");
  EXPECT_EQ(HumanDuration(45min), "45 minutes");
  EXPECT_EQ(HumanDuration(70min), "About an hour");
  EXPECT_EQ(HumanDuration(47h), "47 hours");
  EXPECT_EQ(HumanDuration(24h * 3), "3 days");
  EXPECT_EQ(HumanDuration(24h * 21), "3 weeks");
}

}  // namespace
}  // namespace skiff
