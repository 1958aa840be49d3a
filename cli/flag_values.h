#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/types.h"

// The values people write behind flags, parsed as docker parses them. All fail with
// kInvalidArgument and docker's words where clients know them.
namespace skiff::cli {

// -p [[ip:][hostport[-last]]:]port[-last][/tcp|udp|sctp]. Ranges of equal length map one to one; a
// range of host ports for one port is a pool of which one is taken.
Result<std::vector<engine::PortRequest>> ParsePublish(std::string_view text);
// --expose port[-last][/protocol]
Result<std::vector<engine::PortRequest>> ParseExpose(std::string_view text);
// -v [source:]target[:options]. `working_dir` makes ./x absolute.
Result<engine::MountRequest> ParseVolume(std::string_view text, const std::string& working_dir);
// --mount type=bind,source=/x,target=/y,readonly,...
Result<engine::MountRequest> ParseMount(std::string_view text, const std::string& working_dir);
// --tmpfs path[:options]
Result<engine::MountRequest> ParseTmpfs(std::string_view text);
// --ulimit name=soft[:hard]
Result<engine::Ulimit> ParseUlimit(std::string_view text);
// --device host[:container[:rwm]]
Result<engine::DeviceRequest> ParseDevice(std::string_view text);
// --restart no|always|unless-stopped|on-failure[:N]
Result<engine::RestartPolicy> ParseRestart(std::string_view text);
// --cpus 1.5 -> 1500000000
Result<int64_t> ParseCpus(std::string_view text);
// --network name or name=...,alias=...,ip=... ; mode "", "host", "none", "container:x" or endpoint.
struct NetworkChoice {
  std::string mode;  // Empty: `endpoint` counts.
  engine::EndpointRequest endpoint;
};
Result<NetworkChoice> ParseNetwork(std::string_view text);

// key=value, or key alone with an empty value. `what` names the flag in errors.
Result<std::pair<std::string, std::string>> ParseKeyValue(std::string_view text,
                                                          std::string_view what);
using Environment = std::map<std::string, std::string>;
// -e: KEY=VALUE stays; a bare KEY takes the caller's value and is left out when that is unset.
Result<std::vector<std::string>> ResolveEnvironment(const std::vector<std::string>& words,
                                                    const Environment& environment);
// Lines KEY=VALUE or KEY; blank lines and lines that begin with # are skipped (docker --env-file).
Result<std::vector<std::string>> ReadEnvironmentFile(const std::string& path,
                                                     const Environment& environment);

// --tail all|N; -1 is all.
Result<int64_t> ParseTail(std::string_view text);
// --since: RFC 3339, Unix seconds, or a span before `now`. 0 for "".
Result<int64_t> ParseMoment(std::string_view text, int64_t now);
// Service=number, as for --scale.
Result<std::map<std::string, int>> ParseScale(const std::vector<std::string>& words);
// A name or number to a signal number: KILL, SIGKILL, 9.
Result<int> ParseSignal(std::string_view text);
// Words of a shell: quotes and backslashes, nothing is expanded.
Result<std::vector<std::string>> SplitShellWords(std::string_view text);
// A comma-separated record with "quoted" fields.
Result<std::vector<std::string>> SplitCsv(std::string_view text);
// "a-b" or "a": first and last port.
struct PortRange {
  uint16_t first = 0, last = 0;
};
Result<PortRange> ParsePortRange(std::string_view text);

}  // namespace skiff::cli
