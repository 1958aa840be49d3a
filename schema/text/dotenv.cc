#include "schema/text/dotenv.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::schema {
namespace {

bool IsBlank(char c) {
  return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}
bool IsSpace(char c) {
  return IsBlank(c) || c == '\n';
}
bool IsKeyChar(char c) {
  const unsigned char u = static_cast<unsigned char>(c);
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-' || c == '[' || c == ']' || u >= 0x80;
}

std::string_view TrimRight(std::string_view text) {
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

class DotenvParser {
 public:
  DotenvParser(std::string_view text, uint32_t file, const Lookup& lookup,
               std::map<std::string, std::string>& variables, Diagnostics& diagnostics)
      : text_(text),
        file_(file),
        lookup_(lookup),
        variables_(variables),
        diagnostics_(diagnostics) {}

  bool Run() {
    if (text_.starts_with(kByteOrderMark)) at_ = kByteOrderMark.size();
    while (SkipToStatement()) {
      if (!Statement()) return false;
    }
    return true;
  }

 private:
  bool SkipToStatement() {
    while (at_ < text_.size()) {
      if (IsSpace(text_[at_])) {
        ++at_;
      } else if (text_[at_] == '#') {
        SkipLine();
      } else {
        return true;
      }
    }
    return false;
  }
  void SkipLine() { at_ = std::min(text_.find('\n', at_), text_.size()); }
  void SkipBlanks() {
    while (at_ < text_.size() && IsBlank(text_[at_])) ++at_;
  }

  bool Fail(std::string message, size_t offset, size_t length, std::string note = "") {
    Error error = Error(Code::kInvalidArgument, std::move(message))
                      .At({file_, static_cast<uint32_t>(offset), static_cast<uint32_t>(length)});
    if (!note.empty()) error.notes.push_back({std::move(note), {}});
    diagnostics_.AddError(std::move(error));
    return false;
  }

  bool Statement() {
    if (text_.substr(at_).starts_with("export") && at_ + 6 < text_.size() &&
        IsSpace(text_[at_ + 6])) {
      at_ += 6;
      SkipBlanks();
    }
    const size_t begin = at_;
    size_t i = begin;
    while (i < text_.size() && (IsKeyChar(text_[i]) || IsBlank(text_[i]))) ++i;
    const bool bare = i >= text_.size() || text_[i] == '\n';
    if (!bare && text_[i] != '=' && text_[i] != ':') {
      return Fail(
          "unexpected character '" + std::string(text_.substr(i, 1)) + "' in a variable name", i, 1,
          "a line is KEY=VALUE; names have letters, digits, '_', '.', '-'");
    }
    const std::string_view key = TrimRight(text_.substr(begin, i - begin));
    const size_t space = key.find(' ');
    if (space != std::string_view::npos) {
      return Fail("a variable name cannot contain a space", begin + space, 1);
    }
    at_ = std::min(i + 1, text_.size());
    if (bare) {
      if (const auto value = lookup_(key)) variables_[std::string(key)] = *value;
      return true;
    }
    SkipBlanks();
    return Value(std::string(key));
  }

  bool Value(std::string key) {
    if (at_ < text_.size() && (text_[at_] == '"' || text_[at_] == '\'')) return Quoted(key);
    const size_t begin = at_;
    SkipLine();
    std::string_view value = text_.substr(begin, at_ - begin);
    if (at_ < text_.size()) ++at_;
    value = TrimRight(value.substr(0, value.find(" #")));
    return Expand(std::move(key), value, begin, value.size());
  }

  bool Quoted(std::string key) {
    const size_t begin = at_;
    const char quote = text_[begin];
    std::string value;
    bool escape = false;
    for (size_t i = begin + 1; i < text_.size(); ++i) {
      const char c = text_[i];
      if (c == quote && !escape) {
        at_ = i + 1;
        if (quote == '\'') {
          variables_[std::move(key)] = std::move(value);
          return true;
        }
        return Expand(std::move(key), Unescape(value), begin, at_ - begin);
      }
      if (c == quote) {
        escape = false;
        value += c;
        continue;
      }
      if (!escape && c == '\\') {
        escape = true;
        continue;
      }
      if (escape) {
        escape = false;
        value += '\\';
      }
      value += c;
    }
    const size_t line = std::min(text_.find('\n', begin), text_.size());
    return Fail("the quoted value that starts here does not end", begin, line - begin);
  }

  static std::string Unescape(std::string_view text) {
    static constexpr std::string_view kFrom = "abfnrtv\\\"";
    static constexpr std::string_view kTo = "\a\b\f\n\r\t\v\\\"";
    std::string out;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text[i] != '\\' || i + 1 >= text.size()) {
        out += text[i];
        continue;
      }
      const char next = text[i + 1];
      const size_t known = kFrom.find(next);
      if (next == '$') {
        out += "$$";
        ++i;
      } else if (known != std::string_view::npos) {
        out += kTo[known];
        ++i;
      } else if (const auto octal = Octal(text.substr(i))) {
        out += static_cast<char>(*octal);
        i += 4;
      } else {
        out += text[i];
      }
    }
    return out;
  }

