#include <algorithm>

#include "schema/load/model.h"
#include "schema/text/dotenv.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

std::vector<Node> StringList(const Node* node) {
  std::vector<Node> list;
  if (node == nullptr) return list;
  if (node->IsString()) list.push_back(*node);
  if (node->IsSequence()) {
    for (const Entry& entry : node->entries) {
      if (entry.value.IsString()) list.push_back(entry.value);
    }
  }
  return list;
}

// What a file says about a resource wins over what its includes say.
void Import(Context& context, Node& imported, Node& document, std::string_view kind) {
  Node* from = imported.Find(kind);
  if (from == nullptr || !from->IsMapping()) return;
  if (document.Find(kind) == nullptr) document.Set(kind, Node::Mapping(from->span));
  Node* to = document.Find(kind);
  if (!to->IsMapping()) return;
  const Type& type = *ChildType(kComposeFile, kind)->item;
  KeyIndex index(*to);
  for (Entry& entry : from->entries) {
    const int position = index.Find(entry.key);
    if (position < 0) {
      index.Added(entry.key, to->entries.size());
      to->entries.push_back(std::move(entry));
      continue;
    }
    Node& own = to->entries[static_cast<size_t>(position)].value;
    if (own.tag == Node::Tag::kReset) continue;
    Node merged = std::move(entry.value);
    Merge(context, merged, own, type, Where{nullptr, kind}.Key(entry.key));
    own = std::move(merged);
  }
}

}  // namespace

void ModelLoader::ApplyIncludes(Node& document, Level& level) {
  Node* found = document.Find("include");
  if (found == nullptr) return;
  Node list = std::move(*found);
  document.Erase("include");
  if (!list.IsSequence()) return;
  const Where where{nullptr, "include"};
  for (size_t i = 0; i < list.entries.size(); ++i) {
    Node& entry = list.entries[i].value;
    if (!entry.bad && entry.IsMapping()) Include(entry, where.Index(i), document, level);
  }
}

bool ModelLoader::ReadIncludedEnvironment(const Node& entry, const Where& where, const Level& level,
                                          Level& inner) {
  std::vector<std::pair<std::string, SourceSpan>> files;
  const auto named = StringList(entry.Find("env_file"));
  if (named.empty()) {
    const std::string usual = JoinPath(inner.directory, ".env");
    if (context_.KindOf(usual) == Files::Kind::kFile) files.emplace_back(usual, entry.span);
  }
  for (const Node& name : named) {
    if (name.text == "/dev/null") continue;
    const std::string path = AbsolutePath(level.directory, name.text);
    Node place = name;
    switch (context_.KindOf(path)) {
      case Files::Kind::kFile:
        files.emplace_back(path, name.span);
        break;
      case Files::Kind::kFolder:
        context_.Wrong(place, where.Key("env_file"), "'" + path + "' is a folder");
        return false;
      case Files::Kind::kAbsent:
        context_.Wrong(place, where.Key("env_file"), "there is no file '" + path + "'");
        return false;
    }
  }
  Environment values;
  const Lookup outer = level.lookup();
  for (const auto& [path, place] : files) {
    const auto file = context_.ReadFile(path);
    if (!file) {
      context_.Report(Error(file.error()).At(place));
      return false;
    }
    if (!ParseDotenv(context_.sources, *file, outer, values, context_.diagnostics)) return false;
  }
  inner.environment = level.environment;
  inner.environment.insert(values.begin(), values.end());  // Beneath the outer environment.
  return true;
}

void ModelLoader::Include(Node& entry, const Where& where, Node& document, Level& level) {
  std::vector<Node> paths = StringList(entry.Find("path"));
  if (paths.empty()) {
    context_.WrongKey(entry.span, where, "the key 'path' is missing");
    return;
  }
  std::vector<std::string> files;
  for (Node& path : paths) {
    if (IsRemoteAddress(path.text)) {
      auto local = context_.Obtain(path.text);
      if (!local) {
        context_.Wrong(path, where, "cannot include '" + path.text + "': " + local.error().message)
            .notes = local.error().notes;
        return;
      }
      files.push_back(std::move(*local));
    } else {
      files.push_back(AbsolutePath(level.directory, path.text));
    }
    if (context_.KindOf(files.back()) != Files::Kind::kFile) {
      context_.Wrong(path, where, "cannot include '" + path.text + "': there is no such file");
      return;
    }
  }
  Level inner;
  inner.directory = DirectoryOf(files.front());
  const std::string_view directory = entry.Text("project_directory");
  if (!directory.empty()) inner.directory = AbsolutePath(level.directory, std::string(directory));
  inner.base =
      directory.starts_with("/") ? inner.directory : RelativePath(level.directory, inner.directory);
  inner.included = true;
  inner.including = level.including;
  if (std::find(inner.including.begin(), inner.including.end(), files.front()) !=
      inner.including.end()) {
    std::string way;
    for (const std::string& file : inner.including) way += file + " includes ";
    context_.Wrong(paths.front(), where, "this file is already being included")
        .notes.push_back({way + files.front(), {}});
    return;
  }
  if (!ReadIncludedEnvironment(entry, where, level, inner)) return;
  // Each inclusion reads its files again: variables and places may differ.
  for (size_t i = 0; i < files.size(); ++i) {
    parsed_.erase(files[i]);
    context_.SetOrigin(Parse(files[i]).file, {"the file is included here", paths[i].span});
  }
  inner.including.push_back(files.front());
  Node imported = Load(files, inner);
  for (const std::string_view kind :
       {"services", "volumes", "networks", "secrets", "configs", "models"}) {
    Import(context_, imported, document, kind);
  }
}

}  // namespace skiff::schema
