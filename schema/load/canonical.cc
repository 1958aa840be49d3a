#include <algorithm>
#include <map>

#include "base/text.h"
#include "base/units.h"
#include "schema/load/context.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

// A part of a short form, with its own place where the file has the whole verbatim.
Node PartAt(const Node& whole, std::string text, size_t offset, size_t length) {
  Node node = Node::String(std::move(text), PartOf(whole, offset, length));
  node.interpolated = whole.interpolated;
  return node;
}

// A part of a short form: it stands where the whole stands.
Node Part(const Node& whole, std::string text) {
  Node node = Node::String(std::move(text), whole.span);
  node.interpolated = whole.interpolated;
  return node;
}

class Canonicaliser {
 public:
  explicit Canonicaliser(Context& context) : context_(context) {}

  void Walk(Node& node, const Type& type, const Where& where) {
    if (node.bad || node.tag == Node::Tag::kReset) return;
    Expand(node, type, where);
    if (node.IsMapping()) {
      for (Entry& entry : node.entries) {
        const Type* child = ChildType(type, entry.key);
        if (child != nullptr) Walk(entry.value, *child, where.Key(entry.key));
      }
    } else if (node.IsSequence() && type.item != nullptr && type.form != Form::kTable) {
      for (size_t i = 0; i < node.entries.size(); ++i) {
        Walk(node.entries[i].value, *type.item, where.Index(i));
      }
    }
    if (type.unique != Unique::kNone) RemoveRepeated(node, type);
  }

 private:
  void Expand(Node& node, const Type& type, const Where& where) {
    switch (type.short_form) {
      case Short::kNone:
        return;
      case Short::kBuild:
        Lift(node, "context");
        return;
      case Short::kExtends:
        Lift(node, "service");
        return;
      case Short::kInclude:
        Lift(node, "path");
        return;
      case Short::kFileMount:
        Lift(node, "source");
        return;
      case Short::kStringToList:
        StringToList(node);
        return;
      case Short::kEnvFile:
        EnvFiles(node);
        return;
      case Short::kDependsOn:
      case Short::kNamesToTable:
        Names(node, type);
        return;
      case Short::kGpus:
        Gpus(node);
        return;
      case Short::kVolume:
        Volume(node, where);
        return;
      case Short::kDevice:
        Device(node, where);
        return;
      case Short::kPorts:
        Ports(node, where);
        return;
      case Short::kSsh:
        Ssh(node, where);
        return;
      case Short::kExternal:
        External(node, where);
        return;
      case Short::kPrinted:
        if (node.IsBool()) {
          Node text = Part(node, node.Printed());
          text.tag = node.tag;
          node = std::move(text);
        }
        return;
      case Short::kPairsToTable:
        Pairs(node, where);
        return;
    }
  }

  // "x" becomes {key: x}.
  static void Lift(Node& node, std::string_view key) {
    if (!node.IsString()) return;
    Node mapping = Node::Mapping(node.span);
    mapping.tag = node.tag;
    node.tag = Node::Tag::kNone;
    mapping.Set(key, std::move(node));
    node = std::move(mapping);
  }

  static void StringToList(Node& node) {
    if (!node.IsString()) return;
    Node list = Node::Sequence(node.span);
    list.tag = node.tag;
    node.tag = Node::Tag::kNone;
    // The reference drops an empty one (omitempty of dns).
    list.Append(std::move(node));
    node = std::move(list);
  }

  static void EnvFiles(Node& node) {
    StringToList(node);
    if (!node.IsSequence()) return;
    for (Entry& item : node.entries) {
      Lift(item.value, "path");
      if (item.value.IsMapping() && item.value.Find("required") == nullptr) {
        item.value.Set("required", Node::Bool(true, item.value.span));
      }
    }
  }

  static void Names(Node& node, const Type& type) {
    if (!node.IsSequence()) return;
    Node table = Node::Mapping(node.span);
    table.tag = node.tag;
    for (Entry& item : node.entries) {
      if (item.value.bad || !item.value.IsString()) continue;
      const SourceSpan place = item.value.span;
      Node value = Node::Null(place);
      if (type.short_form == Short::kDependsOn) {
        value = Node::Mapping(place);
        value.Set("condition", Node::String("service_started", place));
        value.Set("required", Node::Bool(true, place));
      }
      table.Set(item.value.text, std::move(value), place);
    }
    node = std::move(table);
  }

  static void Gpus(Node& node) {
    if (!node.IsString()) return;
    Node list = Node::Sequence(node.span);
    list.tag = node.tag;
    Node all = Node::Mapping(node.span);
    all.Set("count", Node::String("all", node.span));
    list.Append(std::move(all));
    node = std::move(list);
  }

