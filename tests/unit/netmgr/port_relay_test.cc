#include "netmgr/port_relay.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "tests/unit/netmgr/watched_loop.h"

namespace skiff::net {
namespace {

struct Bound {
  Fd socket;
  sockaddr_in address = {};
  uint16_t port() const { return ntohs(address.sin_port); }
};

Bound Bind(int type) {
  Bound bound;
  bound.socket = Fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  bound.address.sin_family = AF_INET;
  bound.address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof bound.address;
  auto* address = reinterpret_cast<sockaddr*>(&bound.address);
  EXPECT_EQ(::bind(bound.socket.get(), address, size), 0);
  EXPECT_EQ(::getsockname(bound.socket.get(), address, &size), 0);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(::listen(bound.socket.get(), 16), 0);
  }
  return bound;
}

Fd Connect(const Bound& server) {
  Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&server.address),
                      sizeof server.address),
            0);
  return client;
}

class PortRelayTest : public ::testing::Test {
 protected:
  // One relayed connection: both ends as the two sides see them.
  void Establish() {
    ASSERT_TRUE(relay_.Serve(published_.socket.Duplicate().value(),
                             {"127.0.0.1", container_.port(), IPPROTO_TCP}));
    client_ = Connect(published_);
    ASSERT_TRUE(SetNonBlocking(container_.socket.get(), true));
    ASSERT_TRUE(loop_.RunUntil(relay_,
                               [&] {
                                 served_ = Fd(::accept4(container_.socket.get(), nullptr, nullptr,
                                                        SOCK_CLOEXEC));
                                 return served_.valid();
                               },
                               {container_.socket.get()}));
  }

  // Reads `size` bytes, or to the end of the stream when it comes first.
  std::string ReadFrom(const Fd& fd, size_t size) {
    std::string got;
    bool ended = false;
    EXPECT_TRUE(loop_.RunUntil(relay_,
                               [&] {
                                 char part[65536];
                                 const ssize_t n =
                                     ::recv(fd.get(), part, sizeof part, MSG_DONTWAIT);
                                 if (n > 0) got.append(part, static_cast<size_t>(n));
                                 if (n == 0) ended = true;
                                 return ended || got.size() >= size;
                               },
                               {fd.get()}));
    return got;
  }

  testing::WatchedLoop loop_;
  PortRelay relay_{&loop_};
  Bound published_ = Bind(SOCK_STREAM);
  Bound container_ = Bind(SOCK_STREAM);
  Fd client_, served_;
};

TEST_F(PortRelayTest, CarriesBothDirections) {
  Establish();
  ASSERT_TRUE(WriteAll(client_.get(), "hello", "socket"));
  EXPECT_EQ(ReadFrom(served_, 5), "hello");
  ASSERT_TRUE(WriteAll(served_.get(), "world", "socket"));
  EXPECT_EQ(ReadFrom(client_, 5), "world");
  EXPECT_EQ(relay_.flows(), 1u);
}

TEST_F(PortRelayTest, AHalfClosedEndStaysHalfClosed) {
  Establish();
  ASSERT_TRUE(WriteAll(client_.get(), "last words", "socket"));
  ASSERT_EQ(::shutdown(client_.get(), SHUT_WR), 0);
  EXPECT_EQ(ReadFrom(served_, 1000), "last words");
  ASSERT_TRUE(WriteAll(served_.get(), "answer", "socket"));
  served_.Reset();
  EXPECT_EQ(ReadFrom(client_, 1000), "answer");
  EXPECT_TRUE(loop_.RunUntil(relay_, [&] { return relay_.flows() == 0; }));
}

TEST_F(PortRelayTest, LosesNothingOfAMegabyteToASlowReader) {
  Establish();
  std::string data(1 << 20, '\0');
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 31 >> 3);
  ASSERT_TRUE(SetNonBlocking(client_.get(), true));
  size_t sent = 0;
  std::string got;
  ASSERT_TRUE(loop_.RunUntil(relay_,
                             [&] {
                               if (sent < data.size()) {
                                 const ssize_t n = ::send(client_.get(), data.data() + sent,
                                                          data.size() - sent, MSG_NOSIGNAL);
                                 if (n > 0) sent += static_cast<size_t>(n);
                               }
                               char part[777];
                               const ssize_t n =
                                   ::recv(served_.get(), part, sizeof part, MSG_DONTWAIT);
                               if (n > 0) got.append(part, static_cast<size_t>(n));
                               return got.size() == data.size();
                             },
                             {served_.get()}));
  EXPECT_TRUE(got == data);
}

TEST_F(PortRelayTest, ARefusedTargetResetsTheClient) {
  uint16_t closed = 0;
  { closed = Bind(SOCK_STREAM).port(); }
  ASSERT_TRUE(
      relay_.Serve(published_.socket.Duplicate().value(), {"127.0.0.1", closed, IPPROTO_TCP}));
  const Fd client = Connect(published_);
  int error = 0;
  EXPECT_TRUE(loop_.RunUntil(relay_,
                             [&] {
                               char byte = 0;
                               const ssize_t n = ::recv(client.get(), &byte, 1, MSG_DONTWAIT);
                               error = n < 0 ? errno : 0;
                               return n == 0 || (n < 0 && error != EAGAIN);
                             },
                             {client.get()}));
  EXPECT_EQ(relay_.flows(), 0u);
}

TEST_F(PortRelayTest, StopDropsEverything) {
  Establish();
  relay_.Stop();
  EXPECT_EQ(relay_.flows(), 0u);
  EXPECT_EQ(loop_.watched(), 0u);
}

TEST_F(PortRelayTest, CarriesDatagramsAndForgetsSilentFlows) {
  const Bound published = Bind(SOCK_DGRAM);
  const Bound container = Bind(SOCK_DGRAM);
  ASSERT_TRUE(relay_.Serve(published.socket.Duplicate().value(),
                           {"127.0.0.1", container.port(), IPPROTO_UDP}));
  const Fd client(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&published.address),
                      sizeof published.address),
            0);
  ASSERT_EQ(::send(client.get(), "ping", 4, 0), 4);
  char data[16];
  sockaddr_in peer = {};
  socklen_t size = sizeof peer;
  ASSERT_TRUE(loop_.RunUntil(relay_,
                             [&] {
                               return ::recvfrom(container.socket.get(), data, sizeof data,
                                                 MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&peer),
                                                 &size) == 4;
                             },
                             {container.socket.get()}));
  ASSERT_EQ(
      ::sendto(container.socket.get(), "pong!", 5, 0, reinterpret_cast<sockaddr*>(&peer), size), 5);
  EXPECT_TRUE(loop_.RunUntil(
      relay_, [&] { return ::recv(client.get(), data, sizeof data, MSG_DONTWAIT) == 5; },
      {client.get()}));
  EXPECT_EQ(relay_.flows(), 1u);
  ASSERT_TRUE(relay_.NextDeadline());
  relay_.OnTimer(*relay_.NextDeadline());
  EXPECT_EQ(relay_.flows(), 0u);
}

}  // namespace
}  // namespace skiff::net
