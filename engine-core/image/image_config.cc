#include "engine-core/image_config.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/units.h"
#include "engine-core/json/whole_number.h"
#include "engine-core/references.h"

namespace skiff::engine {
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
  if (it == in.end() || it->is_null()) return;
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
    value = WholeNumber<T>(*it);
  } else {
    it->get_to(value);
  }
}

void GetSet(const Json& in, const char* key, std::vector<std::string>& items) {
  const auto it = in.find(key);
  if (it == in.end() || !it->is_object()) return;
  for (const auto& [item, value] : it->items()) items.push_back(item);
}

Healthcheck ReadHealthcheck(const Json& in) {
  Healthcheck check;
  Get(in, "Test", check.test);
  const auto span = [&](const char* key) { return Nanoseconds(WholeNumber(in, key, int64_t{0})); };
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

Json WriteInner(const ImageConfig& config) {
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
  if (config.healthcheck) inner["Healthcheck"] = WriteHealthcheck(*config.healthcheck);
  PutIfAny(inner, "OnBuild", config.on_build);
  PutIfAny(inner, "Shell", config.shell);
  return inner;
}

Json WriteHistory(const HistoryEntry& entry) {
  Json out = Json::object();
  if (entry.created_at) out["created"] = FormatTimestamp(*entry.created_at);
  PutIfAny(out, "created_by", entry.created_by);
  PutIfAny(out, "author", entry.author);
  PutIfAny(out, "comment", entry.comment);
  if (entry.empty_layer) out["empty_layer"] = true;
  return out;
}

HistoryEntry ReadHistory(const Json& in) {
  HistoryEntry entry;
  if (const auto created = ParseTimestamp(in.value("created", ""))) entry.created_at = *created;
  Get(in, "created_by", entry.created_by);
  Get(in, "author", entry.author);
  Get(in, "comment", entry.comment);
  Get(in, "empty_layer", entry.empty_layer);
  return entry;
}

// As Go's encoder writes them, so that equal configurations have equal bytes.
std::string Escape(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json) {
    if (c == '<') {
      out += "\\u003c";
    } else if (c == '>') {
      out += "\\u003e";
    } else if (c == '&') {
      out += "\\u0026";
    } else {
      out += c;
    }
  }
  return out;
}

Status ReadRoot(const Json& in, ImageDocument& document) {
  const auto rootfs = in.find("rootfs");
  if (rootfs == in.end() || !rootfs->is_object()) return {};
  Get(*rootfs, "diff_ids", document.diff_ids);
  for (const std::string& id : document.diff_ids) {
    // They become names of folders.
    if (!IsDigest(id)) {
      return Fail(Code::kInvalidArgument,
                  "cannot read an image configuration: '" + id + "' is no diff id");
    }
  }
  return {};
}

constexpr const char* kCacheKey = "skiff.cache.v1";

// Layers by their numbers, as they are long names.
Json WriteCache(const ImageDocument& document) {
  Json out = Json::array();
  for (const CachedStep& step : document.cache) {
    const auto layer = std::ranges::find(document.diff_ids, step.diff_id);
    if (layer == document.diff_ids.end()) continue;
    out.push_back({{"key", step.key},
                   {"layer", layer - document.diff_ids.begin()},
                   {"size", step.size},
                   {"created", FormatTimestamp(step.created_at)}});
  }
  return out;
}

Result<CachedStep> ReadCachedStep(const Json& in, const std::vector<std::string>& diff_ids) {
  const auto fail = [](const std::string& why) {
    return Fail(Code::kInvalidArgument, "cannot read the cache in an image: " + why);
  };
  if (!in.is_object()) return fail("a step is no object");
  CachedStep step;
  Get(in, "key", step.key);
  if (!IsDigest("sha256:" + step.key)) return fail("'" + step.key + "' is no key");
  const size_t layer = WholeNumber(in, "layer", diff_ids.size());
  if (layer >= diff_ids.size()) return fail("a step has no layer");
  step.diff_id = diff_ids[layer];
  step.size = WholeNumber(in, "size", int64_t{0});
  const auto created = ParseTimestamp(in.value("created", ""));
  if (!created) return fail("a step has no time");
  step.created_at = *created;
  return step;
}

}  // namespace

std::string WriteImageDocument(const ImageDocument& document) {
  Json out = Json::object();
  out["architecture"] = document.architecture;
  PutIfAny(out, "author", document.author);
  out["config"] = WriteInner(document.config);
  if (document.args_escaped) out["config"]["ArgsEscaped"] = true;
  if (document.created_at) out["created"] = FormatTimestamp(*document.created_at);
  out["history"] = Json::array();
  for (const HistoryEntry& entry : document.history) out["history"].push_back(WriteHistory(entry));
  out["os"] = document.os;
  PutIfAny(out, "os.version", document.os_version);
  out["rootfs"] = {{"type", "layers"}, {"diff_ids", document.diff_ids}};
  if (!document.cache.empty()) out[kCacheKey] = WriteCache(document);
  PutIfAny(out, "variant", document.variant);
  return Escape(out.dump(-1, ' ', false, Json::error_handler_t::replace));
}

Result<ImageDocument> ReadImageDocument(std::string_view json) {
  try {
    const Json in = Json::parse(json);
    if (!in.is_object()) {
      return Fail(Code::kInvalidArgument, "cannot read an image configuration: it is no object");
    }
    ImageDocument document;
    Get(in, "architecture", document.architecture);
    Get(in, "variant", document.variant);
    Get(in, "os", document.os);
    Get(in, "os.version", document.os_version);
    Get(in, "author", document.author);
    std::string created;
    Get(in, "created", created);
    if (const auto time = ParseTimestamp(created)) document.created_at = *time;
    if (const auto inner = in.find("config"); inner != in.end() && inner->is_object()) {
      ReadInner(*inner, document.config);
      Get(*inner, "ArgsEscaped", document.args_escaped);
    }
    SKIFF_TRY(ReadRoot(in, document));
    if (const auto history = in.find("history"); history != in.end() && history->is_array()) {
      for (const Json& entry : *history) document.history.push_back(ReadHistory(entry));
    }
    return document;
  } catch (const Json::exception& error) {
    return Fail(Code::kInvalidArgument,
                std::string("cannot read an image configuration: ") + error.what());
  }
}

Result<std::vector<CachedStep>> ReadCachedSteps(std::string_view json) {
  try {
    const Json in = Json::parse(json);
    ImageDocument document;
    SKIFF_TRY(ReadRoot(in, document));
    std::vector<CachedStep> steps;
    const auto list = in.find(kCacheKey);
    if (list == in.end()) return steps;
    for (const Json& entry : *list) {
      SKIFF_ASSIGN(CachedStep step, ReadCachedStep(entry, document.diff_ids));
      steps.push_back(std::move(step));
    }
    return steps;
  } catch (const Json::exception& error) {
    return Fail(Code::kInvalidArgument,
                std::string("cannot read the cache in an image: ") + error.what());
  }
}

}  // namespace skiff::engine
