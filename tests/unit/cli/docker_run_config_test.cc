#include <gtest/gtest.h>

#include "cli/docker_run.h"

namespace skiff::cli {
namespace {

Result<engine::ContainerConfig> Parse(std::vector<std::string> words) {
  const Command* command = FindCommand(DockerGroup(), "run");
  SKIFF_ASSIGN(const Arguments arguments, ParseArguments(command->flags, true, std::move(words)));
  return ContainerConfigOf(arguments, {{"HOME", "/root"}}, "/here");
}

std::string Message(std::vector<std::string> words) {
  const auto config = Parse(std::move(words));
  return config ? "no error" : config.error().message;
}

TEST(DockerRun, TakesFlagsUpToTheImage) {
  const auto config = Parse({"--rm", "-it", "-e", "A=1", "-e", "HOME", "-u", "me", "-w", "/w", "-h",
                             "box", "--init", "busybox", "sh", "-c", "echo -e --rm"});
  ASSERT_TRUE(config) << config.error().Text();
  engine::ContainerConfig expected;
  expected.image = "busybox";
  expected.command = {"sh", "-c", "echo -e --rm"};
  expected.environment = {"A=1", "HOME=/root"};
  expected.user = "me";
  expected.working_dir = "/w";
  expected.hostname = "box";
  EXPECT_EQ(config->image, expected.image);
  EXPECT_EQ(config->command, expected.command);
  EXPECT_EQ(config->environment, expected.environment);
  EXPECT_EQ(config->user, expected.user);
  EXPECT_EQ(config->working_dir, expected.working_dir);
  EXPECT_EQ(config->hostname, expected.hostname);
  EXPECT_TRUE(config->auto_remove);
  EXPECT_TRUE(config->tty);
  EXPECT_TRUE(config->open_stdin);
  EXPECT_EQ(config->init, std::optional<bool>(true));
  EXPECT_EQ(config->network_mode, "bridge");
  EXPECT_FALSE(config->entrypoint);
}

TEST(DockerRun, ReadsResources) {
  const auto config = Parse({"-m", "64m", "--memory-swap", "-1", "--cpus", "1.5", "--pids-limit",
                             "100", "--ulimit", "nofile=1024:2048", "--sysctl", "net.ipv4.x=1",
                             "--shm-size", "128m", "--stop-timeout", "3", "x"});
  ASSERT_TRUE(config) << config.error().Text();
  engine::Resources expected;
  expected.memory = 64 << 20;
  expected.memory_swap = -1;
  expected.nano_cpus = 1'500'000'000;
  expected.pids = 100;
  EXPECT_EQ(config->resources, expected);
  EXPECT_EQ(config->ulimits, (std::vector<engine::Ulimit>{{"nofile", 1024, 2048}}));
  EXPECT_EQ(config->sysctls, (std::map<std::string, std::string>{{"net.ipv4.x", "1"}}));
  EXPECT_EQ(config->shm_size, 128 << 20);
  EXPECT_EQ(config->stop_timeout, std::optional<engine::Nanoseconds>(std::chrono::seconds(3)));
}

TEST(DockerRun, ReadsHealthchecks) {
  auto config =
      Parse({"--health-cmd", "true", "--health-interval", "2s", "--health-retries", "5", "x"});
  ASSERT_TRUE(config);
  engine::Healthcheck expected;
  expected.test = {"CMD-SHELL", "true"};
  expected.interval = std::chrono::seconds(2);
  expected.retries = 5;
  EXPECT_EQ(config->healthcheck, std::optional(expected));
  config = Parse({"--no-healthcheck", "x"});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->healthcheck->test, (std::vector<std::string>{"NONE"}));
}

TEST(DockerRun, ReadsNetworks) {
  auto config = Parse({"--network", "back", "--network-alias", "db", "--ip", "10.0.0.9", "x"});
  ASSERT_TRUE(config);
  ASSERT_EQ(config->endpoints.size(), 1u);
  EXPECT_EQ(config->endpoints[0].network, "back");
  EXPECT_EQ(config->endpoints[0].aliases, (std::vector<std::string>{"db"}));
  EXPECT_EQ(config->endpoints[0].ipv4_address, "10.0.0.9");
  EXPECT_EQ(config->network_mode, "");
  EXPECT_EQ(Parse({"--net=host", "x"})->network_mode, "host");
}

TEST(DockerRun, ClearsTheEntrypoint) {
  EXPECT_EQ(Parse({"--entrypoint", "", "x"})->entrypoint, std::vector<std::string>());
  EXPECT_EQ(Parse({"--entrypoint=/bin/sh", "x"})->entrypoint, std::vector<std::string>{"/bin/sh"});
}

TEST(DockerRun, TellsConflicts) {
  EXPECT_EQ(Message({"--rm", "--restart", "always", "x"}),
            "conflicting options: cannot specify both --restart and --rm");
  EXPECT_EQ(Message({"--cpus", "1", "--cpu-quota", "5000", "x"}),
            "conflicting options: --cpus and --cpu-period or --cpu-quota");
  EXPECT_EQ(Message({"-v", "a:/x", "--tmpfs", "/x", "x"}), "duplicate mount point: /x");
  EXPECT_EQ(Message({"--no-healthcheck", "--health-cmd", "true", "x"}),
            "--no-healthcheck conflicts with --health-* options");
  EXPECT_EQ(Message({"--network-alias", "a", "x"}),
            "network-scoped aliases and addresses are only supported for user-defined networks");
  EXPECT_EQ(Message({"--network", "host", "--network", "a", "x"}),
            "conflicting options: cannot attach both user-defined and non-user-defined "
            "network-modes (host)");
  EXPECT_EQ(Message({"-m", "lots", "x"}), "invalid argument \"lots\" for \"--memory\" flag");
  EXPECT_EQ(Message({"--add-host", "x", "x"}), "bad format for add-host: \"x\"");
}

TEST(DockerRun, TellsWhatThereIsNot) {
  EXPECT_EQ(Message({"--link", "db:database", "x"}), "--link is not supported");
  EXPECT_EQ(Message({"--gpus=all", "x"}), "--gpus is not supported");
  EXPECT_EQ(Message({"--device-read-bps", "/dev/sda:1mb", "x"}),
            "--device-read-bps is not supported");
  EXPECT_EQ(Message({"--isolation", "hyperv", "x"}),
            "invalid isolation \"hyperv\": Linux has \"default\" only");
  EXPECT_EQ(Message({"--volume-driver", "nfs", "x"}),
            "volume driver \"nfs\" is not supported: use local");
  EXPECT_EQ(Message({"--isolation=default", "--volume-driver=local", "--kernel-memory=4m", "x"}),
            "no error");
  EXPECT_EQ(Parse({"--dns-opt", "ndots:2", "x"})->dns_options,
            std::vector<std::string>{"ndots:2"});
}

}  // namespace
}  // namespace skiff::cli