  // False keeps the short form: it has variables that are not replaced yet.
  bool Parsable(const Node& node) const {
    return context_.options.interpolate || node.text.find('$') == std::string::npos;
  }

  void Tell(Node& node, const Where& where, const Error& error) {
    Error& told =
        context_.WrongPart(node, where, error.message, error.span.offset, error.span.length);
    told.notes.insert(told.notes.begin(), error.notes.begin(), error.notes.end());
  }

  void Volume(Node& node, const Where& where) {
    if (!node.IsString()) return;
    const auto spec = ParseVolumeSpec(node.text);
    if (!spec) {
      if (Parsable(node)) Tell(node, where, spec.error());
      return;
    }
    for (const VolumeSpec::Unknown& unknown : spec->ignored) {
      if (unknown.option.find('$') != std::string::npos) continue;
      context_.Warn(PartOf(node, unknown.offset, unknown.option.size()), where,
                    "the volume option '" + unknown.option + "' has no effect",
                    "known are ro, rw, nocopy, z, Z and the propagations");
    }
    Node mount = Node::Mapping(node.span);
    mount.tag = node.tag;
    mount.Set("type", Part(node, spec->bind ? "bind" : "volume"));
    const size_t source = spec->source.size();
    if (source > 0) mount.Set("source", PartAt(node, spec->source, 0, source));
    if (!spec->target.empty()) {
      mount.Set("target", PartAt(node, CleanPath(spec->target), source > 0 ? source + 1 : 0,
                                 spec->target.size()));
    }
    if (spec->read_only) mount.Set("read_only", Node::Bool(true, node.span));
    if (spec->has_bind_options) {
      Node bind = Node::Mapping(node.span);
      if (!spec->selinux.empty()) bind.Set("selinux", Part(node, spec->selinux));
      if (!spec->propagation.empty()) bind.Set("propagation", Part(node, spec->propagation));
      if (spec->bind) bind.Set("create_host_path", Node::Bool(true, node.span));
      // A named volume with bind options: nothing of them reaches an engine.
      mount.Set("bind", std::move(bind));
    }
    if (spec->has_volume_options) {
      Node volume = Node::Mapping(node.span);
      if (spec->nocopy) volume.Set("nocopy", Node::Bool(true, node.span));
      mount.Set("volume", std::move(volume));
    }
    node = std::move(mount);
  }

  void Device(Node& node, const Where& where) {
    if (!node.IsString()) return;
    const auto parts = Split(node.text, ':');
    if (parts.size() > 3) {
      if (!Parsable(node)) return;
      context_.Wrong(node, where, "too many colons in the device '" + node.text + "'")
          .notes.push_back({"the short form is SOURCE[:TARGET[:PERMISSIONS]]", {}});
      return;
    }
    Node device = Node::Mapping(node.span);
    device.tag = node.tag;
    const std::string source(parts[0]);
    const std::string target(parts.size() > 1 && !parts[1].empty() ? parts[1] : parts[0]);
    device.Set("source", Part(node, source));
    device.Set("target", Part(node, target));
    device.Set("permissions", Part(node, std::string(parts.size() > 2 ? parts[2] : "rwm")));
    node = std::move(device);
  }

  static Node PortNode(const Node& node, const PortSpec& spec) {
    Node port = Node::Mapping(node.span);
    port.Set("mode", Part(node, "ingress"));
    if (!spec.host_ip.empty()) port.Set("host_ip", Part(node, spec.host_ip));
    Node target = Node::Int(spec.target, node.span);
    target.interpolated = node.interpolated;
    port.Set("target", std::move(target));
    if (!spec.published.empty()) port.Set("published", Part(node, spec.published));
    port.Set("protocol", Part(node, spec.protocol));
    return port;
  }

  void Ports(Node& node, const Where& where) {
    if (!node.IsSequence()) return;
    // One that has variables still leaves the whole list as it is written (compose-go:
    // transformPorts).
    const bool as_written = std::ranges::any_of(node.entries, [&](const Entry& entry) {
      return entry.value.IsString() && !Parsable(entry.value) && !ParsePortSpec(entry.value.text);
    });
    if (as_written) return;
    Node list = Node::Sequence(node.span);
    list.tag = node.tag;
    for (size_t i = 0; i < node.entries.size(); ++i) {
      Node& item = node.entries[i].value;
      if (item.bad || item.IsMapping()) {
        list.Append(std::move(item));
        continue;
      }
      const std::string text = item.IsString() ? item.text : item.Printed();
      const auto specs = ParsePortSpec(text);
      if (specs) {
        for (const PortSpec& spec : *specs) list.Append(PortNode(item, spec));
        continue;
      }
      if (Parsable(item)) Tell(item, where.Index(i), specs.error());
      list.Append(std::move(item));
    }
    node = std::move(list);
  }

