#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "base/units.h"
#include "schema/load/context.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

uint8_t AcceptBit(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull:
      return kNull;
    case Node::Kind::kBool:
      return kBool;
    case Node::Kind::kInt:
      return kInt;
    case Node::Kind::kFloat:
      return kFlt;
    case Node::Kind::kString:
      return kStr;
    case Node::Kind::kSequence:
      return kSeq;
    case Node::Kind::kMapping:
      return kMap;
  }
  return 0;
}

bool IsName(std::string_view key) {
  return !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

bool IsNameByte(char c, bool first) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         (!first && (c == '.' || c == '_' || c == '-'));
}

bool MatchesPattern(std::string_view text, Pattern pattern) {
  if (pattern == Pattern::kContainerName) {
    for (size_t i = 0; i + 1 < text.size(); ++i) {
      if (IsNameByte(text[i], true) && IsNameByte(text[i + 1], false)) return true;
    }
    return false;
  }
  for (const std::string_view word :
       {"always", "never", "build", "if_not_present", "missing", "refresh", "daily", "weekly"}) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  const size_t every = text.find("every_");
  if (every == std::string_view::npos) return false;
  size_t i = every + 6;
  const size_t digits = i;
  while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
  return i > digits && i < text.size() &&
         std::string_view("wdhms").find(text[i]) != std::string_view::npos;
}

std::string Quoted(std::span<const std::string_view> values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += i + 1 == values.size() ? " and " : ", ";
    text += "'" + std::string(values[i]) + "'";
  }
  return text;
}

class Checker {
 public:
  explicit Checker(Context& context) : context_(context) {}

  void Check(Node& node, const Type& type, const Where& where) {
    if (node.bad || node.tag == Node::Tag::kReset || node.IsNull()) return;
    if ((type.accepts & AcceptBit(node.kind)) == 0) {
      WrongKind(node, type, where);
      return;
    }
    switch (node.kind) {
      case Node::Kind::kMapping:
        Mapping(node, type, where);
        return;
      case Node::Kind::kSequence:
        Sequence(node, type, where);
        return;
      case Node::Kind::kString:
        Text(node, type, where);
        return;
      default:
        Number(node, type, where);
    }
  }

 private:
  void WrongKind(Node& node, const Type& type, const Where& where) {
    Error& error = context_.Wrong(
        node, where, "must be " + AcceptWords(type) + ", not " + std::string(KindWords(node.kind)));
    const bool plain = node.IsNumber() || node.IsBool();
    if (plain && type.form == Form::kDuration) {
      error.notes.push_back({"add a unit: \"" + node.text + "s\"", {}});
    } else if (plain && type.form == Form::kString && type.values.empty()) {
      error.notes.push_back({"write it in quotes: \"" + node.text + "\"", {}});
    }
  }

  void Mapping(Node& node, const Type& type, const Where& where) {
    switch (type.form) {
      case Form::kTable:
        Table(node, type, where);
        return;
      case Form::kKeyValue:
      case Form::kLabels:
      case Form::kOptions:
      case Form::kMultiOptions:
      case Form::kHosts:
      case Form::kSsh:
        Pairs(node, type, where);
        return;
      case Form::kAny:
        return;
      default:
        Struct(node, type, where);
    }
  }

  void Struct(Node& node, const Type& type, const Where& where) {
    for (Entry& entry : node.entries) {
      if (const Field* field = FindField(type, entry.key)) {
        Check(entry.value, *field->type, where.Key(entry.key));
      } else if (!type.extensible || !IsExtension(entry.key)) {
        UnknownKey(entry, type, where);
      }
    }
  }

  void UnknownKey(Entry& entry, const Type& type, const Where& where) {
    entry.value.bad = true;
    Error& error = context_.WrongKey(entry.key_span, where, "unknown key '" + entry.key + "'");
    std::vector<std::string_view> names;
    for (const Field& field : type.fields) names.push_back(field.name);
    const std::string near = NearName(entry.key, names);
    constexpr size_t kFew = 10;
    if (!near.empty()) {
      error.notes.push_back({"did you mean '" + near + "'?", {}});
    } else if (names.size() <= kFew) {
      error.notes.push_back({"valid keys are " + Quoted(names), {}});
    }
  }

