#include "builder/expand.h"

#include <algorithm>

#include "base/text.h"
#include "builder/expand/pattern.h"
#include "builder/syntax/characters.h"

namespace skiff::builder {
namespace {

constexpr char kToEnd = '\0';
constexpr std::string_view kSpecialParameters = "@*#?-$!0";
constexpr std::string_view kMissingBrace = "syntax error: missing '}'";

tl::unexpected<Error> Invalid(std::string message) {
  return Fail(Code::kInvalidArgument, std::move(message));
}

// Splits a result at blanks while it is made.
class WordBuilder {
 public:
  // Text that quotes or an escape protect.
  void AddProtected(std::string_view text) { word_ += text; }
  void Add(std::string_view text) {
    while (!text.empty()) {
      if (const size_t space = SpaceLength(text)) {
        Finish();
        text.remove_prefix(space);
      } else {
        word_ += text[0];
        text.remove_prefix(1);
      }
    }
  }
  std::vector<std::string> Take() {
    Finish();
    return std::move(words_);
  }

 private:
  void Finish() {
    if (!word_.empty()) words_.push_back(std::move(word_));
    word_.clear();
  }

  std::string word_;
  std::vector<std::string> words_;
};

// What the text of a part is read for.
struct Reading {
  char stop = kToEnd;         // The part ends before the first such character outside quotes.
  bool keep_escapes = false;  // Escape characters stay in the result.
  bool pattern = false;       // The result is parsed again as a pattern.
};

class Expander {
 public:
  Expander(std::string_view text, const Environment& variables, const ExpandOptions& options)
      : text_(text), variables_(variables), options_(options) {}

  Result<Expansion> Run() {
    WordBuilder words;
    SKIFF_ASSIGN(result_.text, Part({kToEnd, options_.keep_escapes, false}, &words));
    result_.words = words.Take();
    return std::move(result_);
  }

 private:
  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return AtEnd() ? '\0' : text_[at_]; }
  bool AtEscape() const { return !AtEnd() && text_[at_] == options_.escape; }
  // The character at the cursor, which moves behind it.
  std::string_view Take() {
    const std::string_view rest = text_.substr(at_);
    const size_t length = std::max<size_t>(Utf8SequenceLength(rest), 1);
    at_ += length;
    return rest.substr(0, length);
  }

  Result<std::string> Part(Reading reading, WordBuilder* words);
  bool PlainCharacter(const Reading& reading, std::string& out, WordBuilder* words);
  Result<std::string> SingleQuoted(bool pattern);
  Result<std::string> DoubleQuoted(const Reading& reading);
  void EscapeInDoubleQuotes(const Reading& reading, std::string& out);
  Result<std::string> Dollar();
  Result<std::string> Braced();
  Result<std::string> Modified(const std::string& name, const std::string& modifier);
  Result<std::string> Replaced(const std::string& name);
  // A part that ends at `stop`; reaching the end of the text is the error `missing`.
  Result<std::string> Operand(Reading reading, std::string_view missing);
  std::string Name();
  std::string HereDocumentMark();
  const std::string* LookUp(const std::string& name);
  size_t Limit() const;

