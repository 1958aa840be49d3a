#pragma once

#include <memory>
#include <string>
#include <vector>

#include "builder/syntax/lines.h"
#include "builder/syntax/words.h"

namespace skiff::builder {

// One instruction of a file as lines: keyword, flags and the rest, not yet understood.
struct Statement {
  std::unique_ptr<JoinedLine> line;  // What the pieces point into.
  Piece keyword;
  std::vector<Word> flags;
  Piece rest;  // Behind the flags.
  std::vector<HereDocument> documents;
  LineRange lines;
  std::vector<std::string> comments;
  uint32_t empty_continuation_line = 0;
};

// Whether an instruction with these words may have here-documents: RUN, COPY and ADD without a JSON
// array, and ONBUILD of these.
bool MayHaveDocuments(Piece keyword, Piece rest, char escape);

// Splits one joined line. Statement::line, lines and comments are the caller's.
void SplitStatement(Statement& statement, char escape);

// Reads statements from a text one after the other.
class StatementReader {
 public:
  // `escape` counts until the text says something else; `directives`: whether it may.
  StatementReader(std::string_view text, Origin origin, bool directives)
      : lines_(text), origin_(origin), may_have_directives_(directives) {}

  // The next statement, or nothing at the end. Mistakes go to `diagnostics`.
  std::optional<Statement> Next(Diagnostics& diagnostics);

  char escape() const { return escape_; }
  const std::optional<Word>& syntax() const { return syntax_; }
  const std::optional<Word>& check() const { return check_; }
  bool saw_comment() const { return saw_comment_; }

 private:
  // A comment before an instruction.
  void TakeComment(const RawLine& raw, std::string_view text, Diagnostics& diagnostics);
  void TakeDirective(const RawLine& raw, const Directive& directive, Diagnostics& diagnostics);
  void JoinLines(Statement& statement, RawLine raw, std::string_view text, bool continued);
  void ReadDocuments(Statement& statement, Diagnostics& diagnostics);
  SourceSpan SpanOf(size_t offset, size_t length) const;

  LineReader lines_;
  Origin origin_;
  bool may_have_directives_;
  char escape_ = '\\';
  bool saw_escape_ = false;
  bool saw_comment_ = false;
  std::optional<Word> syntax_, check_;
  std::vector<std::string> comments_;
};

}  // namespace skiff::builder
