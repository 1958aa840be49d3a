#include "compose/translate.h"

#include "compose/labels.h"
#include "tests/unit/compose/fixture.h"

namespace skiff::compose {
namespace {

class TranslateTest : public ComposeTest {
 protected:
  engine::ContainerConfig Translate(const std::string& service, TranslateOptions options = {}) {
    Seal();
    options.file_dir = "/run/files";
    auto translated = TranslateService(project_, project_.services[service], options);
    EXPECT_TRUE(translated) << (translated ? "" : translated.error().Text());
    return translated ? translated->config : engine::ContainerConfig();
  }
};

TEST_F(TranslateTest, NamesAndLabelsAreThoseOfCompose) {
  AddService("db");
  schema::Service& web = AddService("web");
  web.labels["mine"] = "yes";
  Depend("web", "db", schema::DependencyCondition::kHealthy, true);
  project_.env_files = {"/srv/p/.env"};
  const engine::ContainerConfig config = Translate("web", {.number = 2, .image_id = "sha256:abc"});
  EXPECT_EQ(config.name, "p-web-2");
  const engine::Labels expected = {
      {"com.docker.compose.config-hash", Sha256Hex(project_.services["web"].hashed_json)},
      {"com.docker.compose.container-number", "2"},
      {"com.docker.compose.depends_on", "db:service_healthy:true"},
      {"com.docker.compose.image", "sha256:abc"},
      {"com.docker.compose.oneoff", "False"},
      {"com.docker.compose.project", "p"},
      {"com.docker.compose.project.config_files", "/srv/p/compose.yaml"},
      {"com.docker.compose.project.environment_file", "/srv/p/.env"},
      {"com.docker.compose.project.working_dir", "/srv/p"},
      {"com.docker.compose.service", "web"},
      {"com.docker.compose.version", std::string(kComposeVersion)},
      {"mine", "yes"},
  };
  EXPECT_EQ(config.labels, expected);
  EXPECT_EQ(config.annotations.at("skiff.service"), project_.services["web"].hashed_json);
}

TEST_F(TranslateTest, EnvironmentKeepsUnsetNamesBare) {
  schema::Service& web = AddService("web");
  web.environment["A"] = "1";
  web.environment["EMPTY"] = "";
  web.environment["GONE"] = std::nullopt;
  EXPECT_THAT(Translate("web").environment, testing::ElementsAre("A=1", "EMPTY=", "GONE"));
}

struct RestartRow {
  std::string text;
  engine::RestartPolicy policy;
};
TEST_F(TranslateTest, RestartPolicies) {
  using enum engine::RestartMode;
  const RestartRow rows[] = {{"", {kNo, 0}},
                             {"no", {kNo, 0}},
                             {"always", {kAlways, 0}},
                             {"unless-stopped", {kUnlessStopped, 0}},
                             {"on-failure", {kOnFailure, 0}},
                             {"on-failure:5", {kOnFailure, 5}}};
  AddService("web");
  for (const RestartRow& row : rows) {
    project_.services["web"].restart = row.text;
    EXPECT_EQ(Translate("web").restart, row.policy) << row.text;
  }
  project_.services["web"].restart = "sometimes";
  EXPECT_EQ(TranslateService(project_, project_.services["web"], {}).error().Text(),
            "invalid restart policy 'sometimes'");
}

TEST_F(TranslateTest, MountsOfEveryKind) {
  AddVolume("data");
  schema::Service& web = AddService("web");
  Mount(web, "data", "/data");
  Mount(web, "", "/anonymous");
  schema::VolumeMount bind;
  bind.type = schema::VolumeMountType::kBind;
  bind.source = "/host";
  bind.target = "/inside";
  bind.read_only = true;
  bind.bind_propagation = "rslave";
  web.volumes.push_back(bind);
  web.tmpfs = {"/scratch:size=64m,mode=1777,uid=5,ro"};
  const std::vector<engine::MountRequest> mounts = Translate("web").mounts;
  ASSERT_EQ(mounts.size(), 4u);
  EXPECT_EQ(mounts[0].source, "p_data");
  EXPECT_EQ(mounts[1].source, "");
  EXPECT_EQ(mounts[2], (engine::MountRequest{.kind = engine::MountKind::kBind,
                                             .source = "/host",
                                             .target = "/inside",
                                             .read_only = true,
                                             .create_host_path = true,
                                             .propagation = "rslave"}));
  EXPECT_EQ(mounts[3], (engine::MountRequest{.kind = engine::MountKind::kTmpfs,
                                             .target = "/scratch",
                                             .read_only = true,
                                             .tmpfs_size = 64 << 20,
                                             .tmpfs_mode = 01777,
                                             .tmpfs_options = {"uid=5"}}));
}

TEST_F(TranslateTest, NetworksComeInOrderOfPriorityWithAliases) {
  schema::Network extra;
  extra.key = "extra";
  extra.name = "p_extra";
  project_.networks["extra"] = extra;
  schema::Service& web = AddService("web");
  schema::ServiceNetwork network;
  network.network = "extra";
  network.priority = 10;
  network.aliases = {"www", "web"};
  network.ipv4_address = "10.0.0.5";
  web.networks.push_back(network);
  const std::vector<engine::EndpointRequest> endpoints = Translate("web").endpoints;
  ASSERT_EQ(endpoints.size(), 2u);
  EXPECT_EQ(endpoints[0].network, "p_extra");
  EXPECT_THAT(endpoints[0].aliases, testing::ElementsAre("web", "www"));
  EXPECT_EQ(endpoints[0].ipv4_address, "10.0.0.5");
  EXPECT_EQ(endpoints[1].network, "p_default");
  EXPECT_THAT(Translate("web", {.oneoff = true}).endpoints[0].aliases, testing::IsEmpty());
}

TEST_F(TranslateTest, AServiceIsKnownByTheNamesOfLinksToIt) {
  AddService("db");
  AddService("web").links = {"db:database", "db", "cache:db"};
  AddService("apart").links = {"db:secret"};
  project_.services.at("apart").networks.clear();
  EXPECT_THAT(Translate("db").endpoints[0].aliases, testing::ElementsAre("db", "database"));
  EXPECT_THAT(Translate("web").endpoints[0].aliases, testing::ElementsAre("web"));
}

TEST_F(TranslateTest, NetworkModesOfTheHostAndOfOthers) {
  schema::Service& web = AddService("web");
  web.networks.clear();
  web.network_mode = "host";
  EXPECT_EQ(Translate("web").network_mode, "host");
  web.network_mode = "service:db";
  web.pid = "service:db";
  web.volumes_from = {"db:ro", "container:other"};
  Seal();
  const auto translated = TranslateService(project_, web, {});
  ASSERT_TRUE(translated);
  EXPECT_EQ(translated->config.network_mode, "");
  EXPECT_THAT(translated->config.volumes_from, testing::ElementsAre("other"));
  ASSERT_EQ(translated->references.size(), 3u);
  EXPECT_EQ(translated->references[0].service, "db");
  EXPECT_EQ(translated->references[0].suffix, ":ro");
}

TEST_F(TranslateTest, PortsAndRanges) {
  schema::Service& web = AddService("web");
  AddPort(web, 80, "8080-8090");
  AddPort(web, 53, "");
  web.ports[1].protocol = "udp";
  web.expose = {"9000-9001/tcp"};
  const std::vector<engine::PortRequest> ports = Translate("web").ports;
  ASSERT_EQ(ports.size(), 4u);
  EXPECT_EQ(ports[0].host_port, 8080);
  EXPECT_EQ(ports[0].host_port_last, 8090);
  EXPECT_EQ(ports[1].host_port, 0);
  EXPECT_EQ(ports[1].protocol, engine::Protocol::kUdp);
  EXPECT_TRUE(ports[1].publish);
  EXPECT_EQ(ports[3].container_port, 9001);
  EXPECT_FALSE(ports[3].publish);
}

TEST_F(TranslateTest, LimitsAndRights) {
  schema::Service& web = AddService("web");
  web.cpus = 0.5;
  web.mem_limit = 64 << 20;
  web.pids_limit = 100;
  web.cap_add = {"NET_ADMIN"};
  web.cap_drop = {"ALL"};
  web.ulimits = {{"nofile", 1024, 2048}};
  web.sysctls = {{"net.core.somaxconn", "1024"}};
  web.read_only = true;
  web.init = true;
  web.stop_grace_period = std::chrono::seconds(3);
  web.extra_hosts = {{"gate", "host-gateway"}};
  web.devices = {{"/dev/fuse", "", ""}};
  const engine::ContainerConfig config = Translate("web");
  EXPECT_EQ(config.resources.nano_cpus, 500'000'000);
  EXPECT_EQ(config.resources.memory, 64 << 20);
  EXPECT_EQ(config.resources.pids, 100);
  EXPECT_THAT(config.cap_add, testing::ElementsAre("NET_ADMIN"));
  EXPECT_EQ(config.ulimits[0], (engine::Ulimit{"nofile", 1024, 2048}));
  EXPECT_TRUE(config.read_only);
  EXPECT_EQ(config.init, true);
  EXPECT_EQ(config.stop_timeout, std::chrono::seconds(3));
  EXPECT_THAT(config.extra_hosts, testing::ElementsAre("gate:host-gateway"));
  EXPECT_EQ(config.devices[0], (engine::DeviceRequest{"/dev/fuse", "/dev/fuse", "rwm"}));
}

TEST_F(TranslateTest, HealthchecksInheritWhatTheyDoNotSay) {
  schema::Service& web = AddService("web");
  AddHealthcheck(web);
  web.healthcheck->interval = std::chrono::seconds(2);
  web.healthcheck->retries = 4;
  engine::Healthcheck expected;
  expected.test = {"CMD", "true"};
  expected.interval = std::chrono::seconds(2);
  expected.retries = 4;
  EXPECT_EQ(Translate("web").healthcheck, expected);
  web.healthcheck->disable = true;
  EXPECT_THAT(Translate("web").healthcheck->test, testing::ElementsAre("NONE"));
}

TEST_F(TranslateTest, SecretsAndConfigsBecomeFiles) {
  project_.secrets["key"].key = "key";
  project_.secrets["key"].file = "/srv/p/key.pem";
  project_.configs["app"].key = "app";
  project_.configs["app"].content = "x=1";
  schema::Service& web = AddService("web");
  schema::FileGrant secret;
  secret.source = "key";
  web.secrets.push_back(secret);
  schema::FileGrant config;
  config.source = "app";
  config.target = "/etc/app.conf";
  config.uid = "33";
  config.mode = 0440;
  web.configs.push_back(config);
  Seal();
  const auto translated = TranslateService(project_, web, {.file_dir = "/run/files"});
  ASSERT_TRUE(translated);
  ASSERT_EQ(translated->files.size(), 1u);
  const WrittenFile& file = translated->files[0];
  EXPECT_EQ(file.content, "x=1");
  EXPECT_EQ(file.mode, 0440u);
  EXPECT_EQ(file.uid, 33u);
  EXPECT_THAT(file.path, testing::MatchesRegex("/run/files/config-[0-9a-f]{32}"));
  const auto& mounts = translated->config.mounts;
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].source, file.path);
  EXPECT_EQ(mounts[0].target, "/etc/app.conf");
  EXPECT_TRUE(mounts[0].read_only);
  EXPECT_EQ(mounts[1].source, "/srv/p/key.pem");
  EXPECT_EQ(mounts[1].target, "/run/secrets/key");
}