  std::string_view text_;
  size_t at_ = 0;
  const Environment& variables_;
  const ExpandOptions& options_;
  Expansion result_;
  // Deep nesting of ${a:-${b:-...}} costs stack.
  int depth_ = 0;
};

constexpr int kMaximumDepth = 200;
// What ${a//b/c} or a variable made of itself can grow to, beyond the text: more than a program
// takes as one argument (128 KiB).
constexpr size_t kMaximumGrowth = 1 << 20;
constexpr std::string_view kTooLarge = "the result is larger than 1 MiB";

size_t Expander::Limit() const {
  return kMaximumGrowth + text_.size();
}

Result<std::string> Expander::Part(Reading reading, WordBuilder* words) {
  if (depth_ > kMaximumDepth) return Invalid("substitutions are nested too deeply");
  std::string out;
  while (!AtEnd()) {
    const char c = Peek();
    if (reading.stop != kToEnd && c == reading.stop) {
      ++at_;
      return out;
    }
    Result<std::string> piece;
    if (c == '$') {
      piece = Dollar();
    } else if (c == '<') {
      piece = HereDocumentMark();
    } else if (c == '\'' && !options_.ignore_quotes) {
      piece = SingleQuoted(reading.pattern);
    } else if (c == '"' && !options_.ignore_quotes) {
      piece = DoubleQuoted(reading);
    } else {
      if (!PlainCharacter(reading, out, words)) break;
      continue;
    }
    if (!piece) return piece;
    if (out.size() + piece->size() > Limit()) return Invalid(std::string(kTooLarge));
    out += *piece;
    if (words != nullptr) c == '$' ? words->Add(*piece) : words->AddProtected(*piece);
  }
  if (reading.stop == kToEnd) return out;
  return Invalid(std::string("unexpected end of statement while looking for matching ") +
                 reading.stop);
}

// One character without a meaning of its own, or an escape with what follows. False at the end.
bool Expander::PlainCharacter(const Reading& reading, std::string& out, WordBuilder* words) {
  const bool escaped = AtEscape();
  if (escaped) {
    ++at_;
    if (reading.keep_escapes) {
      out += options_.escape;
      if (words != nullptr) words->AddProtected({&options_.escape, 1});
    }
    if (AtEnd()) return false;
  }
  const std::string_view character = Take();
  out += character;
  if (words != nullptr) escaped ? words->AddProtected(character) : words->Add(character);
  return true;
}

Result<std::string> Expander::SingleQuoted(bool pattern) {
  std::string out;
  ++at_;
  if (options_.keep_quotes) out += '\'';
  while (!AtEnd()) {
    if (Peek() == '\'') {
      ++at_;
      if (options_.keep_quotes) out += '\'';
      return out;
    }
    if (pattern && AtEscape()) out += options_.escape;
    out += Take();
  }
  return Invalid("unexpected end of statement while looking for matching single-quote");
}

Result<std::string> Expander::DoubleQuoted(const Reading& reading) {
  std::string out;
  ++at_;
  if (options_.keep_quotes) out += '"';
  while (!AtEnd()) {
    if (Peek() == '"') {
      ++at_;
      if (options_.keep_quotes) out += '"';
      return out;
    }
    if (Peek() == '$') {
      SKIFF_ASSIGN(const std::string value, Dollar());
      if (out.size() + value.size() > Limit()) return Invalid(std::string(kTooLarge));
      out += value;
    } else if (AtEscape()) {
      EscapeInDoubleQuotes(reading, out);
    } else {
      out += Take();
    }
  }
  return Invalid("unexpected end of statement while looking for matching double-quote");
}

// Inside double quotes only the quote, the dollar sign and the escape character can be escaped.
void Expander::EscapeInDoubleQuotes(const Reading& reading, std::string& out) {
  const char escape = options_.escape;
  ++at_;
  if (AtEnd()) return;
  const bool escapes = Peek() == '"' || Peek() == '$' || Peek() == escape;
  if (escapes) {
    if (reading.keep_escapes) out += escape;
    out += Take();
    return;
  }
  if (reading.keep_escapes && (!options_.keep_quotes || reading.pattern)) out += escape;
  out += escape;
}

// "<<" and the blanks behind it, which belong to one word with the name that follows.
std::string Expander::HereDocumentMark() {
  ++at_;
  if (Peek() != '<') return "<";
  std::string out = "<<";
  for (++at_; Peek() == ' ' || Peek() == '\t' || Peek() == '\r'; ++at_) out += Peek();
  return out;
}

std::string Expander::Name() {
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  const size_t begin = at_;
  if (is_digit(Peek())) {
    while (is_digit(Peek())) ++at_;
  } else if (!AtEnd() && kSpecialParameters.find(Peek()) != std::string_view::npos) {
    ++at_;
  } else {
    while (const size_t length = NameCharacterLength(text_.substr(at_))) at_ += length;
  }
  return std::string(text_.substr(begin, at_ - begin));
}

const std::string* Expander::LookUp(const std::string& name) {
  const std::string* value = variables_.Find(name);
  std::vector<std::string>& names = value != nullptr ? result_.used : result_.unset;
  if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  return value;
}

Result<std::string> Expander::Dollar() {
  ++at_;
  if (Peek() == '{' && !AtEnd()) {
    ++depth_;
    Result<std::string> value = Braced();
    --depth_;
    return value;
  }
  const std::string name = Name();
  if (name.empty()) return std::string("$");
  const std::string* value = LookUp(name);
  if (value != nullptr) return *value;
  return options_.keep_unset ? "$" + name : std::string();
}

Result<std::string> Expander::Braced() {
  ++at_;
  if (AtEnd()) return Invalid(std::string(kMissingBrace));
  if (Peek() == '{' || Peek() == '}' || Peek() == ':') {
    return Invalid("syntax error: bad substitution");
  }
  const std::string name = Name();
  if (AtEnd()) return Invalid("unsupported modifier () in substitution");
  std::string modifier(Take());
  if (modifier == "}") {
    const std::string* value = LookUp(name);
    if (value != nullptr) return *value;
    return options_.keep_unset ? "${" + name + "}" : std::string();
  }
  if (modifier == "/") return Replaced(name);
  if (modifier == ":" && !AtEnd()) modifier += Take();
  const bool known = modifier == ":-" || modifier == ":+" || modifier == ":?" ||
                     (modifier.size() == 1 && modifier.find_first_of("-+?#%") == 0);
  if (!known) return Invalid("unsupported modifier (" + modifier + ") in substitution");
  return Modified(name, modifier);
}

Result<std::string> Expander::Operand(Reading reading, std::string_view missing) {
  Result<std::string> operand = Part(reading, nullptr);
  const bool open = !operand && AtEnd() && operand.error().message != kTooLarge;
  if (open) return Invalid(std::string(missing));
  return operand;
}

Result<std::string> Expander::Modified(const std::string& name, const std::string& modifier) {
  const char kind = modifier.back();
  const bool empty_is_unset = modifier.size() == 2;
  const bool pattern = kind == '#' || kind == '%';
  SKIFF_ASSIGN(std::string word, Operand({'}', pattern, pattern}, kMissingBrace));
  const std::string* value = LookUp(name);
  if (value == nullptr && options_.keep_unset) return "${" + name + modifier + word + "}";
  const bool missing = value == nullptr || (empty_is_unset && value->empty());
  const std::string current = value == nullptr ? "" : *value;
  if (kind == '-') return missing ? word : current;
  if (kind == '+') return missing ? std::string() : word;
  if (kind == '?') {
    if (!missing) return current;
    if (word.empty()) {
      word = value == nullptr ? "is not allowed to be unset" : "is not allowed to be empty";
    }
    return Invalid(name + ": " + word);
  }
  const bool longest = word.starts_with(kind);
  SKIFF_ASSIGN(const ShellPattern matcher,
               ShellPattern::Parse(std::string_view(word).substr(longest ? 1 : 0)));
  return std::string(kind == '#' ? matcher.TrimPrefix(current, longest)
                                 : matcher.TrimSuffix(current, longest));
}

Result<std::string> Expander::Replaced(const std::string& name) {
  const bool all = Peek() == '/' && !AtEnd();
  if (all) ++at_;
  SKIFF_ASSIGN(const std::string pattern,
               Operand({'/', true, true}, "syntax error: missing '/' in ${}"));
  SKIFF_ASSIGN(const std::string replacement, Operand({'}', true, false}, kMissingBrace));
  const std::string* value = LookUp(name);
  if (value == nullptr && options_.keep_unset) {
    return "${" + name + "/" + pattern + "/" + replacement + "}";
  }
  SKIFF_ASSIGN(const ShellPattern matcher, ShellPattern::Parse(pattern));
  auto replaced = matcher.Replace(value == nullptr ? "" : *value, replacement, all, Limit());
  if (!replaced) return Invalid(std::string(kTooLarge));
  return std::move(*replaced);
}

}  // namespace

Result<Expansion> Expand(std::string_view word, const Environment& variables,
                         const ExpandOptions& options) {
  // Most words have nothing to expand.
  if (word.find_first_of("$'\"<") == std::string_view::npos &&
      word.find(options.escape) == std::string_view::npos) {
    WordBuilder words;
    words.Add(word);
    return Expansion{std::string(word), words.Take(), {}, {}};
  }
  Result<Expansion> result = Expander(word, variables, options).Run();
  if (!result) {
    return Invalid("cannot expand '" + std::string(word) + "': " + result.error().message);
  }
  return result;
}

}  // namespace skiff::builder
