#pragma once

#include <string>
#include <vector>

#include "builder/syntax/flags.h"
#include "builder/syntax/statement.h"

namespace skiff::builder {

// What a statement says, by its keyword. Fails with its first mistake.
Result<InstructionBody> ParseBody(const Statement& statement, char escape);

// ---- Parts, one per group of instructions
// --------------------------------------------------------

struct Arguments {
  std::vector<Word> words;
  bool json = false;
};
// A JSON array, else the whole rest as one word, or none.
Result<Arguments> CommandArguments(Piece rest);
// A JSON array, else words between blanks.
Result<Arguments> ListArguments(Piece rest);
// key=value words or the legacy "key value"; `keyword` is for messages.
Result<std::vector<KeyValue>> ParsePairs(Piece rest, char escape, const std::string& keyword);

Result<InstructionBody> ParseFrom(const Statement& statement, char escape);
Result<InstructionBody> ParseArg(const Statement& statement, char escape);
Result<InstructionBody> ParseRun(const Statement& statement, char escape);
Result<InstructionBody> ParseCopy(const Statement& statement, char escape);
Result<InstructionBody> ParseAdd(const Statement& statement, char escape);
Result<InstructionBody> ParseHealthcheck(const Statement& statement, char escape);
Result<InstructionBody> ParseOnbuild(const Statement& statement, char escape);

tl::unexpected<Error> NeedsArgument(const Statement& statement, const std::string& keyword);

}  // namespace skiff::builder
