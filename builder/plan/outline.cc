#include <algorithm>

#include "builder/plan/planner.h"

namespace skiff::builder {
namespace {

// Adds what the defaults of used arguments were made from.
void AddDependencies(const OutlineNotes& notes, std::set<std::string>& used) {
  std::vector<std::string> pending(used.begin(), used.end());
  while (!pending.empty()) {
    const auto arg = notes.args.find(pending.back());
    pending.pop_back();
    if (arg == notes.args.end()) continue;
    for (const std::string& name : arg->second.dependencies) {
      if (used.insert(name).second) pending.push_back(name);
    }
  }
}

// Goes through a stage, its base and what it depends on; the first that knows a name counts.
class Collector {
 public:
  explicit Collector(Outline& outline) : outline_(outline) {}

  void Add(const StageState& state) {
    if (std::ranges::find(visited_, &state) != visited_.end()) return;
    visited_.push_back(&state);
    std::set<std::string> used = state.notes.used;
    AddDependencies(state.notes, used);
    for (const std::string& name : used) {
      const auto arg = state.notes.args.find(name);
      if (arg == state.notes.args.end() || !args_.insert(name).second) continue;
      const OutlineNotes::Arg& known = arg->second;
      outline_.args.push_back({name, known.value, known.description, known.lines});
    }
    AddSecrets(state.notes.secrets, secrets_, outline_.secrets);
    AddSecrets(state.notes.ssh, ssh_, outline_.ssh);
    if (state.base != nullptr) Add(*state.base);
    for (const StageState* dependency : state.dependencies) Add(*dependency);
  }

 private:
  static void AddSecrets(const std::map<std::string, OutlineNotes::Secret>& from,
                         std::set<std::string>& seen, std::vector<OutlineSecret>& out) {
    for (const auto& [name, secret] : from) {
      if (seen.insert(name).second) out.push_back({name, secret.required, secret.lines});
    }
  }

  Outline& outline_;
  std::vector<const StageState*> visited_;
  std::set<std::string> args_, secrets_, ssh_;
};

}  // namespace

Outline MakeOutline(StageState& state) {
  Outline outline;
  outline.name = state.name;
  if (state.stage != nullptr) outline.description = state.stage->base().description;
  Collector(outline).Add(state);
  const auto by_line = [](const auto& a, const auto& b) { return a.lines.first < b.lines.first; };
  std::ranges::stable_sort(outline.args, by_line);
  std::ranges::stable_sort(outline.secrets, by_line);
  std::ranges::stable_sort(outline.ssh, by_line);
  return outline;
}

}  // namespace skiff::builder
