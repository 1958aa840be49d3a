#pragma once

#include "cli/command.h"

// Flags of the commands that remove what nothing uses, for docker's tables.
namespace skiff::cli {

inline constexpr Flag kPruneHelp = {"help", 0, FlagKind::kBool, "", "Print this text"};

inline constexpr Flag kImagePrune[] = {
    {"all", 'a', FlagKind::kBool, "", "Remove all unused images, not just dangling ones"},
    {"filter", 0, FlagKind::kList, "filter",
     "Provide filter values (e.g. \"until=<timestamp>\", label, label!)"},
    {"force", 'f', FlagKind::kBool, "", "Do not prompt for confirmation"},
    kPruneHelp,
};
inline constexpr Flag kPrune[] = {
    {"filter", 0, FlagKind::kList, "filter",
     "Provide filter values (e.g. \"until=<timestamp>\", label, label!)"},
    {"force", 'f', FlagKind::kBool, "", "Do not prompt for confirmation"},
    kPruneHelp,
};
inline constexpr Flag kVolumePrune[] = {
    {"all", 'a', FlagKind::kBool, "", "Remove all unused volumes, not just anonymous ones"},
    {"filter", 0, FlagKind::kList, "filter", "Provide filter values (e.g. \"label=<label>\")"},
    {"force", 'f', FlagKind::kBool, "", "Do not prompt for confirmation"},
    kPruneHelp,
};
inline constexpr Flag kSystemPrune[] = {
    {"all", 'a', FlagKind::kBool, "", "Remove all unused images not just dangling ones"},
    {"filter", 0, FlagKind::kList, "filter", "Provide filter values (e.g. \"label=<key>=<value>\")"},
    {"force", 'f', FlagKind::kBool, "", "Do not prompt for confirmation"},
    {"volumes", 0, FlagKind::kBool, "", "Prune anonymous volumes"},
    kPruneHelp,
};

}  // namespace skiff::cli
