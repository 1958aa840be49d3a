#include <algorithm>
#include <cstdlib>
#include <optional>

#include "base/text.h"
#include "base/units.h"
#include "schema/load/context.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

void SortByKey(Node& table) {
  table.table = true;
  std::stable_sort(table.entries.begin(), table.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.key < b.key; });
}

// Nothing when it is too large for an integer.
std::optional<int64_t> WholePart(double value) {
  constexpr double kLimit = 9223372036854775808.0;  // 2^63
  if (!(value >= -kLimit && value < kLimit)) return std::nullopt;
  return static_cast<int64_t>(value);
}

// A new scalar in the place of another.
Node Instead(const Node& old, Node value) {
  value.span = old.span;
  value.interpolated = old.interpolated;
  return value;
}

class Finisher {
 public:
  explicit Finisher(Context& context) : context_(context) {}

  // Nothing when the value is left out of the model.
  std::optional<Node> Value(const Node& node, const Type& type, const Where& where) {
    if (node.bad) return std::nullopt;
    switch (type.form) {
      case Form::kAny:
        return Sorted(node);
      case Form::kStruct:
        if (node.IsNull()) return std::nullopt;
        return node.IsMapping() ? Struct(node, type, where) : std::optional<Node>(node);
      case Form::kTable:
        return Table(node, type, where);
      case Form::kList:
        return List(node, type, where);
      case Form::kPrintedList:
        return PrintedList(node);
      case Form::kKeyValue:
      case Form::kLabels:
      case Form::kOptions:
        return Pairs(node, type, where);
      case Form::kMultiOptions:
        return MultiOptions(node);
      case Form::kHosts:
        return Hosts(node, where);
      case Form::kSsh:
        return Ssh(node);
      case Form::kCommand:
        return Command(node, where);
      case Form::kHealthTest:
        return HealthTest(node);
      case Form::kUlimit:
        return Ulimit(node, where);
      case Form::kForgotten:
        return std::nullopt;
      default:
        return Scalar(node, type, where);
    }
  }

  std::optional<Node> Struct(const Node& node, const Type& type, const Where& where) {
    Node out = Node::Mapping(node.span);
    std::vector<const Entry*> given(type.fields.size(), nullptr);
    size_t most = node.entries.size();
    for (const Field& field : type.fields) most += WrittenAlways(field) ? 1 : 0;
    out.entries.reserve(most);
    for (const Entry& entry : node.entries) {
      const Field* field = FindField(type, entry.key);
      if (field != nullptr) given[static_cast<size_t>(field - type.fields.data())] = &entry;
    }
    for (size_t i = 0; i < given.size(); ++i) AddField(node, type.fields[i], given[i], where, out);
    Extensions(node, type, out);
    return out;
  }

 private:
  // Has an entry in one of the two formats even when it is not given.
  static bool WrittenAlways(const Field& field) {
    return (field.flags & (kJsonAlways | kJsonCapital)) != 0 ||
           field.type->form == Form::kCommand;
  }

  void AddField(const Node& node, const Field& field, const Entry* given, const Where& where,
                Node& out) {
    std::optional<Node> value;
    if (given != nullptr) value = Value(given->value, *field.type, where.Key(field.name));
    if (value) {
      if ((field.flags & kJsonCapital) != 0) AddCapital(*given, *value, out);
      out.entries.push_back({given->key, given->key_span, std::move(*value)});
    } else if ((field.flags & kJsonAlways) != 0) {
      Node empty = Node::Mapping(node.span);
      if (FindField(*field.type, "command") != nullptr) NullCommand(empty, "command");
      empty.output = Node::Output::kJsonOnly;
      out.entries.push_back({std::string(field.name), node.span, std::move(empty)});
    } else if (field.type->form == Form::kCommand) {
      NullCommand(out, field.name);
    }
  }

