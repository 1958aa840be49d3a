// Questions to the name service, the table it answers from, and lines of a log.

#include "engine-core/log_file.h"
#include "netmgr/dns/message.h"
#include "netmgr/dns/table_text.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(name_service) {
  namespace dns = skiff::net::dns;
  using skiff::fuzz::Require;
  if (const auto parsed = dns::ParseQuery(input); parsed && !parsed->malformed) {
    const auto& query = parsed->query;
    Require(query.question_end <= input.size(), "the question ends in the message");
    for (const size_t limit : {size_t{512}, size_t{query.udp_size}}) {
      const std::string answer = dns::AddressAnswer(input, query, {}, 5, limit);
      Require(dns::AnswersQuestion(answer, input, query.question_end), "an answer has its question");
    }
    Require(!dns::PointerAnswer(input, query, "web-1.shop_default", 5).empty(), "an answer is there");
    dns::AddressOfPointerName(query.name);
    dns::FindAddresses(input, query.name, false);
  }
  const auto table = dns::ParseTable(input, "names");
  if (table) {
    const auto again = dns::ParseTable(FormatTable(*table), "names");
    Require(again && FormatTable(*again) == FormatTable(*table), "a table stays the same");
  }
  dns::FindAddresses(input, "web", true);
  skiff::engine::LogEntry entry;
  std::string text;
  skiff::engine::ParseLogLine(input, &entry, &text);
}
