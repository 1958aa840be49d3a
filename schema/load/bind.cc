#include <algorithm>

#include "base/text.h"
#include "base/units.h"
#include "schema/load/project_model.h"
#include "schema/render/render.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

// Reads fields of a finished mapping; what is absent keeps the model's default.
class Reader {
 public:
  explicit Reader(const Node* node) : node_(node) {}

  const Node* Find(std::string_view key) const {
    return node_ == nullptr ? nullptr : node_->Find(key);
  }
  Reader Child(std::string_view key) const { return Reader(Find(key)); }
  explicit operator bool() const { return node_ != nullptr; }

  std::string Text(std::string_view key) const {
    const Node* value = Find(key);
    return value == nullptr ? "" : value->Printed();
  }
  bool Flag(std::string_view key) const {
    const Node* value = Find(key);
    return value != nullptr && value->IsBool() && value->boolean;
  }
  std::optional<bool> MaybeFlag(std::string_view key) const {
    const Node* value = Find(key);
    if (value == nullptr || !value->IsBool()) return std::nullopt;
    return value->boolean;
  }
  int64_t Integer(std::string_view key) const { return MaybeInteger(key).value_or(0); }
  std::optional<int64_t> MaybeInteger(std::string_view key) const {
    const Node* value = Find(key);
    if (value == nullptr) return std::nullopt;
    if (value->IsInt()) return value->integer;
    if (value->kind == Node::Kind::kFloat) return static_cast<int64_t>(value->real);
    return ParseNumber<int64_t>(value->text);
  }
  std::optional<Nanoseconds> Duration(std::string_view key) const {
    const Node* value = Find(key);
    if (value == nullptr) return std::nullopt;
    const auto span = ParseTimeSpan(value->text);
    if (!span) return std::nullopt;
    return Nanoseconds(*span);
  }
  std::vector<std::string> Texts(std::string_view key) const {
    std::vector<std::string> list;
    if (const Node* value = Find(key)) {
      for (const Entry& entry : value->entries) list.push_back(entry.value.Printed());
    }
    return list;
  }
  std::map<std::string, std::string> Table(std::string_view key) const {
    std::map<std::string, std::string> table;
    if (const Node* value = Find(key)) {
      for (const Entry& entry : value->entries) table[entry.key] = entry.value.Printed();
    }
    return table;
  }
  std::map<std::string, std::optional<std::string>> Pairs(std::string_view key) const {
    std::map<std::string, std::optional<std::string>> table;
    if (const Node* value = Find(key)) {
      for (const Entry& entry : value->entries) {
        table[entry.key] =
            entry.value.IsNull() ? std::nullopt : std::optional(entry.value.Printed());
      }
    }
    return table;
  }
  template <typename Action>
  void ForEach(std::string_view key, const Action& action) const {
    if (const Node* value = Find(key)) {
      for (const Entry& entry : value->entries) action(entry);
    }
  }

 private:
  const Node* node_;
};

std::vector<FileGrant> BindGrants(const Reader& service, std::string_view key) {
  std::vector<FileGrant> grants;
  service.ForEach(key, [&](const Entry& entry) {
    const Reader item(&entry.value);
    FileGrant grant{
        item.Text("source"), item.Text("target"), item.Text("uid"), item.Text("gid"), {},
        entry.value.span};
    if (const Node* mode = entry.value.Find("mode")) {
      grant.mode = ParseNumber<uint32_t>(mode->text, 8);
    }
    grants.push_back(std::move(grant));
  });
  return grants;
}

void BindDependencies(const Reader& service, Service& out) {
  service.ForEach("depends_on", [&](const Entry& entry) {
    const Reader item(&entry.value);
    Dependency dependency;
    dependency.service = entry.key;
    dependency.span = entry.key_span;
    const std::string condition = item.Text("condition");
    if (condition == "service_healthy") dependency.condition = DependencyCondition::kHealthy;
    if (condition == "service_completed_successfully") {
      dependency.condition = DependencyCondition::kCompletedSuccessfully;
    }
    dependency.restart = item.Flag("restart");
    dependency.required = item.MaybeFlag("required").value_or(true);
    out.depends_on.push_back(std::move(dependency));
  });
  std::sort(out.depends_on.begin(), out.depends_on.end(),
            [](const Dependency& a, const Dependency& b) { return a.service < b.service; });
}

