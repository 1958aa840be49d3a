#include "engine-core/capabilities.h"

#include <gtest/gtest.h>

namespace skiff::engine {
namespace {

constexpr uint64_t Bit(int number) {
  return uint64_t{1} << number;
}

struct ResolveCase {
  std::vector<std::string> add;
  std::vector<std::string> drop;
  uint64_t expected;
};

TEST(Capabilities, FollowDockersRules) {
  const uint64_t standard = kDefaultCapabilities;
  const uint64_t all = AllCapabilities();
  const ResolveCase cases[] = {
      {{}, {}, standard},
      {{"NET_ADMIN"}, {}, standard | Bit(12)},
      {{"cap_net_admin"}, {"CAP_MKNOD"}, (standard | Bit(12)) & ~Bit(27)},
      {{"CHOWN"}, {"CHOWN"}, standard},
      {{}, {"ALL"}, 0},
      {{"net_bind_service"}, {"all"}, Bit(10)},
      {{"ALL"}, {}, all},
      {{"ALL"}, {"SYS_ADMIN"}, all & ~Bit(21)},
      {{"ALL"}, {"ALL"}, all},
      {{"ALL"}, {"ALL", "CHOWN"}, all & ~Bit(0)},
  };
  for (const ResolveCase& test : cases) {
    std::vector<std::string> warnings;
    auto result = ResolveCapabilities(test.add, test.drop, false, &warnings);
    ASSERT_TRUE(result.has_value());
    EXPECT_EQ(*result, test.expected & AvailableCapabilities());
  }
  EXPECT_EQ(*ResolveCapabilities({}, {"ALL"}, true, nullptr), AvailableCapabilities());
}

TEST(Capabilities, RefuseUnknownNames) {
  EXPECT_EQ(ResolveCapabilities({"NET_ADMINISTRATOR"}, {}, false, nullptr).error().Text(),
            "cap_add: unknown capability 'NET_ADMINISTRATOR'");
  EXPECT_EQ(ResolveCapabilities({}, {""}, false, nullptr).error().Text(),
            "cap_drop: unknown capability ''");
}

TEST(Capabilities, HaveTheKernelsNumbers) {
  EXPECT_EQ(CapabilityNumber("CAP_CHOWN"), 0);
  EXPECT_EQ(CapabilityNumber("checkpoint_restore"), 40);
  EXPECT_EQ(CapabilityNumber("CAP_CAP_CHOWN"), -1);
  for (int number = 0; number <= 40; ++number)
    EXPECT_EQ(CapabilityNumber(CapabilityName(number)), number);
  EXPECT_EQ(CapabilityName(41), "");
}

}  // namespace
}  // namespace skiff::engine
