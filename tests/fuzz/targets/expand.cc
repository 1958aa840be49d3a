// Variables, quotes and escapes in a word of a Dockerfile.

#include "builder/expand.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(expand) {
  if (input.size() > 4096) return;
  const uint8_t choice = skiff::fuzz::TakeByte(input);
  skiff::builder::ExpandOptions options;
  if ((choice & 1) != 0) options.escape = '`';
  options.keep_quotes = (choice & 2) != 0;
  options.keep_escapes = (choice & 4) != 0;
  options.ignore_quotes = (choice & 8) != 0;
  options.keep_unset = (choice & 16) != 0;
  skiff::builder::Environment variables;
  variables.Set("a", "one two");
  variables.Set("path", "/usr/local/lib/x.tar.gz");
  variables.Set("empty", "");
  variables.Set("star", "*[$a");
  const auto expanded = Expand(input, variables, options);
  if (!expanded) {
    skiff::fuzz::Require(!expanded.error().message.empty(), "an error has a text");
    return;
  }
  if (input.find_first_of("$\\`'\" \t\n\r\v\f") == input.npos) {
    skiff::fuzz::RequireEqual(expanded->text, input, "a plain word stays as it is");
  }
}
