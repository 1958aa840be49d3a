#include "builder/syntax/words.h"

#include "base/text.h"
#include "builder/syntax/characters.h"

namespace skiff::builder {

Piece TrimSpace(Piece piece) {
  const std::string_view left = TrimLeadingSpace(piece.text());
  piece.begin = piece.end - left.size();
  piece.end = piece.begin + TrimTrailingSpace(left).size();
  return piece;
}

Head SplitHead(Piece piece) {
  piece = TrimSpace(piece);
  const std::string& text = piece.line->text();
  size_t end = piece.begin;
  while (end < piece.end && !IsSeparator(text[end])) ++end;
  size_t next = end;
  while (next < piece.end && IsSeparator(text[next])) ++next;
  return {{piece.line, piece.begin, end}, {piece.line, next, piece.end}};
}

namespace {

// Reads one flag word: its text without quotes and escapes, and where it ends.
class FlagWord {
 public:
  FlagWord(Piece piece, char escape) : piece_(piece), text_(piece.line->text()), escape_(escape) {}

  size_t Read(size_t at, std::string& out) {
    for (; at < piece_.end; ++at) {
      const char c = text_[at];
      if (quote_ == '\0' && SpaceLength(std::string_view(text_).substr(at)) > 0) break;
      if (quote_ == '\0' && (c == '\'' || c == '"')) {
        quote_ = c;
      } else if (quote_ != '\0' && c == quote_) {
        quote_ = '\0';
      } else if (c == escape_) {
        if (at + 1 < piece_.end) out += text_[++at];
      } else {
        out += c;
      }
    }
    return at;
  }

 private:
  Piece piece_;
  const std::string& text_;
  char escape_;
  char quote_ = '\0';
};

}  // namespace

FlagWords SplitFlags(Piece piece, char escape) {
  FlagWords result;
  const std::string& text = piece.line->text();
  size_t at = piece.begin;
  const auto rest_from = [&](size_t begin) { return Piece{piece.line, begin, piece.end}; };
  while (true) {
    while (at < piece.end) {
      const size_t space = SpaceLength(std::string_view(text).substr(at));
      if (space == 0) break;
      at += space;
    }
    const bool is_flag = at + 1 < piece.end && text[at] == '-' && text[at + 1] == '-';
    if (!is_flag) break;
    std::string word;
    const size_t end = FlagWord(piece, escape).Read(at, word);
    const size_t begin = at;
    at = end;
    if (word == "--") break;
    result.flags.push_back({std::move(word), piece.line->Span(begin, end)});
  }
  result.rest = TrimSpace(rest_from(std::min(at, piece.end)));
  return result;
}

std::vector<Word> SplitAtBlanks(Piece piece) {
  std::vector<Word> words;
  const std::string& text = piece.line->text();
  size_t at = piece.begin;
  while (at < piece.end) {
    while (at < piece.end && IsSeparator(text[at])) ++at;
    const size_t begin = at;
    while (at < piece.end && !IsSeparator(text[at])) ++at;
    if (at > begin) words.push_back(piece.line->Slice(begin, at));
  }
  return words;
}

std::vector<Piece> SplitQuotedWords(Piece piece, char escape) {
  std::vector<Piece> words;
  const std::string& text = piece.line->text();
  size_t at = piece.begin;
  while (at < piece.end) {
    if (const size_t space = SpaceLength(std::string_view(text).substr(at))) {
      at += space;
      continue;
    }
    const size_t begin = at;
    char quote = '\0';
    for (; at < piece.end; ++at) {
      const char c = text[at];
      if (quote == '\0' && SpaceLength(std::string_view(text).substr(at)) > 0) break;
      if (c == escape && quote != '\'') {
        ++at;  // The escaped character belongs to the word, whatever it is.
      } else if (quote == '\0' && (c == '\'' || c == '"')) {
        quote = c;
      } else if (c == quote) {
        quote = '\0';
      }
    }
    at = std::min(at, piece.end);
    words.push_back({piece.line, begin, at});
  }
  return words;
}

}  // namespace skiff::builder