  void Table(Node& node, const Type& type, const Where& where) {
    for (Entry& entry : node.entries) {
      if (type.keys == Keys::kName && !IsName(entry.key)) {
        entry.value.bad = true;
        context_.WrongKey(entry.key_span, where, "invalid name '" + entry.key + "'")
            .notes.push_back({"names have letters, digits, '.', '_' and '-'", {}});
        continue;
      }
      const bool unchecked =
          (type.keys == Keys::kNameLoose && !IsName(entry.key)) ||
          (type.keys == Keys::kUlimit && !std::all_of(entry.key.begin(), entry.key.end(),
                                                      [](char c) { return c >= 'a' && c <= 'z'; }));
      if (!unchecked) Check(entry.value, *type.item, where.Key(entry.key));
    }
  }

  void Pairs(Node& node, const Type& type, const Where& where) {
    for (Entry& entry : node.entries) {
      Node& value = entry.value;
      if (value.tag == Node::Tag::kReset || (type.item_accepts & AcceptBit(value.kind)) != 0) {
        if (value.IsSequence()) {
          for (Entry& item : value.entries) Scalar(item.value, where.Key(entry.key));
        }
        continue;
      }
      context_.Wrong(value, where.Key(entry.key),
                     "must be a single value, not " + std::string(KindWords(value.kind)));
    }
  }
  void Scalar(Node& node, const Where& where) {
    if (!node.IsScalar()) {
      context_.Wrong(node, where,
                     "must be a single value, not " + std::string(KindWords(node.kind)));
    }
  }

  void Sequence(Node& node, const Type& type, const Where& where) {
    const bool pairs = type.item_accepts != 0 || type.form == Form::kTable;
    for (size_t i = 0; i < node.entries.size(); ++i) {
      Node& item = node.entries[i].value;
      const Where here = where.Index(i);
      if (pairs && !item.IsString()) {
        if (item.bad) continue;
        Error& error = context_.Wrong(item, here,
                                      "must be a string, not " + std::string(KindWords(item.kind)));
        const bool one = item.IsMapping() && item.entries.size() == 1;
        if (one && type.item_accepts != 0) {
          error.notes.push_back({"write KEY=VALUE, or drop the '-' to make it a mapping", {}});
        }
      } else if (item.IsNull() && type.item != nullptr && !item.bad) {
        context_.Wrong(item, here, "an item of the list is empty");
      } else if (type.item != nullptr && !pairs) {
        Check(item, *type.item, here);
      }
    }
  }

  void Text(Node& node, const Type& type, const Where& where) {
    if (!context_.options.interpolate && node.text.find('$') != std::string::npos) return;
    if (!type.values.empty() &&
        std::find(type.values.begin(), type.values.end(), node.text) == type.values.end()) {
      Error& error = context_.Wrong(node, where, "invalid value '" + node.text + "'");
      const std::string near = NearName(
          node.text, std::vector<std::string_view>(type.values.begin(), type.values.end()));
      if (!near.empty()) error.notes.push_back({"did you mean '" + near + "'?", {}});
      error.notes.push_back({"valid are " + Quoted(type.values), {}});
      return;
    }
    if (type.pattern != Pattern::kNone && !MatchesPattern(node.text, type.pattern)) {
      const bool name = type.pattern == Pattern::kContainerName;
      context_
          .Wrong(node, where,
                 (name ? "invalid container name '" : "unknown pull policy '") + node.text + "'")
          .notes.push_back(
              {name ? "a name has at least two of letters, digits, '_', '.', '-' and begins with a "
                      "letter or digit"
                    : "valid are always, missing, never, build, refresh, daily, weekly, every_12h",
               {}});
      return;
    }
    switch (type.form) {
      case Form::kBytes:
        Bytes(node, type, where);
        return;
      case Form::kDuration:
      case Form::kDurationSet:
        if (const auto span = ParseTimeSpan(node.text); !span) {
          Error& error = context_.Wrong(node, where, span.error().message);
          error.notes.insert(error.notes.end(), span.error().notes.begin(),
                             span.error().notes.end());
        }
        return;
      case Form::kFileMode:
        if (!ParseNumber<int64_t>(node.text, 8)) {
          context_.Wrong(node, where, "'" + node.text + "' is not an octal mode")
              .notes.push_back({"for example \"0440\"", {}});
        }
        return;
      default:
        return;
    }
  }

