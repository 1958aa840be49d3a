#include "engine-core/embedded/names.h"

#include <algorithm>
#include <array>

namespace skiff::engine::embedded {
namespace {

constexpr std::array<std::string_view, 64> kAdjectives = {
    "able",   "amber",   "bold",    "brave",  "bright",  "brisk",  "calm",    "candid",
    "clear",  "clever",  "cosy",    "crisp",  "curious", "daring", "deft",    "eager",
    "early",  "earnest", "fair",    "fleet",  "fluent",  "fond",   "frank",   "fresh",
    "gentle", "glad",    "golden",  "hardy",  "hearty",  "humble", "jolly",   "keen",
    "kind",   "lively",  "loyal",   "lucid",  "merry",   "mild",   "modest",  "neat",
    "nimble", "noble",   "patient", "placid", "plucky",  "polite", "prompt",  "proud",
    "quick",  "quiet",   "ready",   "serene", "sharp",   "silver", "sincere", "smart",
    "steady", "sunny",   "swift",   "tidy",   "upbeat",  "vivid",  "warm",    "wise"};
// Seafarers, boat builders, cartographers and people who measured sea and sky.
constexpr std::array<std::string_view, 64> kSurnames = {
    "amundsen",      "anning",     "banks",      "baret",        "barents",    "beaufort",
    "bering",        "bowditch",   "brunel",     "cabot",        "cook",       "cousteau",
    "crowninshield", "dampier",    "darwin",     "davis",        "drake",      "earle",
    "ekman",         "ferdinand",  "fitzroy",    "flinders",     "franklin",   "frobisher",
    "gama",          "halley",     "harrison",   "heyerdahl",    "hipparchus", "hudson",
    "ibnmajid",      "kerguelen",  "laperouse",  "magellan",     "marina",     "maury",
    "mercator",      "mitchell",   "nansen",     "nordenskiold", "ortelius",   "peary",
    "piccard",       "ptolemy",    "pytheas",    "quadrant",     "ross",       "scoresby",
    "scott",         "shackleton", "slocum",     "somerville",   "sturt",      "tabarly",
    "tasman",        "tharp",      "torricelli", "tupaia",       "vancouver",  "vespucci",
    "villiers",      "waghenaer",  "wegener",    "zheng"};

}  // namespace

Status ValidateContainerName(std::string_view name) {
  const auto letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  const bool valid = name.size() >= 2 && name.size() <= 255 && letter_or_digit(name[0]) &&
                     std::ranges::all_of(name, [&](char c) {
                       return letter_or_digit(c) || c == '_' || c == '.' || c == '-';
                     });
  if (valid) return {};
  return Fail(Code::kInvalidArgument, "Invalid container name (" + std::string(name) +
                                          "), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed");
}

std::string GeneratedName(uint64_t seed, int attempt) {
  std::string name(kAdjectives[seed % kAdjectives.size()]);
  name += '_';
  name += kSurnames[(seed / kAdjectives.size()) % kSurnames.size()];
  if (attempt > 0) name += std::to_string(attempt);
  return name;
}

}  // namespace skiff::engine::embedded
