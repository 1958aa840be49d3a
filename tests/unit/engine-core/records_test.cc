#include "engine-core/store/records.h"

#include <gtest/gtest.h>

namespace skiff::engine::store {
namespace {

ContainerRecord Full() {
  ContainerRecord record;
  record.id = "0123";
  record.name = "web";
  record.image_id = "sha256:1";
  record.created_at = 42;
  record.desired = Desired::kRunning;
  record.image = "busybox";
  record.command = {"sh", "-c", "echo \"quoted\""};
  record.layers = {"a", "b"};
  ContainerConfig& config = record.config;
  config.entrypoint = std::vector<std::string>{};
  config.environment = {"A=1", "EMPTY="};
  config.labels = {{"k", "v"}};
  config.init = false;
  config.stop_timeout = std::chrono::seconds(3);
  config.healthcheck = Healthcheck{{"CMD", "true"}, std::chrono::seconds(1), {}, {}, {}, 5};
  config.restart = {RestartMode::kOnFailure, 4};
  MountRequest mount;
  mount.kind = MountKind::kTmpfs;
  mount.target = "/t";
  mount.recursive = false;
  mount.tmpfs_mode = 01777;
  config.mounts = {mount};
  PortRequest port;
  port.container_port = 80;
  port.protocol = Protocol::kUdp;
  port.publish = false;
  config.ports = {port};
  config.ulimits = {{"nofile", -1, -1}};
  config.resources.memory_swappiness = 0;
  config.log = {"local", {{"max-size", "1m"}}};
  EndpointRecord endpoint;
  endpoint.endpoint.network = "net";
  endpoint.endpoint.aliases = {"a"};
  endpoint.endpoint.ipv4_prefix = 24;
  endpoint.default_route = true;
  record.endpoints = {endpoint};
  record.ports = {{"127.0.0.1", 8080, 80, Protocol::kTcp}};
  record.mounts = {{MountKind::kVolume, "v", "/s", "/t", true, true}};
  return record;
}

TEST(RecordsTest, ContainerSurvivesTheRoundTrip) {
  const ContainerRecord record = Full();
  ContainerRecord read;
  ASSERT_TRUE(DecodeWhole(EncodeWhole(record), &read));
  EXPECT_EQ(EncodeWhole(read), EncodeWhole(record));
  // What encodes to nothing must not be what was there.
  EXPECT_EQ(read.config.entrypoint, record.config.entrypoint);
  EXPECT_FALSE(read.config.command.has_value());
  EXPECT_EQ(read.config.init, std::optional(false));
  EXPECT_EQ(read.config.stop_timeout, record.config.stop_timeout);
  EXPECT_EQ(read.config.healthcheck, record.config.healthcheck);
  EXPECT_EQ(read.config.mounts, record.config.mounts);
  EXPECT_EQ(read.config.ports, record.config.ports);
  EXPECT_EQ(read.config.ulimits, record.config.ulimits);
  EXPECT_EQ(read.config.resources, record.config.resources);
  EXPECT_EQ(read.desired, Desired::kRunning);
  EXPECT_TRUE(read.endpoints.at(0).default_route);
}

TEST(RecordsTest, UnknownKeysAreSkippedAndMissingOnesHaveDefaults) {
  ContainerRecord record;
  ASSERT_TRUE(Decode(R"({"image":"x","from the future":{"a":[1]}})", &record));
  EXPECT_EQ(record.image, "x");
  EXPECT_TRUE(record.config.mounts.empty());
}

TEST(RecordsTest, DamagedRowIsAnErrorNotACrash) {
  ContainerRecord record;
  for (const char* text : {"", "[]", "{", "{\"layers\":7}", "{\"config\":{\"tty\":\"yes\"}}"}) {
    const auto read = Decode(text, &record);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Code::kCorrupted);
  }
}

TEST(RecordsTest, BytesThatAreNoTextDoNotThrow) {
  ContainerRecord record;
  record.config.environment = {"A=\xff\xfe"};
  ContainerRecord read;
  ASSERT_TRUE(Decode(Encode(record), &read));
}

TEST(RecordsTest, NetworkImageAndVolume) {
  NetworkRecord network;
  network.network.id = "n";
  network.network.config.name = "net";
  network.network.config.subnets = {{"10.0.0.0/24", "10.0.0.1", "", {{"host", "10.0.0.2"}}}};
  network.link_group = 0x80000001;
  NetworkRecord network_read;
  ASSERT_TRUE(Decode(Encode(network), &network_read));
  EXPECT_EQ(network_read.network.config.subnets, network.network.config.subnets);
  EXPECT_EQ(network_read.link_group, network.link_group);
  ImageRecord image;
  image.image.id = "sha256:1";
  image.layer_ids = {"l"};
  image.image.config.volumes = {"/v"};
  ImageRecord image_read;
  ASSERT_TRUE(Decode(Encode(image), &image_read));
  EXPECT_EQ(Encode(image_read), Encode(image));
  Volume volume;
  volume.config.name = "v";
  volume.anonymous = true;
  Volume volume_read;
  ASSERT_TRUE(Decode(Encode(volume), &volume_read));
  EXPECT_EQ(Encode(volume_read), Encode(volume));
}

}  // namespace
}  // namespace skiff::engine::store
