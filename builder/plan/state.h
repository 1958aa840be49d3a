#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "builder/plan.h"

namespace skiff::builder {

struct StageState;

// An instruction in the stage that runs it: its own or a trigger of its base.
struct Command {
  const Instruction* instruction = nullptr;
  // COPY --from: one. RUN: one for each mount.
  std::vector<StageState*> sources;
  bool is_trigger = false;
};

// What the outline says, as far as one stage knows.
struct OutlineNotes {
  struct Arg {
    std::string value, description;
    LineRange lines;
    std::set<std::string> dependencies;  // Names its default was made from.
  };
  struct Secret {
    bool required = false;
    LineRange lines;
  };
  std::map<std::string, Arg> args;  // Everything declared.
  std::set<std::string> used;
  std::map<std::string, Secret> secrets, ssh;
};

// A stage while it is planned: one of the file, or an image that COPY --from or a mount names.
struct StageState {
  const Stage* stage = nullptr;  // Null of an image.
  size_t index = 0;              // In the plan, of a stage.
  std::string name;              // Lower case, "" when it has none.
  std::string title;
  std::string base_name;  // Expanded.
  SourceSpan span;
  LineRange lines;

  StageState* base = nullptr;  // An earlier stage, else `source`.
  Source source;
  std::optional<Platform> platform;
  std::vector<StageState*> dependencies;
  std::vector<Command> commands;
  std::vector<std::unique_ptr<Instruction>> triggers;
  bool resolved = false;
  bool triggers_added = false;
  bool dispatched = false;

  ImageDescription image;
  Environment variables;
  std::string user;
  std::vector<std::pair<std::string, std::string>> build_args;  // In the order of ARG.
  bool workdir_set = false;
  const Instruction* cmd = nullptr;
  const Instruction* entrypoint = nullptr;
  const Instruction* healthcheck = nullptr;
  OutlineNotes notes;
  std::vector<Step> steps;
  size_t step_index = 0;
  size_t step_total = 0;

  bool is_image() const { return stage == nullptr; }
  void DependOn(StageState* state);
};

}  // namespace skiff::builder
