#include "netmgr/name_table.h"

#include <thread>

#include "netmgr/dns/table_text.h"
#include "tests/unit/base/temp_folder.h"

namespace skiff::net {
namespace {

using skiff::testing::TempFolder;

NameEntry Entry(const std::string& id, const std::string& v4, std::vector<std::string> names) {
  return {id, v4, "", std::move(names)};
}

std::vector<std::string> Addresses(const std::string& text, std::string_view name, bool v6) {
  std::vector<std::string> list;
  for (const IpAddress& a : dns::FindAddresses(text, name, v6).addresses) list.push_back(a.Text());
  return list;
}

TEST(NameTable, AddsReplacesAndRemoves) {
  TempFolder folder;
  const std::string path = folder.Path("net.names");
  const std::vector<NameEntry> two = {Entry("e1", "10.0.0.2", {"web-1", "web"}),
                                      Entry("e2", "10.0.0.3", {"web-2", "web"})};
  ASSERT_TRUE(AddEndpoints(path, "shop_default", two));
  EXPECT_EQ(ReadNameTable(path).value(), two);
  const std::vector<NameEntry> moved = {Entry("e1", "10.0.0.9", {"web-1", "web"})};
  ASSERT_TRUE(AddEndpoints(path, "shop_default", moved));
  EXPECT_EQ(Addresses(folder.Read("net.names"), "web-1", false),
            std::vector<std::string>{"10.0.0.9"});
  const std::vector<std::string> gone = {"e1", "unknown"};
  ASSERT_TRUE(RemoveEndpoints(path, gone));
  EXPECT_EQ(ReadNameTable(path).value(), (std::vector<NameEntry>{two[1]}));
  ASSERT_TRUE(RemoveNameTable(path));
  ASSERT_TRUE(RemoveEndpoints(path, gone));
  EXPECT_EQ(ReadNameTable(path).error().code, Code::kNotFound);
}

TEST(NameTable, RefusesNamesThatWouldBreakTheFormat) {
  TempFolder folder;
  for (const std::string& bad :
       {std::string("a b"), std::string("a\nb"), std::string(), std::string(254, 'x')}) {
    const std::vector<NameEntry> entries = {Entry("e1", "10.0.0.2", {bad})};
    EXPECT_EQ(AddEndpoints(folder.Path("t"), "n", entries).error().code, Code::kInvalidArgument);
  }
}

TEST(NameTable, TellsACorruptedFile) {
  TempFolder folder;
  folder.Write("t", "garbage");
  EXPECT_EQ(ReadNameTable(folder.Path("t")).error().code, Code::kCorrupted);
}

TEST(NameTable, LosesNothingUnderConcurrentChanges) {
  TempFolder folder;
  const std::string path = folder.Path("t");
  std::vector<std::thread> writers;
  for (int t = 0; t < 4; ++t) {
    writers.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const std::string id = "e" + std::to_string(t) + "-" + std::to_string(i);
        const std::vector<NameEntry> one = {Entry(id, "10.0.0.2", {id})};
        EXPECT_TRUE(AddEndpoints(path, "n", one));
      }
    });
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(ReadNameTable(path).value().size(), 100u);
}

TEST(FindAddresses, KnowsNamesWithoutCaseAndWithTheNetwork) {
  const std::string text = dns::FormatTable({"shop_default",
                                             {Entry("e1", "10.0.0.2", {"web-1", "web"}),
                                              {"e2", "10.0.0.3", "fd00::3", {"web-2", "web"}}}});
  EXPECT_EQ(Addresses(text, "web", false), (std::vector<std::string>{"10.0.0.2", "10.0.0.3"}));
  EXPECT_EQ(Addresses(text, "WEB-1.Shop_Default", false), (std::vector<std::string>{"10.0.0.2"}));
  EXPECT_EQ(Addresses(text, "web", true), (std::vector<std::string>{"fd00::3"}));
  EXPECT_TRUE(dns::FindAddresses(text, "web-1", true).known);
  EXPECT_TRUE(Addresses(text, "web-1", true).empty());
  EXPECT_FALSE(dns::FindAddresses(text, "we", false).known);
  EXPECT_FALSE(dns::FindAddresses(text, "e1", false).known);
  EXPECT_FALSE(dns::FindAddresses(text, ".shop_default", false).known);
  EXPECT_EQ(dns::FindName(text, *IpAddress::Parse("10.0.0.3")), "web-2.shop_default");
  EXPECT_EQ(dns::FindName(text, *IpAddress::Parse("10.0.0.4")), "");
}

}  // namespace
}  // namespace skiff::net
