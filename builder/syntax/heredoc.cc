#include "builder/syntax/heredoc.h"

#include <algorithm>

#include "base/text.h"
#include "builder/expand.h"
#include "builder/syntax/characters.h"

namespace skiff::builder {
namespace {

size_t Quotes(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return c == '\'' || c == '"'; }));
}

}  // namespace

std::string StripLeadingTabs(std::string_view content) {
  std::string out;
  bool at_start = true;
  for (const char c : content) {
    if (at_start && c == '\t') continue;
    out += c;
    at_start = c == '\n';
  }
  return out;
}

std::optional<HereDocument> ParseHereDocument(std::string_view word) {
  HereDocument document;
  size_t digits = 0;
  while (digits < word.size() && word[digits] >= '0' && word[digits] <= '9') ++digits;
  document.descriptor = ParseNumber<unsigned>(word.substr(0, digits)).value_or(0);
  word.remove_prefix(digits);
  if (!word.starts_with("<<")) return std::nullopt;
  word.remove_prefix(2);
  if (word.starts_with('-')) {
    document.strip_tabs = true;
    word.remove_prefix(1);
  }
  while (!word.empty() && SpaceLength(word) == 1) word.remove_prefix(1);
  if (word.empty() || word.find('<') != std::string_view::npos) return std::nullopt;

  const ExpandOptions plain = {.keep_unset = true};
  const ExpandOptions with_quotes = {.keep_quotes = true, .keep_unset = true};
  const auto name = Expand(word, {}, plain);
  const auto quoted_name = Expand(word, {}, with_quotes);
  if (!name || !quoted_name || name->words.size() != 1 || quoted_name->words.size() != 1) {
    return std::nullopt;
  }
  document.name = name->words[0];
  document.expand = Quotes(document.name) == Quotes(quoted_name->words[0]);
  return document;
}

std::vector<HereDocument> HereDocumentsOf(std::string_view line) {
  std::vector<HereDocument> documents;
  const auto words =
      Expand(line, {}, {.keep_quotes = true, .keep_escapes = true, .keep_unset = true});
  if (!words) return documents;
  for (const std::string& word : words->words) {
    if (auto document = ParseHereDocument(word)) documents.push_back(std::move(*document));
  }
  return documents;
}

}  // namespace skiff::builder