void BindHealthcheck(const Reader& service, Service& out) {
  const Reader check = service.Child("healthcheck");
  if (!check) return;
  Healthcheck health;
  health.test = check.Texts("test");
  health.interval = check.Duration("interval");
  health.timeout = check.Duration("timeout");
  health.start_period = check.Duration("start_period");
  health.start_interval = check.Duration("start_interval");
  if (const auto retries = check.MaybeInteger("retries"))
    health.retries = static_cast<int>(*retries);
  health.disable = check.Flag("disable") || (!health.test.empty() && health.test[0] == "NONE");
  out.healthcheck = std::move(health);
}

void BindPorts(const Reader& service, Service& out) {
  service.ForEach("ports", [&](const Entry& entry) {
    const Reader item(&entry.value);
    Port port;
    port.name = item.Text("name");
    port.target = static_cast<uint16_t>(item.Integer("target"));
    port.published = item.Text("published");
    port.host_ip = item.Text("host_ip");
    port.protocol = item.Text("protocol").empty() ? "tcp" : ToLower(item.Text("protocol"));
    port.mode = item.Text("mode");
    port.span = entry.value.span;
    out.ports.push_back(std::move(port));
  });
}

VolumeMountType MountTypeOf(const std::string& text) {
  if (text == "bind") return VolumeMountType::kBind;
  if (text == "tmpfs") return VolumeMountType::kTmpfs;
  if (text == "image") return VolumeMountType::kImage;
  if (text == "npipe") return VolumeMountType::kNpipe;
  if (text == "cluster") return VolumeMountType::kCluster;
  return VolumeMountType::kVolume;
}

void BindMounts(const Reader& service, Service& out) {
  service.ForEach("volumes", [&](const Entry& entry) {
    const Reader item(&entry.value);
    const Reader bind = item.Child("bind"), volume = item.Child("volume");
    const Reader tmpfs = item.Child("tmpfs"), image = item.Child("image");
    VolumeMount mount;
    mount.type = MountTypeOf(item.Text("type"));
    mount.source = item.Text("source");
    mount.target = item.Text("target");
    mount.read_only = item.Flag("read_only");
    mount.bind_propagation = bind.Text("propagation");
    mount.bind_recursive = bind.Text("recursive");
    mount.bind_selinux = bind.Text("selinux");
    // The long form without `bind` does not make folders on the host (compose-spec: volumes).
    mount.bind_create_host_path = bind ? bind.MaybeFlag("create_host_path").value_or(true) : false;
    mount.volume_nocopy = volume.Flag("nocopy");
    mount.volume_subpath = volume.Text("subpath");
    mount.image_subpath = image.Text("subpath");
    mount.volume_labels = volume.Table("labels");
    mount.tmpfs_size = tmpfs.Integer("size");
    mount.tmpfs_mode = static_cast<uint32_t>(tmpfs.Integer("mode"));
    mount.span = entry.value.span;
    out.volumes.push_back(std::move(mount));
  });
}

void BindNetworks(const Reader& service, Service& out) {
  service.ForEach("networks", [&](const Entry& entry) {
    const Reader item(&entry.value);
    ServiceNetwork network;
    network.network = entry.key;
    network.aliases = item.Texts("aliases");
    network.link_local_ips = item.Texts("link_local_ips");
    network.ipv4_address = item.Text("ipv4_address");
    network.ipv6_address = item.Text("ipv6_address");
    network.mac_address = item.Text("mac_address");
    network.interface_name = item.Text("interface_name");
    network.priority = static_cast<int>(item.Integer("priority"));
    network.gw_priority = static_cast<int>(item.Integer("gw_priority"));
    network.span = entry.key_span;
    out.networks.push_back(std::move(network));
  });
  std::stable_sort(out.networks.begin(), out.networks.end(),
                   [](const ServiceNetwork& a, const ServiceNetwork& b) {
                     return a.priority != b.priority ? a.priority > b.priority
                                                     : a.network < b.network;
                   });
}

