#include <gtest/gtest.h>

#include <random>

#include "netmgr/dns/message.h"

namespace skiff::net::dns {
namespace {

std::string Encode(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const size_t dot = name.find('.');
    const std::string_view label = name.substr(0, dot);
    out += static_cast<char>(label.size());
    out += label;
    name.remove_prefix(dot == std::string_view::npos ? name.size() : dot + 1);
  }
  return out + '\0';
}

std::string Ask(std::string_view name, uint16_t type, std::string_view additional = {}) {
  std::string message("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00", 11);
  message += static_cast<char>(additional.empty() ? 0 : 1);
  message += Encode(name);
  message += static_cast<char>(type >> 8);
  message += static_cast<char>(type & 255);
  message += std::string("\x00\x01", 2);
  message += additional;
  return message;
}

TEST(ParseQuery, ReadsTheQuestion) {
  const auto parsed = ParseQuery(Ask("Web.Example", kTypeA));
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->malformed);
  EXPECT_EQ(parsed->query.id, 0x1234);
  EXPECT_EQ(parsed->query.name, "web.example");
  EXPECT_EQ(parsed->query.type, kTypeA);
  EXPECT_TRUE(parsed->query.recursion_desired);
  EXPECT_FALSE(parsed->query.edns);
  EXPECT_EQ(parsed->query.udp_size, 512);
}

TEST(ParseQuery, ReadsEdns) {
  const auto parsed =
      ParseQuery(Ask("web", kTypeA, std::string_view("\0\0\x29\x10\0\0\0\0\0\0\0", 11)));
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->query.edns);
  EXPECT_EQ(parsed->query.udp_size, 4096);
}

TEST(ParseQuery, IgnoresAnswersAndFragments) {
  std::string answer = Ask("web", kTypeA);
  answer[2] = static_cast<char>(0x81);
  EXPECT_FALSE(ParseQuery(answer));
  EXPECT_FALSE(ParseQuery("short"));
  EXPECT_FALSE(ParseQuery(""));
}

TEST(ParseQuery, RefusesPointersInTheQuestionAndOverlongNames) {
  std::string loop = Ask("", kTypeA);
  loop[12] = static_cast<char>(0xc0);
  loop.insert(13, 1, '\x0c');
  EXPECT_TRUE(ParseQuery(loop)->malformed);
  std::string long_name;
  for (int i = 0; i < 60; ++i) long_name += "abcde.";
  EXPECT_TRUE(ParseQuery(Ask(long_name, kTypeA))->malformed);
}

// Whatever arrives: no crash, and an answer that is never larger than allowed.
TEST(ParseQuery, SurvivesDamage) {
  std::mt19937 random(7);
  const std::string good =
      Ask("web.shop", kTypeA, std::string_view("\0\0\x29\x10\0\0\0\0\0\0\0", 11));
  for (int i = 0; i < 20000; ++i) {
    std::string message = good.substr(0, random() % (good.size() + 1));
    for (int flips = 0; flips < 3 && !message.empty(); ++flips) {
      message[random() % message.size()] = static_cast<char>(random());
    }
    const auto parsed = ParseQuery(message);
    if (!parsed) continue;
    const std::string answer =
        AddressAnswer(message, parsed->query, {*IpAddress::Parse("10.0.0.1")}, 5, 512);
    EXPECT_LE(answer.size(), 512u);
    EXPECT_FALSE(ParseQuery(answer));
  }
}

TEST(AddressAnswer, CarriesIdQuestionAndAddresses) {
  const std::string message = Ask("web", kTypeA);
  const Query query = ParseQuery(message)->query;
  const std::string answer = AddressAnswer(
      message, query, {*IpAddress::Parse("10.0.0.1"), *IpAddress::Parse("10.0.0.2")}, 5, 512);
  const std::string expected =
      std::string("\x12\x34\x81\x80\x00\x01\x00\x02\x00\x00\x00\x00", 12) + Encode("web") +
      std::string("\x00\x01\x00\x01", 4) +
      std::string("\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x01", 16) +
      std::string("\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x05\x00\x04\x0a\x00\x00\x02", 16);
  EXPECT_EQ(answer, expected);
  EXPECT_TRUE(AnswersQuestion(answer, message, query.question_end));
}

TEST(AddressAnswer, TruncatesAtTheLimitAndSaysSo) {
  const std::string message = Ask("web", kTypeA);
  const Query query = ParseQuery(message)->query;
  const std::vector<IpAddress> many(100, *IpAddress::Parse("10.0.0.1"));
  const std::string answer = AddressAnswer(message, query, many, 5, 512);
  EXPECT_LE(answer.size(), 512u);
  EXPECT_NE(answer[2] & 0x02, 0);
  EXPECT_GT(static_cast<unsigned char>(answer[7]), 20);
  const std::string whole = AddressAnswer(message, query, many, 5, 65535);
  EXPECT_EQ(whole[2] & 0x02, 0);
  EXPECT_EQ(whole[7], 100);
}

TEST(AddressOfPointerName, ReadsBothFamilies) {
  EXPECT_EQ(AddressOfPointerName("2.0.20.172.in-addr.arpa")->Text(), "172.20.0.2");
  const std::string v6 = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
  EXPECT_EQ(AddressOfPointerName(v6)->Text(), "fd00::1");
  for (const char* other :
       {"web", "1.2.3.in-addr.arpa", "256.0.0.1.in-addr.arpa", "ip6.arpa", "x.0.0.0.ip6.arpa"}) {
    EXPECT_FALSE(AddressOfPointerName(other)) << other;
  }
}

TEST(AnswersQuestion, RefusesAnAnswerToAnotherQuestion) {
  const std::string message = Ask("web", kTypeA);
  const Query query = ParseQuery(message)->query;
  const std::string other = Ask("evil", kTypeA);
  const std::string forged = EmptyAnswer(other, ParseQuery(other)->query, Rcode::kNoError);
  EXPECT_FALSE(AnswersQuestion(forged, message, query.question_end));
  EXPECT_FALSE(AnswersQuestion(message, message, query.question_end));
}

}  // namespace
}  // namespace skiff::net::dns
