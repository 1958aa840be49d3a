#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine-core/types.h"
#include "schema/project.h"

namespace skiff::compose {

// Labels of docker compose: other programs read them (compose.md 4.25).
inline constexpr std::string_view kProjectLabel = "com.docker.compose.project";
inline constexpr std::string_view kServiceLabel = "com.docker.compose.service";
inline constexpr std::string_view kConfigHashLabel = "com.docker.compose.config-hash";
inline constexpr std::string_view kNumberLabel = "com.docker.compose.container-number";
inline constexpr std::string_view kOneoffLabel = "com.docker.compose.oneoff";
inline constexpr std::string_view kSlugLabel = "com.docker.compose.slug";
inline constexpr std::string_view kDependsOnLabel = "com.docker.compose.depends_on";
inline constexpr std::string_view kImageLabel = "com.docker.compose.image";
inline constexpr std::string_view kReplaceLabel = "com.docker.compose.replace";
inline constexpr std::string_view kVersionLabel = "com.docker.compose.version";
inline constexpr std::string_view kNetworkLabel = "com.docker.compose.network";
inline constexpr std::string_view kVolumeLabel = "com.docker.compose.volume";
inline constexpr std::string_view kWorkingDirLabel = "com.docker.compose.project.working_dir";
inline constexpr std::string_view kConfigFilesLabel = "com.docker.compose.project.config_files";
inline constexpr std::string_view kEnvironmentFileLabel =
    "com.docker.compose.project.environment_file";

// Annotations: the model a thing was created from, as JSON (engine-core/types.h).
inline constexpr std::string_view kServiceAnnotation = "skiff.service";
inline constexpr std::string_view kNetworkAnnotation = "skiff.network";
inline constexpr std::string_view kVolumeAnnotation = "skiff.volume";
// Paths of the files written for configs and secrets; they change with the content.
inline constexpr std::string_view kGrantsAnnotation = "skiff.grants";

// The version other programs see: that of the docker compose whose behaviour is followed.
inline constexpr std::string_view kComposeVersion = "5.0.0";

// "" when absent.
const std::string& LabelOf(const engine::Labels& labels, std::string_view key);
std::string LabelFilter(std::string_view key, std::string_view value);

// "p-web-1", or the service's own container_name.
std::string ContainerName(const std::string& project, const schema::Service& service, int number);
// The image a service runs: its own, or "project-service" of one that is built.
std::string ImageOf(const std::string& project, const schema::Service& service);

// "db:service_healthy:true,cache:service_started:false", sorted by service.
std::string FormatDependsOn(const std::vector<schema::Dependency>& dependencies);
std::vector<schema::Dependency> ParseDependsOn(std::string_view label);
std::string_view ConditionName(schema::DependencyCondition condition);

}  // namespace skiff::compose
