// The tables of spec/ as a JSON Schema (draft 2020-12), for editors.
#include <map>
#include <set>
#include <string>

#include "base/json_text.h"
#include "schema/load.h"
#include "schema/spec/types.h"

namespace skiff::schema {
namespace {

constexpr std::string_view kKindNames[] = {"string",  "integer", "number", "boolean",
                                           "null",    "array",   "object"};
constexpr uint8_t kKinds[] = {kStr, kInt, kFlt, kBool, kNull, kSeq, kMap};

std::string Member(std::string_view key, const std::string& value) {
  return JsonQuote(key) + ": " + value;
}

// Values that have lines of their own.
std::string Object(const std::vector<std::string>& members, int depth) {
  if (members.empty()) return "{}";
  const std::string indent(static_cast<size_t>(depth) * 2 + 2, ' ');
  std::string text = "{";
  for (size_t i = 0; i < members.size(); ++i) {
    text += (i == 0 ? "\n" : ",\n") + indent + members[i];
  }
  return text + "\n" + std::string(static_cast<size_t>(depth) * 2, ' ') + "}";
}

std::string List(const std::vector<std::string>& items) {
  std::string text = "[";
  for (size_t i = 0; i < items.size(); ++i) text += (i == 0 ? "" : ", ") + items[i];
  return text + "]";
}

// The kinds of `accepts` as a value of "type". "number" has the integers in it.
std::string KindList(uint8_t accepts) {
  std::vector<std::string> names;
  for (size_t i = 0; i < std::size(kKinds); ++i) {
    const bool within = kKinds[i] == kInt && (accepts & kFlt) != 0;
    if ((accepts & kKinds[i]) != 0 && !within) names.push_back(JsonQuote(kKindNames[i]));
  }
  return names.size() == 1 ? names[0] : List(names);
}

bool IsStruct(const Type& type) {
  return (type.accepts & kMap) != 0 && !type.fields.empty();
}

class SchemaWriter {
 public:
  std::string Write() {
    Name(kComposeFile, "compose_file");
    std::vector<std::string> definitions;
    // Those that one definition needs are named while it is written.
    for (size_t i = 0; i < order_.size(); ++i) {
      const Type& type = *order_[i];
      definitions.push_back(Member(names_.at(&type), Whole(type, 2)));
    }
    return Object({Member("$schema", JsonQuote("https://json-schema.org/draft/2020-12/schema")),
                   Member("title", JsonQuote("Compose file, as skiff reads it")),
                   Member("$ref", JsonQuote("#/$defs/compose_file")),
                   Member("$defs", Object(definitions, 1))},
                  0) +
           "\n";
  }

 private:
  // A name of its own for a struct, after the key it was found at.
  const std::string& Name(const Type& type, std::string_view key) {
    const auto known = names_.find(&type);
    if (known != names_.end()) return known->second;
    std::string name(key);
    for (int i = 2; !taken_.insert(name).second; ++i) name = std::string(key) + std::to_string(i);
    order_.push_back(&type);
    return names_.emplace(&type, std::move(name)).first->second;
  }

  std::string Of(const Type& type, std::string_view key, int depth) {
    if (IsStruct(type)) return "{" + Member("$ref", JsonQuote("#/$defs/" + Name(type, key))) + "}";
    return Whole(type, depth, key);
  }

  // One alternative for each kind that says more than its name.
  std::string Whole(const Type& type, int depth, std::string_view key = {}) {
    if (type.accepts == 0xff) return "{}";
    // What is left empty is taken for not given.
    const auto accepts = static_cast<uint8_t>(type.accepts | kNull);
    std::vector<std::string> ways;
    uint8_t plain = accepts & static_cast<uint8_t>(~(kSeq | kMap));
    if ((plain & kStr) != 0 && (!type.values.empty() || type.pattern != Pattern::kNone)) {
      plain &= static_cast<uint8_t>(~kStr);
      ways.push_back(Words(type));
    }
    const bool bounded = type.minimum != INT64_MIN || type.maximum != INT64_MAX;
    if ((plain & kNum) != 0 && bounded) {
      std::vector<std::string> members = {Member("type", KindList(plain & kNum))};
      if (type.minimum != INT64_MIN) members.push_back(Member("minimum", std::to_string(type.minimum)));
      if (type.maximum != INT64_MAX) members.push_back(Member("maximum", std::to_string(type.maximum)));
      ways.push_back(Inline(members));
      plain &= static_cast<uint8_t>(~kNum);
    }
    std::vector<std::string> members = {Member("type", KindList(plain))};
    if (!type.wants.empty()) members.push_back(Member("description", JsonQuote(type.wants)));
    ways.push_back(Inline(members));
    if ((accepts & kSeq) != 0) ways.push_back(Sequence(type, key, depth));
    if ((accepts & kMap) != 0) ways.push_back(Mapping(type, depth + (ways.empty() ? 0 : 1)));
    if (ways.size() == 1) return ways[0];
    const std::string indent(static_cast<size_t>(depth) * 2 + 2, ' ');
    std::string text = "{\"anyOf\": [";
    for (size_t i = 0; i < ways.size(); ++i) text += (i == 0 ? "\n" : ",\n") + indent + ways[i];
    return text + "\n" + std::string(static_cast<size_t>(depth) * 2, ' ') + "]}";
  }

