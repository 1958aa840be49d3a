#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "netmgr/address.h"

// DNS messages (RFC 1035, 6891), as much as a stub's server needs. Pure; every input is hostile.
namespace skiff::net::dns {

inline constexpr uint16_t kTypeA = 1;
inline constexpr uint16_t kTypePtr = 12;
inline constexpr uint16_t kTypeAaaa = 28;
inline constexpr uint16_t kTypeOpt = 41;
inline constexpr uint16_t kClassIn = 1;

enum class Rcode : uint8_t {
  kNoError = 0,
  kFormatError = 1,
  kServerFailure = 2,
  kNameError = 3,
  kNotImplemented = 4,
  kRefused = 5,
};

struct Query {
  uint16_t id = 0;
  bool recursion_desired = false;
  uint8_t opcode = 0;
  std::string name;  // Lower case, labels joined by ".", without the last dot.
  uint16_t type = 0;
  uint16_t query_class = 0;
  size_t question_end = 0;  // Offset behind the question.
  bool edns = false;
  uint16_t udp_size = 512;  // What the client can take in one datagram.
};

// Nothing when it is not worth an answer (too short, an answer itself). With `malformed` set the
// header can be answered with kFormatError.
struct ParsedQuery {
  Query query;
  bool malformed = false;
};
std::optional<ParsedQuery> ParseQuery(std::string_view message);

// The answer to the question of `message` with as many addresses as fit into `limit` bytes; the
// truncation bit says when not all did.
std::string AddressAnswer(std::string_view message, const Query& query,
                          const std::vector<IpAddress>& addresses, uint32_t ttl, size_t limit);
std::string PointerAnswer(std::string_view message, const Query& query, std::string_view name,
                          uint32_t ttl);
std::string EmptyAnswer(std::string_view message, const Query& query, Rcode code);

// "4.3.2.1.in-addr.arpa", "....ip6.arpa" -> the address; nothing for other names.
std::optional<IpAddress> AddressOfPointerName(std::string_view name);

Rcode RcodeOf(std::string_view message);  // kFormatError when it is too short.
uint16_t IdOf(std::string_view message);
void SetId(std::string& message, uint16_t id);
// True when `answer` is an answer to the same question as `query`.
bool AnswersQuestion(std::string_view answer, std::string_view query, size_t question_end);

}  // namespace skiff::net::dns
