#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff::cli {

class Arguments;  // cli/arguments.h
class Context;    // cli/context.h

// Tables of verbs and flags: the single source of parsing, help, completion and manual pages.

enum class FlagKind : uint8_t {
  kBool,    // --detach, --sig-proxy=false
  kText,    // The last one counts.
  kList,    // May be repeated; every value counts.
  kNumber,  // A decimal integer, checked while parsing.
};

struct Flag {
  std::string_view name;  // Without dashes.
  char letter = 0;        // 0: none.
  FlagKind kind = FlagKind::kBool;
  std::string_view value = {};     // What help calls the value: "string", "SERVICE=NUM".
  std::string_view help = {};      // Empty: accepted for compatibility, not shown.
  std::string_view fallback = {};  // Value without the flag; "true" for a bool that is on.
  std::string_view also = {};      // Another name it is known by, not shown.
};

// Runs one verb. The value is the exit status; an error is printed and mapped by cli/exit_status.h.
using Handler = Result<int> (*)(Context& context, const Arguments& arguments);

inline constexpr int kAnyNumber = -1;

struct Command {
  std::string_view name;
  std::string_view aliases;   // Separated by spaces.
  std::string_view operands;  // "[SERVICE...]", for the usage line.
  int minimum_operands = 0;
  int maximum_operands = 0;  // kAnyNumber: no limit.
  // Flags end at the first operand; everything after it is taken as it is (run, exec).
  bool flags_first = false;
  std::string_view summary;
  std::string_view examples;  // One a line, without the program's name.
  std::span<const Flag> flags;
  Handler run = nullptr;
};

// Who speaks: decides prefixes of usage lines and the status of a wrong command line.
enum class Grammar : uint8_t { kCompose, kDocker };

struct Group {
  std::string_view name;  // "" at the top, "image", ...
  std::string_view summary;
  Grammar grammar = Grammar::kCompose;
  std::span<const Command> commands;
};

const Command* FindCommand(const Group& group, std::string_view name);
// The name and the aliases of every command, for suggestions and completion.
std::vector<std::string_view> CommandNames(const Group& group, bool with_aliases);

// cli/compose_tables.cc
const Group& ComposeGroup();
std::span<const Flag> GlobalFlags();
// cli/docker_tables.cc. The groups behind `skiff image`, `skiff docker`, ...
const Group& DockerGroup();
std::span<const Flag> DockerGlobalFlags();
std::span<const Group> NounGroups();
const Group* FindNoun(std::string_view name);

}  // namespace skiff::cli
