#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/dockerfile.h"

namespace skiff::builder {

// A line of the file.
struct RawLine {
  std::string_view text;  // With its end of line.
  uint32_t offset = 0;
  uint32_t number = 0;  // From 1.
};

class LineReader {
 public:
  explicit LineReader(std::string_view text) : text_(text) {}
  // Nothing at the end, and at a line that is too long (then too_long()).
  std::optional<RawLine> Next();
  uint32_t number() const { return number_; }  // Of the line read last.
  bool too_long() const { return too_long_; }
  uint32_t offset() const { return static_cast<uint32_t>(at_); }

 private:
  std::string_view text_;
  size_t at_ = 0;
  uint32_t number_ = 0;
  bool too_long_ = false;
};
inline constexpr size_t kMaximumLine = 65535;

// Where text comes from: a file, or a trigger, all of which is at one place.
struct Origin {
  uint32_t file = SourceSpan::kNoFile;
  std::optional<SourceSpan> place;
};

// The lines of an instruction joined, with the way back to the file.
class JoinedLine {
 public:
  explicit JoinedLine(Origin origin) : origin_(origin) {}

  void Append(std::string_view text, uint32_t source_offset);
  const std::string& text() const { return text_; }
  // The place of text()[begin, end).
  SourceSpan Span(size_t begin, size_t end) const;
  Word Slice(size_t begin, size_t end) const;

 private:
  struct Piece {
    size_t begin;  // In text_.
    uint32_t source_offset;
  };
  uint32_t SourceOffset(size_t at) const;

  Origin origin_;
  std::string text_;
  std::vector<Piece> pieces_;
};

bool IsComment(std::string_view line);
// Removes an escape character at the end of a line that joins the next one to it.
bool TakeContinuation(std::string_view& line, char escape);

// "key=value" of a comment at the top: known keys only, the key in lower case.
struct Directive {
  std::string key;
  std::string value;
  size_t value_offset = 0;  // In the line.
};
// `line` begins behind the comment sign.
std::optional<Directive> ParseDirective(std::string_view line);

}  // namespace skiff::builder
