#include "base/text.h"
#include "schema/load/context.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

Node* Usable(Node* node) {
  return node == nullptr || node->bad ? nullptr : node;
}

// compose-go: resolve. A key or "KEY" without value takes it from the environment.
void ResolveBare(Node& node, const Environment& environment, bool keep_unset) {
  if (node.IsSequence()) {
    std::erase_if(node.entries, [&](Entry& entry) {
      Node& item = entry.value;
      if (!item.IsString() || item.text.find('=') != std::string::npos) return false;
      const auto found = environment.find(item.text);
      if (found == environment.end()) return !keep_unset;
      item.text += "=" + found->second;
      item.literal = false;
      return false;
    });
  } else if (node.IsMapping()) {
    std::erase_if(node.entries, [&](Entry& entry) {
      if (!entry.value.IsNull()) return false;
      const auto found = environment.find(entry.key);
      if (found == environment.end()) return !keep_unset;
      entry.value = Node::String(found->second, entry.key_span);
      return false;
    });
  }
}

class Normaliser {
 public:
  Normaliser(Node& model, const std::string& project, const Environment& environment)
      : model_(model), project_(project), environment_(environment) {}

  void Run() {
    Networks();
    if (Node* services = model_.Find("services")) {
      for (Entry& entry : services->entries) {
        if (entry.value.IsMapping()) Service(entry.value, entry.key_span);
      }
    }
    for (const std::string_view kind : {"networks", "volumes", "configs", "secrets"}) Names(kind);
  }

 private:
  void Networks() {
    bool used = false;
    SourceSpan place;
    Node* services = model_.Find("services");
    if (services != nullptr) {
      for (Entry& entry : services->entries) {
        Node& service = entry.value;
        if (!service.IsMapping() || service.Find("provider") || service.Find("network_mode")) {
          continue;
        }
        Node* networks = service.Find("networks");
        if (networks != nullptr && networks->bad) continue;
        if (networks == nullptr || networks->IsNull() || networks->entries.empty()) {
          Node table = Node::Mapping(entry.key_span);
          table.Set("default", Node::Null(entry.key_span));
          service.Set("networks", std::move(table), entry.key_span);
          used = true;
          place = entry.key_span;
        } else if (const Entry* named = networks->FindEntry("default")) {
          used = true;
          place = named->key_span;
        }
      }
    }
    if (!used) return;
    Node* networks = model_.Find("networks");
    if (networks == nullptr) networks = &model_.Set("networks", Node::Mapping(place));
    if (networks->IsMapping() && networks->Find("default") == nullptr) {
      networks->Set("default", Node::Null(place), place);
    }
  }

  void Service(Node& service, SourceSpan key) {
    if (Node* policy = service.Find("pull_policy");
        policy != nullptr && policy->IsString() && policy->text == "if_not_present") {
      policy->text = "missing";
    }
    if (Node* build = Usable(service.Find("build")); build != nullptr && build->IsMapping()) {
      if (build->Find("context") == nullptr) build->Set("context", Node::String(".", build->span));
      if (build->Find("dockerfile") == nullptr && build->Find("dockerfile_inline") == nullptr) {
        build->Set("dockerfile", Node::String("Dockerfile", build->span));
      }
      if (Node* args = Usable(build->Find("args"))) ResolveBare(*args, environment_, false);
    }
    if (Node* variables = Usable(service.Find("environment"))) {
      ResolveBare(*variables, environment_, true);
    }
    if (Node* volumes = Usable(service.Find("volumes"))) {
      for (Entry& entry : volumes->entries) {
        Node* target = entry.value.Find("target");
        if (target != nullptr && target->IsString()) target->text = CleanPath(target->text);
      }
    }
    Dependencies(service, key);
    InheritImage(service);
  }

  static void Depend(Node& service, std::string_view name, bool restart, const Node& cause,
                     SourceSpan key) {
    if (service.Find("depends_on") == nullptr) service.Set("depends_on", Node::Mapping(key), key);
    Node* table = service.Find("depends_on");
    if (!table->IsMapping() || table->bad || table->Find(name) != nullptr) return;
    Node dependency = Node::Mapping(cause.span);
    dependency.Set("condition", Node::String("service_started", cause.span));
    dependency.Set("restart", Node::Bool(restart, cause.span));
    dependency.Set("required", Node::Bool(true, cause.span));
    table->Set(name, std::move(dependency), cause.span);
  }

  static void Dependencies(Node& service, SourceSpan key) {
    if (const Node* links = Usable(service.Find("links"))) {
      for (const Entry& entry : std::vector<Entry>(links->entries)) {
        if (!entry.value.IsString()) continue;
        const auto parts = Split(entry.value.text, ':');
        Depend(service, parts.size() == 2 ? parts[0] : std::string_view(entry.value.text), true,
               entry.value, key);
      }
    }
    for (const std::string_view space : {"network_mode", "ipc", "pid", "uts", "cgroup"}) {
      const Node* found = Usable(service.Find(space));
      if (found == nullptr || !found->text.starts_with("service:")) continue;
      const Node value = *found;
      Depend(service, std::string_view(value.text).substr(8), true, value, key);
    }
    if (const Node* from = Usable(service.Find("volumes_from"))) {
      for (const Entry& entry : std::vector<Entry>(from->entries)) {
        if (!entry.value.IsString() || entry.value.text.starts_with("container:")) continue;
        Depend(service, Split(entry.value.text, ':')[0], false, entry.value, key);
      }
    }
  }

  static void InheritImage(Node& service) {
    Node* hooks = Usable(service.Find("pre_start"));
    const Node* image = service.Find("image");
    if (hooks == nullptr || image == nullptr || image->text.empty()) return;
    const Node copy = *image;
    for (Entry& entry : hooks->entries) {
      if (entry.value.IsMapping() && entry.value.Find("image") == nullptr) {
        entry.value.Set("image", copy);
      }
    }
  }

  void Names(std::string_view kind) {
    Node* table = model_.Find(kind);
    if (table == nullptr || !table->IsMapping()) return;
    for (Entry& entry : table->entries) {
      Node& resource = entry.value;
      if (resource.bad) continue;
      if (resource.IsNull()) resource = Node::Mapping(entry.key_span);
      const Node* name = resource.Find("name");
      if (!resource.IsMapping() || (name != nullptr && !name->IsNull())) continue;
      const Node* external = resource.Find("external");
      const bool outside = external != nullptr && external->Printed() == "true";
      resource.Set("name",
                   Node::String(outside ? entry.key : project_ + "_" + entry.key, entry.key_span),
                   entry.key_span);
    }
  }

  Node& model_;
  const std::string& project_;
  const Environment& environment_;
};

}  // namespace

void ResolveBareEnvironment(Node& model, const Environment& environment) {
  Node* services = model.Find("services");
  if (services == nullptr) return;
  for (Entry& entry : services->entries) {
    Node* variables = entry.value.Find("environment");
    if (variables != nullptr && variables->IsSequence() && !variables->bad) {
      ResolveBare(*variables, environment, true);
    }
  }
}

void Normalise(Node& model, const std::string& project_name, const Environment& environment) {
  model.Set("name", Node::String(project_name));
  Normaliser(model, project_name, environment).Run();
}

}  // namespace skiff::schema
