#include "compose/labels.h"

#include <fmt/format.h>

#include "base/text.h"

namespace skiff::compose {

const std::string& LabelOf(const engine::Labels& labels, std::string_view key) {
  static const std::string kNone;
  const auto found = labels.find(std::string(key));
  return found == labels.end() ? kNone : found->second;
}

std::string LabelFilter(std::string_view key, std::string_view value) {
  return fmt::format("{}={}", key, value);
}

std::string ContainerName(const std::string& project, const schema::Service& service, int number) {
  if (!service.container_name.empty()) return service.container_name;
  return fmt::format("{}-{}-{}", project, service.name, number);
}

std::string ImageOf(const std::string& project, const schema::Service& service) {
  if (!service.image.empty()) return service.image;
  return fmt::format("{}-{}", project, service.name);
}

std::string_view ConditionName(schema::DependencyCondition condition) {
  switch (condition) {
    case schema::DependencyCondition::kStarted:
      return "service_started";
    case schema::DependencyCondition::kHealthy:
      return "service_healthy";
    case schema::DependencyCondition::kCompletedSuccessfully:
      return "service_completed_successfully";
  }
  return "";
}

std::string FormatDependsOn(const std::vector<schema::Dependency>& dependencies) {
  std::vector<std::string> parts;
  for (const schema::Dependency& dependency : dependencies) {
    parts.push_back(fmt::format("{}:{}:{}", dependency.service, ConditionName(dependency.condition),
                                dependency.restart));
  }
  return Join(parts, ",");
}

std::vector<schema::Dependency> ParseDependsOn(std::string_view label) {
  std::vector<schema::Dependency> result;
  for (std::string_view part : Split(label, ',')) {
    const std::vector<std::string_view> fields = Split(part, ':');
    if (fields[0].empty()) continue;
    schema::Dependency dependency;
    dependency.service = fields[0];
    if (fields.size() > 1) {
      using enum schema::DependencyCondition;
      for (schema::DependencyCondition condition : {kHealthy, kCompletedSuccessfully}) {
        if (fields[1] == ConditionName(condition)) dependency.condition = condition;
      }
    }
    dependency.restart = fields.size() > 2 && fields[2] == "true";
    result.push_back(std::move(dependency));
  }
  return result;
}

}  // namespace skiff::compose
