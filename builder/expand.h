#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "builder/environment.h"

namespace skiff::builder {

// How a text is read for quotes, escapes and variables. The defaults are those of an instruction's
// word (Dockerfile reference: "Environment replacement").
struct ExpandOptions {
  char escape = '\\';
  bool keep_quotes = false;    // Quotes group but stay in the result.
  bool keep_escapes = false;   // So do escape characters.
  bool ignore_quotes = false;  // Quotes are ordinary characters: the body of a here-document.
  bool keep_unset = false;     // "$unset" stays as it is instead of becoming empty.
};

struct Expansion {
  std::string text;
  // `text` split at blanks that neither quotes nor escapes protect; blanks of expanded values
  // split.
  std::vector<std::string> words;
  // Names that were looked up, each once, in order: those that were set and those that were not.
  std::vector<std::string> used, unset;
};

// Expands $name, ${name}, ${name-word}, ${name:-word}, + :+ ? :? # ## % %% and ${name/from/to},
// ${name//from/to}. Fails with kInvalidArgument on bad substitutions, open quotes and
// ${name:?text}.
Result<Expansion> Expand(std::string_view word, const Environment& variables,
                         const ExpandOptions& options = {});

}  // namespace skiff::builder
