#include <nlohmann/json.hpp>

#include "cli/build_print.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

// Bytes that are no UTF-8 become U+FFFD.
std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace) + "\n";
}

Json Location(builder::LineRange lines) {
  Json ranges = Json::array();
  for (uint32_t line = lines.first; line <= lines.last; ++line) {
    ranges.push_back({{"start", {{"line", line}}}, {"end", {{"line", line}}}});
  }
  return {{"ranges", std::move(ranges)}};
}

void SetText(Json& object, const char* key, const std::string& value) {
  if (!value.empty()) object[key] = value;
}

Json TargetList(const std::vector<builder::Target>& targets) {
  Json list = Json::array();
  for (const builder::Target& target : targets) {
    Json row = Json::object();
    SetText(row, "name", target.name);
    if (target.is_default) row["default"] = true;
    SetText(row, "description", target.description);
    SetText(row, "base", target.base);
    SetText(row, "platform", target.platform);
    row["location"] = Location(target.lines);
    list.push_back(std::move(row));
  }
  return list;
}

Json SecretList(const std::vector<builder::OutlineSecret>& secrets) {
  Json list = Json::array();
  for (const builder::OutlineSecret& secret : secrets) {
    Json row = {{"name", secret.name}};
    if (secret.required) row["required"] = true;
    row["location"] = Location(secret.lines);
    list.push_back(std::move(row));
  }
  return list;
}

Json OutlineObject(const builder::Outline& outline) {
  Json object = Json::object();
  SetText(object, "name", outline.name);
  SetText(object, "description", outline.description);
  for (const builder::OutlineArg& arg : outline.args) {
    Json row = {{"name", arg.name}};
    SetText(row, "description", arg.description);
    SetText(row, "value", arg.value);
    row["location"] = Location(arg.lines);
    object["args"].push_back(std::move(row));
  }
  if (!outline.secrets.empty()) object["secrets"] = SecretList(outline.secrets);
  if (!outline.ssh.empty()) object["ssh"] = SecretList(outline.ssh);
  return object;
}

Json HealthcheckObject(const engine::Healthcheck& check) {
  Json object = {{"Test", check.test}};
  const std::pair<const char*, engine::Nanoseconds> spans[] = {
      {"Interval", check.interval},
      {"Timeout", check.timeout},
      {"StartPeriod", check.start_period},
      {"StartInterval", check.start_interval}};
  for (const auto& [key, span] : spans) {
    if (span.count() != 0) object[key] = span.count();
  }
  if (check.retries != 0) object["Retries"] = check.retries;
  return object;
}

Json Set(const std::vector<std::string>& names) {
  Json object = Json::object();
  for (const std::string& name : names) object[name] = Json::object();
  return object;
}

Json ConfigObject(const builder::ImageDescription& image) {
  const engine::ImageConfig& config = image.config;
  Json object = Json::object();
  const auto list = [&](const char* key, const std::vector<std::string>& values) {
    if (!values.empty()) object[key] = values;
  };
  SetText(object, "User", config.user);
  if (!config.exposed_ports.empty()) object["ExposedPorts"] = Set(config.exposed_ports);
  list("Env", config.environment);
  list("Entrypoint", config.entrypoint);
  list("Cmd", config.command);
  if (!config.volumes.empty()) object["Volumes"] = Set(config.volumes);
  SetText(object, "WorkingDir", config.working_dir);
  if (!config.labels.empty()) object["Labels"] = config.labels;
  SetText(object, "StopSignal", config.stop_signal);
  if (image.args_escaped) object["ArgsEscaped"] = true;
  if (config.healthcheck) object["Healthcheck"] = HealthcheckObject(*config.healthcheck);
  list("OnBuild", config.on_build);
  list("Shell", config.shell);
  return object;
}

Json HistoryList(const std::vector<builder::HistoryEntry>& history) {
  Json list = Json::array();
  for (const builder::HistoryEntry& entry : history) {
    list.push_back({{"created_by", entry.created_by}, {"empty_layer", entry.empty_layer}});
  }
  return list;
}

Json Source(const SourceFile& file) {
  return {{"filename", file.name()}, {"language", "Dockerfile"}, {"data", Base64(file.text())}};
}

}  // namespace

std::string Base64(std::string_view data) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < data.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < data.size() ? static_cast<unsigned char>(data[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += i + j <= data.size() ? kDigits[group >> (18 - 6 * j) & 0x3f] : '=';
    }
  }
  return out;
}

std::string WarningsJson(const BuildReport& report, const SourceFile& file) {
  Json object;
  object["warnings"] = Json::array();
  for (const builder::LintWarning& warning : report.warnings) {
    const builder::LintRuleInfo& info = builder::InfoOf(warning.rule);
    Json row = {{"ruleName", info.name}, {"description", info.description}};
    SetText(row, "url", builder::LintRuleUrl(warning.rule));
    row["detail"] = warning.message;
    row["location"] = Location(warning.lines);
    object["warnings"].push_back(std::move(row));
  }
  object["sources"] = Json::array({Source(file)});
  if (report.error) {
    const uint32_t line =
        report.error->span.valid() ? file.Locate(report.error->span.offset).line : 0;
    object["buildError"] = {{"message", report.error->message},
                            {"location", line == 0 ? Json::object() : Location({line, line})}};
  }
  return Dump(object, 2);
}

std::string OutlineJson(const builder::Outline& outline, const SourceFile& file) {
  Json object = OutlineObject(outline);
  object["sources"] = Json::array({Base64(file.text())});
  return Dump(object, 2);
}

std::string TargetsJson(const std::vector<builder::Target>& targets, const SourceFile& file) {
  const Json object = {{"targets", TargetList(targets)},
                       {"sources", Json::array({Base64(file.text())})}};
  return Dump(object, 2);
}

std::string PlanJson(const BuildReport& report) {
  Json object = Json::object();
  if (report.error) object["error"] = report.error->Text();
  if (!report.targets.empty()) object["targets"] = TargetList(report.targets);
  object["warnings"] = Json::array();
  for (const builder::LintWarning& warning : report.warnings) {
    object["warnings"].push_back({{"rule", builder::InfoOf(warning.rule).name},
                                  {"line", warning.lines.first},
                                  {"detail", warning.message}});
  }
  if (report.plan) {
    object["outline"] = OutlineObject(report.plan->outline);
    object["config"] = ConfigObject(report.plan->result().image);
    object["history"] = HistoryList(report.plan->result().image.history);
  }
  return Dump(object, -1);
}

}  // namespace skiff::cli
