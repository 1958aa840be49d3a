#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "schema/load.h"
#include "schema/tree.h"

namespace skiff::schema {
namespace {

// A folder with files for one test, removed at the end.
class ProjectTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "skiff-schema-XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
    options_.working_dir = root_ + "/app";
    std::filesystem::create_directory(options_.working_dir);
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = std::filesystem::path(options_.working_dir) / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }

  LoadResult Load() {
    LoadResult result = LoadProject(options_);
    problems_ = FormatDiagnostics(result.diagnostics, *result.sources);
    return result;
  }

  std::string root_;
  LoadOptions options_;
  std::string problems_;
};

constexpr const char* kSmall = "services:\n  s: {image: i}\n";

TEST_F(ProjectTest, TakesItsNameFromTheFolder) {
  Write("compose.yaml", kSmall);
  EXPECT_EQ(Load().project.name, "app");
}

TEST_F(ProjectTest, WithoutInterpolationPortsWithAVariableStayAsTheyAreWritten) {
  options_.interpolate = false;
  const auto ports = [&](const std::string& list) {
    Write("compose.yaml", "services:\n  s: {image: i, ports: " + list + "}\n");
    const LoadResult result = Load();
    EXPECT_TRUE(result.ok()) << problems_;
    return *result.tree->Find("services")->Find("s")->Find("ports");
  };
  const Node written = ports("['${P}:80', '8080:80']");
  ASSERT_EQ(written.entries.size(), 2u);
  EXPECT_EQ(written.entries[0].value.text, "${P}:80");
  EXPECT_EQ(written.entries[1].value.text, "8080:80");
  const Node parsed = ports("['8080:80']");
  EXPECT_EQ(parsed.entries.at(0).value.Text("published"), "8080");
}

TEST_F(ProjectTest, NameRules) {
  struct Row {
    std::string flag, variable, in_file, expected;
  };
  const Row rows[] = {{"", "", "", "app"},           {"flag", "env", "file", "flag"},
                      {"", "env", "file", "env"},    {"", "", "file", "file"},
                      {"", "", "My File", "myfile"}, {"", "", "${X:-from}-x", "from-x"},
                      {"1a", "", "", "1a"},          {"a_b-c", "", "", "a_b-c"}};
  for (const Row& row : rows) {
    Write("compose.yaml",
          (row.in_file.empty() ? "" : "name: \"" + row.in_file + "\"\n") + std::string(kSmall));
    options_.project_name = row.flag;
    options_.environment.clear();
    if (!row.variable.empty()) options_.environment["COMPOSE_PROJECT_NAME"] = row.variable;
    EXPECT_EQ(Load().project.name, row.expected) << problems_;
    EXPECT_EQ(ProjectNameOf(options_).value_or(""), row.expected);
  }
}

TEST_F(ProjectTest, RefusesExplicitBadNames) {
  Write("compose.yaml", kSmall);
  for (const std::string name : {"-a", "_a", "A", "a.b", "a b"}) {
    options_.project_name = name;
    EXPECT_FALSE(Load().ok()) << name;
    EXPECT_EQ(problems_,
              "error: invalid project name '" + name +
                  "'\n  note: it is given by -p\n  note: a project name has lower case letters, "
                  "digits, '-' and '_' and begins with a letter or digit\n");
  }
}

TEST_F(ProjectTest, IsFoundInAFolderAboveWithItsOverride) {
  Write("compose.yaml", kSmall);
  Write("compose.override.yaml", "services:\n  s: {user: u}\n");
  Write("deep/er/x", "");
  options_.working_dir += "/deep/er";
  const LoadResult result = Load();
  ASSERT_TRUE(result.ok()) << problems_;
  EXPECT_EQ(result.project.services.at("s").user, "u");
  EXPECT_EQ(result.project.working_dir, root_ + "/app");
  EXPECT_EQ(result.project.files, (std::vector<std::string>{root_ + "/app/compose.yaml",
                                                            root_ + "/app/compose.override.yaml"}));
}