  static void AddCapital(const Entry& given, Node& value, Node& out) {
    std::string key = given.key;
    key[0] = static_cast<char>(key[0] - 'a' + 'A');
    Node json = value;
    json.output = Node::Output::kJsonOnly;
    out.entries.push_back({std::move(key), given.key_span, std::move(json)});
    value.output = Node::Output::kYamlOnly;
  }

  static void NullCommand(Node& out, std::string_view name) {
    Node null = Node::Null(out.span);
    null.output = Node::Output::kJsonOnly;
    out.entries.push_back({std::string(name), out.span, std::move(null)});
  }

  static void Extensions(const Node& node, const Type& type, Node& out) {
    const size_t first = out.entries.size();
    for (const Entry& entry : node.entries) {
      if (!IsExtension(entry.key) || FindField(type, entry.key) != nullptr) continue;
      Node value = Sorted(entry.value);
      value.output = Node::Output::kYamlOnly;
      out.entries.push_back({entry.key, entry.key_span, std::move(value)});
    }
    std::stable_sort(out.entries.begin() + static_cast<std::ptrdiff_t>(first), out.entries.end(),
                     [](const Entry& a, const Entry& b) { return a.key < b.key; });
  }

  static Node Sorted(const Node& node) {
    Node out = node;
    for (Entry& entry : out.entries) entry.value = Sorted(entry.value);
    if (out.IsMapping()) SortByKey(out);
    return out;
  }

  std::optional<Node> Table(const Node& node, const Type& type, const Where& where) {
    if (!node.IsMapping() || node.entries.empty()) return std::nullopt;
    Node out = Node::Mapping(node.span);
    out.entries.reserve(node.entries.size());
    for (const Entry& entry : node.entries) {
      if (entry.value.bad) continue;
      auto value = Value(entry.value, *type.item, where.Key(entry.key));
      out.entries.push_back(
          {entry.key, entry.key_span, value ? std::move(*value) : Node::Null(entry.key_span)});
    }
    SortByKey(out);
    return out;
  }

  std::optional<Node> List(const Node& node, const Type& type, const Where& where) {
    Node out = Node::Sequence(node.span);
    out.entries.reserve(node.entries.size());
    if (node.IsString()) {
      out.Append(node);
      return out;
    }
    for (size_t i = 0; i < node.entries.size(); ++i) {
      const Node& item = node.entries[i].value;
      if (item.bad) continue;
      // An empty text stays an item: only attributes are left out when empty.
      if (item.IsString() && type.item->form == Form::kString) {
        out.Append(item);
      } else if (auto value = Value(item, *type.item, where.Index(i))) {
        out.Append(std::move(*value));
      }
    }
    if (out.entries.empty()) return std::nullopt;
    return out;
  }

  static std::optional<Node> PrintedList(const Node& node) {
    Node out = Node::Sequence(node.span);
    out.entries.reserve(node.entries.size());
    for (const Entry& entry : node.entries) {
      out.Append(Instead(entry.value, Node::String(entry.value.Printed())));
    }
    if (out.entries.empty()) return std::nullopt;
    return out;
  }

  std::optional<Node> Pairs(const Node& node, const Type& type, const Where& where) {
    Node out = Node::Mapping(node.span);
    out.entries.reserve(node.entries.size());
    const bool keep_null = type.form == Form::kKeyValue;
    const auto add = [&](std::string key, SourceSpan key_span, const Node& from,
                         const std::optional<std::string>& text) {
      Node value = text || !keep_null ? Node::String(text.value_or("")) : Node::Null();
      out.entries.push_back({std::move(key), key_span, Instead(from, std::move(value))});
    };
    if (node.IsMapping()) {
      for (const Entry& entry : node.entries) {
        if (entry.value.bad) continue;
        std::optional<std::string> text;
        if (!entry.value.IsNull()) text = entry.value.Printed();
        add(entry.key, entry.key_span, entry.value, text);
      }
      SortByKey(out);
    } else {
      PairsOfList(node, keep_null, where, add);
      // The last of equal keys is the one.
      SortByKey(out);
      std::vector<Entry> unique;
      for (Entry& entry : out.entries) {
        if (!unique.empty() && unique.back().key == entry.key) {
          unique.back() = std::move(entry);
        } else {
          unique.push_back(std::move(entry));
        }
      }
      out.entries = std::move(unique);
    }
    if (out.entries.empty()) return std::nullopt;
    return out;
  }

