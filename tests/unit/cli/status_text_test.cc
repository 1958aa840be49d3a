#include "cli/status_text.h"

#include <gtest/gtest.h>

#include "cli/exit_status.h"

namespace skiff::cli {
namespace {

using engine::ContainerStatus;
using engine::HealthStatus;
using engine::Protocol;

constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kNow = 1'000'000 * kSecond;

engine::ContainerState State(ContainerStatus status, int64_t seconds_ago) {
  engine::ContainerState state;
  state.status = status;
  state.started_at = state.finished_at = kNow - seconds_ago * kSecond;
  return state;
}

TEST(StatusText, UsesDockersWords) {
  EXPECT_EQ(StatusText(State(ContainerStatus::kRunning, 0), kNow), "Up Less than a second");
  EXPECT_EQ(StatusText(State(ContainerStatus::kRunning, 180), kNow), "Up 3 minutes");
  EXPECT_EQ(StatusText(State(ContainerStatus::kPaused, 60), kNow), "Up About a minute (Paused)");
  auto state = State(ContainerStatus::kRunning, 5);
  state.health = HealthStatus::kStarting;
  EXPECT_EQ(StatusText(state, kNow), "Up 5 seconds (health: starting)");
  state.health = HealthStatus::kHealthy;
  EXPECT_EQ(StatusText(state, kNow), "Up 5 seconds (healthy)");
  state = State(ContainerStatus::kExited, 5);
  state.exit_code = 137;
  EXPECT_EQ(StatusText(state, kNow), "Exited (137) 5 seconds ago");
  state.status = ContainerStatus::kRestarting;
  EXPECT_EQ(StatusText(state, kNow), "Restarting (137) 5 seconds ago");
  EXPECT_EQ(StatusText(State(ContainerStatus::kCreated, 5), kNow), "Created");
  EXPECT_EQ(StatusText(State(ContainerStatus::kDead, 5), kNow), "Dead");
  EXPECT_EQ(StatusText(State(ContainerStatus::kRemoving, 5), kNow), "Removal In Progress");
}

TEST(PortsText, DrawsNeighboursTogether) {
  EXPECT_EQ(PortsText({}), "");
  EXPECT_EQ(PortsText({{"", 0, 9000, Protocol::kTcp}}), "9000/tcp");
  EXPECT_EQ(PortsText({{"0.0.0.0", 8080, 80, Protocol::kTcp}, {"::", 8080, 80, Protocol::kTcp}}),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp");
  EXPECT_EQ(PortsText({{"127.0.0.1", 81, 8081, Protocol::kTcp},
                       {"127.0.0.1", 80, 8080, Protocol::kTcp},
                       {"127.0.0.1", 99, 8082, Protocol::kTcp}}),
            "127.0.0.1:80-81->8080-8081/tcp, 127.0.0.1:99->8082/tcp");
  EXPECT_EQ(PortsText({{"0.0.0.0", 53, 53, Protocol::kUdp}, {"0.0.0.0", 53, 53, Protocol::kTcp}}),
            "0.0.0.0:53->53/tcp, 0.0.0.0:53->53/udp");
}

TEST(CommandText, IsQuotedAndCut) {
  EXPECT_EQ(CommandText({"sleep", "1000"}, false), "\"sleep 1000\"");
  EXPECT_EQ(CommandText({"/docker-entrypoint.sh", "nginx"}, false), "\"/docker-entrypoint.…\"");
  EXPECT_EQ(CommandText({"/docker-entrypoint.sh", "nginx"}, true),
            "\"/docker-entrypoint.sh nginx\"");
}

TEST(ExitStatus, FollowsTheDocumentedTable) {
  const std::pair<Code, int> rows[] = {
      {Code::kInvalidArgument, 1},    {Code::kNotFound, 1},         {Code::kAlreadyExists, 1},
      {Code::kFailedPrecondition, 1}, {Code::kPermissionDenied, 1}, {Code::kUnsupported, 1},
      {Code::kExhausted, 1},          {Code::kUnavailable, 1},      {Code::kTimeout, 1},
      {Code::kCancelled, 130},        {Code::kCorrupted, 1},        {Code::kSystem, 1},
      {Code::kInternal, 70},
  };
  for (const auto& [code, status] : rows) EXPECT_EQ(ExitStatus(code), status) << CodeName(code);
}

TEST(ExitStatus, TellsWhyAProcessDidNotStart) {
  const auto status = [](const char* text) {
    return StartFailureStatus(Error(Code::kNotFound, text), kExitEngine);
  };
  EXPECT_EQ(status("exec: \"x\": executable file not found in $PATH"), 127);
  EXPECT_EQ(status("exec: \"/x\": no such file or directory"), 127);
  EXPECT_EQ(status("exec: \"/etc\": permission denied"), 126);
  EXPECT_EQ(status("exec: \"/etc\": is a directory"), 126);
  EXPECT_EQ(status("no such container: x"), 125);
}

}  // namespace
}  // namespace skiff::cli