TEST_F(ProjectTest, SaysWhenThereIsNoFile) {
  EXPECT_FALSE(Load().ok());
  EXPECT_EQ(
      problems_.substr(0, problems_.find('\n')),
      "error: there is no Compose file in '" + options_.working_dir + "' or a folder above it");
}

TEST_F(ProjectTest, ReadsDotEnvBeneathTheEnvironment) {
  Write(".env", "A=file\nB=file\nCOMPOSE_PROJECT_NAME=dot\n");
  Write("compose.yaml", "services:\n  s: {image: \"$A-$B\"}\n");
  options_.environment["A"] = "process";
  const LoadResult result = Load();
  ASSERT_TRUE(result.ok()) << problems_;
  EXPECT_EQ(result.project.services.at("s").image, "process-file");
  EXPECT_EQ(result.project.name, "dot");
}

TEST_F(ProjectTest, TakesFilesFromTheVariable) {
  Write("a.yaml", kSmall);
  Write("b.yaml", "services:\n  t: {image: j}\n");
  options_.environment["COMPOSE_FILE"] = "a.yaml:b.yaml";
  const LoadResult result = Load();
  ASSERT_TRUE(result.ok()) << problems_;
  EXPECT_EQ(result.project.services.size(), 2u);
}

TEST_F(ProjectTest, ContainerEnvironmentHasItsPrecedence) {
  Write("a.env", "A=1\nB=1\nC=1\n");
  Write("b.env", "B=2\nC=2\n");
  Write("compose.yaml",
        "services:\n  s:\n    image: i\n    env_file: [a.env, b.env]\n"
        "    environment: {C: '', D: , E: }\n");
  options_.environment["D"] = "passed";
  const LoadResult result = Load();
  ASSERT_TRUE(result.ok()) << problems_;
  const std::map<std::string, std::optional<std::string>> expected = {
      {"A", "1"}, {"B", "2"}, {"C", ""}, {"D", "passed"}, {"E", std::nullopt}};
  EXPECT_EQ(result.project.services.at("s").environment, expected);
}

TEST_F(ProjectTest, EnvFilesOfUnselectedServicesAreNotOpened) {
  Write("compose.yaml", "services:\n  s: {image: i}\n  t: {image: i, env_file: gone}\n");
  EXPECT_FALSE(Load().ok());
  options_.services = {"s"};
  options_.restrict_to_services = true;
  EXPECT_TRUE(Load().ok()) << problems_;
}

TEST_F(ProjectTest, LabelFilesAreBelowLabels) {
  Write("l", "a=1\nb=1\n");
  Write("compose.yaml", "services:\n  s: {image: i, label_file: l, labels: {b: 2}}\n");
  EXPECT_EQ(Load().project.services.at("s").labels, (Labels{{"a", "1"}, {"b", "2"}})) << problems_;
}

TEST_F(ProjectTest, ProfilesEnableServices) {
  Write("compose.yaml",
        "services:\n  s: {image: i}\n  t: {image: i, profiles: [x]}\n"
        "  u: {image: i, profiles: [y]}\n");
  EXPECT_EQ(Load().project.services.size(), 1u);
  EXPECT_EQ(Load().project.disabled_services.size(), 2u);
  options_.profiles = {"x"};
  EXPECT_EQ(Load().project.services.count("t"), 1u);
  options_.profiles = {"*"};
  EXPECT_EQ(Load().project.services.size(), 3u);
  options_.profiles.clear();
  options_.environment["COMPOSE_PROFILES"] = "x, y";
  EXPECT_EQ(Load().project.services.size(), 3u);
  options_.environment.clear();
  options_.services = {"u"};
  EXPECT_EQ(Load().project.services.count("u"), 1u);
}

