#include <gtest/gtest.h>

#include "engine-core/embedded/delegated_unit.h"

namespace skiff::engine::embedded {
namespace {

TEST(BusMessageTest, CallIsWellFormed) {
  const std::string bytes = StartScopeMessage(7, "skiff-01234567.scope", 4321);
  EXPECT_EQ(BusMessageSize(bytes), bytes.size());
  const auto parsed = ParseBusMessage(bytes);
  ASSERT_TRUE(parsed) << parsed.error().Text();
  EXPECT_EQ(parsed->type, 1);
  EXPECT_EQ(parsed->member, "StartTransientUnit");
  const std::string& body = parsed->body;
  // A string: length, bytes, NUL; the next value starts at a multiple of four.
  EXPECT_EQ(body.substr(0, 24), std::string("\x14\0\0\0skiff-01234567.scope", 24));
  EXPECT_EQ(body.substr(28, 9), std::string("\x04\0\0\0fail\0", 9));
  // The last of a(sv): PIDs, an array of one number; then the empty a(sa(sv)) with its padding.
  const size_t pids = body.find("PIDs");
  ASSERT_NE(pids, std::string::npos);
  EXPECT_EQ((pids - 4) % 8, 0u) << "a struct starts at a multiple of eight";
  const std::string tail = body.substr(pids + 5);
  EXPECT_EQ(tail.substr(0, 4), std::string("\x02"
                                           "au\0",
                                           4));
  const size_t value = (pids + 5 + 4 + 3) / 4 * 4;
  EXPECT_EQ(body.substr(value, 8), std::string("\x04\0\0\0\xe1\x10\0\0", 8));
  EXPECT_EQ(body.size() % 8, 0u);
  EXPECT_EQ(body.substr(value + 8).find_first_not_of('\0'), std::string::npos);
}

TEST(BusMessageTest, DamagedMessagesAreRefused) {
  const std::string bytes = StartScopeMessage(7, "u.scope", 1);
  EXPECT_EQ(BusMessageSize("l"), 0u);
  EXPECT_EQ(BusMessageSize("B" + bytes.substr(1)), 0u);
  for (size_t size = 16; size < bytes.size(); ++size) {
    EXPECT_FALSE(ParseBusMessage(bytes.substr(0, size)));
  }
  std::string broken = bytes;
  broken[17] = '\x7f';
  EXPECT_FALSE(ParseBusMessage(broken));
}

}  // namespace
}  // namespace skiff::engine::embedded
