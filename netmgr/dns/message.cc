#include "netmgr/dns/message.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace skiff::net::dns {
namespace {

constexpr size_t kHeaderSize = 12;
constexpr uint16_t kServerUdpSize = 1232;  // What fits every path (DNS flag day 2020).

uint16_t Read16(std::string_view data, size_t at) {
  return static_cast<uint16_t>(static_cast<unsigned char>(data[at]) << 8 |
                               static_cast<unsigned char>(data[at + 1]));
}

void Append16(std::string& out, uint16_t value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 255);
}

void Append32(std::string& out, uint32_t value) {
  Append16(out, static_cast<uint16_t>(value >> 16));
  Append16(out, static_cast<uint16_t>(value & 0xffff));
}

void Put16(std::string& out, size_t at, uint16_t value) {
  out[at] = static_cast<char>(value >> 8);
  out[at + 1] = static_cast<char>(value & 255);
}

// The name at `at`, which moves behind it. A question's name is never compressed: a pointer there
// is refused, so that loops cannot be built.
bool ReadName(std::string_view message, size_t& at, std::string& name) {
  for (;;) {
    if (at >= message.size()) return false;
    const auto length = static_cast<unsigned char>(message[at]);
    ++at;
    if (length == 0) return true;
    if (length > 63 || message.size() - at < length || name.size() + length + 1 > 254) return false;
    if (!name.empty()) name += '.';
    name += ToLower(message.substr(at, length));
    at += length;
  }
}

// Moves behind a name that may be compressed, without following it.
bool SkipName(std::string_view message, size_t& at) {
  for (;;) {
    if (at >= message.size()) return false;
    const auto length = static_cast<unsigned char>(message[at]);
    if ((length & 0xc0) == 0xc0) {
      at += 2;
      return at <= message.size();
    }
    if (length > 63) return false;
    at += 1 + length;
    if (length == 0) return at <= message.size();
  }
}

// Finds the OPT record among `count` records at `at`.
void FindEdns(std::string_view message, size_t at, unsigned count, Query& query) {
  for (unsigned i = 0; i < count; ++i) {
    if (!SkipName(message, at) || message.size() - at < 10) return;
    const uint16_t type = Read16(message, at);
    const uint16_t record_class = Read16(message, at + 2);
    const uint16_t length = Read16(message, at + 8);
    at += 10;
    if (message.size() - at < length) return;
    at += length;
    if (type != kTypeOpt) continue;
    query.edns = true;
    query.udp_size = std::max<uint16_t>(record_class, 512);
    return;
  }
}

// Header, question and nothing else, marked as an answer.
std::string Begin(std::string_view message, const Query& query, Rcode code) {
  std::string out(message.substr(0, std::max(query.question_end, kHeaderSize)));
  const bool question = query.question_end > kHeaderSize;
  // QR, opcode and RD as asked; AA is not set (we answer for others' names too); RA: we forward.
  const uint16_t flags =
      static_cast<uint16_t>(0x8000 | (query.opcode << 11) | (query.recursion_desired ? 0x0100 : 0) |
                            0x0080 | static_cast<uint16_t>(code));
  Put16(out, 2, flags);
  Put16(out, 4, question ? 1 : 0);
  Put16(out, 6, 0);
  Put16(out, 8, 0);
  Put16(out, 10, 0);
  return out;
}

void AppendEdns(std::string& out, const Query& query) {
  if (!query.edns) return;
  out += '\0';
  Append16(out, kTypeOpt);
  Append16(out, kServerUdpSize);
  Append32(out, 0);
  Append16(out, 0);
  Put16(out, 10, 1);
}

// The name is the question's: a pointer to it.
void AppendRecordHead(std::string& out, uint16_t type, uint32_t ttl, uint16_t length) {
  Append16(out, 0xc000 | kHeaderSize);
  Append16(out, type);
  Append16(out, kClassIn);
  Append32(out, ttl);
  Append16(out, length);
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

std::optional<IpAddress> ParsePointerV6(std::string_view digits) {
  // 32 nibbles, lowest first: "1.0.0.0. ... .d.f".
  if (digits.size() != 63) return std::nullopt;
  IpAddress address;
  address.v6 = true;
  for (size_t i = 0; i < 32; ++i) {
    const int nibble = HexDigit(digits[i * 2]);
    if (nibble < 0 || (i < 31 && digits[i * 2 + 1] != '.')) return std::nullopt;
    const size_t byte = 15 - i / 2;
    address.bytes[byte] |= static_cast<uint8_t>(i % 2 == 0 ? nibble : nibble << 4);
  }
  return address;
}

}  // namespace