  template <typename Add>
  void PairsOfList(const Node& node, bool keep_null, const Where& where, const Add& add) {
    for (size_t i = 0; i < node.entries.size(); ++i) {
      const Node& item = node.entries[i].value;
      if (item.bad) continue;
      const std::string text = item.Printed();
      const size_t equals = text.find('=');
      std::string key = text.substr(0, equals);
      if (keep_null && !key.empty() && (key.back() == ' ' || key.back() == '\t')) {
        Node copy = item;
        context_.WrongPart(copy, where.Index(i), "the name '" + key + "' ends with a space", 0,
                           key.size());
        continue;
      }
      std::optional<std::string> value;
      if (equals != std::string::npos) value = text.substr(equals + 1);
      add(std::move(key), item.span, item, value);
    }
  }

  static std::optional<Node> MultiOptions(const Node& node) {
    Node out = Node::Mapping(node.span);
    for (const Entry& entry : node.entries) {
      Node list = Node::Sequence(entry.value.span);
      if (entry.value.IsSequence()) {
        for (const Entry& item : entry.value.entries) {
          list.Append(Instead(item.value, Node::String(item.value.Printed())));
        }
      } else {
        list.Append(Instead(entry.value, Node::String(entry.value.Printed())));
      }
      out.entries.push_back({entry.key, entry.key_span, std::move(list)});
    }
    SortByKey(out);
    if (out.entries.empty()) return std::nullopt;
    return out;
  }

  std::optional<Node> Hosts(const Node& node, const Where& where) {
    Node out = Node::Sequence(node.span);
    const auto add = [&](const Node& from, const Where& here, const std::string& host,
                         std::string_view ip) {
      if (host.empty() || host.find_first_of(":=") != std::string::npos) {
        Node copy = from;
        context_.Wrong(copy, here, "bad host name '" + host + "'");
        return;
      }
      if (ip.size() > 2 && ip.front() == '[' && ip.back() == ']') ip = ip.substr(1, ip.size() - 2);
      out.Append(Instead(from, Node::String(host + "=" + std::string(ip))));
    };
    for (size_t i = 0; i < node.entries.size(); ++i) {
      const Entry& entry = node.entries[i];
      if (entry.value.bad) continue;
      if (node.IsMapping()) {
        const Where here = where.Key(entry.key);
        if (entry.value.IsSequence()) {
          for (const Entry& item : entry.value.entries) {
            add(item.value, here, entry.key, item.value.Printed());
          }
        } else {
          add(entry.value, here, entry.key, entry.value.Printed());
        }
        continue;
      }
      const std::string text = entry.value.Printed();
      const size_t equals = text.find('=');
      const size_t cut = equals != std::string::npos ? equals : text.find(':');
      if (cut == std::string::npos) {
        Node copy = entry.value;
        context_.Wrong(copy, where.Index(i), "no address in '" + text + "'")
            .notes.push_back({"write HOST=IP", {}});
        continue;
      }
      const std::string addresses = text.substr(cut + 1);
      for (const std::string_view ip : Split(addresses, ',')) {
        add(entry.value, where.Index(i), text.substr(0, cut), ip);
      }
    }
    std::stable_sort(out.entries.begin(), out.entries.end(),
                     [](const Entry& a, const Entry& b) { return a.value.text < b.value.text; });
    if (out.entries.empty()) return std::nullopt;
    return out;
  }

  static std::optional<Node> Ssh(const Node& node) {
    Node out = Node::Sequence(node.span);
    for (const Entry& entry : node.entries) {
      std::string text = entry.key;
      if (!entry.value.IsNull() && !entry.value.text.empty()) text += "=" + entry.value.Printed();
      out.Append(Instead(entry.value, Node::String(text)));
    }
    if (out.entries.empty()) return std::nullopt;
    return out;
  }

