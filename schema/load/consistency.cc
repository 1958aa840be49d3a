#include <algorithm>
#include <set>

#include "schema/load/project_model.h"

namespace skiff::schema {
namespace {

const Node* Path(const Node* node, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) {
    if (node == nullptr) return nullptr;
    node = node->Find(key);
  }
  return node;
}

std::vector<std::string_view> Keys(const Node* table) {
  std::vector<std::string_view> keys;
  if (table != nullptr) {
    for (const Entry& entry : table->entries) keys.push_back(entry.key);
  }
  return keys;
}

class Consistency {
 public:
  Consistency(Context& context, const Node& model, const std::set<std::string>& bad_source,
              Selection& selection)
      : context_(context),
        model_(model),
        bad_source_(bad_source),
        selection_(selection),
        enabled_(selection.services),
        disabled_(selection.disabled) {}

  void Run() {
    for (Entry& entry : selection_.services.entries) {
      if (entry.value.bad) continue;
      Check(entry, kServices.Key(entry.key));
    }
    Secrets();
    ContainerNames();
    Cycles();
  }

 private:
  static constexpr Where kServices{nullptr, "services"};

  Error& Wrong(SourceSpan place, const Where& where, std::string message) {
    return context_.WrongKey(place, where, std::move(message));
  }

  void Check(Entry& entry, const Where& where) {
    const Node& service = entry.value;
    const Node* build = service.Find("build");
    if (build == nullptr && service.Find("image") == nullptr &&
        service.Find("provider") == nullptr && bad_source_.count(entry.key) == 0) {
      Wrong(entry.key_span, where, "has neither 'image' nor 'build'")
          .notes.push_back({"add for example: image: busybox", {}});
    }
    if (build != nullptr) Build(service, *build, where.Key("build"));
    Networks(service, where);
    Healthcheck(service, where);
    Dependencies(entry, where);
    Resources(service, where);
    Scale(entry, where);
    Limits(service, where);
    Watch(service, where);
    Mounts(service, where);
  }

  void Build(const Node& service, const Node& build, const Where& where) {
    const Entry* file = build.FindEntry("dockerfile");
    const Entry* text = build.FindEntry("dockerfile_inline");
    if (file != nullptr && text != nullptr) {
      Wrong(text->key_span, where, "'dockerfile' and 'dockerfile_inline' exclude each other")
          .notes.push_back({"it is set here too", file->key_span});
    }
    if (const Node* contexts = build.Find("additional_contexts")) {
      for (const Entry& entry : contexts->entries) {
        if (!entry.value.text.starts_with("service:")) continue;
        const std::string name = entry.value.text.substr(8);
        const Node* target = ServiceNamed(name);
        if (target == nullptr) {
          Undefined(entry.value.span, where.Key("additional_contexts").Key(entry.key), "service",
                    name, ServiceNames());
        } else if (target->Find("build") == nullptr) {
          Wrong(entry.value.span, where.Key("additional_contexts").Key(entry.key),
                "service '" + name + "' has no 'build'");
        }
      }
    }
    const Node* platforms = build.Find("platforms");
    const Node* platform = service.Find("platform");
    if (platforms != nullptr && platform != nullptr &&
        std::none_of(platforms->entries.begin(), platforms->entries.end(),
                     [&](const Entry& e) { return e.value.text == platform->text; })) {
      Wrong(platforms->span, where.Key("platforms"),
            "must contain the service's platform '" + platform->text + "'")
          .notes.push_back({"the platform is set here", platform->span});
    }
    UndefinedSources(build.Find("secrets"), "secrets", "secret", where.Key("secrets"));
  }

  const Node* ServiceNamed(const std::string& name) const {
    const int on = enabled_.Find(name);
    if (on >= 0) return &selection_.services.entries[static_cast<size_t>(on)].value;
    const int off = disabled_.Find(name);
    if (off >= 0) return &selection_.disabled.entries[static_cast<size_t>(off)].value;
    return nullptr;
  }
  std::vector<std::string_view> ServiceNames() const {
    auto names = Keys(&selection_.services);
    const auto more = Keys(&selection_.disabled);
    names.insert(names.end(), more.begin(), more.end());
    return names;
  }