  // "\0ddd" with three octal digits.
  static std::optional<int> Octal(std::string_view text) {
    if (text.size() < 5 || text[1] != '0') return std::nullopt;
    const auto value = ParseNumber<int>(text.substr(2, 3), 8);
    return value && *value < 256 ? value : std::nullopt;
  }

  bool Expand(std::string key, std::string_view value, size_t offset, size_t length) {
    const Lookup both = [&](std::string_view name) -> std::optional<std::string> {
      if (auto found = lookup_(name)) return found;
      const auto known = variables_.find(std::string(name));
      if (known != variables_.end()) return known->second;
      return std::nullopt;
    };
    Substitution result = Substitute(value, both, kMaximumSubstitution - expanded_);
    bool good = true;
    for (const TemplateIssue& issue : result.issues) {
      const SourceSpan where{file_, static_cast<uint32_t>(offset), static_cast<uint32_t>(length)};
      switch (issue.kind) {
        case TemplateIssue::Kind::kUnset:
          diagnostics_.AddWarning(
              Error(Code::kInvalidArgument,
                    "the variable '" + issue.name + "' is not set; it becomes an empty text")
                  .At(where));
          break;
        case TemplateIssue::Kind::kInvalid:
          good = Fail("invalid interpolation '" + issue.name + "'", offset, length,
                      "write $$ for a '$', or put the value in single quotes");
          break;
        case TemplateIssue::Kind::kRequired:
          good = Fail("the variable '" + issue.name + "' is required but not set" +
                          (issue.message.empty() ? "" : ": " + issue.message),
                      offset, length);
          break;
        case TemplateIssue::Kind::kTooLong:
          good = Fail("with the value of '" + issue.name + "' this file grows beyond 8 MiB", offset,
                      length, "its values repeat each other");
          break;
      }
    }
    if (result.changed) expanded_ += std::min(result.text.size(), kMaximumSubstitution - expanded_);
    if (good) variables_[std::move(key)] = std::move(result.text);
    return good;
  }

  std::string_view text_;
  uint32_t file_;
  const Lookup& lookup_;
  std::map<std::string, std::string>& variables_;
  Diagnostics& diagnostics_;
  size_t at_ = 0;
  size_t expanded_ = 0;  // Bytes of values with variables in them.
};

}  // namespace

bool ParseDotenv(const SourceMap& sources, uint32_t file, const Lookup& lookup,
                 std::map<std::string, std::string>& variables, Diagnostics& diagnostics) {
  return DotenvParser(sources.File(file).text(), file, lookup, variables, diagnostics).Run();
}

bool ParseRawEnv(const SourceMap& sources, uint32_t file, const Lookup& lookup,
                 std::map<std::string, std::string>& variables, Diagnostics& diagnostics) {
  const std::string_view text = sources.File(file).text();
  size_t at = text.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  while (at < text.size()) {
    const size_t end = std::min(text.find('\n', at), text.size());
    size_t begin = at;
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    while (!line.empty() && IsBlank(line.front())) {
      line.remove_prefix(1);
      ++begin;
    }
    if (line.empty() || line.front() == '#') continue;
    const size_t equals = line.find('=');
    const std::string_view key = line.substr(0, equals);
    const auto fail = [&](std::string message) {
      diagnostics.AddError(
          Error(Code::kInvalidArgument, std::move(message))
              .At({file, static_cast<uint32_t>(begin), static_cast<uint32_t>(line.size())}));
      return false;
    };
    if (key.empty()) return fail("a variable has no name");
    if (key.find_first_of(" \t") != std::string_view::npos) {
      return fail("the variable '" + std::string(key) + "' contains white space");
    }
    if (equals != std::string_view::npos) {
      variables[std::string(key)] = std::string(line.substr(equals + 1));
    } else if (const auto value = lookup(key)) {
      variables[std::string(key)] = *value;
    }
  }
  return true;
}

}  // namespace skiff::schema