  std::optional<Node> Command(const Node& node, const Where& where) {
    if (node.IsNull()) return std::nullopt;
    if (!node.IsString()) return node;
    Node out = Node::Sequence(node.span);
    const auto words = SplitShellWords(node.text);
    if (!words) {
      Node copy = node;
      Error& error = context_.WrongPart(copy, where, words.error().message,
                                        words.error().span.offset, words.error().span.length);
      error.notes = words.error().notes;
      return out;
    }
    if (words->dropped_from != UINT32_MAX) {
      const size_t from = words->dropped_from;
      context_.Warn(PartOf(node, from, node.text.size() - from), where,
                    "the command ends before '" + node.text.substr(from, 1) +
                        "': there is no shell, the rest is dropped",
                    "write sh -c \"...\", or quote it");
    }
    for (const std::string& word : words->words) {
      out.Append(Instead(node, Node::String(word)));
    }
    return out;
  }

  static std::optional<Node> HealthTest(const Node& node) {
    if (node.IsNull()) return std::nullopt;
    if (!node.IsString()) return node.entries.empty() ? std::nullopt : std::optional<Node>(node);
    Node out = Node::Sequence(node.span);
    out.Append(Instead(node, Node::String("CMD-SHELL")));
    out.Append(node);
    return out;
  }

  std::optional<Node> Ulimit(const Node& node, const Where& where) {
    const auto number = [&](const Node* value) -> int64_t {
      if (value == nullptr || value->bad) return 0;
      if (value->IsInt()) return value->integer;
      const auto parsed = ParseNumber<int64_t>(value->text);
      if (!parsed) {
        Node copy = *value;
        context_.Wrong(copy, where, "'" + value->text + "' is not an integer");
      }
      return parsed.value_or(0);
    };
    if (!node.IsMapping()) {
      const int64_t single = number(&node);
      if (single != 0) return Instead(node, Node::Int(single));
    }
    Node out = Node::Mapping(node.span);
    const bool mapping = node.IsMapping();
    for (const std::string_view key : {"soft", "hard"}) {
      Node value = Node::Int(mapping ? number(node.Find(key)) : 0, node.span);
      if (value.integer == 0) value.output = Node::Output::kYamlOnly;
      out.Set(key, std::move(value));
    }
    return out;
  }

  std::optional<Node> Scalar(const Node& node, const Type& type, const Where& where) {
    if (node.IsNull()) return std::nullopt;
    switch (type.form) {
      case Form::kString:
        return Text(node);
      case Form::kBool:
      case Form::kBoolSet:
      case Form::kOptOut:
        return Boolean(node, type, where);
      case Form::kInt:
      case Form::kIntSet:
        return Integer(node, type, where);
      case Form::kFloat32:
        return Float(node, where);
      case Form::kBytes:
        return Bytes(node, where);
      case Form::kDuration:
      case Form::kDurationSet: {
        const auto span = ParseTimeSpan(node.text);
        if (!span || (type.form == Form::kDurationSet && *span == 0)) return std::nullopt;
        return Instead(node, Node::String(FormatDuration(std::chrono::nanoseconds(*span))));
      }
      case Form::kFileMode:
        return FileMode(node);
      case Form::kDeviceCount:
        return DeviceCount(node, where);
      default:
        return node;
    }
  }

  static std::optional<Node> Text(const Node& node) {
    std::string text = node.Printed();
    if (text.empty()) return std::nullopt;
    if (node.IsString()) return node;
    return Instead(node, Node::String(std::move(text)));
  }