TEST_F(TranslateTest, AnUnsetVariableOfASecretIsAnError) {
  project_.secrets["key"].key = "key";
  project_.secrets["key"].environment = "KEY";
  schema::FileGrant secret;
  secret.source = "key";
  AddService("web").secrets.push_back(secret);
  Seal();
  EXPECT_EQ(TranslateService(project_, project_.services["web"], {}).error().Text(),
            "environment variable \"KEY\" required by secret \"key\" is not set");
}

TEST(LabelsTest, DependsOnGoesThereAndBack) {
  std::vector<schema::Dependency> dependencies(3);
  dependencies[0].service = "a";
  dependencies[1].service = "b";
  dependencies[1].condition = schema::DependencyCondition::kHealthy;
  dependencies[2].service = "c";
  dependencies[2].condition = schema::DependencyCondition::kCompletedSuccessfully;
  dependencies[2].restart = true;
  const std::string label =
      "a:service_started:false,b:service_healthy:false,c:service_completed_successfully:true";
  EXPECT_EQ(FormatDependsOn(dependencies), label);
  EXPECT_EQ(FormatDependsOn(ParseDependsOn(label)), label);
  EXPECT_THAT(ParseDependsOn(""), testing::IsEmpty());
}

struct ReferenceRow {
  std::string asked;
  bool found;
};
TEST(ObservedTest, FindsImagesByEveryFormOfTheirName) {
  Observed observed;
  engine::Image image;
  image.id = "sha256:0123456789abcdef0123";
  image.references = {"busybox:latest", "registry:5000/team/app:1"};
  image.digests = {"busybox@sha256:aa"};
  observed.images.push_back(image);
  const ReferenceRow rows[] = {{"busybox", true},
                               {"busybox:latest", true},
                               {"docker.io/library/busybox", true},
                               {"library/busybox:latest", true},
                               {"busybox:2", false},
                               {"registry:5000/team/app:1", true},
                               {"registry:5000/team/app", false},
                               {"busybox@sha256:aa", true},
                               {"busybox:latest@sha256:aa", true},
                               {"busybox@sha256:bb", false},
                               {"0123456789ab", true},
                               {"sha256:0123456789ab", true},
                               {"ba9876543210", false}};
  for (const ReferenceRow& row : rows) {
    EXPECT_EQ(observed.FindImage(row.asked) != nullptr, row.found) << row.asked;
  }
}

}  // namespace
}  // namespace skiff::compose
