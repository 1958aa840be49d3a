#include <algorithm>
#include <set>
#include <string>

#include "base/text.h"
#include "schema/load.h"
#include "schema/load/environment.h"
#include "schema/load/model.h"
#include "schema/load/project_model.h"

namespace skiff::schema {
namespace {

Error NoFile(const LoadOptions& options) {
  const std::string& directory =
      options.project_directory.empty() ? options.working_dir : options.project_directory;
  return Error(Code::kNotFound,
               "there is no Compose file in '" + directory + "' or a folder above it")
      .With(
          "the names are compose.yaml, compose.yml, docker-compose.yml, docker-compose.yaml; -f "
          "names others");
}

// Puts the services back into the finished model, at their place behind the name.
void StoreServices(Node& model, Node services) {
  if (Node* old = model.Find("services")) {
    *old = std::move(services);
    return;
  }
  const size_t position = !model.entries.empty() && model.entries[0].key == "name" ? 1 : 0;
  model.entries.insert(model.entries.begin() + static_cast<std::ptrdiff_t>(position),
                       Entry{"services", {}, std::move(services)});
}

// JSON of the reference has no models.
void HideModels(Node& model) {
  if (Node* models = model.Find("models")) models->output = Node::Output::kYamlOnly;
  // Top-level extensions are printed in both formats.
  for (Entry& entry : model.entries) {
    if (IsExtension(entry.key)) entry.value.output = Node::Output::kBoth;
  }
}

void SortTables(Node& node) {
  if (node.IsMapping()) node.table = true;
  for (Entry& entry : node.entries) SortTables(entry.value);
}

class ProjectLoader {
 public:
  ProjectLoader(const LoadOptions& options, LoadResult& result)
      : options_(options), result_(result), context_(options, *result.sources, found_) {}

  void Run() {
    Load();
    result_.diagnostics = context_.TakeFinished();
    if (!result_.ok()) {
      result_.tree = nullptr;
      result_.project = {};
    }
  }

 private:
  void Load() {
    Setting setting = ReadSetting(context_);
    if (setting.incomplete) return;
    if (setting.files.empty()) {
      context_.Report(NoFile(options_));
      return;
    }
    ModelLoader loader(context_);
    Level level;
    level.directory = level.base = setting.working_dir;
    level.including = setting.files;
    level.environment = setting.environment;
    const bool named = loader.HasName(setting.files);
    const std::string in_files = loader.NameInFiles(setting.files, level.lookup());
    auto name = ChooseProjectName(options_, setting, in_files, named);
    if (!name) context_.Report(name.error());
    const std::string project_name = name.value_or("");
    result_.named_files = setting.named_files;
    result_.environment = setting.environment;
    result_.environment["COMPOSE_PROJECT_NAME"] = project_name;
    // Without interpolation nothing of the environment gets into the model.
    if (!options_.interpolate) level.environment.clear();
    level.environment["COMPOSE_PROJECT_NAME"] = project_name;
    Node model = loader.Load(setting.files, level);
    if (model.entries.empty()) {
      if (!context_.HasErrors()) {
        context_.Report(Error(Code::kInvalidArgument, "the Compose file is empty"));
      }
      return;
    }
    if (options_.normalize) Normalise(model, project_name, level.environment);
    result_.project.name = project_name;
    result_.project.working_dir = setting.working_dir;
    result_.project.files = setting.files;
    result_.project.env_files = setting.env_files;
    Assemble(std::move(model), setting, level);
  }

