#include "engine-core/launch_protocol.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace skiff::engine {
namespace {

ino_t Inode(int fd) {
  struct stat facts = {};
  EXPECT_EQ(fstat(fd, &facts), 0);
  return facts.st_ino;
}

TEST(LaunchProtocol, CarriesSpecificationsOfAnySize) {
  for (const size_t size : {10u, 60'000u, 70'000u, 3'000'000u}) {
    auto sockets = MakeSocketPair(SOCK_SEQPACKET);
    auto pipe = MakePipe();
    ASSERT_TRUE(sockets.has_value() && pipe.has_value());
    RuntimeSpec spec;
    spec.id = "abc";
    spec.environment = {std::string(size, 'x')};
    LaunchDescriptors descriptors;
    descriptors.dns_tcp = pipe->read.get();
    descriptors.attach_error = pipe->write.get();
    descriptors.ports.assign(333, pipe->read.get());
    const Status sent =
        SendLaunchMessage(sockets->first.get(), EncodeRuntimeSpec(spec), descriptors);
    ASSERT_TRUE(sent.has_value()) << sent.error().Text();
    auto message = ReceiveLaunchMessage(sockets->second.get());
    ASSERT_TRUE(message.has_value()) << message.error().Text();
    EXPECT_EQ(message->spec.environment, spec.environment);
    EXPECT_FALSE(message->network_namespace.valid());
    EXPECT_FALSE(message->dns_udp.valid());
    EXPECT_FALSE(message->attach_output.valid());
    EXPECT_EQ(Inode(message->dns_tcp.get()), Inode(pipe->read.get()));
    EXPECT_EQ(message->ports.size(), 333u);
    EXPECT_TRUE(message->attach_error.valid());
  }
}

TEST(LaunchProtocol, CarriesReports) {
  auto sockets = MakeSocketPair(SOCK_SEQPACKET);
  ASSERT_TRUE(sockets.has_value());
  const StartReport sent = {123, 127, "exec: \"x\": not found", {"one", "two"}};
  ASSERT_TRUE(SendStartReport(sockets->first.get(), sent).has_value());
  auto got = ReceiveStartReport(sockets->second.get());
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->host_pid, 123);
  EXPECT_EQ(got->exit_code, 127);
  EXPECT_EQ(got->error, sent.error);
  EXPECT_EQ(got->warnings, sent.warnings);
}

TEST(LaunchProtocol, TellsWhenTheOtherSideHasGone) {
  auto sockets = MakeSocketPair(SOCK_SEQPACKET);
  ASSERT_TRUE(sockets.has_value());
  sockets->first.Reset();
  EXPECT_EQ(ReceiveStartReport(sockets->second.get()).error().code, Code::kUnavailable);
  EXPECT_FALSE(ReceiveLaunchMessage(sockets->second.get()).has_value());
}

}  // namespace
}  // namespace skiff::engine
