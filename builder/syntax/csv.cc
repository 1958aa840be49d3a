#include "builder/syntax/csv.h"

#include <algorithm>

#include "base/text.h"

namespace skiff::builder {
namespace {

// Reads a field that begins with a quote and moves behind its closing quote.
bool QuotedField(std::string_view text, size_t& at, std::string& out) {
  for (++at; at < text.size(); ++at) {
    if (text[at] != '"') {
      out += text[at];
    } else if (at + 1 < text.size() && text[at + 1] == '"') {
      out += '"';
      ++at;
    } else {
      ++at;
      return at == text.size() || text[at] == ',';
    }
  }
  return false;
}

}  // namespace

Result<std::vector<std::string>> SplitRecord(std::string_view text) {
  const auto fail = [&] {
    return Fail(Code::kInvalidArgument,
                "'" + std::string(text) + "' is not a comma-separated list");
  };
  if (text.empty()) return fail();
  std::vector<std::string> fields;
  for (size_t at = 0;; ++at) {
    std::string field;
    if (at < text.size() && text[at] == '"') {
      if (!QuotedField(text, at, field)) return fail();
    } else {
      const size_t end = std::min(text.find(',', at), text.size());
      field = text.substr(at, end - at);
      if (field.find('"') != std::string::npos) return fail();
      at = end;
    }
    fields.push_back(std::move(field));
    if (at >= text.size()) return fields;
  }
}

Result<std::vector<Option>> SplitOptions(std::string_view text) {
  SKIFF_ASSIGN(const std::vector<std::string> fields, SplitRecord(text));
  std::vector<Option> options;
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    Option option = {field, ToLower(field.substr(0, equals)), std::nullopt};
    if (equals != std::string::npos) option.value = field.substr(equals + 1);
    options.push_back(std::move(option));
  }
  return options;
}

std::optional<bool> ParseTruth(std::string_view text) {
  for (const std::string_view word : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == word) return true;
  }
  for (const std::string_view word : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

}  // namespace skiff::builder