  void Bytes(Node& node, const Type& type, const Where& where) {
    const auto bytes = ParseBytes(node.text);
    if (!bytes) {
      context_.Wrong(node, where, "invalid size '" + node.text + "'")
          .notes.push_back({"a size is a number with a unit: 512k, 64m, 1.5g", {}});
    } else if (*bytes < type.minimum) {
      context_.Wrong(node, where, "must be at least " + std::to_string(type.minimum));
    }
  }

  void Number(Node& node, const Type& type, const Where& where) {
    if (!node.IsNumber()) return;
    const double value = node.IsInt() ? static_cast<double>(node.integer) : node.real;
    if (type.minimum != INT64_MIN && value < static_cast<double>(type.minimum)) {
      context_.Wrong(node, where, "must be at least " + std::to_string(type.minimum));
    } else if (type.maximum != INT64_MAX && value > static_cast<double>(type.maximum)) {
      context_.Wrong(node, where, "must be at most " + std::to_string(type.maximum));
    }
  }

  Context& context_;
};

// ---- after merging

class MergedChecker {
 public:
  explicit MergedChecker(Context& context) : context_(context) {}

  void Check(Node& node, const Type& type, const Where& where, SourceSpan key) {
    if (node.bad) return;
    if (node.IsNull()) {
      if ((type.accepts & kNull) == 0) {
        if (!node.span.valid()) node.span = key;
        context_.Wrong(node, where, "is empty; it must be " + AcceptWords(type));
      }
      return;
    }
    if (node.IsMapping() && type.form == Form::kTable) {
      for (Entry& entry : node.entries) {
        Check(entry.value, *type.item, where.Key(entry.key), entry.key_span);
      }
    } else if (node.IsMapping() && !type.fields.empty()) {
      Struct(node, type, where, key);
    } else if (node.IsSequence()) {
      Sequence(node, type, where);
    }
  }

 private:
  void Struct(Node& node, const Type& type, const Where& where, SourceSpan key) {
    for (Entry& entry : node.entries) {
      if (const Field* field = FindField(type, entry.key)) {
        Check(entry.value, *field->type, where.Key(entry.key), entry.key_span);
      }
    }
    for (const Field& field : type.fields) {
      if ((field.flags & (kRequired | kCondition)) == 0 || node.Find(field.name) != nullptr) {
        continue;
      }
      // A struct of a list has no key: it is shown where it begins.
      const SourceSpan place = where.index >= 0 || !key.valid() ? node.span : key;
      context_.WrongKey(place, where, "the key '" + std::string(field.name) + "' is missing");
    }
  }

  void Sequence(Node& node, const Type& type, const Where& where) {
    for (size_t i = 0; i < node.entries.size(); ++i) {
      if (type.item != nullptr && type.form != Form::kTable) {
        Check(node.entries[i].value, *type.item, where.Index(i), {});
      }
    }
    if (!type.unique_items) return;
    std::map<std::string, size_t> seen;
    for (size_t i = 0; i < node.entries.size(); ++i) {
      Node& item = node.entries[i].value;
      if (!item.IsScalar() || item.bad) continue;
      const auto [first, added] = seen.emplace(item.Printed(), i);
      if (added || node.entries[first->second].value.kind != item.kind) continue;
      context_.Wrong(item, where.Index(i), "'" + item.Printed() + "' is listed twice")
          .notes.push_back({"it is first listed here", node.entries[first->second].value.span});
    }
  }

  Context& context_;
};

}  // namespace

void CheckValues(Context& context, Node& node, const Type& type, const Where& where) {
  Checker(context).Check(node, type, where);
}

void CheckFinite(Context& context, Node& node, const Where& where) {
  if (node.bad || node.tag == Node::Tag::kReset) return;
  if (node.kind == Node::Kind::kFloat && !std::isfinite(node.real)) {
    context.Wrong(node, where, "must be a finite number, not " + node.text)
        .notes.push_back({"write it in quotes when it is meant as text", {}});
  }
  for (size_t i = 0; i < node.entries.size(); ++i) {
    Entry& entry = node.entries[i];
    CheckFinite(context, entry.value,
                node.IsSequence() ? where.Index(i) : where.Key(entry.key));
  }
}

void CheckMerged(Context& context, Node& node, const Type& type, const Where& where) {
  MergedChecker(context).Check(node, type, where, {});
}

}  // namespace skiff::schema
