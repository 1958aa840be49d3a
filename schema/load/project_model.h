#pragma once

#include <set>
#include <string>

#include "schema/load/context.h"
#include "schema/load/environment.h"

namespace skiff::schema {

// The finished services of a project, sorted into those that take part and those that do not.
struct Selection {
  Node services = Node::Mapping();  // Enabled.
  Node disabled = Node::Mapping();
};

// Services by profile (compose-go: WithProfiles). `services` is a finished table.
Selection SelectByProfiles(Node services, const std::vector<std::string>& profiles);
// Names on the command line: their own profiles are added; with restriction only they and their
// dependencies stay.
void SelectByNames(Context& context, Selection& selection, std::vector<std::string> profiles);
// Resources that no enabled service uses are removed from the finished model.
void RemoveUnused(Node& model, const Node& services);

// Services, before types are applied, that have neither image nor build because of a mistake that
// was told already: it was in one of them, or in a key that is not known (likely a misspelt one).
std::set<std::string> ServicesWithBadSource(const Node& services);
// compose-go: checkConsistency, of all enabled services, each mistake with its place. `model` is the
// finished one without services; `bad_source` need no image.
void CheckConsistency(Context& context, const Node& model, const std::set<std::string>& bad_source,
                      Selection& selection);

// Reads env_file and label_file of the enabled services into environment and labels.
void ReadServiceFiles(Context& context, Node& services, const Environment& environment);

// Valid keys that nothing of Skiff acts on: a warning for each place where one is used.
void WarnNotHonoured(const Node& model, Diagnostics& warnings);

// The typed model of the finished tree.
void BindProject(const Node& model, const Selection& selection, const Environment& environment,
                 Project& project);
Service BindService(const std::string& name, SourceSpan key, const Node& node);

}  // namespace skiff::schema
