#include "schema/load/project_model.h"
#include "schema/text/dotenv.h"

namespace skiff::schema {
namespace {

std::optional<std::string> Get(const Environment& values, std::string_view name) {
  const auto found = values.find(std::string(name));
  if (found == values.end()) return std::nullopt;
  return found->second;
}

class ServiceFiles {
 public:
  ServiceFiles(Context& context, const Environment& environment)
      : context_(context), environment_(environment) {}

  void ReadEnvironment(Node& service, const Where& where, SourceSpan key) {
    Environment own;
    if (Node* variables = service.Find("environment")) {
      for (Entry& entry : variables->entries) {
        if (entry.value.IsNull()) {
          if (auto value = Get(environment_, entry.key)) {
            entry.value = Node::String(*value, entry.key_span);
          }
        }
        if (!entry.value.IsNull()) own[entry.key] = entry.value.text;
      }
    }
    Node* files = service.Find("env_file");
    if (files == nullptr) return;
    const Lookup lookup = [&](std::string_view name) -> std::optional<std::string> {
      if (auto value = Get(environment_, name)) return value;
      return Get(own, name);
    };
    Environment values = own;
    std::map<std::string, SourceSpan> places;
    for (size_t i = 0; i < files->entries.size(); ++i) {
      ReadOne(files->entries[i].value, where.Key("env_file").Index(i), lookup, values, places);
    }
    Overlay(service, "environment", values, files->span.valid() ? files->span : key, places);
    service.Erase("env_file");
  }

  void ReadLabels(Node& service, const Where& where) {
    Node* files = service.Find("label_file");
    if (files == nullptr) return;
    Environment values;
    std::map<std::string, SourceSpan> places;
    for (size_t i = 0; i < files->entries.size(); ++i) {
      Node& file = files->entries[i].value;
      if (!context_.Exists(file.text)) {
        context_.Wrong(file, where.Key("label_file").Index(i),
                       "there is no label file '" + file.text + "'");
        continue;
      }
      const Lookup lookup = [&](std::string_view name) { return Get(values, name); };
      Read(file, file.text, "", where.Key("label_file").Index(i), lookup, values, places);
    }
    Overlay(service, "labels", values, files->span, places);
    service.Erase("label_file");
  }

 private:
  void ReadOne(Node& entry, const Where& where, const Lookup& lookup, Environment& values,
               std::map<std::string, SourceSpan>& places) {
    Node* path = entry.Find("path");
    if (path == nullptr) return;
    const Node* required = entry.Find("required");
    if (!context_.Exists(path->text)) {
      if (required != nullptr && required->IsBool() && !required->boolean) return;
      context_.Wrong(*path, where, "there is no env file '" + path->text + "'")
          .notes.push_back({"'required: false' makes it optional", {}});
      return;
    }
    Read(*path, path->text, entry.Text("format"), where, lookup, values, places);
  }

  void Read(Node& place, const std::string& path, std::string_view format, const Where& where,
            const Lookup& lookup, Environment& values, std::map<std::string, SourceSpan>& places) {
    if (!format.empty() && format != "raw" && format != ".env") {
      context_.Wrong(place, where, "unknown env_file format '" + std::string(format) + "'")
          .notes.push_back({"the only format is 'raw'", {}});
      return;
    }
    uint32_t& cached = cache_.try_emplace(path, SourceSpan::kNoFile).first->second;
    if (cached == SourceSpan::kNoFile) {
      const auto file = context_.ReadFile(path);
      if (!file) {
        context_.Wrong(place, where, file.error().Text());
        return;
      }
      cached = *file;
      context_.SetOrigin(*file, {"the file is read for this", place.span});
    }
    if (format == "raw") {
      ParseRawEnv(context_.sources, cached, lookup, values, context_.diagnostics);
    } else {
      ParseDotenv(context_.sources, cached, lookup, values, context_.diagnostics);
    }
    for (const auto& [key, value] : values) places.try_emplace(key, place.span);
  }

  // What the service itself says wins, also when it says that a key has no value.
  static void Overlay(Node& service, std::string_view key, const Environment& values,
                      SourceSpan place, const std::map<std::string, SourceSpan>& places) {
    Node table = Node::Mapping(place);
    table.table = true;
    std::map<std::string, Entry> merged;
    for (const auto& [name, value] : values) {
      const auto from = places.find(name);
      const SourceSpan where = from == places.end() ? place : from->second;
      merged[name] = {name, where, Node::String(value, where)};
    }
    if (Node* own = service.Find(key)) {
      for (Entry& entry : own->entries) merged[entry.key] = std::move(entry);
    }
    for (auto& [name, entry] : merged) table.entries.push_back(std::move(entry));
    if (table.entries.empty()) return;
    if (Node* own = service.Find(key)) {
      *own = std::move(table);
      return;
    }
    // Attributes stand in the order of the specification.
    size_t position = 0;
    for (const Field& field : kService.fields) {
      if (field.name == key) break;
      if (position < service.entries.size() && service.entries[position].key == field.name) {
        ++position;
      }
    }
    service.entries.insert(service.entries.begin() + static_cast<std::ptrdiff_t>(position),
                           Entry{std::string(key), place, std::move(table)});
  }

  Context& context_;
  const Environment& environment_;
  std::map<std::string, uint32_t> cache_;  // Path to its index in the sources.
};

}  // namespace

void ReadServiceFiles(Context& context, Node& services, const Environment& environment) {
  ServiceFiles files(context, environment);
  const Where where{nullptr, "services"};
  for (Entry& entry : services.entries) {
    const Where here = where.Key(entry.key);
    if (context.options.resolve_environment) {
      files.ReadEnvironment(entry.value, here, entry.key_span);
    }
    files.ReadLabels(entry.value, here);
  }
}

}  // namespace skiff::schema
