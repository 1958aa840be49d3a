#pragma once

#include <optional>
#include <string>
#include <vector>

#include "builder/syntax/lines.h"

namespace skiff::builder {

// A part of a joined line.
struct Piece {
  const JoinedLine* line = nullptr;
  size_t begin = 0;
  size_t end = 0;

  std::string_view text() const {
    return std::string_view(line->text()).substr(begin, end - begin);
  }
  bool empty() const { return begin == end; }
  Word word() const { return line->Slice(begin, end); }
};
Piece TrimSpace(Piece piece);

// The first word and the rest, both without white space around.
struct Head {
  Piece word;
  Piece rest;
};
Head SplitHead(Piece piece);

// Leading words that begin with "--", without their quotes and escapes, and what follows.
struct FlagWords {
  std::vector<Word> flags;
  Piece rest;
};
FlagWords SplitFlags(Piece piece, char escape);

// Words between white space. Never quoted: FROM, EXPOSE, COPY.
std::vector<Word> SplitAtBlanks(Piece piece);
// Words between white space outside quotes; quotes and escapes stay: ENV, LABEL, ARG.
std::vector<Piece> SplitQuotedWords(Piece piece, char escape);

// A JSON array of strings. `words` is absent when the text is not JSON at all; `not_strings` says
// that it is an array with something else in it.
struct JsonArray {
  std::optional<std::vector<Word>> words;
  bool not_strings = false;
};
JsonArray ParseJsonArray(Piece piece);

}  // namespace skiff::builder
