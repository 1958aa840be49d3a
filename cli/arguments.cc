#include "cli/arguments.h"

#include <fmt/format.h>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "base/diagnostic.h"
#include "base/text.h"

namespace skiff::cli {
namespace {

// CLI11 takes the next word as the value of `--flag=`; this stands for the empty value meanwhile.
constexpr std::string_view kEmptyValue = "\x01";

const Flag* FindFlag(std::span<const Flag> flags, std::string_view name) {
  for (const Flag& flag : flags) {
    if (flag.name == name || (!flag.also.empty() && flag.also == name)) return &flag;
  }
  return nullptr;
}

std::string Spelling(const Flag& flag) {
  if (flag.letter == 0) return fmt::format("--{}", flag.name);
  return fmt::format("-{}, --{}", flag.letter, flag.name);
}

std::string OptionNames(const Flag& flag) {
  std::string names = fmt::format("--{}", flag.name);
  if (!flag.also.empty()) names += fmt::format(",--{}", flag.also);
  return flag.letter == 0 ? names : fmt::format("-{},{}", flag.letter, names);
}

void Declare(CLI::App& app, const Flag& flag) {
  if (flag.kind == FlagKind::kBool) {
    app.add_flag(OptionNames(flag))->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    return;
  }
  app.add_option(OptionNames(flag))
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

Error UnknownFlag(std::span<const Flag> flags, const std::string& word) {
  if (!word.starts_with("--")) {
    return Error(Code::kInvalidArgument,
                 fmt::format("unknown shorthand flag: '{}' in {}", word.substr(1, 1), word));
  }
  const std::string name = word.substr(2, word.find('=') - 2);
  Error error(Code::kInvalidArgument, fmt::format("unknown flag: --{}", name));
  std::vector<std::string_view> known;
  for (const Flag& flag : flags) {
    if (!flag.help.empty()) known.push_back(flag.name);
  }
  const std::string nearest = DidYouMean(name, known);
  if (nearest.empty()) return error;
  return std::move(error).With(fmt::format("did you mean --{}?", nearest));
}

bool LooksLikeFlag(std::string_view word) {
  return word.size() > 1 && word[0] == '-';
}

void RestoreEmpty(std::string& value) {
  if (value.ends_with(kEmptyValue)) value.resize(value.size() - kEmptyValue.size());
}

// What CLI11 left over: operands, and flags it does not know.
Result<std::vector<std::string>> Operands(std::span<const Flag> flags, bool flags_first,
                                          std::vector<std::string> rest) {
  std::vector<std::string> operands;
  bool only_operands = false;
  for (std::string& word : rest) {
    RestoreEmpty(word);
    if (!only_operands && word == "--") {
      only_operands = true;
      continue;
    }
    if (!only_operands && LooksLikeFlag(word)) return Fail(UnknownFlag(flags, word));
    if (flags_first) only_operands = true;
    operands.push_back(std::move(word));
  }
  return operands;
}

Status CheckValue(const Flag& flag, std::string& value) {
  RestoreEmpty(value);
  // pflag: -f=file is the same as -f file.
  if (flag.kind != FlagKind::kBool && flag.letter != 0 && value.starts_with('=')) value.erase(0, 1);
  const bool valid = flag.kind == FlagKind::kNumber ? ParseNumber<int64_t>(value).has_value()
                     : flag.kind == FlagKind::kBool ? ParseBool(value).has_value()
                                                    : true;
  if (valid) return {};
  return Fail(Code::kInvalidArgument,
              fmt::format("invalid argument \"{}\" for \"{}\" flag", value, Spelling(flag)));
}

// CLI11 changes what it is given for a flag with `=value` (it wants a number or a truth value), so
// the truth value is taken out of the words first.
Status TakeBooleans(std::span<const Flag> flags, bool flags_first, std::vector<std::string>& words,
                    std::map<std::string, std::vector<std::string>, std::less<>>& values) {
  std::vector<std::string> kept;
  bool only_operands = false;
  for (size_t i = 0; i < words.size(); ++i) {
    std::string& word = words[i];
    if (word == "--") only_operands = true;
    const size_t equals = word.find('=');
    const bool assigned = !only_operands && word.starts_with("--") && equals != std::string::npos;
    const Flag* flag =
        only_operands || !word.starts_with("--")
            ? nullptr
            : FindFlag(flags, std::string_view(word).substr(
                                  2, equals == std::string::npos ? std::string::npos : equals - 2));
    if (flag != nullptr && flag->kind == FlagKind::kBool && assigned) {
      std::string value = word.substr(equals + 1);
      SKIFF_TRY(CheckValue(*flag, value));
      values[std::string(flag->name)] = {std::move(value)};
      continue;
    }
    if (flag != nullptr && flag->kind != FlagKind::kBool && assigned && equals + 1 == word.size()) {
      word += kEmptyValue;
    }
    // The value of a flag is no operand: `--name x`, `-e x`.
    const bool takes_next = flag != nullptr
                                ? flag->kind != FlagKind::kBool && !assigned
                                : word.size() == 2 && word[0] == '-' &&
                                      std::any_of(flags.begin(), flags.end(), [&](const Flag& f) {
                                        return f.letter == word[1] && f.kind != FlagKind::kBool;
                                      });
    if (flags_first && !LooksLikeFlag(word)) only_operands = true;
    kept.push_back(std::move(word));
    if (takes_next && !only_operands && i + 1 < words.size()) kept.push_back(words[++i]);
  }
  words = std::move(kept);
  return {};
}

}  // namespace

std::optional<bool> ParseBool(std::string_view text) {
  for (std::string_view word : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == word) return true;
  }
  for (std::string_view word : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == word) return false;
  }
  return std::nullopt;
}

