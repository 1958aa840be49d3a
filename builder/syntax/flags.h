#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "builder/dockerfile.h"

namespace skiff::builder {

enum class FlagType : char { kBool, kText, kList };
struct FlagSpec {
  std::string_view name;
  FlagType type;
};

// The flags of one instruction, checked against what it knows.
class Flags {
 public:
  // The first word that is wrong fails.
  static Result<Flags> Parse(const std::vector<Word>& words, const std::vector<FlagSpec>& known);

  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  bool True(std::string_view name) const;
  std::optional<bool> Bool(std::string_view name) const;
  std::optional<Word> Text(std::string_view name) const;
  std::vector<Word> List(std::string_view name) const;

 private:
  struct Given {
    std::string_view name;
    Word value;
  };
  const Given* Find(std::string_view name) const;
  Status Add(const Word& word, const std::vector<FlagSpec>& known);

  std::vector<Given> given_;
};

}  // namespace skiff::builder