void BindBuild(const Reader& service, Service& out) {
  const Reader item = service.Child("build");
  if (!item) return;
  Build build;
  build.context = item.Text("context");
  build.dockerfile = item.Text("dockerfile");
  build.dockerfile_inline = item.Text("dockerfile_inline");
  build.target = item.Text("target");
  build.network = item.Text("network");
  build.args = item.Pairs("args");
  build.tags = item.Texts("tags");
  build.cache_from = item.Texts("cache_from");
  build.cache_to = item.Texts("cache_to");
  build.platforms = item.Texts("platforms");
  build.additional_contexts = item.Table("additional_contexts");
  build.labels = item.Table("labels");
  build.secrets = BindGrants(item, "secrets");
  build.ssh = item.Texts("ssh");
  build.extra_hosts = item.Texts("extra_hosts");
  build.no_cache = item.Flag("no_cache");
  build.pull = item.Flag("pull");
  build.privileged = item.Flag("privileged");
  build.shm_size = item.Integer("shm_size");
  build.span = service.Find("build")->span;
  out.build = std::move(build);
}

LifecycleHook BindHook(const Reader& item) {
  return {item.Texts("command"), item.Text("user"),       item.Text("working_dir"),
          item.Text("image"),    item.Flag("privileged"), item.Pairs("environment")};
}

std::vector<LifecycleHook> BindHooks(const Reader& service, std::string_view key) {
  std::vector<LifecycleHook> hooks;
  service.ForEach(key, [&](const Entry& entry) { hooks.push_back(BindHook(Reader(&entry.value))); });
  return hooks;
}

void BindWatch(const Reader& service, Service& out) {
  service.Child("develop").ForEach("watch", [&](const Entry& entry) {
    const Reader item(&entry.value);
    WatchTrigger trigger;
    trigger.path = item.Text("path");
    trigger.action = item.Text("action");
    trigger.target = item.Text("target");
    trigger.include = item.Texts("include");
    trigger.ignore = item.Texts("ignore");
    trigger.initial_sync = item.Flag("initial_sync");
    trigger.exec = BindHook(item.Child("exec"));
    trigger.span = entry.value.span;
    out.watch.push_back(std::move(trigger));
  });
}

void BindUlimits(const Reader& service, Service& out) {
  service.ForEach("ulimits", [&](const Entry& entry) {
    UlimitRule rule;
    rule.name = entry.key;
    if (entry.value.IsInt()) {
      rule.soft = rule.hard = entry.value.integer;
    } else {
      const Reader item(&entry.value);
      rule.soft = item.Integer("soft");
      rule.hard = item.Integer("hard");
    }
    out.ulimits.push_back(std::move(rule));
  });
}

void BindLimits(const Reader& service, Service& out) {
  const Reader resources = service.Child("deploy").Child("resources");
  const Reader limits = resources.Child("limits");
  const auto first = [&](std::string_view own, const Reader& part, std::string_view key) {
    const int64_t value = service.Integer(own);
    return value != 0 ? value : part.Integer(key);
  };
  out.mem_limit = first("mem_limit", limits, "memory");
  out.mem_reservation = first("mem_reservation", resources.Child("reservations"), "memory");
  out.pids_limit = first("pids_limit", limits, "pids");
  const Node* cpus = service.Find("cpus");
  if (cpus == nullptr) cpus = limits.Find("cpus");
  if (cpus != nullptr) {
    out.cpus = cpus->IsInt() ? static_cast<double>(cpus->integer)
                             : std::strtod(cpus->text.c_str(), nullptr);
  }
  out.memswap_limit = service.Integer("memswap_limit");
  out.mem_swappiness = service.MaybeInteger("mem_swappiness");
  out.shm_size = service.Integer("shm_size");
  out.cpu_shares = service.Integer("cpu_shares");
  out.cpu_period = service.Integer("cpu_period");
  out.cpu_quota = service.Integer("cpu_quota");
  out.oom_score_adj = static_cast<int>(service.Integer("oom_score_adj"));
  out.oom_kill_disable = service.Flag("oom_kill_disable");
}

