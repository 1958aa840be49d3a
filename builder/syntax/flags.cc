#include "builder/syntax/flags.h"

#include "base/text.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {

Result<Flags> Flags::Parse(const std::vector<Word>& words, const std::vector<FlagSpec>& known) {
  Flags flags;
  for (const Word& word : words) SKIFF_TRY(flags.Add(word, known));
  return flags;
}

Status Flags::Add(const Word& word, const std::vector<FlagSpec>& known) {
  const size_t equals = word.text.find('=');
  const std::string flag = word.text.substr(0, equals);  // With its dashes.
  const std::string name = flag.substr(2);
  const FlagSpec* spec = nullptr;
  std::vector<std::string_view> names;
  for (const FlagSpec& candidate : known) {
    names.push_back(candidate.name);
    if (candidate.name == name) spec = &candidate;
  }
  if (spec == nullptr) {
    return Mistake("unknown flag: " + flag + Suggestion(name, names), word.span);
  }
  if (spec->type != FlagType::kList && Has(name)) {
    return Mistake("duplicate flag specified: " + flag, word.span);
  }
  Given given = {spec->name, word};
  given.value.text = equals == std::string::npos ? "" : word.text.substr(equals + 1);
  if (word.span.length == word.text.size()) {
    const auto skipped = static_cast<uint32_t>(word.text.size() - given.value.text.size());
    given.value.span.offset += skipped;
    given.value.span.length -= skipped;
  }
  if (spec->type == FlagType::kBool) {
    std::string& value = given.value.text;
    if (equals != std::string::npos && value.empty()) {
      return Mistake("missing a value on flag: " + flag, word.span);
    }
    value = value.empty() ? "true" : ToLower(value);
    if (value != "true" && value != "false") {
      return Mistake("expecting boolean value for flag " + flag + ", not: " + value, word.span);
    }
  } else if (equals == std::string::npos) {
    return Mistake("missing a value on flag: " + flag, word.span);
  }
  given_.push_back(std::move(given));
  return {};
}

const Flags::Given* Flags::Find(std::string_view name) const {
  for (const Given& given : given_) {
    if (given.name == name) return &given;
  }
  return nullptr;
}

bool Flags::True(std::string_view name) const {
  return Bool(name).value_or(false);
}

std::optional<bool> Flags::Bool(std::string_view name) const {
  const Given* given = Find(name);
  if (given == nullptr) return std::nullopt;
  return given->value.text == "true";
}

std::optional<Word> Flags::Text(std::string_view name) const {
  const Given* given = Find(name);
  if (given == nullptr) return std::nullopt;
  return given->value;
}

std::vector<Word> Flags::List(std::string_view name) const {
  std::vector<Word> values;
  for (const Given& given : given_) {
    if (given.name == name) values.push_back(given.value);
  }
  return values;
}

}  // namespace skiff::builder
