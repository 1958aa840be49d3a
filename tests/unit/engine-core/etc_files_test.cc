#include "engine-core/embedded/etc_files.h"

#include <gtest/gtest.h>

namespace skiff::engine::embedded {
namespace {

TEST(EtcFilesTest, HostsHasTheContainersAddressesLast) {
  HostsInputs inputs;
  inputs.hostname = "web";
  inputs.domainname = "example.org";
  inputs.extra = {{"db", "10.0.0.9"}};
  inputs.addresses = {"10.0.0.2"};
  const std::string text = HostsFile(inputs);
  EXPECT_EQ(text.substr(0, 20), "127.0.0.1\tlocalhost\n");
  EXPECT_NE(text.find("10.0.0.9\tdb\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("10.0.0.2\tweb.example.org web\n")) << text;
}

TEST(EtcFilesTest, ExtraHosts) {
  using Pair = std::pair<std::string, std::string>;
  EXPECT_EQ(*ParseExtraHost("db:10.0.0.1", ""), Pair("db", "10.0.0.1"));
  EXPECT_EQ(*ParseExtraHost("db=10.0.0.1", ""), Pair("db", "10.0.0.1"));
  EXPECT_EQ(*ParseExtraHost("db:fd00::1", ""), Pair("db", "fd00::1"));
  EXPECT_EQ(*ParseExtraHost("db:[fd00::1]", ""), Pair("db", "fd00::1"));
  EXPECT_EQ(*ParseExtraHost("host:host-gateway", "10.0.0.254"), Pair("host", "10.0.0.254"));
  EXPECT_FALSE(ParseExtraHost("nothing", ""));
}

TEST(EtcFilesTest, ResolvConfRoundTrip) {
  const ResolverSettings settings = ParseResolvConf(
      "# comment\nnameserver 127.0.0.53\nnameserver 9.9.9.9\nsearch a b\noptions ndots:2 edns0\n");
  EXPECT_EQ(settings.name_servers, (std::vector<std::string>{"127.0.0.53", "9.9.9.9"}));
  EXPECT_EQ(settings.search, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(settings.options, (std::vector<std::string>{"ndots:2", "edns0"}));
  EXPECT_EQ(WithoutLoopback(settings.name_servers), std::vector<std::string>{"9.9.9.9"});
  const ResolverSettings again = ParseResolvConf(ResolvConfFile(settings));
  EXPECT_EQ(again.name_servers, settings.name_servers);
  EXPECT_EQ(again.options, settings.options);
}

}  // namespace
}  // namespace skiff::engine::embedded