  void Assemble(Node model, const Setting& setting, const Level& level) {
    if (!options_.interpolate) {
      // The raw model: the reference applies no types to what has variables in it.
      SortTables(model);
      model.literal = true;
      result_.tree = std::make_shared<const Node>(std::move(model));
      return;
    }
    model.Set("name", Node::String(result_.project.name));
    Node raw = TakeServices(model);
    const std::set<std::string> explained = ServicesWithBadSource(raw);
    Selection selection = SelectByProfiles(FinishServices(std::move(raw)), setting.profiles);
    Node finished = Finish(context_, model, kComposeFile, Where{});
    MoveNameFirst(finished);
    if (options_.check_consistency) {
      KeepBad(model, finished);
      CheckConsistency(context_, finished, explained, selection);
      DropBad(finished);
    }
    model = Node();
    SelectByNames(context_, selection, setting.profiles);
    if (!options_.all_resources) RemoveUnused(finished, selection.services);
    ReadServiceFiles(context_, selection.services, level.environment);
    if (options_.typed) BindProject(finished, selection, level.environment, result_.project);
    StoreServices(finished, std::move(selection.services));
    HideModels(finished);
    WarnNotHonoured(finished, result_.not_honoured);
    HideContents(finished);
    result_.tree = std::make_shared<const Node>(std::move(finished));
  }

  static void MoveNameFirst(Node& model) {
    for (size_t i = 1; i < model.entries.size(); ++i) {
      if (model.entries[i].key != "name") continue;
      Entry name = std::move(model.entries[i]);
      model.entries.erase(model.entries.begin() + static_cast<std::ptrdiff_t>(i));
      model.entries.insert(model.entries.begin(), std::move(name));
      return;
    }
  }

  static Node TakeServices(Node& model) {
    Node services = Node::Mapping();
    if (Node* found = model.Find("services")) services = std::move(*found);
    model.Erase("services");
    return services;
  }

  // As Finish() does it with the whole model, but each service goes when it has been read: most of
  // the model is services, and two of it need not be in memory.
  Node FinishServices(Node raw) {
    Node finished = Node::Mapping(raw.span);
    finished.entries.reserve(raw.entries.size());
    const Where where{nullptr, "services"};
    for (Entry& entry : raw.entries) {
      const Node service = std::move(entry.value);
      if (service.bad) continue;
      Node value = Finish(context_, service, kService, where.Key(entry.key));
      finished.entries.push_back({std::move(entry.key), entry.key_span, std::move(value)});
    }
    std::stable_sort(finished.entries.begin(), finished.entries.end(),
                     [](const Entry& a, const Entry& b) { return a.key < b.key; });
    return finished;
  }

  // A resource that was reported is no longer in the finished model, but it is defined.
  static void KeepBad(const Node& model, Node& finished) {
    for (const std::string_view kind : {"networks", "volumes", "secrets", "configs", "models"}) {
      const Node* table = model.Find(kind);
      if (table == nullptr || !table->IsMapping()) continue;
      for (const Entry& entry : table->entries) {
        if (!entry.value.bad) continue;
        if (finished.Find(kind) == nullptr) finished.Set(kind, Node::Mapping(table->span));
        finished.Find(kind)->Set(entry.key, entry.value, entry.key_span);
      }
    }
  }
  static void DropBad(Node& finished) {
    for (Entry& table : finished.entries) {
      std::erase_if(table.value.entries, [](const Entry& entry) { return entry.value.bad; });
    }
  }

  // The content of a config that comes from a variable is not printed.
  static void HideContents(Node& model) {
    Node* configs = model.Find("configs");
    if (configs == nullptr) return;
    for (Entry& entry : configs->entries) {
      if (entry.value.Find("environment") != nullptr) entry.value.Erase("content");
    }
  }

  const LoadOptions& options_;
  LoadResult& result_;
  Diagnostics found_;
  Context context_;
};

}  // namespace

LoadResult LoadProject(const LoadOptions& options) {
  LoadResult result;
  result.sources = std::make_unique<SourceMap>();
  ProjectLoader(options, result).Run();
  return result;
}

Result<std::string> ProjectNameOf(const LoadOptions& options) {
  SourceMap sources;
  Diagnostics found;
  Context context(options, sources, found);
  Setting setting = ReadSetting(context);
  ModelLoader loader(context);
  Level level;
  level.environment = setting.environment;
  const bool named = loader.HasName(setting.files);
  return ChooseProjectName(options, setting, loader.NameInFiles(setting.files, level.lookup()),
                           named);
}

}  // namespace skiff::schema