TEST_F(ProjectTest, SelectionKeepsDependencies) {
  Write("compose.yaml",
        "services:\n  a: {image: i, depends_on: [b]}\n  b: {image: i}\n  c: {image: i}\n");
  options_.services = {"a"};
  options_.restrict_to_services = true;
  EXPECT_EQ(Load().project.services.size(), 2u);
  options_.no_deps = true;
  const LoadResult result = Load();
  EXPECT_EQ(result.project.services.size(), 1u);
  EXPECT_TRUE(result.project.services.at("a").depends_on.empty());
}

TEST_F(ProjectTest, UnusedResourcesAreRemoved) {
  Write("compose.yaml",
        "services:\n  s: {image: i, volumes: [vol:/v]}\nvolumes: {vol: , w: }\nnetworks: {n: }\n");
  EXPECT_EQ(Load().project.volumes.size(), 1u);
  EXPECT_EQ(Load().project.networks.size(), 1u);
  options_.all_resources = true;
  EXPECT_EQ(Load().project.volumes.size(), 2u);
  EXPECT_EQ(Load().project.networks.count("n"), 1u);
}

TEST_F(ProjectTest, BindsTypedValues) {
  Write("compose.yaml", R"(services:
  s:
    image: i
    command: sh -c "a b"
    entrypoint: []
    ports: ["127.0.0.1:8080:80/udp"]
    volumes: [vol:/v:ro, ./d:/d, /anon]
    depends_on: {t: {condition: service_healthy, restart: true}}
    healthcheck: {test: x, interval: 1m, retries: 2}
    deploy: {replicas: 3, resources: {limits: {cpus: "0.5", memory: 64m, pids: 7}}}
    ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}
    stop_grace_period: 1m30s
    extra_hosts: ["h:1.2.3.4"]
    networks: {default: , n: {priority: 5, aliases: [x]}}
    tmpfs: /t
    init: true
    logging: {driver: json-file, options: {max-size: 10m}}
    mem_swappiness: 0
    secrets: [{source: k, mode: 0400}]
  t: {image: i, pid: "service:s2"}
  s2: {image: i}
volumes: {vol: {labels: {a: b}}}
networks: {n: {internal: true, ipam: {config: [{subnet: 10.0.0.0/24}]}}}
secrets: {k: {environment: KEY}}
)");
  options_.environment["KEY"] = "value";
  const LoadResult result = Load();
  ASSERT_TRUE(result.ok()) << problems_;
  const Service& s = result.project.services.at("s");
  EXPECT_EQ(s.command, (std::vector<std::string>{"sh", "-c", "a b"}));
  EXPECT_EQ(s.entrypoint, std::vector<std::string>{});
  ASSERT_EQ(s.ports.size(), 1u);
  EXPECT_EQ(s.ports[0].host_ip, "127.0.0.1");
  EXPECT_EQ(s.ports[0].published, "8080");
  EXPECT_EQ(s.ports[0].target, 80);
  EXPECT_EQ(s.ports[0].protocol, "udp");
  ASSERT_EQ(s.volumes.size(), 3u);
  EXPECT_TRUE(s.volumes[0].read_only);
  EXPECT_EQ(s.volumes[0].source, "vol");
  EXPECT_EQ(s.volumes[1].source, root_ + "/app/d");
  EXPECT_TRUE(s.volumes[1].bind_create_host_path);
  EXPECT_EQ(s.volumes[2].source, "");
  ASSERT_EQ(s.depends_on.size(), 1u);
  EXPECT_EQ(s.depends_on[0].condition, DependencyCondition::kHealthy);
  EXPECT_TRUE(s.depends_on[0].restart);
  EXPECT_EQ(s.healthcheck->test, (std::vector<std::string>{"CMD-SHELL", "x"}));
  EXPECT_EQ(s.healthcheck->interval, std::chrono::minutes(1));
  EXPECT_EQ(s.healthcheck->retries, 2);
  EXPECT_EQ(s.scale, 3);
  EXPECT_EQ(s.cpus, 0.5);
  EXPECT_EQ(s.mem_limit, 64 << 20);
  EXPECT_EQ(s.pids_limit, 7);
  ASSERT_EQ(s.ulimits.size(), 2u);
  EXPECT_EQ(s.ulimits[0].hard, 2);
  EXPECT_EQ(s.ulimits[1].soft, 3);
  EXPECT_EQ(s.stop_grace_period, std::chrono::seconds(90));
  EXPECT_EQ(s.extra_hosts, (std::vector<std::pair<std::string, std::string>>{{"h", "1.2.3.4"}}));
  ASSERT_EQ(s.networks.size(), 2u);
  EXPECT_EQ(s.networks[0].network, "n");
  EXPECT_EQ(s.tmpfs, std::vector<std::string>{"/t"});
  EXPECT_EQ(s.init, true);
  EXPECT_EQ(s.logging_options.at("max-size"), "10m");
  EXPECT_EQ(s.secrets[0].mode, 0400u);
  EXPECT_EQ(result.project.services.at("t").depends_on[0].service, "s2");
  EXPECT_EQ(result.project.networks.at("n").name, "app_n");
  EXPECT_TRUE(result.project.networks.at("n").internal);
  EXPECT_EQ(result.project.networks.at("n").ipam[0].subnet, "10.0.0.0/24");
  EXPECT_EQ(result.project.volumes.at("vol").name, "app_vol");
  EXPECT_EQ(result.project.secrets.at("k").content, "value");
}