  void Undefined(SourceSpan place, const Where& where, std::string_view kind,
                 const std::string& name, const std::vector<std::string_view>& known) {
    Error& error = Wrong(place, where, "there is no " + std::string(kind) + " '" + name + "'");
    const std::string near = NearName(name, known);
    if (!near.empty()) {
      error.notes.push_back({"did you mean '" + near + "'?", {}});
    } else if (kind != "service") {
      error.notes.push_back({"define it under the top-level key '" + std::string(kind) + "s'", {}});
    }
  }

  void UndefinedSources(const Node* grants, std::string_view table, std::string_view kind,
                        const Where& where) {
    if (grants == nullptr) return;
    const Node* known = model_.Find(table);
    for (const Entry& grant : grants->entries) {
      const Node* source = grant.value.Find("source");
      if (source == nullptr || Path(known, {source->text}) != nullptr) continue;
      Undefined(source->span, where, kind, source->text, Keys(known));
    }
  }

  void Networks(const Node& service, const Where& where) {
    const Entry* mode = service.FindEntry("network_mode");
    const Entry* networks = service.FindEntry("networks");
    if (mode != nullptr && networks != nullptr) {
      Wrong(mode->key_span, where, "'network_mode' and 'networks' exclude each other")
          .notes.push_back({"the networks are set here", networks->key_span});
    }
    if (networks == nullptr) return;
    const Node* known = model_.Find("networks");
    for (const Entry& entry : networks->value.entries) {
      if (Path(known, {entry.key}) != nullptr) continue;
      Undefined(entry.key_span, where.Key("networks"), "network", entry.key, Keys(known));
    }
  }

  void Healthcheck(const Node& service, const Where& where) {
    const Node* test = Path(&service, {"healthcheck", "test"});
    if (test == nullptr || test->entries.empty()) return;
    const Node& first = test->entries.front().value;
    if (first.text == "CMD" || first.text == "CMD-SHELL" || first.text == "NONE") return;
    Wrong(first.span, where.Key("healthcheck"),
          "a 'test' list begins with CMD, CMD-SHELL or NONE, not '" + first.text + "'");
  }

  void Dependencies(const Entry& entry, const Where& where) {
    const Node* depends = entry.value.Find("depends_on");
    if (depends == nullptr) return;
    for (const Entry& other : depends->entries) {
      if (enabled_.Find(other.key) >= 0) continue;
      const Node* required = other.value.Find("required");
      const bool optional = required != nullptr && required->IsBool() && !required->boolean;
      const int off = disabled_.Find(other.key);
      if (off >= 0 && optional) continue;
      if (off < 0) {
        Undefined(other.key_span, where.Key("depends_on"), "service", other.key, ServiceNames());
        continue;
      }
      const Entry& target = selection_.disabled.entries[static_cast<size_t>(off)];
      Error& error = Wrong(other.key_span, where.Key("depends_on"),
                           "service '" + other.key + "' is not enabled by any active profile");
      const Node* profiles = target.value.Find("profiles");
      error.notes.push_back(
          {"its profiles are set here", profiles == nullptr ? target.key_span : profiles->span});
      error.notes.push_back({"enable one with --profile, or use 'required: false'", {}});
    }
  }

  void Resources(const Node& service, const Where& where) {
    const Node* volumes = service.Find("volumes");
    const Node* known = model_.Find("volumes");
    for (size_t i = 0; volumes != nullptr && i < volumes->entries.size(); ++i) {
      const Node& mount = volumes->entries[i].value;
      const Node* source = mount.Find("source");
      if (mount.Text("type") != "volume" || source == nullptr) continue;
      if (Path(known, {source->text}) != nullptr) continue;
      Undefined(source->span, where.Key("volumes"), "volume", source->text, Keys(known));
    }
    UndefinedSources(service.Find("configs"), "configs", "config", where.Key("configs"));
    UndefinedSources(service.Find("secrets"), "secrets", "secret", where.Key("secrets"));
    if (const Node* models = service.Find("models")) {
      for (const Entry& entry : models->entries) {
        if (Path(&model_, {"models", entry.key}) == nullptr) {
          Undefined(entry.key_span, where.Key("models"), "model", entry.key,
                    Keys(model_.Find("models")));
        }
      }
    }
  }

