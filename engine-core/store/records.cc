#include "engine-core/store/records.h"

#include <nlohmann/json.hpp>

#include "engine-core/json/whole_number.h"

// Each type lists its fields once, in Fields(); Writer and Reader walk the same list, so that a
// field cannot be written and then forgotten when reading.
namespace skiff::engine::store {
namespace {

using Json = nlohmann::json;

template <typename T>
concept Plain = std::is_same_v<T, std::string> || std::is_same_v<T, bool> || std::is_integral_v<T>;

template <typename T>
Json ToJson(const T& value);
template <typename T>
void FromJson(const Json& json, T& value);

struct Writer {
  Json out = Json::object();
  // A field with its default value is left out.
  template <typename T>
  void operator()(const char* key, const T& value) {
    Json json = ToJson(value);
    const bool empty = json.is_null() || (json.is_structured() && json.empty()) ||
                       (json.is_string() && json.get_ref<const std::string&>().empty()) ||
                       (json.is_boolean() && !json.template get<bool>()) ||
                       (json.is_number() && json == 0);
    if (!empty) out[key] = std::move(json);
  }
  // Kept also when empty: absent and empty mean different things.
  template <typename T>
  void operator()(const char* key, const std::optional<T>& value) {
    if (value) out[key] = ToJson(*value);
  }
  // A field whose default is not zero.
  template <typename T>
  void Always(const char* key, const T& value) {
    out[key] = ToJson(value);
  }
};

struct Reader {
  const Json& in;
  template <typename T>
  void operator()(const char* key, T& value) {
    if (const auto it = in.find(key); it != in.end()) FromJson(*it, value);
  }
  template <typename T>
  void operator()(const char* key, std::optional<T>& value) {
    const auto it = in.find(key);
    if (it != in.end()) FromJson(*it, value.emplace());
  }
  template <typename T>
  void Always(const char* key, T& value) {
    (*this)(key, value);
  }
};

template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Healthcheck>
void Fields(A& a, T& v) {
  a("test", v.test);
  a("interval", v.interval);
  a("timeout", v.timeout);
  a("start_period", v.start_period);
  a("start_interval", v.start_interval);
  a("retries", v.retries);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, RestartPolicy>
void Fields(A& a, T& v) {
  a("mode", v.mode);
  a("maximum_retries", v.maximum_retries);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, MountRequest>
void Fields(A& a, T& v) {
  a("kind", v.kind);
  a("source", v.source);
  a("target", v.target);
  a("read_only", v.read_only);
  a("create_host_path", v.create_host_path);
  a.Always("recursive", v.recursive);
  a("propagation", v.propagation);
  a("no_copy", v.no_copy);
  a("subpath", v.subpath);
  a("volume_labels", v.volume_labels);
  a("tmpfs_size", v.tmpfs_size);
  a("tmpfs_mode", v.tmpfs_mode);
  a("tmpfs_options", v.tmpfs_options);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, PortRequest>
void Fields(A& a, T& v) {
  a("container_port", v.container_port);
  a("protocol", v.protocol);
  a.Always("publish", v.publish);
  a("host_ip", v.host_ip);
  a("host_port", v.host_port);
  a("host_port_last", v.host_port_last);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, EndpointRequest>
void Fields(A& a, T& v) {
  a("network", v.network);
  a("aliases", v.aliases);
  a("ipv4_address", v.ipv4_address);
  a("ipv6_address", v.ipv6_address);
  a("mac_address", v.mac_address);
  a("interface_name", v.interface_name);
  a("priority", v.priority);
  a("gateway_priority", v.gateway_priority);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Ulimit>
void Fields(A& a, T& v) {
  a("name", v.name);
  a("soft", v.soft);
  a("hard", v.hard);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, DeviceRequest>
void Fields(A& a, T& v) {
  a("host_path", v.host_path);
  a("container_path", v.container_path);
  a.Always("permissions", v.permissions);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Resources>
void Fields(A& a, T& v) {
  a("memory", v.memory);
  a("memory_swap", v.memory_swap);
  a("memory_reservation", v.memory_reservation);
  a("memory_swappiness", v.memory_swappiness);
  a("nano_cpus", v.nano_cpus);
  a("cpu_shares", v.cpu_shares);
  a("cpu_period", v.cpu_period);
  a("cpu_quota", v.cpu_quota);
  a("cpuset_cpus", v.cpuset_cpus);
  a("cpuset_mems", v.cpuset_mems);
  a("pids", v.pids);
  a("blkio_weight", v.blkio_weight);
  a("oom_kill_disable", v.oom_kill_disable);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, LogConfig>
void Fields(A& a, T& v) {
  a("driver", v.driver);
  a("options", v.options);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, ContainerConfig>
void Fields(A& a, T& v) {
  a("name", v.name);
  a("image", v.image);
  a("entrypoint", v.entrypoint);
  a("command", v.command);
  a("environment", v.environment);
  a("user", v.user);
  a("working_dir", v.working_dir);
  a("hostname", v.hostname);
  a("domainname", v.domainname);
  a("labels", v.labels);
  a("annotations", v.annotations);
  a("tty", v.tty);
  a("open_stdin", v.open_stdin);
  a("init", v.init);
  a("privileged", v.privileged);
  a("read_only", v.read_only);
  a("auto_remove", v.auto_remove);
  a("stop_signal", v.stop_signal);
  a("stop_timeout", v.stop_timeout);
  a("healthcheck", v.healthcheck);
  a("restart", v.restart);
  a("mounts", v.mounts);
  a("volumes_from", v.volumes_from);
  a("network_mode", v.network_mode);
  a("endpoints", v.endpoints);
  a("ports", v.ports);
  a("publish_all", v.publish_all);
  a("dns", v.dns);
  a("dns_search", v.dns_search);
  a("dns_options", v.dns_options);
  a("extra_hosts", v.extra_hosts);
  a("cap_add", v.cap_add);
  a("cap_drop", v.cap_drop);
  a("security_opt", v.security_opt);
  a("group_add", v.group_add);
  a("devices", v.devices);
  a("device_cgroup_rules", v.device_cgroup_rules);
  a("ulimits", v.ulimits);
  a("sysctls", v.sysctls);
  a("resources", v.resources);
  a("shm_size", v.shm_size);
  a("oom_score_adj", v.oom_score_adj);
  a("pid_mode", v.pid_mode);
  a("ipc_mode", v.ipc_mode);
  a("uts_mode", v.uts_mode);
  a("userns_mode", v.userns_mode);
  a("cgroupns_mode", v.cgroupns_mode);
  a("cgroup_parent", v.cgroup_parent);
  a("runtime", v.runtime);
  a("log", v.log);
  a("replaces", v.replaces);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, PublishedPort>
void Fields(A& a, T& v) {
  a("host_ip", v.host_ip);
  a("host_port", v.host_port);
  a("container_port", v.container_port);
  a("protocol", v.protocol);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Mount>
void Fields(A& a, T& v) {
  a("kind", v.kind);
  a("name", v.name);
  a("source", v.source);
  a("target", v.target);
  a("read_only", v.read_only);
  a("anonymous", v.anonymous);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, EndpointRecord>
void Fields(A& a, T& v) {
  a("network", v.endpoint.network);
  a("network_id", v.endpoint.network_id);
  a("endpoint_id", v.endpoint.endpoint_id);
  a("aliases", v.endpoint.aliases);
  a("ipv4_address", v.endpoint.ipv4_address);
  a("ipv4_prefix", v.endpoint.ipv4_prefix);
  a("ipv4_gateway", v.endpoint.ipv4_gateway);
  a("ipv6_address", v.endpoint.ipv6_address);
  a("ipv6_prefix", v.endpoint.ipv6_prefix);
  a("ipv6_gateway", v.endpoint.ipv6_gateway);
  a("mac_address", v.endpoint.mac_address);
  a("interface_name", v.interface_name);
  a("gateway_priority", v.gateway_priority);
  a("default_route", v.default_route);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, ContainerRecord>
void Fields(A& a, T& v) {
  a("image", v.image);
  a("command", v.command);
  a("layers", v.layers);
  a("writable_layer", v.writable_layer);
  a("config", v.config);
  a("endpoints", v.endpoints);
  a("ports", v.ports);
  a("mounts", v.mounts);
  a("replaces", v.replaces);
  a("network_container", v.network_container);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, ImageConfig>
void Fields(A& a, T& v) {
  a("entrypoint", v.entrypoint);
  a("command", v.command);
  a("environment", v.environment);
  a("user", v.user);
  a("working_dir", v.working_dir);
  a("labels", v.labels);
  a("exposed_ports", v.exposed_ports);
  a("volumes", v.volumes);
  a("stop_signal", v.stop_signal);
  a("healthcheck", v.healthcheck);
  a("shell", v.shell);
  a("on_build", v.on_build);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, LayerBlob>
void Fields(A& a, T& v) {
  a("digest", v.digest);
  a("size", v.size);
  a("media_type", v.media_type);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, ImageRecord>
void Fields(A& a, T& v) {
  a("id", v.image.id);
  a("digests", v.image.digests);
  a("created_at", v.image.created_at);
  a("size", v.image.size);
  a("architecture", v.image.architecture);
  a("os", v.image.os);
  a("diff_ids", v.image.layers);
  a("author", v.image.author);
  a("comment", v.image.comment);
  a("config", v.image.config);
  a("variant", v.image.variant);
  a("parent", v.image.parent);
  a("layer_ids", v.layer_ids);
  a("layer_blobs", v.layer_blobs);
  a("manifest", v.manifest);
  a("index", v.index);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, CacheEntry>
void Fields(A& a, T& v) {
  a("key", v.key);
  a("document", v.document);
  a("layers", v.layers);
  a("created_at", v.created_at);
  a("used_at", v.used_at);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Subnet>
void Fields(A& a, T& v) {
  a("subnet", v.subnet);
  a("gateway", v.gateway);
  a("ip_range", v.ip_range);
  a("auxiliary_addresses", v.auxiliary_addresses);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, NetworkRecord>
void Fields(A& a, T& v) {
  a("id", v.network.id);
  a("created_at", v.network.created_at);
  a("predefined", v.network.predefined);
  a("name", v.network.config.name);
  a("driver", v.network.config.driver);
  a("options", v.network.config.options);
  a("internal", v.network.config.internal);
  a("attachable", v.network.config.attachable);
  a("enable_ipv6", v.network.config.enable_ipv6);
  a("subnets", v.network.config.subnets);
  a("labels", v.network.config.labels);
  a("annotations", v.network.config.annotations);
  a("bridge", v.bridge);
  a("link_group", v.link_group);
}
template <typename A, typename T>
requires std::is_same_v<std::remove_const_t<T>, Volume>
void Fields(A& a, T& v) {
  a("name", v.config.name);
  a("driver", v.config.driver);
  a("options", v.config.options);
  a("labels", v.config.labels);
  a("annotations", v.config.annotations);
  a("created_at", v.created_at);
  a("anonymous", v.anonymous);
}

template <typename A>
void WholeFields(A& a, auto& v) {
  a("id", v.id);
  a("name", v.name);
  a("image_id", v.image_id);
  a("created_at", v.created_at);
  a("desired", v.desired);
  Fields(a, v);
}

template <typename T>
Json ToJson(const T& value) {
  if constexpr (Plain<T>) {
    return value;
  } else if constexpr (std::is_enum_v<T>) {
    return static_cast<int>(value);
  } else if constexpr (std::is_same_v<T, Nanoseconds>) {
    return value.count();
  } else if constexpr (requires { typename T::mapped_type; }) {
    return Json(value);
  } else if constexpr (requires { typename T::value_type; }) {
    Json array = Json::array();
    for (const auto& item : value) array.push_back(ToJson(item));
    return array;
  } else {
    Writer writer;
    Fields(writer, value);
    return std::move(writer.out);
  }
}

template <typename T>
void FromJson(const Json& json, T& value) {
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    value = WholeNumber<T>(json);
  } else if constexpr (Plain<T>) {
    json.get_to(value);
  } else if constexpr (std::is_enum_v<T>) {
    value = static_cast<T>(WholeNumber<int>(json));
  } else if constexpr (std::is_same_v<T, Nanoseconds>) {
    value = Nanoseconds(WholeNumber<int64_t>(json));
  } else if constexpr (requires { typename T::mapped_type; }) {
    json.get_to(value);
  } else if constexpr (requires { typename T::value_type; }) {
    value.clear();
    for (const Json& item : json) FromJson(item, value.emplace_back());
  } else {
    Reader reader{json};
    Fields(reader, value);
  }
}

std::string Dump(const Json& json) {
  // Values may hold bytes that are no UTF-8 (an environment variable): replaced, never an
  // exception.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename T>
std::string EncodeRecord(const T& record) {
  return Dump(ToJson(record));
}

template <typename Read>
Status Guarded(std::string_view text, const char* what, Read read) {
  try {
    const Json json = Json::parse(text);
    if (!json.is_object()) return Fail(Code::kCorrupted, std::string(what) + " row is no object");
    read(json);
    return {};
  } catch (const Json::exception& error) {
    return Fail(Code::kCorrupted, std::string("cannot read a ") + what + " row: " + error.what());
  }
}

}  // namespace

std::string Encode(const ContainerRecord& record) {
  return EncodeRecord(record);
}
Status Decode(std::string_view json, ContainerRecord* record) {
  return Guarded(json, "container", [&](const Json& in) { FromJson(in, *record); });
}
std::string Encode(const ImageRecord& record) {
  return EncodeRecord(record);
}
Status Decode(std::string_view json, ImageRecord* record) {
  return Guarded(json, "image", [&](const Json& in) { FromJson(in, *record); });
}
std::string Encode(const NetworkRecord& record) {
  return EncodeRecord(record);
}
Status Decode(std::string_view json, NetworkRecord* record) {
  return Guarded(json, "network", [&](const Json& in) { FromJson(in, *record); });
}
std::string Encode(const CacheEntry& entry) {
  return EncodeRecord(entry);
}
Status Decode(std::string_view json, CacheEntry* entry) {
  return Guarded(json, "build cache", [&](const Json& in) { FromJson(in, *entry); });
}
std::string Encode(const Volume& volume) {
  return EncodeRecord(volume);
}
Status Decode(std::string_view json, Volume* volume) {
  return Guarded(json, "volume", [&](const Json& in) { FromJson(in, *volume); });
}

std::string EncodeConfig(const ContainerConfig& config) {
  return EncodeRecord(config);
}

std::string EncodeWhole(const ContainerRecord& record) {
  Writer writer;
  WholeFields(writer, record);
  return Dump(writer.out);
}
Status DecodeWhole(std::string_view json, ContainerRecord* record) {
  return Guarded(json, "container", [&](const Json& in) {
    Reader reader{in};
    WholeFields(reader, *record);
  });
}

}  // namespace skiff::engine::store
