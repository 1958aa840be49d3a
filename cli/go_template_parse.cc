#include <fmt/format.h>

#include <cctype>

#include "base/text.h"
#include "cli/go_template_node.h"

namespace skiff::cli {
namespace {

using Node = GoTemplate::Node;
using NodeList = std::vector<std::unique_ptr<Node>>;

tl::unexpected<Error> Bad(std::string_view what) {
  return Fail(Code::kInvalidArgument, fmt::format("template parsing error: {}", what));
}

// Splits the inside of {{ }} into tokens: words, literals, ".A.B", "$x.A", | ( ) := = ,
struct Token {
  enum class Kind { kEnd, kWord, kLiteral, kFields, kVariable, kPunctuation };
  Kind kind = Kind::kEnd;
  std::string text;
  bool glued = false;  // No white space before it: `).Name`.
  nlohmann::ordered_json literal;
};

bool IsNameCharacter(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

Result<std::string> ReadQuoted(std::string_view text, size_t& at) {
  const char quote = text[at++];
  std::string value;
  while (at < text.size() && text[at] != quote) {
    char c = text[at++];
    if (c == '\\' && quote == '"' && at < text.size()) {
      c = text[at++];
      if (c == 'n') c = '\n';
      if (c == 't') c = '\t';
      if (c == 'r') c = '\r';
    }
    value += c;
  }
  if (at == text.size()) return Bad("unterminated quoted string");
  ++at;
  return value;
}

Result<Token> ReadToken(std::string_view text, size_t& at) {
  Token token;
  const size_t before = at;
  while (at < text.size() && std::isspace(static_cast<unsigned char>(text[at]))) ++at;
  token.glued = at == before;
  if (at == text.size()) return token;
  const size_t start = at;
  const char c = text[at];
  const auto take_name = [&] {
    while (at < text.size() && IsNameCharacter(text[at])) ++at;
  };
  if (c == '"' || c == '`') {
    token.kind = Token::Kind::kLiteral;
    SKIFF_ASSIGN(token.literal, ReadQuoted(text, at));
  } else if (c == '.') {
    token.kind = Token::Kind::kFields;
    while (at < text.size() && text[at] == '.') {
      ++at;
      take_name();
    }
    token.text = text.substr(start, at - start);
  } else if (c == '$') {
    token.kind = Token::Kind::kVariable;
    ++at;
    take_name();
    token.text = text.substr(start, at - start);
  } else if (std::isdigit(static_cast<unsigned char>(c)) ||
             (c == '-' && at + 1 < text.size() &&
              std::isdigit(static_cast<unsigned char>(text[at + 1])))) {
    ++at;
    while (at < text.size() && (IsNameCharacter(text[at]) || text[at] == '.')) ++at;
    token.kind = Token::Kind::kLiteral;
    token.literal = nlohmann::ordered_json::parse(text.substr(start, at - start), nullptr, false);
    if (!token.literal.is_number()) {
      return Bad(fmt::format("bad number syntax: \"{}\"", text.substr(start, at - start)));
    }
  } else if (IsNameCharacter(c)) {
    take_name();
    token.kind = Token::Kind::kWord;
    token.text = text.substr(start, at - start);
  } else {
    at += text.substr(at, 2) == ":=" ? 2 : 1;
    token.kind = Token::Kind::kPunctuation;
    token.text = text.substr(start, at - start);
    if (std::string_view("|(),=").find(c) == std::string_view::npos && token.text != ":=") {
      return Bad(fmt::format("unexpected '{}' in command", token.text));
    }
  }
  return token;
}

Result<std::vector<Token>> Tokenize(std::string_view text) {
  std::vector<Token> tokens;
  size_t at = 0;
  for (;;) {
    SKIFF_ASSIGN(Token token, ReadToken(text, at));
    const bool end = token.kind == Token::Kind::kEnd;
    tokens.push_back(std::move(token));
    if (end) return tokens;
  }
}

std::vector<std::string> FieldsOf(std::string_view text) {
  std::vector<std::string> fields;
  for (std::string_view field : Split(text.substr(1), '.')) {
    if (!field.empty()) fields.emplace_back(field);
  }
  return fields;
}

class PipelineParser {
 public:
  PipelineParser(std::vector<Token> tokens, size_t first)
      : tokens_(std::move(tokens)), at_(first) {}

  Result<Pipeline> Parse(bool nested) {
    Pipeline pipeline;
    ParseDeclaration(pipeline);
    for (;;) {
      SKIFF_ASSIGN(Call call, ParseCall());
      pipeline.calls.push_back(std::move(call));
      if (Peek().text == "|" && IsPunctuation()) {
        ++at_;
        continue;
      }
      break;
    }
    const bool closed = IsPunctuation() && Peek().text == ")";
    if (nested != closed) return Bad(nested ? "unclosed left paren" : "unexpected right paren");
    if (nested) ++at_;
    if (!nested && Peek().kind != Token::Kind::kEnd) {
      return Bad(fmt::format("unexpected '{}' in command", Peek().text));
    }
    return pipeline;
  }

 private:
  const Token& Peek(size_t ahead = 0) const {
    return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
  }
  bool IsPunctuation() const { return Peek().kind == Token::Kind::kPunctuation; }

  // $x := | $x = | $k, $v :=
  void ParseDeclaration(Pipeline& pipeline) {
    size_t n = 0;
    std::vector<std::string> names;
    while (Peek(n).kind == Token::Kind::kVariable) {
      names.push_back(Peek(n).text);
      const Token& next = Peek(n + 1);
      if (next.text == ",") {
        n += 2;
        continue;
      }
      if (next.text != ":=" && next.text != "=") return;
      pipeline.variables = std::move(names);
      pipeline.assign = next.text == "=";
      at_ += n + 2;
      return;
    }
  }

  Result<Call> ParseCall() {
    Call call;
    while (Peek().kind != Token::Kind::kEnd) {
      if (IsPunctuation() && Peek().text != "(") break;
      SKIFF_ASSIGN(Term term, ParseTerm());
      call.terms.push_back(std::move(term));
    }
    if (call.terms.empty()) return Bad("missing value for command");
    return call;
  }

  Result<Term> ParseTerm() {
    Term term;
    const Token token = tokens_[at_++];
    switch (token.kind) {
      case Token::Kind::kFields:
        term.fields = FieldsOf(token.text);
        return term;
      case Token::Kind::kLiteral:
        term.kind = Term::Kind::kLiteral;
        term.literal = token.literal;
        return term;
      case Token::Kind::kVariable:
        term.kind = token.text == "$" ? Term::Kind::kRoot : Term::Kind::kVariable;
        term.name = token.text;
        break;
      case Token::Kind::kWord:
        if (token.text == "true" || token.text == "false" || token.text == "nil") {
          term.kind = Term::Kind::kLiteral;
          if (token.text != "nil") term.literal = token.text == "true";
          return term;
        }
        if (!IsTemplateFunction(token.text)) {
          return Bad(fmt::format("function \"{}\" not defined", token.text));
        }
        term.kind = Term::Kind::kFunction;
        term.name = token.text;
        return term;
      case Token::Kind::kPunctuation: {
        term.kind = Term::Kind::kParentheses;
        SKIFF_ASSIGN(Pipeline inner, Parse(true));
        term.inner = std::make_unique<Pipeline>(std::move(inner));
        break;
      }
      case Token::Kind::kEnd:
        return Bad("missing value for command");
    }
    if (Peek().kind == Token::Kind::kFields && Peek().glued) {
      term.fields = FieldsOf(tokens_[at_++].text);
    }
    return term;
  }

  std::vector<Token> tokens_;
  size_t at_;
};

// One piece of a template: text, or the inside of an action.
struct Piece {
  bool action = false;
  std::string text;
};

Result<std::vector<Piece>> Cut(std::string_view text) {
  std::vector<Piece> pieces;
  bool trim_next = false;
  while (!text.empty()) {
    const size_t open = text.find("{{");
    std::string_view plain = text.substr(0, open);
    if (trim_next) {
      while (!plain.empty() && std::isspace(static_cast<unsigned char>(plain.front()))) {
        plain.remove_prefix(1);
      }
    }
    trim_next = false;
    if (open == std::string_view::npos) {
      pieces.push_back({false, std::string(plain)});
      break;
    }
    const size_t close = text.find("}}", open + 2);
    if (close == std::string_view::npos) return Bad("unclosed action");
    std::string_view inside = text.substr(open + 2, close - open - 2);
    if (inside.starts_with("- ")) {
      while (!plain.empty() && std::isspace(static_cast<unsigned char>(plain.back()))) {
        plain.remove_suffix(1);
      }
      inside.remove_prefix(2);
    }
    if (inside.ends_with(" -")) {
      trim_next = true;
      inside.remove_suffix(2);
    }
    if (!plain.empty()) pieces.push_back({false, std::string(plain)});
    inside = Trim(inside);
    if (!inside.starts_with("/*")) pieces.push_back({true, std::string(inside)});
    text.remove_prefix(close + 2);
  }
  return pieces;
}

class TemplateParser {
 public:
  explicit TemplateParser(std::vector<Piece> pieces) : pieces_(std::move(pieces)) {}

  Result<std::unique_ptr<Node>> Parse() {
    auto root = std::make_unique<Node>();
    std::string stopped_by;
    SKIFF_TRY(ParseList(root->body, stopped_by));
    if (!stopped_by.empty()) return Bad(fmt::format("unexpected {{{{{}}}}}", stopped_by));
    return root;
  }

 private:
  // Until {{end}} or {{else...}} (in `stopped_by`), or the end of the text.
  Status ParseList(NodeList& list, std::string& stopped_by) {
    while (at_ < pieces_.size()) {
      const Piece& piece = pieces_[at_++];
      auto node = std::make_unique<Node>();
      if (!piece.action) {
        node->kind = Node::Kind::kText;
        node->text = piece.text;
        list.push_back(std::move(node));
        continue;
      }
      SKIFF_ASSIGN(std::vector<Token> tokens, Tokenize(piece.text));
      const std::string word = tokens[0].kind == Token::Kind::kWord ? tokens[0].text : "";
      if (word == "end" || word == "else") {
        stopped_by = piece.text;
        return {};
      }
      SKIFF_TRY(ParseAction(*node, std::move(tokens), word));
      list.push_back(std::move(node));
    }
    stopped_by.clear();
    return {};
  }

  Status ParseAction(Node& node, std::vector<Token> tokens, const std::string& word) {
    const bool block = word == "if" || word == "range" || word == "with";
    node.kind = word == "if"      ? Node::Kind::kIf
                : word == "range" ? Node::Kind::kRange
                : word == "with"  ? Node::Kind::kWith
                                  : Node::Kind::kPipeline;
    SKIFF_ASSIGN(node.pipeline, PipelineParser(std::move(tokens), block ? 1 : 0).Parse(false));
    if (!block) return {};
    std::string stopped_by;
    SKIFF_TRY(ParseList(node.body, stopped_by));
    if (stopped_by.starts_with("else")) SKIFF_TRY(ParseElse(node, stopped_by));
    if (stopped_by != "end") return Bad("unexpected end of the template: {{end}} is missing");
    return {};
  }

  // {{else}} and {{else if ...}}; the latter is an `if` inside that shares the {{end}}.
  Status ParseElse(Node& node, std::string& stopped_by) {
    const std::string condition(Trim(std::string_view(stopped_by).substr(4)));
    if (condition.empty()) return ParseList(node.otherwise, stopped_by);
    SKIFF_ASSIGN(std::vector<Token> tokens, Tokenize(condition));
    auto inner = std::make_unique<Node>();
    const std::string word = tokens[0].text;
    SKIFF_TRY(ParseAction(*inner, std::move(tokens), word));
    node.otherwise.push_back(std::move(inner));
    stopped_by = "end";
    return {};
  }

  std::vector<Piece> pieces_;
  size_t at_ = 0;
};

}  // namespace

Result<std::unique_ptr<GoTemplate::Node>> ParseTemplate(std::string_view text) {
  SKIFF_ASSIGN(std::vector<Piece> pieces, Cut(text));
  return TemplateParser(std::move(pieces)).Parse();
}

}  // namespace skiff::cli
