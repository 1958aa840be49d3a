#include "engine-core/embedded/merge.h"

#include <gtest/gtest.h>

namespace skiff::engine::embedded {
namespace {

using Words = std::vector<std::string>;

struct CommandRow {
  std::optional<Words> entrypoint, command;
  Words image_entrypoint, image_command;
  Words result;  // Empty: refused.
};

TEST(MergeTest, EntrypointAndCommand) {
  const CommandRow rows[] = {
      {{}, {}, {}, {"sh"}, {"sh"}},
      {{}, {}, {"e"}, {"c"}, {"e", "c"}},
      {{}, Words{"x"}, {"e"}, {"c"}, {"e", "x"}},
      {Words{"n"}, {}, {"e"}, {"c"}, {"n"}},
      {Words{"n"}, Words{"x"}, {"e"}, {"c"}, {"n", "x"}},
      {Words{""}, Words{"x"}, {"e"}, {"c"}, {"x"}},
      {Words{}, Words{"x"}, {"e"}, {"c"}, {"x"}},
      {{}, Words{}, {"e"}, {"c"}, {"e", "c"}},
      {Words{}, {}, {"e"}, {"c"}, {}},
      {{}, {}, {}, {}, {}},
  };
  for (const CommandRow& row : rows) {
    ContainerConfig request;
    request.entrypoint = row.entrypoint;
    request.command = row.command;
    ImageConfig image;
    image.entrypoint = row.image_entrypoint;
    image.command = row.image_command;
    const auto merged = MergeImageConfig(request, image);
    ASSERT_EQ(merged.has_value(), !row.result.empty());
    if (merged) {
      EXPECT_EQ(merged->command, row.result);
    }
  }
}

TEST(MergeTest, EnvironmentByKey) {
  ContainerConfig request;
  request.command = {"x"};
  request.environment = {"B=new", "C", "D=", "E=1"};
  ImageConfig image;
  image.environment = {"PATH=/bin", "A=1", "B=old", "C=gone"};
  EXPECT_EQ(MergeImageConfig(request, image)->config.environment,
            (Words{"PATH=/bin", "A=1", "B=new", "D=", "E=1"}));
  image.environment.clear();
  request.environment.clear();
  EXPECT_EQ(MergeImageConfig(request, image)->config.environment,
            Words{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"});
}

TEST(MergeTest, LabelsPortsAndVolumesAreUnited) {
  ContainerConfig request;
  request.command = {"x"};
  request.labels = {{"a", "mine"}};
  PortRequest port;
  port.container_port = 80;
  port.host_port = 8080;
  request.ports = {port};
  MountRequest bind;
  bind.source = "/src";
  bind.target = "/data/";
  request.mounts = {bind};
  ImageConfig image;
  image.labels = {{"a", "theirs"}, {"b", "2"}, {"com.docker.compose.project", "victim"}};
  image.exposed_ports = {"80", "53/udp"};
  image.volumes = {"/data", "/other"};
  const auto merged = MergeImageConfig(request, image);
  ASSERT_TRUE(merged);
  EXPECT_EQ(merged->config.labels, (Labels{{"a", "mine"}, {"b", "2"}}));
  ASSERT_EQ(merged->config.ports.size(), 2u);
  EXPECT_TRUE(merged->config.ports[0].publish);
  EXPECT_EQ(merged->config.ports[1].container_port, 53);
  EXPECT_FALSE(merged->config.ports[1].publish);
  ASSERT_EQ(merged->config.mounts.size(), 2u);
  EXPECT_EQ(merged->config.mounts[1].target, "/other");
  EXPECT_EQ(merged->config.mounts[1].source, "");
  image.exposed_ports = {"http"};
  EXPECT_FALSE(MergeImageConfig(request, image));
}

TEST(MergeTest, HealthcheckFillsUpFromTheImageThenFromTheDefaults) {
  ContainerConfig request;
  request.command = {"x"};
  ImageConfig image;
  EXPECT_FALSE(MergeImageConfig(request, image)->config.healthcheck.has_value());
  image.healthcheck = Healthcheck{{"CMD", "a"}, std::chrono::seconds(7), {}, {}, {}, 9};
  request.healthcheck = Healthcheck{{}, {}, std::chrono::seconds(2), {}, {}, 0};
  using std::chrono::seconds;
  EXPECT_EQ(MergeImageConfig(request, image)->config.healthcheck,
            (Healthcheck{{"CMD", "a"}, seconds(7), seconds(2), seconds(0), seconds(5), 9}));
}

TEST(ValidateConfigTest, RefusesWhatCannotBe) {
  const auto refused = [](auto change) {
    ContainerConfig config;
    change(config);
    const auto valid = ValidateConfig(config);
    return valid ? std::string("valid") : valid.error().message;
  };
  const auto mount = [](const std::string& source, const std::string& target) {
    MountRequest request;
    request.source = source;
    request.target = target;
    return request;
  };
  EXPECT_EQ(refused([](ContainerConfig&) {}), "valid");
  EXPECT_EQ(refused([&](auto& c) {
              c.mounts = {mount("/a", "/x"), mount("/b", "/x/")};
            }),
            "Duplicate mount point: /x");
  for (const char* target : {"", "/", "relative", "/a/../b"}) {
    EXPECT_NE(refused([&](auto& c) { c.mounts = {mount("/a", target)}; }), "valid") << target;
  }
  EXPECT_NE(refused([&](auto& c) { c.mounts = {mount("relative", "/x")}; }), "valid");
  EXPECT_EQ(refused([](auto& c) { c.stop_signal = "SIGNOTHING"; }), "invalid signal: SIGNOTHING");
  EXPECT_EQ(refused([](auto& c) {
              c.ulimits = {{"nothing", 1, 1}};
            }),
            "invalid ulimit type: nothing");
  EXPECT_NE(refused([](auto& c) { c.ulimits = {{"nofile", 2, 1}}; }), "valid");
  EXPECT_EQ(refused([](auto& c) {
              c.network_mode = "container:x";
              c.hostname = "h";
            }),
            "conflicting options: hostname and the network mode");
  EXPECT_EQ(refused([](auto& c) {
              c.auto_remove = true;
              c.restart.mode = RestartMode::kAlways;
            }),
            "can't create 'AutoRemove' container with restart policy");
  EXPECT_NE(refused([](auto& c) { c.hostname = std::string(65, 'h'); }), "valid");
}

}  // namespace
}  // namespace skiff::engine::embedded