TEST_F(ProjectTest, TheHashLeavesOutWhatDoesNotChangeAContainer) {
  Write("compose.yaml",
        "services:\n  s: {image: i, scale: 1, deploy: {mode: global}}\n  t: {image: j}\n");
  const std::string first = Load().project.services.at("s").hashed_json;
  Write(
      "compose.yaml",
      "services:\n  s: {image: i, scale: 2, deploy: {mode: global, replicas: 2}, depends_on: [t], "
      "pull_policy: always}\n  t: {image: j}\n");
  EXPECT_EQ(Load().project.services.at("s").hashed_json, first) << problems_;
  Write("compose.yaml", "services:\n  s: {image: i2}\n  t: {image: j}\n");
  EXPECT_NE(Load().project.services.at("s").hashed_json, first);
}

TEST_F(ProjectTest, ValidKeysWithoutEffectAreToldApart) {
  Write("compose.yaml",
        "services:\n  s:\n    image: i\n    gpus: all\n    deploy:\n      endpoint_mode: vip\n");
  const LoadResult result = Load();
  EXPECT_EQ(problems_, "");
  EXPECT_EQ(FormatDiagnostics(result.not_honoured, *result.sources),
            "compose.yaml:4:5: warning: services.s.gpus: is not supported yet and has no effect\n"
            "  4 |     gpus: all\n    |     ^~~~\n"
            "compose.yaml:6:7: warning: services.s.deploy.endpoint_mode: is not supported yet and "
            "has no effect\n  6 |       endpoint_mode: vip\n    |       ^~~~~~~~~~~~~\n");
}

// Each of the values is allowed, all of them together are not.
TEST_F(ProjectTest, WhatVariablesGiveIsLimited) {
  options_.environment["BIG"] = std::string(4u << 20, 'x');
  std::string text = "services:\n  a:\n    image: i\n    labels:\n";
  for (int i = 0; i < 40; ++i) text += "      l" + std::to_string(i) + ": $BIG\n";
  Write("compose.yaml", text);
  const LoadResult result = Load();
  EXPECT_TRUE(result.diagnostics.HasErrors());
  EXPECT_NE(problems_.find("compose.yaml:21:12: error: services.a.labels.l16: with the value of "
                           "'BIG' what variables give grows beyond 64 MiB"),
            std::string::npos)
      << problems_;
  EXPECT_EQ(problems_.find("error", problems_.find("error") + 1), std::string::npos);
}

}  // namespace
}  // namespace skiff::schema
