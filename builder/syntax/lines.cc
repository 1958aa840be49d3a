#include "builder/syntax/lines.h"

#include <algorithm>

#include "base/text.h"
#include "builder/syntax/characters.h"

namespace skiff::builder {

std::optional<RawLine> LineReader::Next() {
  if (at_ >= text_.size() || too_long_) return std::nullopt;
  size_t end = text_.find('\n', at_);
  const size_t length = (end == std::string_view::npos ? text_.size() : end) - at_;
  ++number_;
  if (length > kMaximumLine) {
    too_long_ = true;
    return std::nullopt;
  }
  end = end == std::string_view::npos ? text_.size() : end + 1;
  const RawLine line = {text_.substr(at_, end - at_), static_cast<uint32_t>(at_), number_};
  at_ = end;
  return line;
}

void JoinedLine::Append(std::string_view text, uint32_t source_offset) {
  pieces_.push_back({text_.size(), source_offset});
  text_ += text;
}

uint32_t JoinedLine::SourceOffset(size_t at) const {
  const auto after = std::upper_bound(pieces_.begin(), pieces_.end(), at,
                                      [](size_t value, const Piece& p) { return value < p.begin; });
  if (after == pieces_.begin()) return 0;
  const Piece& piece = *(after - 1);
  return piece.source_offset + static_cast<uint32_t>(at - piece.begin);
}

SourceSpan JoinedLine::Span(size_t begin, size_t end) const {
  if (origin_.place) return *origin_.place;
  const uint32_t first = SourceOffset(begin);
  const uint32_t last = end > begin ? SourceOffset(end - 1) + 1 : first;
  return {origin_.file, first, last - first};
}

Word JoinedLine::Slice(size_t begin, size_t end) const {
  return {text_.substr(begin, end - begin), Span(begin, end)};
}

bool IsComment(std::string_view line) {
  return TrimLeadingSpace(line).starts_with('#');
}

bool TakeContinuation(std::string_view& line, char escape) {
  std::string_view rest = line;
  while (rest.ends_with(' ') || rest.ends_with('\t')) rest.remove_suffix(1);
  if (!rest.ends_with(escape)) return false;
  rest.remove_suffix(1);
  // An escaped escape character joins nothing.
  if (rest.ends_with(escape)) return false;
  line = rest;
  return true;
}

std::optional<Directive> ParseDirective(std::string_view line) {
  const std::string_view text = TrimLeadingSpace(line);
  size_t end = 0;
  while (NameCharacterLength(text.substr(end)) == 1 && text[end] != '_') ++end;
  if (end == 0 || (text[0] >= '0' && text[0] <= '9')) return std::nullopt;
  const auto skip_blanks = [&](size_t at) {
    while (at < text.size() && SpaceLength(text.substr(at)) == 1) ++at;
    return at;
  };
  const size_t equals = skip_blanks(end);
  if (equals >= text.size() || text[equals] != '=') return std::nullopt;
  const size_t begin = skip_blanks(equals + 1);
  const std::string_view value = Trim(text.substr(begin));
  Directive directive{ToLower(text.substr(0, end)), std::string(value),
                      line.size() - text.size() + begin};
  const bool known =
      directive.key == "syntax" || directive.key == "escape" || directive.key == "check";
  if (value.empty() || !known) return std::nullopt;
  return directive;
}

}  // namespace skiff::builder