  void Scale(Entry& entry, const Where& where) {
    Node& service = entry.value;
    const Node* scale = service.Find("scale");
    Node* deploy = service.Find("deploy");
    Node* replicas = deploy == nullptr ? nullptr : deploy->Find("replicas");
    for (const Node* count : {scale, static_cast<const Node*>(replicas)}) {
      if (count != nullptr && count->integer < 0) {
        const Where here = count == scale ? where.Key("scale") : where.Key("deploy.replicas");
        Wrong(count->span, here, "must be at least 0");
      }
    }
    if (scale != nullptr && replicas != nullptr && scale->integer != replicas->integer) {
      Wrong(scale->span, where, "'scale' and 'deploy.replicas' differ")
          .notes.push_back({"deploy.replicas is set here", replicas->span});
    }
    if (scale != nullptr && deploy != nullptr && replicas == nullptr) {
      // As the reference prints it: both say the same.
      Node copy = *scale;
      size_t position = 0;
      if (!deploy->entries.empty() && deploy->entries[0].key == "mode") position = 1;
      deploy->entries.insert(deploy->entries.begin() + static_cast<std::ptrdiff_t>(position),
                             Entry{"replicas", scale->span, std::move(copy)});
    }
    const Node* name = service.Find("container_name");
    const Node* count = scale != nullptr ? scale : replicas;
    if (name != nullptr && count != nullptr && count->integer > 1) {
      Wrong(name->span, where.Key("container_name"),
            "a service with a container name cannot have several containers")
          .notes.push_back({"it is scaled here", count->span});
    }
  }

  void Limits(const Node& service, const Where& where) {
    struct Pair {
      std::string_view own, part, key;
    };
    static constexpr Pair kPairs[] = {{"cpus", "limits", "cpus"},
                                      {"mem_limit", "limits", "memory"},
                                      {"mem_reservation", "reservations", "memory"},
                                      {"pids_limit", "limits", "pids"}};
    for (const Pair& pair : kPairs) {
      const Node* own = service.Find(pair.own);
      const Node* part = Path(&service, {"deploy", "resources", pair.part});
      if (own == nullptr || part == nullptr) continue;
      const Node* other = part->Find(pair.key);
      if (other != nullptr && other->Printed() == own->Printed()) continue;
      const std::string there =
          "deploy.resources." + std::string(pair.part) + "." + std::string(pair.key);
      Wrong(own->span, where, "'" + std::string(pair.own) + "' and '" + there + "' differ")
          .notes.push_back({there + (other != nullptr ? " is set here" : " is missing here"),
                            other != nullptr ? other->span : part->span});
    }
  }

  void Watch(const Node& service, const Where& where) {
    const Node* watch = Path(&service, {"develop", "watch"});
    for (size_t i = 0; watch != nullptr && i < watch->entries.size(); ++i) {
      const Node& trigger = watch->entries[i].value;
      const std::string_view action = trigger.Text("action");
      if (action.empty() || !trigger.Text("target").empty() || action == "rebuild" ||
          action == "restart")
        continue;
      Wrong(trigger.span, where.Key("develop").Key("watch").Index(i),
            "the action '" + std::string(action) + "' needs a 'target'");
    }
  }

  void Mounts(const Node& service, const Where& where) {
    std::map<std::string, SourceSpan> targets;
    const auto take = [&](std::string target, SourceSpan place, const Where& here) {
      const auto [first, added] = targets.emplace(target, place);
      if (added) return;
      Wrong(place, here, "there are two mounts on '" + target + "'")
          .notes.push_back({"the first is here", first->second});
    };
    if (const Node* tmpfs = service.Find("tmpfs")) {
      for (const Entry& entry : tmpfs->entries) {
        const Node& item = entry.value;
        take(item.text.substr(0, item.text.find(':')), item.span, where.Key("tmpfs"));
      }
    }
    if (const Node* volumes = service.Find("volumes")) {
      for (const Entry& entry : volumes->entries) {
        const Node& mount = entry.value;
        const Node* target = mount.Find("target");
        take(std::string(mount.Text("target")), target == nullptr ? mount.span : target->span,
             where.Key("volumes"));
      }
    }
  }

