#include <algorithm>

#include "schema/load/project_model.h"

namespace skiff::schema {
namespace {

bool HasProfile(const Node& service, const std::vector<std::string>& profiles) {
  const Node* own = service.Find("profiles");
  if (own == nullptr || own->entries.empty()) return true;
  return std::any_of(profiles.begin(), profiles.end(), [&](const std::string& profile) {
    return profile == "*" ||
           std::any_of(own->entries.begin(), own->entries.end(),
                       [&](const Entry& entry) { return entry.value.text == profile; });
  });
}

Node AllServices(Selection& selection) {
  Node all = std::move(selection.services);
  for (Entry& entry : selection.disabled.entries) all.entries.push_back(std::move(entry));
  std::stable_sort(all.entries.begin(), all.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.key < b.key; });
  return all;
}

void AddWithDependencies(const Node& services, const KeyIndex& index, const std::string& name,
                         bool dependencies, std::set<std::string>& chosen) {
  const int position = index.Find(name);
  if (position < 0 || !chosen.insert(name).second || !dependencies) return;
  const Node* depends = services.entries[static_cast<size_t>(position)].value.Find("depends_on");
  if (depends == nullptr) return;
  for (const Entry& entry : depends->entries) {
    AddWithDependencies(services, index, entry.key, dependencies, chosen);
  }
}

}  // namespace

Selection SelectByProfiles(Node services, const std::vector<std::string>& profiles) {
  Selection selection;
  selection.services.table = selection.disabled.table = true;
  for (Entry& entry : services.entries) {
    Node& side = HasProfile(entry.value, profiles) ? selection.services : selection.disabled;
    side.entries.push_back(std::move(entry));
  }
  return selection;
}

void SelectByNames(Context& context, Selection& selection, std::vector<std::string> profiles) {
  const LoadOptions& options = context.options;
  if (options.services.empty()) return;
  std::vector<std::string_view> known;
  for (const Node* side : {&selection.services, &selection.disabled}) {
    for (const Entry& entry : side->entries) known.push_back(entry.key);
  }
  for (const std::string& name : options.services) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      Error error(Code::kNotFound, "no such service: " + name);
      const std::string near = NearName(name, known);
      if (!near.empty()) error.notes.push_back({"did you mean '" + near + "'?", {}});
      context.Report(std::move(error));
      continue;
    }
    const Node* disabled = selection.disabled.Find(name);
    const Node* own = disabled == nullptr ? nullptr : disabled->Find("profiles");
    if (own == nullptr) continue;
    for (const Entry& entry : own->entries) profiles.push_back(entry.value.text);
  }
  selection = SelectByProfiles(AllServices(selection), profiles);
  if (!options.restrict_to_services) return;
  std::set<std::string> chosen;
  const KeyIndex index(selection.services);
  for (const std::string& name : options.services) {
    AddWithDependencies(selection.services, index, name, !options.no_deps, chosen);
  }
  Node services = std::move(selection.services);
  selection.services = Node::Mapping(services.span);
  selection.services.table = true;
  for (Entry& entry : services.entries) {
    if (chosen.count(entry.key) == 0) {
      selection.disabled.entries.push_back(std::move(entry));
      continue;
    }
    if (Node* depends = entry.value.Find("depends_on")) {
      std::erase_if(depends->entries,
                    [&](const Entry& other) { return chosen.count(other.key) == 0; });
      if (depends->entries.empty()) entry.value.Erase("depends_on");
    }
    selection.services.entries.push_back(std::move(entry));
  }
}

void RemoveUnused(Node& model, const Node& services) {
  std::map<std::string_view, std::set<std::string>> used;
  const auto sources = [&](const Node* list, std::string_view kind) {
    if (list == nullptr) return;
    for (const Entry& entry : list->entries) {
      used[kind].insert(std::string(entry.value.Text("source")));
    }
  };
  const auto keys = [&](const Node* table, std::string_view kind) {
    if (table == nullptr) return;
    for (const Entry& entry : table->entries) used[kind].insert(entry.key);
  };
  for (const Entry& entry : services.entries) {
    const Node& service = entry.value;
    keys(service.Find("networks"), "networks");
    keys(service.Find("models"), "models");
    sources(service.Find("secrets"), "secrets");
    sources(service.Find("configs"), "configs");
    if (const Node* build = service.Find("build")) sources(build->Find("secrets"), "secrets");
    if (const Node* volumes = service.Find("volumes")) {
      for (const Entry& mount : volumes->entries) {
        if (mount.value.Text("type") == "volume") {
          used["volumes"].insert(std::string(mount.value.Text("source")));
        }
      }
    }
  }
  for (const std::string_view kind : {"networks", "volumes", "secrets", "configs", "models"}) {
    Node* table = model.Find(kind);
    if (table == nullptr) continue;
    std::erase_if(table->entries,
                  [&](const Entry& entry) { return used[kind].count(entry.key) == 0; });
    if (table->entries.empty()) model.Erase(kind);
  }
}

}  // namespace skiff::schema