// deploy.restart_policy wins over `restart` (docker compose: getRestartPolicy).
void BindRestart(const Reader& service, Service& out) {
  out.restart = service.Text("restart");
  const Reader policy = service.Child("deploy").Child("restart_policy");
  if (!policy) return;
  const std::string condition = policy.Text("condition");
  const auto attempts = policy.MaybeInteger("max_attempts");
  if (condition == "none" || condition == "no") {
    out.restart = "no";
  } else if (condition == "on-failure") {
    out.restart = "on-failure" + (attempts ? ":" + std::to_string(*attempts) : "");
  } else if (condition == "unless-stopped") {
    out.restart = condition;
  } else {
    out.restart = "always";
  }
}

void BindScale(const Reader& service, Service& out) {
  const Node* count = service.Find("scale");
  if (count == nullptr) count = service.Child("deploy").Find("replicas");
  if (count == nullptr || !count->IsInt()) return;
  out.scale = static_cast<int>(count->integer);
  out.scale_span = count->span;
}

void BindTexts(const Reader& service, Service& out) {
  out.image = service.Text("image");
  out.container_name = service.Text("container_name");
  out.hostname = service.Text("hostname");
  out.domainname = service.Text("domainname");
  out.user = service.Text("user");
  out.working_dir = service.Text("working_dir");
  out.platform = service.Text("platform");
  out.runtime = service.Text("runtime");
  out.network_mode = service.Text("network_mode");
  out.stop_signal = service.Text("stop_signal");
  out.pid = service.Text("pid");
  out.ipc = service.Text("ipc");
  out.uts = service.Text("uts");
  out.userns_mode = service.Text("userns_mode");
  out.cgroup = service.Text("cgroup");
  out.cgroup_parent = service.Text("cgroup_parent");
  out.cpuset = service.Text("cpuset");
  out.mac_address = service.Text("mac_address");
  out.pull_policy = service.Text("pull_policy");
  out.provider_type = service.Child("provider").Text("type");
}

void BindLists(const Reader& service, Service& out) {
  out.environment = service.Pairs("environment");
  out.labels = service.Table("labels");
  out.annotations = service.Table("annotations");
  out.sysctls = service.Table("sysctls");
  out.expose = service.Texts("expose");
  out.links = service.Texts("links");
  out.external_links = service.Texts("external_links");
  out.volumes_from = service.Texts("volumes_from");
  out.profiles = service.Texts("profiles");
  out.tmpfs = service.Texts("tmpfs");
  out.cap_add = service.Texts("cap_add");
  out.cap_drop = service.Texts("cap_drop");
  out.security_opt = service.Texts("security_opt");
  out.group_add = service.Texts("group_add");
  out.device_cgroup_rules = service.Texts("device_cgroup_rules");
  out.dns = service.Texts("dns");
  out.dns_search = service.Texts("dns_search");
  out.dns_opt = service.Texts("dns_opt");
  for (const std::string& pair : service.Texts("extra_hosts")) {
    const size_t equals = pair.find('=');
    out.extra_hosts.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
  }
  service.ForEach("devices", [&](const Entry& entry) {
    const Reader item(&entry.value);
    const std::string target = item.Text("target");
    const std::string permissions = item.Text("permissions");
    out.devices.push_back({item.Text("source"), target.empty() ? item.Text("source") : target,
                           permissions.empty() ? "rwm" : permissions});
  });
}

std::string HashedService(const Node& node) {
  Node copy = node;
  for (const std::string_view key : {"build", "pull_policy", "scale", "depends_on", "profiles"}) {
    copy.Erase(key);
  }
  if (Node* deploy = copy.Find("deploy")) deploy->Erase("replicas");
  return RenderCompactJson(copy);
}

}  // namespace