  void Secrets() {
    const Node* secrets = model_.Find("secrets");
    if (secrets == nullptr) return;
    const Where where{nullptr, "secrets"};
    for (const Entry& entry : secrets->entries) {
      const Node& secret = entry.value;
      if (secret.bad || !secret.IsMapping() || secret.Find("driver") == nullptr) continue;
      const Node* external = secret.Find("external");
      if (external != nullptr && external->Printed() == "true") continue;
      if (secret.Find("file") == nullptr && secret.Find("environment") == nullptr) {
        Wrong(entry.key_span, where.Key(entry.key), "one of 'file' or 'environment' must be set");
      }
    }
  }

  void ContainerNames() {
    std::map<std::string, std::pair<std::string, SourceSpan>> names;
    for (const Entry& entry : selection_.services.entries) {
      const Node* name = entry.value.Find("container_name");
      if (name == nullptr) continue;
      const auto [first, added] = names.emplace(name->text, std::pair(entry.key, name->span));
      if (added) continue;
      Wrong(name->span, kServices.Key(entry.key).Key("container_name"),
            "'" + name->text + "' is the container name of service '" + first->second.first +
                "' already")
          .notes.push_back({"it is set here", first->second.second});
    }
  }

  // One error for each cycle, at the edge that closes it.
  void Cycles() {
    std::vector<std::string> path;
    std::vector<SourceSpan> places;
    for (const Entry& entry : selection_.services.entries) Visit(entry, path, places);
  }

  void Visit(const Entry& entry, std::vector<std::string>& path, std::vector<SourceSpan>& places) {
    if (!visited_.insert(entry.key).second) return;
    path.push_back(entry.key);
    const Node* depends = entry.value.Find("depends_on");
    for (size_t i = 0; depends != nullptr && i < depends->entries.size(); ++i) {
      const Entry& other = depends->entries[i];
      const auto start = std::find(path.begin(), path.end(), other.key);
      if (start != path.end()) {
        std::string text;
        for (auto step = start; step != path.end(); ++step) text += *step + " -> ";
        Error& error = Wrong(other.key_span, kServices.Key(entry.key).Key("depends_on"),
                             "dependency cycle: " + text + other.key);
        for (size_t k = static_cast<size_t>(start - path.begin()); k < places.size(); ++k) {
          error.notes.push_back(
              {"'" + path[k] + "' depends on '" + path[k + 1] + "' here", places[k]});
        }
        continue;
      }
      const int position = enabled_.Find(other.key);
      if (position < 0) continue;
      places.push_back(other.key_span);
      Visit(selection_.services.entries[static_cast<size_t>(position)], path, places);
      places.pop_back();
    }
    path.pop_back();
  }

  Context& context_;
  const Node& model_;
  const std::set<std::string>& bad_source_;
  Selection& selection_;
  KeyIndex enabled_, disabled_;
  std::set<std::string> visited_;
};

}  // namespace

std::set<std::string> ServicesWithBadSource(const Node& services) {
  const auto is_source = [](const Entry& entry) {
    return entry.key == "image" || entry.key == "build" || entry.key == "provider" ||
           entry.key == "extends" || FindField(kService, entry.key) == nullptr;
  };
  std::set<std::string> names;
  for (const Entry& service : services.entries) {
    const bool bad = service.value.bad ||
                     std::ranges::any_of(service.value.entries, [&](const Entry& entry) {
                       return entry.value.bad && is_source(entry);
                     });
    if (bad) names.insert(service.key);
  }
  return names;
}

void CheckConsistency(Context& context, const Node& model, const std::set<std::string>& bad_source,
                      Selection& selection) {
  Consistency(context, model, bad_source, selection).Run();
}

}  // namespace skiff::schema