const Flag& Arguments::Declared(std::string_view name) const {
  const Flag* flag = FindFlag(flags_, name);
  if (flag == nullptr) {
    fmt::print(stderr, "skiff: bug: no flag --{} in this command's table\n", name);
    std::abort();
  }
  return *flag;
}

const std::vector<std::string>& Arguments::Given(std::string_view name) const {
  static const std::vector<std::string> kNone;
  const auto found = values_.find(name);
  if (found != values_.end()) return found->second;
  Declared(name);
  return kNone;
}

bool Arguments::Bool(std::string_view name) const {
  return ParseBool(Text(name)).value_or(false);
}

std::string Arguments::Text(std::string_view name) const {
  const std::vector<std::string>& given = Given(name);
  if (!given.empty()) return given.back();
  return std::string(Declared(name).fallback);
}

std::optional<int64_t> Arguments::Number(std::string_view name) const {
  return ParseNumber<int64_t>(Text(name));
}

std::string Arguments::Operand(size_t index) const {
  return index < operands_.size() ? operands_[index] : std::string();
}

Result<Arguments> ParseArguments(std::span<const Flag> flags, bool flags_first,
                                 std::vector<std::string> words) {
  Arguments arguments(flags);
  SKIFF_TRY(TakeBooleans(flags, flags_first, words, arguments.values_));
  CLI::App app;
  app.set_help_flag();
  app.set_config();
  app.allow_extras(!flags_first);
  app.prefix_command(flags_first);
  for (const Flag& flag : flags) Declare(app, flag);
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back.
  try {
    app.parse(words);
  } catch (const CLI::ArgumentMismatch& mismatch) {
    const std::string text = mismatch.what();
    return Fail(Code::kInvalidArgument,
                fmt::format("flag needs an argument: {}", text.substr(0, text.find(':'))));
  } catch (const CLI::ParseError& error) {
    return Fail(Code::kInvalidArgument, error.what());
  }
  SKIFF_ASSIGN(arguments.operands_, Operands(flags, flags_first, app.remaining()));
  for (const Flag& flag : flags) {
    const CLI::Option* option = app.get_option(fmt::format("--{}", flag.name));
    if (option->count() == 0) continue;
    std::vector<std::string> values = option->results();
    for (std::string& value : values) SKIFF_TRY(CheckValue(flag, value));
    arguments.values_[std::string(flag.name)] = std::move(values);
  }
  return arguments;
}

Status CheckOperandCount(const Command& command, std::string_view spelling, size_t count) {
  const auto plural = [](int n) { return n == 1 ? "" : "s"; };
  const int given = static_cast<int>(count);
  const int low = command.minimum_operands;
  const int high = command.maximum_operands;
  if (given >= low && (high == kAnyNumber || given <= high)) return {};
  std::string message;
  if (high == 0) {
    message = fmt::format("'{}' accepts no arguments", spelling);
  } else if (low == high) {
    message = fmt::format("'{}' requires {} argument{}", spelling, low, plural(low));
  } else if (given < low) {
    message = fmt::format("'{}' requires at least {} argument{}", spelling, low, plural(low));
  } else {
    message = fmt::format("'{}' requires at most {} argument{}", spelling, high, plural(high));
  }
  return Fail(Code::kInvalidArgument, std::move(message));
}

}  // namespace skiff::cli