Service BindService(const std::string& name, SourceSpan key, const Node& node) {
  const Reader service(&node);
  Service out;
  out.name = name;
  out.span = key;
  BindTexts(service, out);
  BindLists(service, out);
  BindBuild(service, out);
  BindDependencies(service, out);
  BindHealthcheck(service, out);
  BindPorts(service, out);
  BindMounts(service, out);
  BindNetworks(service, out);
  BindUlimits(service, out);
  BindLimits(service, out);
  BindRestart(service, out);
  BindScale(service, out);
  const auto command = [&](std::string_view which) -> std::optional<std::vector<std::string>> {
    const Node* value = service.Find(which);
    if (value == nullptr || value->IsNull()) return std::nullopt;
    return service.Texts(which);
  };
  out.command = command("command");
  out.entrypoint = command("entrypoint");
  out.init = service.MaybeFlag("init");
  out.privileged = service.Flag("privileged");
  out.read_only = service.Flag("read_only");
  out.tty = service.Flag("tty");
  out.stdin_open = service.Flag("stdin_open");
  out.attach = service.MaybeFlag("attach").value_or(true);
  out.stop_grace_period = service.Duration("stop_grace_period");
  out.logging_driver = service.Child("logging").Text("driver");
  out.logging_options = service.Child("logging").Table("options");
  out.configs = BindGrants(service, "configs");
  out.secrets = BindGrants(service, "secrets");
  out.pre_start = BindHooks(service, "pre_start");
  out.post_start = BindHooks(service, "post_start");
  out.pre_stop = BindHooks(service, "pre_stop");
  BindWatch(service, out);
  out.hashed_json = HashedService(node);
  return out;
}

namespace {

Network BindNetwork(const Entry& entry) {
  const Reader item(&entry.value);
  Network network;
  network.key = entry.key;
  network.span = entry.key_span;
  network.name = item.Text("name");
  network.driver = item.Text("driver");
  network.driver_opts = item.Table("driver_opts");
  network.external = item.Flag("external");
  network.internal = item.Flag("internal");
  network.attachable = item.Flag("attachable");
  network.enable_ipv4 = item.MaybeFlag("enable_ipv4");
  network.enable_ipv6 = item.MaybeFlag("enable_ipv6");
  network.labels = item.Table("labels");
  item.Child("ipam").ForEach("config", [&](const Entry& pool) {
    const Reader part(&pool.value);
    network.ipam.push_back({part.Text("subnet"), part.Text("gateway"), part.Text("ip_range"),
                            part.Table("aux_addresses")});
  });
  network.hashed_json = RenderCompactJson(entry.value);
  return network;
}

Volume BindVolume(const Entry& entry) {
  const Reader item(&entry.value);
  Volume volume;
  volume.key = entry.key;
  volume.span = entry.key_span;
  volume.name = item.Text("name");
  volume.driver = item.Text("driver");
  volume.driver_opts = item.Table("driver_opts");
  volume.external = item.Flag("external");
  volume.labels = item.Table("labels");
  Node hashed = entry.value;
  if (hashed.IsMapping() && hashed.Find("driver") == nullptr) {
    hashed.Set("driver", Node::String("local"));
  }
  volume.hashed_json = RenderCompactJson(hashed);
  return volume;
}

FileObject BindFileObject(const Entry& entry, const Environment& environment) {
  const Reader item(&entry.value);
  FileObject object;
  object.key = entry.key;
  object.span = entry.key_span;
  object.name = item.Text("name");
  object.file = item.Text("file");
  object.environment = item.Text("environment");
  object.external = item.Flag("external");
  object.labels = item.Table("labels");
  if (const Node* content = item.Find("content")) object.content = content->text;
  if (!object.environment.empty()) {
    const auto value = environment.find(object.environment);
    if (value != environment.end()) object.content = value->second;
  }
  return object;
}

}  // namespace

void BindProject(const Node& model, const Selection& selection, const Environment& environment,
                 Project& project) {
  const auto services = [](const Node& table, std::map<std::string, Service>& out) {
    for (const Entry& entry : table.entries) {
      out.emplace(entry.key, BindService(entry.key, entry.key_span, entry.value));
    }
  };
  services(selection.services, project.services);
  services(selection.disabled, project.disabled_services);
  for (auto& [name, service] : project.services) {
    std::erase_if(service.depends_on, [&](const Dependency& dependency) {
      return project.services.count(dependency.service) == 0;
    });
  }
  const Reader top(&model);
  top.ForEach("networks",
              [&](const Entry& entry) { project.networks.emplace(entry.key, BindNetwork(entry)); });
  top.ForEach("volumes",
              [&](const Entry& entry) { project.volumes.emplace(entry.key, BindVolume(entry)); });
  top.ForEach("configs", [&](const Entry& entry) {
    project.configs.emplace(entry.key, BindFileObject(entry, environment));
  });
  top.ForEach("secrets", [&](const Entry& entry) {
    project.secrets.emplace(entry.key, BindFileObject(entry, environment));
  });
}

}  // namespace skiff::schema
