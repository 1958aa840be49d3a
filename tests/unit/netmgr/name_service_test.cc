#include "netmgr/name_service.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "netmgr/dns/message.h"
#include "netmgr/name_table.h"
#include "tests/unit/base/temp_folder.h"
#include "tests/unit/netmgr/watched_loop.h"

namespace skiff::net {
namespace {

struct Bound {
  Fd socket;
  sockaddr_in address = {};
  std::string Text() const { return "127.0.0.1:" + std::to_string(ntohs(address.sin_port)); }
};

Bound Bind(int type) {
  Bound bound;
  bound.socket = Fd(::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
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

std::string Question(std::string_view name, uint16_t type, uint16_t id = 0x0102) {
  std::string message("\0\0\x01\0\0\x01\0\0\0\0\0\0", 12);
  dns::SetId(message, id);
  while (!name.empty()) {
    const size_t dot = name.find('.');
    message += static_cast<char>(std::min(dot, name.size()));
    message += name.substr(0, dot);
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  message += std::string("\0\0", 2);
  message += static_cast<char>(type);
  return message + std::string("\0\x01", 2);
}

class NameServiceTest : public ::testing::Test {
 protected:
  NameServiceTest() : udp_(Bind(SOCK_DGRAM)), tcp_(Bind(SOCK_STREAM)) {
    const std::vector<NameEntry> entries = {{"e1", "10.0.0.2", "", {"web-1", "web"}},
                                            {"e2", "10.0.0.3", "", {"web-2", "web"}}};
    EXPECT_TRUE(AddEndpoints(folder_.Path("t"), "shop", entries));
    config_.tables = {folder_.Path("t")};
  }

  void Start() {
    service_ = std::make_unique<NameService>(udp_.socket.Duplicate().value(),
                                             tcp_.socket.Duplicate().value(), config_, &loop_);
  }

  std::string AskUdp(const std::string& question) {
    const Bound client = Bind(SOCK_DGRAM);
    EXPECT_GT(::sendto(client.socket.get(), question.data(), question.size(), 0,
                       reinterpret_cast<sockaddr*>(&udp_.address), sizeof udp_.address),
              0);
    std::string answer(65536, '\0');
    ssize_t n = -1;
    EXPECT_TRUE(loop_.RunUntil(*service_,
                               [&] {
                                 n = ::recv(client.socket.get(), answer.data(), answer.size(),
                                            MSG_DONTWAIT);
                                 return n >= 0;
                               },
                               {client.socket.get()}));
    answer.resize(n < 0 ? 0 : static_cast<size_t>(n));
    return answer;
  }

  skiff::testing::TempFolder folder_;
  testing::WatchedLoop loop_;
  Bound udp_, tcp_;
  NameServiceConfig config_;
  std::unique_ptr<NameService> service_;
};

TEST_F(NameServiceTest, AnswersFromTheTableInTurns) {
  Start();
  const std::string first = AskUdp(Question("web", dns::kTypeA));
  const std::string second = AskUdp(Question("web", dns::kTypeA));
  EXPECT_EQ(first.substr(first.size() - 4), std::string("\x0a\0\0\x03", 4));
  EXPECT_EQ(second.substr(second.size() - 4), std::string("\x0a\0\0\x02", 4));
  EXPECT_EQ(first[7], 2);
}

TEST_F(NameServiceTest, AKnownNameOfAnotherFamilyIsEmptyAndNotForwarded) {
  const Bound upstream = Bind(SOCK_DGRAM);
  config_.upstreams = {upstream.Text()};
  Start();
  const std::string answer = AskUdp(Question("web-1", dns::kTypeAaaa));
  EXPECT_EQ(dns::RcodeOf(answer), dns::Rcode::kNoError);
  EXPECT_EQ(answer[7], 0);
  char byte = 0;
  EXPECT_EQ(::recv(upstream.socket.get(), &byte, 1, MSG_DONTWAIT), -1);
}

TEST_F(NameServiceTest, AnInternalNetworkForwardsNothing) {
  const Bound upstream = Bind(SOCK_DGRAM);
  config_.upstreams = {upstream.Text()};
  config_.forward = false;
  Start();
  EXPECT_EQ(dns::RcodeOf(AskUdp(Question("example.org", dns::kTypeA))), dns::Rcode::kServerFailure);
  char byte = 0;
  EXPECT_EQ(::recv(upstream.socket.get(), &byte, 1, MSG_DONTWAIT), -1);
}

TEST_F(NameServiceTest, ForwardsUnknownNamesAndIgnoresForgedAnswers) {
  const Bound upstream = Bind(SOCK_DGRAM);
  config_.upstreams = {upstream.Text()};
  Start();
  const Bound client = Bind(SOCK_DGRAM);
  const std::string question = Question("example.org", dns::kTypeA, 0x7777);
  ASSERT_GT(::sendto(client.socket.get(), question.data(), question.size(), 0,
                     reinterpret_cast<sockaddr*>(&udp_.address), sizeof udp_.address),
            0);
  std::string asked(512, '\0');
  sockaddr_in from = {};
  socklen_t size = sizeof from;
  ssize_t n = -1;
  ASSERT_TRUE(loop_.RunUntil(*service_,
                             [&] {
                               n = ::recvfrom(upstream.socket.get(), asked.data(), asked.size(),
                                              MSG_DONTWAIT, reinterpret_cast<sockaddr*>(&from),
                                              &size);
                               return n >= 0;
                             },
                             {upstream.socket.get()}));
  asked.resize(static_cast<size_t>(n));
  const auto parsed = dns::ParseQuery(asked);
  ASSERT_TRUE(parsed);
  const auto reply = [&](std::string message) {
    ASSERT_GT(::sendto(upstream.socket.get(), message.data(), message.size(), 0,
                       reinterpret_cast<sockaddr*>(&from), size),
              0);
  };
  const std::string good =
      dns::AddressAnswer(asked, parsed->query, {*IpAddress::Parse("192.0.2.1")}, 60, 512);
  std::string forged = good;
  dns::SetId(forged, static_cast<uint16_t>(parsed->query.id + 1));
  reply(forged);
  reply(good);
  std::string answer(512, '\0');
  ASSERT_TRUE(loop_.RunUntil(*service_,
                             [&] {
                               n = ::recv(client.socket.get(), answer.data(), answer.size(),
                                          MSG_DONTWAIT);
                               return n >= 0;
                             },
                             {client.socket.get()}));
  answer.resize(static_cast<size_t>(n));
  EXPECT_EQ(dns::IdOf(answer), 0x7777);
  EXPECT_EQ(answer.substr(answer.size() - 4), std::string("\xc0\0\x02\x01", 4));
}

TEST_F(NameServiceTest, GoesToTheNextUpstreamWhenOneRefuses) {
  std::string closed;
  { closed = Bind(SOCK_DGRAM).Text(); }
  config_.upstreams = {closed, closed};
  Start();
  EXPECT_EQ(dns::RcodeOf(AskUdp(Question("example.org", dns::kTypeA))), dns::Rcode::kServerFailure);
  EXPECT_FALSE(service_->NextDeadline());
}

TEST_F(NameServiceTest, TimesOutSilentUpstreams) {
  const Bound silent = Bind(SOCK_DGRAM);
  config_.upstreams = {silent.Text()};
  Start();
  const Bound client = Bind(SOCK_DGRAM);
  const std::string question = Question("example.org", dns::kTypeA);
  ASSERT_GT(::sendto(client.socket.get(), question.data(), question.size(), 0,
                     reinterpret_cast<sockaddr*>(&udp_.address), sizeof udp_.address),
            0);
  ASSERT_TRUE(loop_.RunUntil(*service_, [&] { return service_->NextDeadline().has_value(); }));
  service_->OnTimer(*service_->NextDeadline());
  std::string answer(512, '\0');
  const ssize_t n = ::recv(client.socket.get(), answer.data(), answer.size(), 0);
  ASSERT_GT(n, 0);
  EXPECT_EQ(dns::RcodeOf(answer), dns::Rcode::kServerFailure);
  EXPECT_FALSE(service_->NextDeadline());
}

TEST_F(NameServiceTest, AnswersOverTcp) {
  Start();
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(
      ::connect(client.get(), reinterpret_cast<sockaddr*>(&tcp_.address), sizeof tcp_.address), 0);
  const std::string question = Question("web-2", dns::kTypeA);
  ASSERT_TRUE(WriteAll(client.get(),
                       std::string("\0", 1) + static_cast<char>(question.size()) + question,
                       "socket"));
  std::string answer;
  ASSERT_TRUE(loop_.RunUntil(
      *service_,
      [&] {
        char part[512];
        const ssize_t n = ::recv(client.get(), part, sizeof part, MSG_DONTWAIT);
        if (n > 0) answer.append(part, static_cast<size_t>(n));
        return answer.size() > 2 && answer.size() >= 2u + static_cast<unsigned char>(answer[1]);
      },
      {client.get()}));
  EXPECT_EQ(answer.substr(answer.size() - 4), std::string("\x0a\0\0\x03", 4));
}

}  // namespace
}  // namespace skiff::net