  void Ssh(Node& node, const Where& where) {
    if (!node.IsSequence()) return;
    Node table = Node::Mapping(node.span);
    table.tag = node.tag;
    for (size_t i = 0; i < node.entries.size(); ++i) {
      Node& item = node.entries[i].value;
      if (!item.IsString()) continue;
      const size_t equals = item.text.find('=');
      if (equals == std::string::npos && item.text != "default") {
        context_.Wrong(item, where.Index(i), "invalid ssh key '" + item.text + "'")
            .notes.push_back({"write 'default' or ID=PATH", {}});
        continue;
      }
      if (equals == std::string::npos) {
        table.Set(item.text, Node::Null(item.span), item.span);
      } else {
        table.Set(item.text.substr(0, equals), Part(item, item.text.substr(equals + 1)), item.span);
      }
    }
    node = std::move(table);
  }

  void External(Node& node, const Where& where) {
    Node* external = node.Find("external");
    if (external == nullptr || !external->IsMapping()) return;
    const Node* name = node.Find("name");
    Node* own = external->Find("name");
    if (own != nullptr) {
      context_.Warn(node.FindEntry("external")->key_span, where, "'external.name' is deprecated",
                    "write 'name' beside 'external: true'");
      if (name != nullptr && name->text != own->text) {
        context_.Wrong(*own, where.Key("external"), "'name' and 'external.name' differ")
            .notes.push_back({"only 'name' is needed", name->span});
      }
    }
    Node adopted = own != nullptr && name == nullptr ? *own : Node::Null();
    *external = Node::Bool(true, external->span);
    if (adopted.IsString()) node.Set("name", std::move(adopted));
  }

  void Pairs(Node& node, const Where& where) {
    if (!node.IsSequence()) return;
    Node table = Node::Mapping(node.span);
    table.tag = node.tag;
    for (size_t i = 0; i < node.entries.size(); ++i) {
      Node& item = node.entries[i].value;
      if (!item.IsString()) continue;
      const size_t equals = item.text.find('=');
      if (equals == std::string::npos) {
        if (!Parsable(item)) return;
        context_.Wrong(item, where.Index(i), "'" + item.text + "' is not KEY=VALUE");
        continue;
      }
      table.Set(item.text.substr(0, equals), Part(item, item.text.substr(equals + 1)), item.span);
    }
    node = std::move(table);
  }

  Context& context_;
};

std::string UntilEquals(const Node& item) {
  return item.text.substr(0, item.text.find('='));
}

std::string Attribute(const Node& item, std::string_view key, std::string_view absent) {
  const Node* value = item.Find(key);
  return value == nullptr ? std::string(absent) : value->Printed();
}

// What makes an item the same as another, or nothing for one without identity.
std::string IdentityOf(const Node& item, Unique rule) {
  switch (rule) {
    case Unique::kNone:
      return "";
    case Unique::kKeyValue:
      return UntilEquals(item);
    case Unique::kExpose:
      return item.Printed();
    case Unique::kEnvFile:
      return item.IsMapping() ? std::string(item.Text("path")) : item.text;
    case Unique::kVolume:
    case Unique::kDevice: {
      if (item.IsMapping()) return Attribute(item, "target", "");
      const auto parts = Split(item.text, ':');
      return std::string(parts.size() > 1 ? parts[1] : parts[0]);
    }
    case Unique::kConfig:
    case Unique::kSecret: {
      if (item.Find("target") != nullptr) return Attribute(item, "target", "");
      const std::string source = item.IsMapping() ? Attribute(item, "source", "") : item.text;
      return (rule == Unique::kSecret ? "/run/secrets/" : "/") + source;
    }
    case Unique::kPort:
      if (!item.IsMapping()) return item.Printed();
      return Attribute(item, "host_ip", "0.0.0.0") + ":" + Attribute(item, "published", "<nil>") +
             ":" + Attribute(item, "target", "") + "/" + Attribute(item, "protocol", "tcp");
  }
  return "";
}

}  // namespace

void RemoveRepeated(Node& list, const Type& type) {
  if (!list.IsSequence() || type.unique == Unique::kNone || list.entries.size() < 2) return;
  std::map<std::string, size_t> seen;
  std::vector<Entry> kept;
  kept.reserve(list.entries.size());
  for (Entry& entry : list.entries) {
    if (entry.value.bad) {
      kept.push_back(std::move(entry));
      continue;
    }
    const auto [first, added] = seen.emplace(IdentityOf(entry.value, type.unique), kept.size());
    if (added) {
      kept.push_back(std::move(entry));
    } else {
      kept[first->second] = std::move(entry);
    }
  }
  list.entries = std::move(kept);
}

void Canonicalise(Context& context, Node& node, const Type& type, const Where& where) {
  Canonicaliser(context).Walk(node, type, where);
}

}  // namespace skiff::schema
