#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "compose/labels.h"
#include "compose/plan.h"

namespace skiff::compose {
namespace {

std::string_view ConditionText(WaitCondition condition) {
  switch (condition) {
    case WaitCondition::kHealthy:
      return "healthy";
    case WaitCondition::kCompletedSuccessfully:
      return "completed";
    case WaitCondition::kRunningOrHealthy:
      return "running or healthy";
  }
  return "";
}

std::string DoingText(const Operation& operation) {
  std::string text = fmt::format("{} {}", OperationName(operation.kind), operation.name);
  if (operation.kind == OperationKind::kWait) {
    text = fmt::format("wait until {} is {}", operation.name, ConditionText(operation.condition));
  } else if (operation.kind == OperationKind::kConnectNetwork) {
    text += " to " + operation.endpoint.network;
  } else if (operation.kind == OperationKind::kDisconnectNetwork) {
    text += " from " + operation.endpoint.network;
  } else if (operation.recreate && operation.kind != OperationKind::kCreateContainer) {
    text += " (old)";
  } else if (operation.recreate) {
    text += " (new)";
  }
  return text;
}

std::string AfterText(const Operation& operation) {
  std::vector<std::string> parts;
  for (int dependency : operation.dependencies) parts.push_back(std::to_string(dependency + 1));
  return parts.empty() ? "" : "after " + Join(parts, ", ");
}

}  // namespace

std::string_view OperationName(OperationKind kind) {
  switch (kind) {
    case OperationKind::kCreateNetwork:
      return "create network";
    case OperationKind::kRemoveNetwork:
      return "remove network";
    case OperationKind::kDisconnectNetwork:
      return "disconnect container";
    case OperationKind::kConnectNetwork:
      return "connect container";
    case OperationKind::kCreateVolume:
      return "create volume";
    case OperationKind::kRemoveVolume:
      return "remove volume";
    case OperationKind::kCreateContainer:
      return "create container";
    case OperationKind::kStartContainer:
      return "start container";
    case OperationKind::kStopContainer:
      return "stop container";
    case OperationKind::kKillContainer:
      return "kill container";
    case OperationKind::kRestartContainer:
      return "restart container";
    case OperationKind::kPauseContainer:
      return "pause container";
    case OperationKind::kUnpauseContainer:
      return "unpause container";
    case OperationKind::kRemoveContainer:
      return "remove container";
    case OperationKind::kRemoveImage:
      return "remove image";
    case OperationKind::kRunHook:
      return "run hook in";
    case OperationKind::kWait:
      return "wait";
  }
  return "";
}

std::string PlanToText(const Plan& plan) {
  if (plan.empty()) return fmt::format("Project \"{}\": nothing to do\n", plan.project);
  std::string text = fmt::format("Project \"{}\": {} operation{}\n", plan.project,
                                 plan.operations.size(), plan.operations.size() == 1 ? "" : "s");
  size_t doing_width = 0, cause_width = 0;
  for (const Operation& operation : plan.operations) {
    doing_width = std::max(doing_width, DoingText(operation).size());
    if (!operation.dependencies.empty()) {
      cause_width = std::max(cause_width, operation.cause.size());
    }
  }
  cause_width = std::min<size_t>(cause_width, 60);
  const size_t number_width = std::to_string(plan.operations.size()).size();
  for (size_t i = 0; i < plan.operations.size(); ++i) {
    const Operation& operation = plan.operations[i];
    std::string line =
        fmt::format("{:>{}}  {:<{}}  {:<{}}  {}", i + 1, number_width + 1, DoingText(operation),
                    doing_width, operation.cause, cause_width, AfterText(operation));
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string PlanToJson(const Plan& plan) {
  using Json = nlohmann::ordered_json;
  Json operations = Json::array();
  for (size_t i = 0; i < plan.operations.size(); ++i) {
    const Operation& operation = plan.operations[i];
    Json entry;
    entry["id"] = i + 1;
    entry["op"] = OperationName(operation.kind);
    entry["name"] = operation.name;
    if (!operation.service.empty()) entry["service"] = operation.service;
    entry["cause"] = operation.cause;
    if (operation.recreate) entry["recreate"] = true;
    if (operation.kind == OperationKind::kWait) {
      entry["condition"] = ConditionText(operation.condition);
      Json containers = Json::array();
      for (const ContainerTarget& target : operation.wait_for) containers.push_back(target.name);
      entry["containers"] = std::move(containers);
    }
    if (operation.kind == OperationKind::kConnectNetwork ||
        operation.kind == OperationKind::kDisconnectNetwork) {
      entry["network"] = operation.endpoint.network;
    }
    if (operation.kind == OperationKind::kCreateContainer) {
      entry["image"] = operation.container_config.image;
    }
    if (operation.kind == OperationKind::kRunHook) entry["command"] = operation.hook.command;
    Json after = Json::array();
    for (int dependency : operation.dependencies) after.push_back(dependency + 1);
    entry["after"] = std::move(after);
    operations.push_back(std::move(entry));
  }
  Json warnings = Json::array();
  for (const Diagnostic& diagnostic : plan.warnings.list()) {
    warnings.push_back(diagnostic.error.Text());
  }
  Json document;
  document["project"] = plan.project;
  document["operations"] = std::move(operations);
  document["unchanged"] = plan.unchanged;
  document["warnings"] = std::move(warnings);
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace skiff::compose
