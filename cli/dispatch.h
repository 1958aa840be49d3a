#pragma once

#include <string>
#include <vector>

#include "cli/context.h"

namespace skiff::cli {

// Runs one command line and returns the exit status. `words[0]` is the name of the program: called
// as docker or docker-compose it speaks those grammars.
int RunProgram(std::vector<std::string> words, Surroundings surroundings);

}  // namespace skiff::cli
