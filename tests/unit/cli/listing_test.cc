#include "cli/listing.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/text_table.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr Column kColumns[] = {{"Name", "NAME"}, {"State", "STATE"}, {"Labels", "LABELS", false}};

std::vector<Json> Rows() {
  return {{{"Name", "a-long-name"}, {"State", "up"}, {"Labels", "k=v"}, {"Label", {{"k", "v"}}}},
          {{"Name", "ä"}, {"State", "down"}, {"Labels", ""}, {"Label", Json::object()}}};
}

std::string Render(std::string format, bool array = false) {
  const auto text =
      RenderListing(kColumns, Rows(), {.format = std::move(format), .json_array = array});
  return text ? *text : text.error().message;
}

TEST(Listing, TableHasDockersWidths) {
  EXPECT_EQ(Render(""), "NAME          STATE\na-long-name   up\nä             down\n");
  EXPECT_EQ(Render("table {{.State}}\\t{{.Labels}}"),
            "STATE     LABELS\nup        k=v\ndown      \n");
}

TEST(Listing, EmptyTableHasAHeader) {
  EXPECT_EQ(*RenderListing(kColumns, {}, {.format = "table"}), "NAME      STATE\n");
  EXPECT_EQ(*RenderListing(kColumns, {}, {.format = "json"}), "");
  EXPECT_EQ(*RenderListing(kColumns, {}, {.format = "json", .json_array = true}), "[]\n");
}

TEST(Listing, JsonHasSortedMembersOnOneLineEach) {
  EXPECT_EQ(Render("json"),
            "{\"Labels\":\"k=v\",\"Name\":\"a-long-name\",\"State\":\"up\"}\n"
            "{\"Labels\":\"\",\"Name\":\"ä\",\"State\":\"down\"}\n");
}

TEST(Listing, TemplatesSeeLabels) {
  EXPECT_EQ(Render("{{.Name}}:{{.Label \"k\"}}"), "a-long-name:v\nä:\n");
}

TEST(Inspect, IsAnArrayIndentedByFour) {
  EXPECT_EQ(*RenderInspect({Json{{"Id", "x"}}}, ""), "[\n    {\n        \"Id\": \"x\"\n    }\n]\n");
  EXPECT_EQ(*RenderInspect({}, ""), "[]\n");
  EXPECT_EQ(*RenderInspect({Json{{"Id", "x"}}, Json{{"Id", "y"}}}, "{{.Id}}"), "x\ny\n");
}

TEST(Ellipsis, CountsCodePoints) {
  EXPECT_EQ(Ellipsis("abcdef", 6), "abcdef");
  EXPECT_EQ(Ellipsis("abcdefg", 6), "abcde…");
  EXPECT_EQ(Ellipsis("äöüäöüä", 3), "äö…");
}

}  // namespace
}  // namespace skiff::cli
