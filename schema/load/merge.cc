#include <algorithm>
#include <map>

#include "schema/load/context.h"

namespace skiff::schema {
namespace {

// A mapping as "key=value" items, sorted; a string as a list of one (compose-go:
// convertIntoSequence).
Node ToSequence(Node& node) {
  Node list = Node::Sequence(node.span);
  if (node.IsSequence()) {
    list.entries = std::move(node.entries);
    return list;
  }
  if (node.IsString()) {
    list.Append(std::move(node));
    return list;
  }
  if (!node.IsMapping()) return list;
  for (Entry& entry : node.entries) {
    const auto append = [&](const Node& value, std::string text) {
      Node item = Node::String(std::move(text), value.IsNull() ? entry.key_span : value.span);
      item.interpolated = value.interpolated;
      item.bad = value.bad;
      list.Append(std::move(item));
    };
    if (entry.value.tag == Node::Tag::kReset) continue;
    if (entry.value.IsNull()) {
      append(entry.value, entry.key);
    } else if (entry.value.IsSequence()) {
      for (const Entry& item : entry.value.entries) {
        append(item.value, entry.key + "=" + item.value.Printed());
      }
    } else {
      append(entry.value, entry.key + "=" + entry.value.Printed());
    }
  }
  std::stable_sort(list.entries.begin(), list.entries.end(),
                   [](const Entry& a, const Entry& b) { return a.value.text < b.value.text; });
  return list;
}

Node PairsToTable(const Node& list) {
  Node table = Node::Mapping(list.span);
  for (const Entry& entry : list.entries) {
    const size_t equals = entry.value.text.find('=');
    Node value = equals == std::string::npos
                     ? Node::Null(entry.value.span)
                     : Node::String(entry.value.text.substr(equals + 1), entry.value.span);
    table.Set(entry.value.text.substr(0, equals), std::move(value), entry.value.span);
  }
  return table;
}

class Merger {
 public:
  explicit Merger(Context& context) : context_(context) {}

  void Merge(Node& base, Node& over, const Type* type, const Where& where) {
    if (over.tag == Node::Tag::kOverride) {
      base = std::move(over);
      return;
    }
    const MergeRule rule = type == nullptr ? MergeRule::kDefault : type->merge;
    switch (rule) {
      case MergeRule::kReplace:
        base = std::move(over);
        return;
      case MergeRule::kToSequence:
        Sequences(base, over, *type);
        return;
      case MergeRule::kExtraHosts:
        ExtraHosts(base, over);
        return;
      case MergeRule::kLogging:
        Logging(base, over, type, where);
        return;
      case MergeRule::kIpamConfig:
        IpamConfig(base, over, type, where);
        return;
      case MergeRule::kBuild:
      case MergeRule::kDependsOn:
      case MergeRule::kNames:  // Canonical already: both are mappings.
        if (base.IsMapping() && over.IsMapping()) {
          Mappings(base, over, type, where);
          return;
        }
        break;
      case MergeRule::kDefault:
        break;
    }
    Default(base, over, type, where);
  }

 private:
  void Default(Node& base, Node& over, const Type* type, const Where& where) {
    if (over.IsNull()) return;
    if (base.IsMapping() || base.IsSequence()) {
      if (base.kind != over.kind) {
        const SourceSpan first = base.span;
        if (over.bad || base.bad) return;
        context_
            .Wrong(over, where,
                   "is " + std::string(KindWords(over.kind)) + " here, which cannot override " +
                       std::string(KindWords(base.kind)))
            .notes.push_back({"it is overridden from here", first});
        base.bad = true;
        return;
      }
      if (base.IsMapping()) {
        Mappings(base, over, type, where);
        return;
      }
      for (Entry& entry : over.entries) base.entries.push_back(std::move(entry));
      if (type != nullptr) RemoveRepeated(base, *type);
      return;
    }
    base = std::move(over);
  }

