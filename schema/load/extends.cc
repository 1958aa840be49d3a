#include <algorithm>

#include "schema/load/model.h"
#include "schema/text/short_syntax.h"
#include "schema/yaml/parser.h"

namespace skiff::schema {
namespace {

std::vector<std::string_view> KeysOf(const Node& mapping) {
  std::vector<std::string_view> keys;
  for (const Entry& entry : mapping.entries) keys.push_back(entry.key);
  return keys;
}

const Where kServicesPlace{nullptr, "services"};

}  // namespace

void ModelLoader::ApplyExtends(Node& document, Level& level, const std::string& file) {
  Node* services = document.Find("services");
  if (services == nullptr || !services->IsMapping()) return;
  const bool any =
      std::any_of(services->entries.begin(), services->entries.end(),
                  [](const Entry& entry) { return entry.value.Find("extends") != nullptr; });
  if (!any) return;
  Scope scope;
  scope.file = file;
  scope.services = std::move(*services);
  std::vector<std::string> names;
  for (const Entry& entry : scope.services.entries) names.push_back(entry.key);
  for (const std::string& name : names) {
    std::vector<Link> chain;
    ExtendService(scope, name, level, chain);
  }
  *document.Find("services") = std::move(scope.services);
}

// Checks and canonicalises one service of an extended file, when it is first needed.
bool ModelLoader::Prepare(Scope& scope, const std::string& name, const std::string& base) {
  Node* service = scope.services.Find(name);
  if (service == nullptr) return false;
  if (scope.own || !scope.prepared.insert(name).second) return true;
  const Where where = kServicesPlace.Key(name);
  CheckValues(context_, *service, kService, where);
  CheckFinite(context_, *service, where);
  Canonicalise(context_, *service, kService, where);
  ResolvePaths(context_, *service, kService, where, base);
  return true;
}

ModelLoader::Scope* ModelLoader::ExtendedFile(Node& file, const Where& where, Level& level) {
  std::string path;
  if (IsRemoteAddress(file.text)) {
    auto local = context_.Obtain(file.text);
    if (!local) {
      context_.Wrong(file, where, "cannot extend '" + file.text + "': " + local.error().message)
          .notes = local.error().notes;
      return nullptr;
    }
    path = std::move(*local);
  } else {
    path = AbsolutePath(level.directory, file.text);
  }
  Extended& extended = extended_[path];
  if (extended.scope) return extended.scope.get();
  const auto index = context_.ReadFile(path);
  if (!index) {
    context_.Wrong(file, where, index.error().Text());
    return nullptr;
  }
  context_.SetOrigin(*index, {"the file is extended here", file.span});
  Diagnostics found;
  std::vector<Node> documents = ParseYaml(context_.sources, *index, found);
  for (const Diagnostic& diagnostic : found.list()) context_.Report(diagnostic.error);
  extended.scope = std::make_unique<Scope>();
  extended.scope->file = path;
  extended.scope->own = false;
  extended.base = RelativePath(level.directory, DirectoryOf(path));
  Node merged = Node::Mapping();
  for (Node& document : documents) {
    if (!CheckTop(document)) continue;
    if (context_.options.interpolate) {
      const Lookup lookup = level.lookup();
      Interpolate(context_, document, lookup);
    }
    Merge(context_, merged, document, kComposeFile, Where{});
  }
  if (Node* services = merged.Find("services"); services != nullptr && services->IsMapping()) {
    extended.scope->services = std::move(*services);
  }
  return extended.scope.get();
}

bool ModelLoader::ExtendService(Scope& scope, const std::string& name, Level& level,
                                std::vector<Link>& chain) {
  Node* service = scope.services.Find(name);
  if (service == nullptr || !service->IsMapping() || service->bad) return service != nullptr;
  Node* extends = service->Find("extends");
  if (extends == nullptr || extends->tag == Node::Tag::kReset || extends->bad) return true;
  const Where service_place = kServicesPlace.Key(name);
  const Where where = service_place.Key("extends");
  Node* target = extends->IsMapping() ? extends->Find("service") : nullptr;
  Node* file = extends->IsMapping() ? extends->Find("file") : nullptr;
  const SourceSpan place = target != nullptr ? target->span : extends->span;
  // Reported: the service stays as it is, without a further word about what it lacks.
  const auto give_up = [&] {
    scope.services.Find(name)->Find("extends")->bad = true;
    return true;
  };
  if (target == nullptr || !target->IsString() || target->bad ||
      (file != nullptr && (!file->IsString() || file->bad))) {
    if (target == nullptr) {
      context_.WrongKey(extends->span, where, "the key 'service' is missing");
    }
    return give_up();
  }
  for (const Link& link : chain) {
    if (link.file != scope.file || link.service != name) continue;
    Error& error = context_.Wrong(*target, where, "service '" + name + "' extends itself");
    for (const Link& step : chain) {
      error.notes.push_back({"'" + step.service + "' extends another service here", step.place});
    }
    return give_up();
  }
  Scope* other = &scope;
  std::string base;
  if (file != nullptr) {
    other = ExtendedFile(*file, where.Key("file"), level);
    if (other == nullptr) return give_up();
    base = extended_[other->file].base;
  } else if (!scope.own) {
    base = extended_[scope.file].base;
  }
  const std::string wanted = target->text;
  if (!Prepare(*other, wanted, base)) {
    Error& error = context_.Wrong(*target, where,
                                  "there is no service '" + wanted + "' in '" +
                                      (file != nullptr ? file->text : scope.file) + "'");
    const std::string near = NearName(wanted, KeysOf(other->services));
    if (!near.empty()) error.notes.push_back({"did you mean '" + near + "'?", {}});
    return give_up();
  }
  chain.push_back({scope.file, name, place});
  ExtendService(*other, wanted, level, chain);
  chain.pop_back();
  service = scope.services.Find(name);
  Node merged = *other->services.Find(wanted);
  // The reference leaves a service that extends an empty one as it is.
  if (merged.IsNull()) return true;
  if (!merged.IsMapping()) return give_up();
  ClearTags(merged);
  merged.bad = false;
  merged.Erase("extends");
  merged.tag = service->tag;
  merged.span = service->span;
  service->Erase("extends");
  Node own = std::move(*service);
  own.tag = Node::Tag::kNone;
  // What the service resets must still be reset in the files below.
  std::vector<Entry> resets;
  for (const Entry& entry : own.entries) {
    if (entry.value.tag == Node::Tag::kReset) resets.push_back(entry);
  }
  std::vector<std::string> overrides;
  for (const Entry& entry : own.entries) {
    if (entry.value.tag == Node::Tag::kOverride) overrides.push_back(entry.key);
  }
  Merge(context_, merged, own, kService, kServicesPlace.Key(name));
  for (Entry& reset : resets) merged.entries.push_back(std::move(reset));
  for (const std::string& key : overrides) {
    if (Node* value = merged.Find(key)) value->tag = Node::Tag::kOverride;
  }
  *scope.services.Find(name) = std::move(merged);
  return true;
}

}  // namespace skiff::schema
