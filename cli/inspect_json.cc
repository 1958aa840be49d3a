#include "cli/inspect_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "base/units.h"
#include "cli/json_values.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

Json Set(const std::vector<std::string>& names) {
  Json out = Json::object();
  for (const std::string& name : names) out[name] = Json::object();
  return out.empty() ? Json() : out;
}

Json ImageHealthcheckJson(const engine::Healthcheck& check) {
  Json out = {{"Test", check.test}};
  for (const auto& [key, span] : {std::pair("Interval", check.interval),
                                  std::pair("Timeout", check.timeout),
                                  std::pair("StartPeriod", check.start_period),
                                  std::pair("StartInterval", check.start_interval)}) {
    if (span.count() != 0) out[key] = span.count();
  }
  if (check.retries != 0) out["Retries"] = check.retries;
  return out;
}

Json ImageConfigJson(const engine::ImageConfig& config) {
  Json out;
  out["User"] = config.user;
  out["ExposedPorts"] = Set(config.exposed_ports);
  out["Env"] = JsonOrNull(config.environment);
  out["Cmd"] = JsonOrNull(config.command);
  if (config.healthcheck) out["Healthcheck"] = ImageHealthcheckJson(*config.healthcheck);
  out["Volumes"] = Set(config.volumes);
  out["WorkingDir"] = config.working_dir;
  out["Entrypoint"] = JsonOrNull(config.entrypoint);
  out["OnBuild"] = JsonOrNull(config.on_build);
  out["Labels"] = config.labels.empty() ? Json() : JsonObject(config.labels);
  if (!config.stop_signal.empty()) out["StopSignal"] = config.stop_signal;
  if (!config.shell.empty()) out["Shell"] = config.shell;
  return out;
}

Json Ipam(const engine::NetworkConfig& config) {
  Json subnets = Json::array();
  for (const engine::Subnet& subnet : config.subnets) {
    Json entry = {{"Subnet", subnet.subnet}};
    if (!subnet.ip_range.empty()) entry["IPRange"] = subnet.ip_range;
    if (!subnet.gateway.empty()) entry["Gateway"] = subnet.gateway;
    if (!subnet.auxiliary_addresses.empty()) {
      entry["AuxiliaryAddresses"] = JsonObject(subnet.auxiliary_addresses);
    }
    subnets.push_back(std::move(entry));
  }
  return {{"Driver", "default"}, {"Options", nullptr}, {"Config", std::move(subnets)}};
}

}  // namespace

Json InspectImage(const engine::Image& image) {
  Json out;
  out["Id"] = image.id;
  out["RepoTags"] = image.references;
  out["RepoDigests"] = image.digests;
  out["Parent"] = image.parent;
  out["Comment"] = image.comment;
  out["Created"] = FormatTimestamp(image.created_at);
  out["DockerVersion"] = "";
  out["Author"] = image.author;
  out["Config"] = ImageConfigJson(image.config);
  out["Architecture"] = image.architecture;
  if (!image.variant.empty()) out["Variant"] = image.variant;
  out["Os"] = image.os;
  out["Size"] = image.size;
  out["GraphDriver"] = {{"Data", nullptr}, {"Name", "overlay2"}};
  out["RootFS"] = {{"Type", "layers"}, {"Layers", image.layers}};
  out["Metadata"] = {{"LastTagTime", "0001-01-01T00:00:00Z"}};
  return out;
}

Json InspectNetwork(const engine::Network& network,
                    const std::vector<engine::Container>& containers) {
  Json out;
  out["Name"] = network.config.name;
  out["Id"] = network.id;
  out["Created"] = FormatTimestamp(network.created_at);
  out["Scope"] = "local";
  out["Driver"] = network.config.driver.empty() ? "bridge" : network.config.driver;
  out["EnableIPv4"] = true;
  out["EnableIPv6"] = network.config.enable_ipv6;
  out["IPAM"] = Ipam(network.config);
  out["Internal"] = network.config.internal;
  out["Attachable"] = network.config.attachable;
  out["Ingress"] = false;
  out["ConfigFrom"] = {{"Network", ""}};
  out["ConfigOnly"] = false;
  Json members = Json::object();
  for (const engine::Container& container : containers) {
    for (const engine::Endpoint& endpoint : container.endpoints) {
      if (endpoint.network_id != network.id) continue;
      const auto address = [](const std::string& ip, int prefix) {
        return ip.empty() ? std::string() : fmt::format("{}/{}", ip, prefix);
      };
      members[container.id] = {
          {"Name", container.name},
          {"EndpointID", endpoint.endpoint_id},
          {"MacAddress", endpoint.mac_address},
          {"IPv4Address", address(endpoint.ipv4_address, endpoint.ipv4_prefix)},
          {"IPv6Address", address(endpoint.ipv6_address, endpoint.ipv6_prefix)}};
    }
  }
  out["Containers"] = std::move(members);
  out["Options"] = JsonObject(network.config.options);
  out["Labels"] = JsonObject(network.config.labels);
  return out;
}

Json InspectVolume(const engine::Volume& volume) {
  Json out;
  out["CreatedAt"] = FormatTimestamp(volume.created_at);
  out["Driver"] = volume.config.driver.empty() ? "local" : volume.config.driver;
  out["Labels"] = volume.config.labels.empty() ? Json() : JsonObject(volume.config.labels);
  out["Mountpoint"] = volume.mountpoint;
  out["Name"] = volume.config.name;
  out["Options"] = volume.config.options.empty() ? Json() : JsonObject(volume.config.options);
  out["Scope"] = "local";
  return out;
}

}  // namespace skiff::cli
