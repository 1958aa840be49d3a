#pragma once

#include "builder/ignore_file.h"

namespace skiff::builder {

// Reads one pattern of an ignore file.
class IgnoreMatcher::Compiler {
 public:
  explicit Compiler(std::string_view text) : text_(text) {}
  // Fails when the pattern is malformed.
  Result<Pattern> Run();

 private:
  Status Next(Pattern& pattern);
  Status Class(Pattern& pattern);
  Result<uint32_t> ClassCharacter();
  void Stars(Pattern& pattern);
  void Text(Pattern& pattern, std::string_view character);
  std::string_view Take();
  bool AtEnd() const { return at_ >= text_.size(); }
  tl::unexpected<Error> Malformed() const;

  std::string_view text_;
  size_t at_ = 0;
};

// The code point of one UTF-8 character; a stray byte stands for itself.
uint32_t CodePointOf(std::string_view character);

}  // namespace skiff::builder