  void Mappings(Node& base, Node& over, const Type* type, const Where& where) {
    constexpr size_t kLarge = 16;
    std::optional<KeyIndex> index;
    if (base.entries.size() > kLarge) index.emplace(base);
    bool removed = false;
    for (Entry& entry : over.entries) {
      Node* mine = nullptr;
      if (index) {
        const int position = index->Find(entry.key);
        if (position >= 0) mine = &base.entries[static_cast<size_t>(position)].value;
      } else {
        mine = base.Find(entry.key);
      }
      if (entry.value.tag == Node::Tag::kReset) {
        // Removed at the end, so that positions stay valid.
        if (mine != nullptr) mine->tag = Node::Tag::kReset;
        removed = removed || mine != nullptr;
        continue;
      }
      if (mine == nullptr) {
        if (index) index->Added(entry.key, base.entries.size());
        base.entries.push_back(std::move(entry));
        continue;
      }
      const Type* child = type == nullptr ? nullptr : ChildType(*type, entry.key);
      Merge(*mine, entry.value, child, where.Key(entry.key));
    }
    if (removed) {
      std::erase_if(base.entries,
                    [](const Entry& entry) { return entry.value.tag == Node::Tag::kReset; });
    }
  }

  static void Sequences(Node& base, Node& over, const Type& type) {
    // A mapping may reset single keys of what it overrides.
    std::vector<std::string> resets;
    if (over.IsMapping()) {
      for (const Entry& entry : over.entries) {
        if (entry.value.tag == Node::Tag::kReset) resets.push_back(entry.key);
      }
    }
    const bool bad = base.bad || over.bad;
    Node list = ToSequence(base);
    std::erase_if(list.entries, [&](const Entry& entry) {
      const std::string key = entry.value.text.substr(0, entry.value.text.find('='));
      return std::find(resets.begin(), resets.end(), key) != resets.end();
    });
    Node more = ToSequence(over);
    for (Entry& entry : more.entries) list.entries.push_back(std::move(entry));
    RemoveRepeated(list, type);
    base = type.short_form == Short::kPairsToTable ? PairsToTable(list) : std::move(list);
    base.bad = bad;
  }

  static void ExtraHosts(Node& base, Node& over) {
    Node list = ToSequence(base);
    Node more = ToSequence(over);
    const size_t before = list.entries.size();
    for (Entry& entry : more.entries) {
      const bool known = std::any_of(
          list.entries.begin(), list.entries.begin() + static_cast<std::ptrdiff_t>(before),
          [&](const Entry& mine) { return mine.value.text == entry.value.text; });
      if (!known) list.entries.push_back(std::move(entry));
    }
    base = std::move(list);
  }

  void Logging(Node& base, Node& over, const Type* type, const Where& where) {
    const Node* mine = base.Find("driver");
    const Node* theirs = over.Find("driver");
    if (!base.IsMapping() || !over.IsMapping() || mine == nullptr || theirs == nullptr ||
        mine->Equals(*theirs)) {
      Default(base, over, type, where);
    } else {
      base = std::move(over);
    }
  }

  // Merged by subnet, in the order of the reference: the override's new ones come first.
  void IpamConfig(Node& base, Node& over, const Type* type, const Where& where) {
    if (!base.IsSequence() || !over.IsSequence()) {
      Default(base, over, type, where);
      return;
    }
    std::vector<Entry> pools;
    const auto same = [](const Node& a, const Node& b) {
      return a.Text("subnet") == b.Text("subnet");
    };
    const auto find = [&](const Node& pool) {
      return std::find_if(pools.begin(), pools.end(),
                          [&](const Entry& known) { return same(known.value, pool); });
    };
    for (Entry& mine : base.entries) {
      for (Entry& theirs : over.entries) {
        if (!same(mine.value, theirs.value) && find(theirs.value) == pools.end()) {
          pools.push_back(theirs);
          continue;
        }
        Node merged = mine.value;
        Node copy = theirs.value;
        Mappings(merged, copy, type == nullptr ? nullptr : type->item, where);
        const auto known = find(merged);
        if (known != pools.end()) {
          known->value = std::move(merged);
        } else {
          pools.push_back({"", mine.key_span, std::move(merged)});
        }
      }
    }
    base.entries = std::move(pools);
  }

  Context& context_;
};

}  // namespace

void Merge(Context& context, Node& base, Node& over, const Type& type, const Where& where) {
  Merger(context).Merge(base, over, &type, where);
}

void ClearTags(Node& node) {
  if (node.tag == Node::Tag::kOverride) node.tag = Node::Tag::kNone;
  if (!node.entries.empty()) {
    std::erase_if(node.entries,
                  [](const Entry& entry) { return entry.value.tag == Node::Tag::kReset; });
    for (Entry& entry : node.entries) ClearTags(entry.value);
  }
}

}  // namespace skiff::schema
