#include "builder/syntax/statement.h"

#include "base/text.h"
#include "builder/syntax/characters.h"
#include "builder/syntax/heredoc.h"

namespace skiff::builder {
namespace {

std::string_view WithoutLineEnd(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

}  // namespace

bool MayHaveDocuments(Piece keyword, Piece rest, char escape) {
  if (EqualsIgnoreCase(keyword.text(), "ONBUILD")) {
    const Head head = SplitHead(rest);
    keyword = head.word;
    rest = SplitFlags(head.rest, escape).rest;
  }
  const std::string_view word = keyword.text();
  if (!EqualsIgnoreCase(word, "RUN") && !EqualsIgnoreCase(word, "COPY") &&
      !EqualsIgnoreCase(word, "ADD")) {
    return false;
  }
  return !ParseJsonArray(rest).words.has_value();
}

void SplitStatement(Statement& statement, char escape) {
  const JoinedLine& line = *statement.line;
  const Head head = SplitHead({&line, 0, line.text().size()});
  FlagWords words = SplitFlags(head.rest, escape);
  statement.keyword = head.word;
  statement.flags = std::move(words.flags);
  statement.rest = words.rest;
}

SourceSpan StatementReader::SpanOf(size_t offset, size_t length) const {
  if (origin_.place) return *origin_.place;
  return {origin_.file, static_cast<uint32_t>(offset), static_cast<uint32_t>(length)};
}

void StatementReader::TakeDirective(const RawLine& raw, const Directive& directive,
                                    Diagnostics& diagnostics) {
  const size_t in_line = raw.text.find('#') + 1 + directive.value_offset;
  Word value = {directive.value, SpanOf(raw.offset + in_line, directive.value.size())};
  const auto refuse = [&](std::string message) {
    diagnostics.AddError(Error(Code::kInvalidArgument, std::move(message)).At(value.span));
  };
  const bool repeated = (directive.key == "syntax" && syntax_) ||
                        (directive.key == "check" && check_) ||
                        (directive.key == "escape" && saw_escape_);
  if (repeated) return refuse("only one " + directive.key + " parser directive can be used");
  if (directive.key == "syntax") {
    syntax_ = std::move(value);
  } else if (directive.key == "check") {
    check_ = std::move(value);
  } else {
    saw_escape_ = true;
    if (value.text != "\\" && value.text != "`") {
      return refuse("invalid escape token '" + value.text + "': it is ` or \\");
    }
    escape_ = value.text[0];
  }
}

void StatementReader::TakeComment(const RawLine& raw, std::string_view text,
                                  Diagnostics& diagnostics) {
  saw_comment_ = true;
  if (may_have_directives_) {
    if (const auto directive = ParseDirective(text.substr(1))) {
      return TakeDirective(raw, *directive, diagnostics);
    }
    may_have_directives_ = false;
  }
  const std::string_view comment = TrimTrailingSpace(TrimLeadingSpace(text.substr(1)));
  if (comment.empty())
    comments_.clear();
  else
    comments_.emplace_back(comment);
}

void StatementReader::JoinLines(Statement& statement, RawLine raw, std::string_view text,
                                bool continued) {
  JoinedLine& line = *statement.line;
  const auto append = [&](std::string_view part) {
    line.Append(part, raw.offset + static_cast<uint32_t>(part.data() - raw.text.data()));
  };
  append(text);
  bool empty_line = false;
  while (continued) {
    const auto next = lines_.Next();
    if (!next) break;
    raw = *next;
    std::string_view part = WithoutLineEnd(raw.text);
    if (IsComment(part)) continue;
    if (TrimLeadingSpace(part).empty()) {
      empty_line = true;
      continue;
    }
    continued = TakeContinuation(part, escape_);
    append(part);
  }
  statement.lines.last = lines_.number();
  if (empty_line) statement.empty_continuation_line = lines_.number();
}

void StatementReader::ReadDocuments(Statement& statement, Diagnostics& diagnostics) {
  statement.documents = HereDocumentsOf(statement.line->text());
  for (HereDocument& document : statement.documents) {
    const uint32_t begin = lines_.offset();
    uint32_t end = begin;
    bool terminated = false;
    while (const auto raw = lines_.Next()) {
      std::string_view line = WithoutLineEnd(raw->text);
      while (document.strip_tabs && line.starts_with('\t')) line.remove_prefix(1);
      terminated = line == document.name;
      if (terminated) break;
      document.content += raw->text;
      end = lines_.offset();
    }
    document.span = SpanOf(begin, end - begin);
    if (!terminated) {
      diagnostics.AddError(
          Error(Code::kInvalidArgument, "unterminated heredoc")
              .At(statement.line->Span(0, statement.line->text().size()))
              .With("the line '" + document.name + "' that would end it is missing"));
      break;
    }
  }
  statement.lines.last = lines_.number();
}

std::optional<Statement> StatementReader::Next(Diagnostics& diagnostics) {
  while (auto raw = lines_.Next()) {
    if (raw->number == 1 && raw->text.starts_with(kByteOrderMark)) {
      raw->text.remove_prefix(kByteOrderMark.size());
      raw->offset += kByteOrderMark.size();
    }
    std::string_view text = TrimLeadingSpace(WithoutLineEnd(raw->text));
    if (text.starts_with('#')) {
      TakeComment(*raw, text, diagnostics);
      continue;
    }
    may_have_directives_ = false;
    const bool continued = TakeContinuation(text, escape_);
    if (text.empty() && !continued) continue;
    Statement statement;
    statement.line = std::make_unique<JoinedLine>(origin_);
    statement.lines.first = raw->number;
    JoinLines(statement, *raw, text, continued);
    statement.comments = std::move(comments_);
    comments_.clear();
    SplitStatement(statement, escape_);
    if (statement.line->text().find("<<") != std::string::npos &&
        MayHaveDocuments(statement.keyword, statement.rest, escape_)) {
      ReadDocuments(statement, diagnostics);
    }
    return statement;
  }
  if (lines_.too_long()) {
    diagnostics.AddError(
        Error(Code::kInvalidArgument,
              "dockerfile line greater than max allowed size of " + std::to_string(kMaximumLine))
            .At(SpanOf(lines_.offset(), 1)));
  }
  return std::nullopt;
}

}  // namespace skiff::builder
