#include "schema/load/context.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

template <typename Action>
void ForEachEntry(Node* node, const Action& action) {
  if (node == nullptr || node->bad) return;
  for (Entry& entry : node->entries) {
    if (!entry.value.bad) action(entry);
  }
}

void SetIfAbsent(Node& node, std::string_view key, Node value) {
  if (node.IsMapping() && node.Find(key) == nullptr) {
    value.span = node.span;
    node.Set(key, std::move(value));
  }
}

void DeviceDefaults(Node* devices) {
  ForEachEntry(devices, [](Entry& entry) {
    if (entry.value.Find("count") == nullptr && entry.value.Find("device_ids") == nullptr) {
      SetIfAbsent(entry.value, "count", Node::String("all"));
    }
  });
}

Node* Child(Node* node, std::string_view key) {
  return node == nullptr ? nullptr : node->Find(key);
}

void ServiceDefaults(Node& service) {
  if (Node* build = service.Find("build"); build != nullptr && build->IsMapping()) {
    SetIfAbsent(*build, "context", Node::String("."));
  }
  ForEachEntry(service.Find("secrets"), [](Entry& entry) {
    SetIfAbsent(entry.value, "target",
                Node::String("/run/secrets/" + std::string(entry.value.Text("source"))));
  });
  ForEachEntry(service.Find("ports"), [](Entry& entry) {
    SetIfAbsent(entry.value, "protocol", Node::String("tcp"));
    SetIfAbsent(entry.value, "mode", Node::String("ingress"));
  });
  ForEachEntry(service.Find("depends_on"), [](Entry& entry) {
    SetIfAbsent(entry.value, "condition", Node::String("service_started"));
    SetIfAbsent(entry.value, "required", Node::Bool(true));
  });
  ForEachEntry(service.Find("volumes"), [](Entry& entry) {
    if (Node* bind = entry.value.Find("bind")) {
      SetIfAbsent(*bind, "create_host_path", Node::Bool(true));
    }
  });
  DeviceDefaults(
      Child(Child(Child(service.Find("deploy"), "resources"), "reservations"), "devices"));
  DeviceDefaults(service.Find("gpus"));
}

class ModelChecker {
 public:
  explicit ModelChecker(Context& context) : context_(context) {}

  void Check(Node& model) {
    const Where top;
    ForEachEntry(model.Find("volumes"),
                 [&](Entry& entry) { External(entry, top.Key("volumes").Key(entry.key)); });
    ForEachEntry(model.Find("configs"), [&](Entry& entry) {
      FileObject(entry, top.Key("configs").Key(entry.key), {"file", "environment", "content"});
    });
    ForEachEntry(model.Find("secrets"), [&](Entry& entry) {
      FileObject(entry, top.Key("secrets").Key(entry.key), {"file", "environment"});
    });
    const Where services = top.Key("services");
    ForEachEntry(model.Find("services"),
                 [&](Entry& entry) { Service(entry.value, services.Key(entry.key)); });
  }

 private:
  void External(Entry& entry, const Where& where) {
    const Node* external = entry.value.Find("external");
    if (external == nullptr || !external->IsBool() || !external->boolean) return;
    for (Entry& other : entry.value.entries) {
      if (other.key == "name" || other.key == "external" || IsExtension(other.key)) continue;
      if (other.value.bad) continue;
      context_
          .WrongKey(other.key_span, where,
                    "'" + other.key + "' cannot be set for an external resource")
          .notes.push_back({"it is external by this", external->span});
    }
  }

  void FileObject(Entry& entry, const Where& where, const std::vector<std::string_view>& keys) {
    Node& object = entry.value;
    if (!object.IsMapping()) return;
    std::vector<const Entry*> given;
    std::string choice;
    for (const std::string_view key : keys) {
      if (const Entry* found = object.FindEntry(key)) given.push_back(found);
      choice += (choice.empty()       ? "'"
                 : key == keys.back() ? " or '"
                                      : ", '") +
                std::string(key) + "'";
    }
    if (given.size() > 1) {
      context_
          .WrongKey(given[1]->key_span, where,
                    "'" + given[0]->key + "' and '" + given[1]->key + "' exclude each other")
          .notes.push_back({"it is set here too", given[0]->key_span});
    }
    if (given.empty() && object.Find("driver") == nullptr && object.Find("external") == nullptr) {
      context_.WrongKey(entry.key_span, where, "one of " + choice + " must be set");
    }
  }

  void Service(Node& service, const Where& where) {
    Node* ports = service.Find("ports");
    for (size_t i = 0; ports != nullptr && i < ports->entries.size(); ++i) {
      Node* ip = ports->entries[i].value.Find("host_ip");
      if (ip == nullptr || ip->bad || !ip->IsString() || IsIpAddress(ip->text)) continue;
      if (!context_.options.interpolate && ip->text.find('$') != std::string::npos) continue;
      context_.Wrong(*ip, where.Key("ports").Index(i).Key("host_ip"),
                     "'" + ip->text + "' is not an IP address");
    }
    NeedTargets(ports, where.Key("ports"), "a port needs a 'target'");
    for (size_t i = 0; ports != nullptr && i < ports->entries.size(); ++i) {
      Node* target = ports->entries[i].value.Find("target");
      if (target == nullptr || !target->IsInt() || target->integer != 0) continue;
      context_.Wrong(*target, where.Key("ports").Index(i).Key("target"),
                     "a container has no port 0");
    }
    NeedTargets(service.Find("volumes"), where.Key("volumes"), "a mount needs a 'target'");
    Node* watch = Child(service.Find("develop"), "watch");
    for (size_t i = 0; watch != nullptr && i < watch->entries.size(); ++i) {
      Node* path = watch->entries[i].value.Find("path");
      if (path != nullptr && path->IsString() && path->text.empty()) {
        context_.Wrong(*path, where.Key("develop").Key("watch").Index(i).Key("path"),
                       "cannot be empty");
      }
    }
    Devices(service.Find("gpus"), where.Key("gpus"));
    const Where deploy = where.Key("deploy");
    const Where resources = deploy.Key("resources");
    const Where reservations = resources.Key("reservations");
    Devices(Child(Child(Child(service.Find("deploy"), "resources"), "reservations"), "devices"),
            reservations.Key("devices"));
  }

  void NeedTargets(Node* list, const Where& where, std::string_view message) {
    for (size_t i = 0; list != nullptr && i < list->entries.size(); ++i) {
      Node& item = list->entries[i].value;
      if (item.bad || !item.IsMapping() || item.Find("target") != nullptr) continue;
      context_.Wrong(item, where.Index(i), std::string(message));
    }
  }

  void Devices(Node* devices, const Where& where) {
    for (size_t i = 0; devices != nullptr && i < devices->entries.size(); ++i) {
      const Entry* count = devices->entries[i].value.FindEntry("count");
      const Entry* ids = devices->entries[i].value.FindEntry("device_ids");
      if (count == nullptr || ids == nullptr) continue;
      context_
          .WrongKey(ids->key_span, where.Index(i), "'count' and 'device_ids' exclude each other")
          .notes.push_back({"it is set here too", count->key_span});
    }
  }

  Context& context_;
};

}  // namespace

void SetDefaults(Node& model) {
  ForEachEntry(model.Find("services"), [](Entry& entry) { ServiceDefaults(entry.value); });
}

void CheckModel(Context& context, Node& model) {
  ModelChecker(context).Check(model);
}

}  // namespace skiff::schema
