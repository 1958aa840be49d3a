#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine-core/types.h"

namespace skiff::cli {

// The texts of docker's listings. `now` is in nanoseconds since the epoch.

// "Up 3 minutes (healthy)", "Exited (137) 5 seconds ago", "Created".
std::string StatusText(const engine::ContainerState& state, int64_t now);
// "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp, 9000/tcp"; neighbouring ports are drawn together.
std::string PortsText(const std::vector<engine::PublishedPort>& ports);
// "3 minutes ago"
std::string AgoText(int64_t moment, int64_t now);
// "2026-11-23 19:01:03 +0000 UTC", in the local time zone.
std::string DateText(int64_t moment);
// A command line in quotes, cut to 20 characters unless `whole`.
std::string CommandText(const std::vector<std::string>& command, bool whole);
// "k=v,k2=v2"
std::string LabelsText(const engine::Labels& labels);
// The first 12 digits of an id, without "sha256:".
std::string ShortId(std::string_view id);
// Powers of 1024, four significant digits: "1.5MiB".
std::string BinarySize(int64_t bytes);

}  // namespace skiff::cli
