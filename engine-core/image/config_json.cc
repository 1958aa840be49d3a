#include "engine-core/image/config_json.h"

#include <nlohmann/json.hpp>

#include "base/units.h"

namespace skiff::engine::image {
namespace {

using Json = nlohmann::ordered_json;

template <typename T>
void PutIfAny(Json& out, const char* key, const T& value) {
  if (!value.empty()) out[key] = value;
}

// A set as JSON has it here: an object whose values are empty objects.
void PutSet(Json& out, const char* key, const std::vector<std::string>& items) {
  for (const std::string& item : items) out[key][item] = Json::object();
}

Json WriteHealthcheck(const Healthcheck& check) {
  Json out = Json::object();
  PutIfAny(out, "Test", check.test);
  const std::pair<const char*, Nanoseconds> spans[] = {{"Interval", check.interval},
                                                       {"Timeout", check.timeout},
                                                       {"StartPeriod", check.start_period},
                                                       {"StartInterval", check.start_interval}};
  for (const auto& [key, span] : spans) {
    if (span.count() != 0) out[key] = span.count();
  }
  if (check.retries != 0) out["Retries"] = check.retries;
  return out;
}

template <typename T>
void Get(const Json& in, const char* key, T& value) {
  const auto it = in.find(key);
  if (it != in.end() && !it->is_null()) it->get_to(value);
}

void GetSet(const Json& in, const char* key, std::vector<std::string>& items) {
  const auto it = in.find(key);
  if (it == in.end() || !it->is_object()) return;
  for (const auto& [item, value] : it->items()) items.push_back(item);
}

Healthcheck ReadHealthcheck(const Json& in) {
  Healthcheck check;
  Get(in, "Test", check.test);
  const auto span = [&](const char* key) { return Nanoseconds(in.value(key, int64_t{0})); };
  check.interval = span("Interval");
  check.timeout = span("Timeout");
  check.start_period = span("StartPeriod");
  check.start_interval = span("StartInterval");
  Get(in, "Retries", check.retries);
  return check;
}

void ReadInner(const Json& in, ImageConfig& config) {
  Get(in, "User", config.user);
  Get(in, "Env", config.environment);
  Get(in, "Entrypoint", config.entrypoint);
  Get(in, "Cmd", config.command);
  Get(in, "WorkingDir", config.working_dir);
  Get(in, "Labels", config.labels);
  Get(in, "StopSignal", config.stop_signal);
  Get(in, "Shell", config.shell);
  Get(in, "OnBuild", config.on_build);
  GetSet(in, "ExposedPorts", config.exposed_ports);
  GetSet(in, "Volumes", config.volumes);
  const auto check = in.find("Healthcheck");
  if (check != in.end() && check->is_object()) config.healthcheck = ReadHealthcheck(*check);
}

}  // namespace

std::string WriteConfig(const Image& image) {
  const ImageConfig& config = image.config;
  Json inner = Json::object();
  PutIfAny(inner, "User", config.user);
  PutSet(inner, "ExposedPorts", config.exposed_ports);
  PutIfAny(inner, "Env", config.environment);
  PutIfAny(inner, "Entrypoint", config.entrypoint);
  PutIfAny(inner, "Cmd", config.command);
  PutSet(inner, "Volumes", config.volumes);
  PutIfAny(inner, "WorkingDir", config.working_dir);
  PutIfAny(inner, "Labels", config.labels);
  PutIfAny(inner, "StopSignal", config.stop_signal);
  PutIfAny(inner, "Shell", config.shell);
  PutIfAny(inner, "OnBuild", config.on_build);
  if (config.healthcheck) inner["Healthcheck"] = WriteHealthcheck(*config.healthcheck);

  const std::string created = FormatTimestamp(image.created_at);
  Json out = Json::object();
  out["architecture"] = image.architecture;
  out["os"] = image.os;
  out["created"] = created;
  PutIfAny(out, "author", image.author);
  out["config"] = std::move(inner);
  out["rootfs"] = {{"type", "layers"}, {"diff_ids", image.layers}};
  Json history = Json::object();
  history["created"] = created;
  PutIfAny(history, "comment", image.comment);
  out["history"] = Json::array({std::move(history)});
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<Image> ReadConfig(std::string_view json) {
  try {
    const Json in = Json::parse(json);
    Image image;
    Get(in, "architecture", image.architecture);
    Get(in, "os", image.os);
    Get(in, "author", image.author);
    if (const auto created = ParseTimestamp(in.value("created", ""))) image.created_at = *created;
    if (const auto inner = in.find("config"); inner != in.end() && inner->is_object()) {
      ReadInner(*inner, image.config);
    }
    if (const auto rootfs = in.find("rootfs"); rootfs != in.end()) {
      Get(*rootfs, "diff_ids", image.layers);
    }
    if (const auto history = in.find("history"); history != in.end() && !history->empty()) {
      Get(history->back(), "comment", image.comment);
    }
    return image;
  } catch (const Json::exception& error) {
    return Fail(Code::kCorrupted,
                std::string("cannot read an image configuration: ") + error.what());
  }
}

std::string WriteManifest(const Blob& config, const std::vector<Blob>& layers,
                          const std::string& layer_media_type) {
  const auto descriptor = [](const std::string& type, const Blob& blob) {
    Json out = Json::object();
    out["mediaType"] = type;
    out["digest"] = blob.digest;
    out["size"] = blob.size;
    return out;
  };
  Json out = Json::object();
  out["schemaVersion"] = 2;
  out["mediaType"] = "application/vnd.oci.image.manifest.v1+json";
  out["config"] = descriptor("application/vnd.oci.image.config.v1+json", config);
  out["layers"] = Json::array();
  for (const Blob& layer : layers) out["layers"].push_back(descriptor(layer_media_type, layer));
  return out.dump();
}

}  // namespace skiff::engine::image
