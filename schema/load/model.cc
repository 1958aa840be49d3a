#include "schema/load/model.h"

#include <unistd.h>

#include <utility>

#include "base/fd.h"
#include "base/text.h"
#include "schema/text/short_syntax.h"
#include "schema/yaml/parser.h"

namespace skiff::schema {

Lookup Level::lookup() const {
  return [this](std::string_view name) -> std::optional<std::string> {
    const auto found = environment.find(std::string(name));
    if (found == environment.end()) return std::nullopt;
    return found->second;
  };
}

std::string RelativePath(const std::string& from, const std::string& to) {
  const auto a = Split(from, '/');
  const auto b = Split(to, '/');
  size_t common = 0;
  while (common < a.size() && common < b.size() && a[common] == b[common]) ++common;
  std::string path;
  for (size_t i = common; i < a.size(); ++i) {
    if (!a[i].empty()) path += "../";
  }
  for (size_t i = common; i < b.size(); ++i) {
    if (!b[i].empty()) path += std::string(b[i]) + "/";
  }
  return CleanPath(path);
}

ModelLoader::Parsed& ModelLoader::Parse(const std::string& file) {
  auto& slot = parsed_[file];
  if (slot) {
    if (std::exchange(slot->taken, false)) {
      Diagnostics told;  // When it was first read.
      slot->documents = ParseYaml(context_.sources, slot->file, told);
    }
    return *slot;
  }
  slot = std::make_unique<Parsed>();
  if (file == "-") {
    auto text = ReadAll(STDIN_FILENO, 64u << 20, "standard input");
    if (!text) {
      slot->found.AddError(text.error());
      return *slot;
    }
    slot->file = context_.sources.Add("-", std::move(*text));
  } else {
    const auto index = context_.ReadFile(file);
    if (!index) {
      slot->found.AddError(index.error());
      return *slot;
    }
    slot->file = *index;
  }
  slot->readable = true;
  slot->documents = ParseYaml(context_.sources, slot->file, slot->found);
  return *slot;
}

bool ModelLoader::HasName(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    const Parsed& parsed = Parse(file);
    if (!parsed.documents.empty() && !parsed.documents.front().Text("name").empty()) return true;
  }
  return false;
}

std::string ModelLoader::NameInFiles(const std::vector<std::string>& files, const Lookup& lookup) {
  std::string name;
  for (const std::string& file : files) {
    for (const Node& document : Parse(file).documents) {
      const std::string_view text = document.Text("name");
      if (!text.empty()) name = std::string(text);
    }
  }
  // What is wrong with the variables in it is told when the file is loaded.
  return context_.options.interpolate ? Substitute(name, lookup).text : name;
}

Node ModelLoader::Load(const std::vector<std::string>& files, Level& level) {
  Node model = Node::Mapping();
  for (const std::string& file : files) {
    Parsed& parsed = Parse(file);
    if (!parsed.consumed) {
      parsed.consumed = true;
      for (const Diagnostic& diagnostic : parsed.found.list()) context_.Report(diagnostic.error);
    }
    // A file is rarely loaded twice; its documents would be the second copy of the project.
    std::vector<Node> documents = std::exchange(parsed.documents, {});
    parsed.taken = parsed.readable;
    for (Node& document : documents) AddDocument(std::move(document), level, file, model);
  }
  CheckMerged(context_, model, kComposeFile, Where{});
  SetDefaults(model);
  CheckModel(context_, model);
  if (context_.options.resolve_paths || level.included) {
    ResolvePaths(context_, model, kComposeFile, Where{}, level.base);
  }
  ResolveBareEnvironment(model, level.environment);
  return model;
}

// Tells a file of format 1 and one that is no mapping from a Compose file with mistakes.
bool ModelLoader::CheckTop(Node& document) {
  if (!document.IsMapping()) {
    context_.Wrong(document, Where{},
                   "the top level of a Compose file must be a mapping, not " +
                       std::string(KindWords(document.kind)));
    return false;
  }
  if (document.Find("services") != nullptr) return true;
  for (const Entry& entry : document.entries) {
    const bool service =
        entry.value.Find("image") != nullptr || entry.value.Find("build") != nullptr;
    if (!service || IsExtension(entry.key) || FindField(kComposeFile, entry.key) != nullptr) {
      continue;
    }
    context_
        .WrongKey(entry.key_span, Where{},
                  "'" + entry.key + "' looks like a service of the Compose file format 1")
        .notes.push_back({"put all services below a top-level key 'services:'", {}});
    return false;
  }
  return true;
}

void ModelLoader::AddDocument(Node document, Level& level, const std::string& file, Node& model) {
  if (!CheckTop(document)) return;
  if (context_.options.interpolate) {
    const Lookup lookup = level.lookup();
    Interpolate(context_, document, lookup);
  }
  CheckValues(context_, document, kComposeFile, Where{});
  CheckFinite(context_, document, Where{});
  Canonicalise(context_, document, kComposeFile, Where{});
  ApplyIncludes(document, level);
  ApplyExtends(document, level, file);
  if (const Entry* version = document.FindEntry("version")) {
    context_.Warn(version->key_span, Where{}, "the key 'version' is obsolete and has no effect",
                  "remove it");
    document.Erase("version");
  }
  Merge(context_, model, document, kComposeFile, Where{});
  ClearTags(model);
}

}  // namespace skiff::schema