  static std::string Inline(const std::vector<std::string>& members) {
    std::string text = "{";
    for (size_t i = 0; i < members.size(); ++i) text += (i == 0 ? "" : ", ") + members[i];
    return text + "}";
  }

  // A choice of words; one that is still a variable may become any of them.
  static std::string Words(const Type& type) {
    std::string pattern;
    if (type.pattern == Pattern::kContainerName) {
      pattern = "^[a-zA-Z0-9][a-zA-Z0-9_.-]+$|\\$";
    } else if (type.pattern == Pattern::kPullPolicy) {
      pattern =
          "^(always|never|build|if_not_present|missing|refresh|daily|weekly|every_([0-9]+[wdhms])+)$"
          "|\\$";
    }
    if (!pattern.empty()) {
      return Inline({Member("type", JsonQuote("string")), Member("pattern", JsonQuote(pattern))});
    }
    std::vector<std::string> words;
    for (const std::string_view word : type.values) words.push_back(JsonQuote(word));
    return Inline({Member(
        "anyOf", List({Inline({Member("enum", List(words))}),
                       Inline({Member("type", JsonQuote("string")),
                               Member("pattern", JsonQuote("\\$"))})}))});
  }

  std::string Sequence(const Type& type, std::string_view key, int depth) {
    std::vector<std::string> members = {Member("type", JsonQuote("array"))};
    const bool pairs = type.item_accepts != 0 || type.form == Form::kTable;
    if (pairs) {
      members.push_back(Member("items", Inline({Member("type", JsonQuote("string"))})));
    } else if (type.item != nullptr) {
      members.push_back(Member("items", Of(*type.item, key, depth + 1)));
    }
    return Inline(members);
  }

  std::string Mapping(const Type& type, int depth) {
    std::vector<std::string> members = {Member("type", JsonQuote("object"))};
    if (type.form == Form::kTable) {
      const std::string item = Of(*type.item, Singular(type), depth + 1);
      if (type.keys == Keys::kName) {
        members.push_back(Member("patternProperties", Inline({Member("^[a-zA-Z0-9._-]+$", item)})));
        members.push_back(Member("additionalProperties", "false"));
      } else {
        members.push_back(Member("additionalProperties", item));
      }
      return Object(members, depth);
    }
    if (type.fields.empty()) {
      if (type.item_accepts != 0 && type.item_accepts != 0xff) {
        members.push_back(Member("additionalProperties",
                                 Inline({Member("type", KindList(type.item_accepts | kNull))})));
      }
      return Inline(members);
    }
    std::vector<std::string> properties;
    std::vector<std::string> required;
    for (const Field& field : type.fields) {
      properties.push_back(Member(field.name, Property(field, depth + 2)));
      if ((field.flags & kRequired) != 0) required.push_back(JsonQuote(field.name));
    }
    members.push_back(Member("properties", Object(properties, depth + 1)));
    if (type.extensible) members.push_back(Member("patternProperties", "{\"^x-\": {}}"));
    if (!required.empty()) members.push_back(Member("required", List(required)));
    members.push_back(Member("additionalProperties", "false"));
    return Object(members, depth);
  }

  std::string Property(const Field& field, int depth) {
    std::string value = Of(*field.type, field.name, depth);
    std::string more;
    if ((field.flags & kDeprecated) != 0) more += "\"deprecated\": true, ";
    if ((field.flags & kNotHonoured) != 0) {
      more += Member("$comment", JsonQuote("Read and shown; skiff does not act on it yet.")) + ", ";
    }
    return more.empty() || value == "{}" ? value : value.insert(1, more);
  }

  // What an item of the table is called.
  std::string_view Singular(const Type& type) const {
    for (const Type* owner : order_) {
      for (const Field& field : owner->fields) {
        if (field.type != &type) continue;
        std::string_view name = field.name;
        if (name.ends_with('s') && name != "depends_on") name.remove_suffix(1);
        return name;
      }
    }
    return "item";
  }

  std::map<const Type*, std::string> names_;
  std::set<std::string> taken_;
  std::vector<const Type*> order_;
};

}  // namespace

std::string RenderJsonSchema() {
  return SchemaWriter().Write();
}

}  // namespace skiff::schema