std::optional<ParsedQuery> ParseQuery(std::string_view message) {
  if (message.size() < kHeaderSize) return std::nullopt;
  const uint16_t flags = Read16(message, 2);
  if ((flags & 0x8000) != 0) return std::nullopt;
  ParsedQuery parsed;
  Query& query = parsed.query;
  query.id = Read16(message, 0);
  query.opcode = static_cast<uint8_t>((flags >> 11) & 15);
  query.recursion_desired = (flags & 0x0100) != 0;
  query.question_end = kHeaderSize;
  parsed.malformed = true;
  if (Read16(message, 4) != 1) return parsed;
  size_t at = kHeaderSize;
  if (!ReadName(message, at, query.name) || message.size() - at < 4) return parsed;
  query.type = Read16(message, at);
  query.query_class = Read16(message, at + 2);
  query.question_end = at + 4;
  parsed.malformed = false;
  const unsigned others = Read16(message, 6) + Read16(message, 8);
  if (others == 0) FindEdns(message, query.question_end, Read16(message, 10), query);
  return parsed;
}

std::string AddressAnswer(std::string_view message, const Query& query,
                          const std::vector<IpAddress>& addresses, uint32_t ttl, size_t limit) {
  std::string out = Begin(message, query, Rcode::kNoError);
  const size_t edns_size = query.edns ? 11 : 0;
  uint16_t count = 0;
  for (const IpAddress& address : addresses) {
    if (out.size() + 12 + address.size() + edns_size > limit) {
      Put16(out, 2, static_cast<uint16_t>(Read16(out, 2) | 0x0200));
      break;
    }
    AppendRecordHead(out, address.v6 ? kTypeAaaa : kTypeA, ttl,
                     static_cast<uint16_t>(address.size()));
    out.append(reinterpret_cast<const char*>(address.bytes.data()), address.size());
    ++count;
  }
  Put16(out, 6, count);
  AppendEdns(out, query);
  return out;
}

std::string PointerAnswer(std::string_view message, const Query& query, std::string_view name,
                          uint32_t ttl) {
  std::string encoded;
  for (const std::string_view label : Split(name, '.')) {
    if (label.empty() || label.size() > 63 || encoded.size() + label.size() > 253) {
      return EmptyAnswer(message, query, Rcode::kServerFailure);
    }
    encoded += static_cast<char>(label.size());
    encoded += label;
  }
  encoded += '\0';
  std::string out = Begin(message, query, Rcode::kNoError);
  AppendRecordHead(out, kTypePtr, ttl, static_cast<uint16_t>(encoded.size()));
  out += encoded;
  Put16(out, 6, 1);
  AppendEdns(out, query);
  return out;
}

std::string EmptyAnswer(std::string_view message, const Query& query, Rcode code) {
  std::string out = Begin(message, query, code);
  AppendEdns(out, query);
  return out;
}

std::optional<IpAddress> AddressOfPointerName(std::string_view name) {
  static constexpr std::string_view kV4 = ".in-addr.arpa";
  static constexpr std::string_view kV6 = ".ip6.arpa";
  if (name.ends_with(kV6)) return ParsePointerV6(name.substr(0, name.size() - kV6.size()));
  if (!name.ends_with(kV4)) return std::nullopt;
  auto parts = Split(name.substr(0, name.size() - kV4.size()), '.');
  if (parts.size() != 4) return std::nullopt;
  std::string text;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    if (!text.empty()) text += '.';
    text += *part;
  }
  return IpAddress::Parse(text);
}

Rcode RcodeOf(std::string_view message) {
  if (message.size() < kHeaderSize) return Rcode::kFormatError;
  return static_cast<Rcode>(message[3] & 15);
}

uint16_t IdOf(std::string_view message) {
  return Read16(message, 0);
}

void SetId(std::string& message, uint16_t id) {
  Put16(message, 0, id);
}

bool AnswersQuestion(std::string_view answer, std::string_view query, size_t question_end) {
  if (answer.size() < kHeaderSize || (Read16(answer, 2) & 0x8000) == 0) return false;
  // A server that could not parse the question may leave it out.
  if (Read16(answer, 4) == 0) return RcodeOf(answer) != Rcode::kNoError;
  if (Read16(answer, 4) != 1 || answer.size() < question_end) return false;
  return EqualsIgnoreCase(answer.substr(kHeaderSize, question_end - kHeaderSize),
                          query.substr(kHeaderSize, question_end - kHeaderSize));
}

}  // namespace skiff::net::dns