  std::optional<Node> Boolean(const Node& node, const Type& type, const Where& where) {
    bool value = node.IsBool() && node.boolean;
    if (node.IsString()) {
      const std::string word = ToLower(node.text);
      value = word == "true" || word == "y" || word == "yes" || word == "on";
      if (!value && word != "false" && word != "n" && word != "no" && word != "off") {
        Node copy = node;
        context_.Wrong(copy, where, "'" + node.text + "' is not a boolean")
            .notes.push_back({"write true or false", {}});
        return std::nullopt;
      }
    }
    if (type.form == Form::kBool && !value) return std::nullopt;
    if (type.form == Form::kOptOut && value) return std::nullopt;
    return Instead(node, Node::Bool(value));
  }

  std::optional<Node> Integer(const Node& node, const Type& type, const Where& where) {
    int64_t value = 0;
    if (node.IsInt()) {
      value = node.integer;
    } else {
      const auto parsed = node.kind == Node::Kind::kFloat ? WholePart(node.real)
                                                          : ParseNumber<int64_t>(node.text);
      if (!parsed) {
        Node copy = node;
        context_.Wrong(copy, where, "'" + node.text + "' is not an integer");
        return std::nullopt;
      }
      value = *parsed;
    }
    if (value == 0 && type.form == Form::kInt) return std::nullopt;
    return Instead(node, Node::Int(value));
  }

  std::optional<Node> Float(const Node& node, const Where& where) {
    double value = node.IsInt() ? static_cast<double>(node.integer) : node.real;
    if (node.IsString()) {
      char* end = nullptr;
      value = std::strtod(node.text.c_str(), &end);
      if (node.text.empty() || *end != '\0') {
        Node copy = node;
        context_.Wrong(copy, where, "'" + node.text + "' is not a number");
        return std::nullopt;
      }
    }
    const float narrow = static_cast<float>(value);
    if (narrow == 0) return std::nullopt;
    // The shortest text of the narrow number, read again: it prints the same with 64 bits.
    const std::string text = FormatFloat(static_cast<double>(narrow), 32);
    Node out = Node::Float(std::strtod(text.c_str(), nullptr));
    return Instead(node, std::move(out));
  }

  std::optional<Node> Bytes(const Node& node, const Where& where) {
    int64_t value = 0;
    if (node.IsInt()) {
      value = node.integer;
    } else if (node.IsString()) {
      const auto parsed = ParseBytes(node.text);
      if (!parsed) return std::nullopt;  // Told when values were checked.
      value = *parsed;
    } else {
      const auto whole = WholePart(node.real);
      if (!whole) {
        Node copy = node;
        context_.Wrong(copy, where, "'" + node.text + "' is out of range");
        return std::nullopt;
      }
      value = *whole;
    }
    if (value == 0) return std::nullopt;
    return Instead(node, Node::String(std::to_string(value)));
  }

  static std::optional<Node> FileMode(const Node& node) {
    int64_t value = node.IsInt() ? node.integer : 0;
    if (node.IsString()) value = ParseNumber<int64_t>(node.text, 8).value_or(0);
    std::string digits;
    do {
      digits.insert(digits.begin(), static_cast<char>('0' + (value & 7)));
      value = static_cast<int64_t>(static_cast<uint64_t>(value) >> 3);
    } while (value != 0);
    return Instead(node, Node::String("0" + digits));
  }

  std::optional<Node> DeviceCount(const Node& node, const Where& where) {
    int64_t value = node.IsInt() ? node.integer : -1;
    if (node.IsString() && ToLower(node.text) != "all") {
      const auto parsed = ParseNumber<int64_t>(node.text);
      if (!parsed) {
        Node copy = node;
        context_.Wrong(copy, where, "'" + node.text + "' is neither a number nor 'all'");
        return std::nullopt;
      }
      value = *parsed;
    }
    if (value == 0) return std::nullopt;
    return Instead(node, Node::Int(value));
  }

  Context& context_;
};

}  // namespace

Node Finish(Context& context, const Node& node, const Type& type, const Where& where) {
  auto finished = Finisher(context).Value(node, type, where);
  return finished ? std::move(*finished) : Node::Null(node.span);
}

}  // namespace skiff::schema
