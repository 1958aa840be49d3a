#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace skiff::cli {

// What was given to one command. Asking for a flag its table does not declare is a bug and aborts.
class Arguments {
 public:
  explicit Arguments(std::span<const Flag> flags) : flags_(flags) {}

  bool Has(std::string_view name) const { return !Given(name).empty(); }
  bool Bool(std::string_view name) const;
  // The last value, or the table's fallback.
  std::string Text(std::string_view name) const;
  const std::vector<std::string>& List(std::string_view name) const { return Given(name); }
  // The last value; absent without the flag and without a fallback.
  std::optional<int64_t> Number(std::string_view name) const;

  const std::vector<std::string>& operands() const { return operands_; }
  // Operand `index`, or "".
  std::string Operand(size_t index) const;

 private:
  friend Result<Arguments> ParseArguments(std::span<const Flag> flags, bool flags_first,
                                          std::vector<std::string> words);
  const std::vector<std::string>& Given(std::string_view name) const;
  const Flag& Declared(std::string_view name) const;

  std::span<const Flag> flags_;
  std::map<std::string, std::vector<std::string>, std::less<>> values_;
  std::vector<std::string> operands_;
};

// Parses the words behind a command's name. Errors: "unknown flag: --foo" with a note "did you
// mean --bar?", "flag needs an argument: --file", "invalid argument "x" for "-t, --timeout" flag".
Result<Arguments> ParseArguments(std::span<const Flag> flags, bool flags_first,
                                 std::vector<std::string> words);

// Fails when the number of operands is not what the command takes. `spelling`: "docker run".
Status CheckOperandCount(const Command& command, std::string_view spelling, size_t count);

// pflag's words for booleans: 1 t true TRUE True, 0 f false FALSE False.
std::optional<bool> ParseBool(std::string_view text);

}  // namespace skiff::cli
