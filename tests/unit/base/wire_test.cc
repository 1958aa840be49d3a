#include "base/wire.h"

#include <gtest/gtest.h>

namespace skiff {
namespace {

TEST(Wire, CarriesFieldsInOrder) {
  WireWriter inner;
  inner.Int(1, -5);
  WireWriter writer;
  writer.Bytes(7, "text");
  writer.Bool(8, true);
  writer.Strings(9, {"a", ""});
  writer.Message(10, inner);

  WireReader reader(writer.data());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.tag(), 7);
  EXPECT_EQ(reader.bytes(), "text");
  ASSERT_TRUE(reader.Next());
  EXPECT_TRUE(reader.boolean());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.text(), "a");
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.text(), "");
  ASSERT_TRUE(reader.Next());
  WireReader nested(reader.bytes());
  ASSERT_TRUE(nested.Next());
  EXPECT_EQ(nested.integer(), -5);
  EXPECT_FALSE(reader.Next());
  EXPECT_TRUE(reader.ok());
}

TEST(Wire, EveryTruncationIsNoticed) {
  WireWriter writer;
  writer.Bytes(1, "abc");
  writer.Int(2, 9);
  const std::string whole = writer.data();
  for (size_t length = 1; length < whole.size(); ++length) {
    WireReader reader(std::string_view(whole).substr(0, length));
    while (reader.Next()) {
    }
    const bool at_boundary = length == 6 + 3;
    EXPECT_EQ(reader.ok(), at_boundary) << length;
  }
}

TEST(Wire, AnIntegerOfTheWrongSizeIsMalformed) {
  WireWriter writer;
  writer.Bytes(1, "abc");
  WireReader reader(writer.data());
  ASSERT_TRUE(reader.Next());
  EXPECT_EQ(reader.integer(), 0);
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace skiff
