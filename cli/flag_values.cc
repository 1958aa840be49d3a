#include "cli/flag_values.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>

#include "base/fd.h"
#include "base/text.h"
#include "base/units.h"

namespace skiff::cli {
namespace {

template <typename... T>
tl::unexpected<Error> Invalid(fmt::format_string<T...> format, T&&... values) {
  return Fail(Code::kInvalidArgument, fmt::format(format, std::forward<T>(values)...));
}

Result<engine::Protocol> ParseProtocol(std::string_view text) {
  const std::string name = ToLower(text);
  if (name == "tcp") return engine::Protocol::kTcp;
  if (name == "udp") return engine::Protocol::kUdp;
  if (name == "sctp") return engine::Protocol::kSctp;
  return Invalid("invalid proto: {}", text);
}

bool IsAddress(const std::string& text) {
  unsigned char buffer[16];
  return inet_pton(AF_INET, text.c_str(), buffer) == 1 ||
         inet_pton(AF_INET6, text.c_str(), buffer) == 1;
}

struct PortWords {
  std::string ip, host, container;
  engine::Protocol protocol = engine::Protocol::kTcp;
};

// "[::1]:80:80/udp" -> ::1, 80, 80, udp
Result<PortWords> SplitPort(std::string_view text) {
  PortWords words;
  std::string_view rest = text;
  if (const size_t slash = rest.rfind('/'); slash != std::string_view::npos) {
    SKIFF_ASSIGN(words.protocol, ParseProtocol(rest.substr(slash + 1)));
    rest = rest.substr(0, slash);
  }
  if (rest.starts_with('[')) {
    const size_t close = rest.find("]:");
    if (close == std::string_view::npos) return Invalid("invalid IP address: {}", text);
    words.ip = rest.substr(1, close - 1);
    rest = rest.substr(close + 2);
  } else if (std::count(rest.begin(), rest.end(), ':') >= 2) {
    const size_t port = rest.rfind(':', rest.rfind(':') - 1);
    words.ip = rest.substr(0, port);
    rest = rest.substr(port + 1);
  }
  if (!words.ip.empty() && !IsAddress(words.ip)) return Invalid("invalid IP address: {}", words.ip);
  if (const size_t colon = rest.rfind(':'); colon != std::string_view::npos) {
    words.host = rest.substr(0, colon);
    rest = rest.substr(colon + 1);
  }
  words.container = rest;
  if (words.container.empty()) return Invalid("no port specified: {}<empty>", text);
  return words;
}

constexpr std::string_view kPropagations[] = {"private", "rprivate", "shared",
                                              "rshared", "slave",    "rslave"};
bool IsPropagation(std::string_view word) {
  return std::find(std::begin(kPropagations), std::end(kPropagations), word) !=
         std::end(kPropagations);
}

Status ApplyVolumeOption(engine::MountRequest& mount, std::string_view option,
                         std::string_view text) {
  if (option == "ro") {
    mount.read_only = true;
  } else if (option == "nocopy") {
    mount.no_copy = true;
  } else if (IsPropagation(option)) {
    mount.propagation = option;
  } else if (option != "rw" && option != "z" && option != "Z" && option != "cached" &&
             option != "delegated" && option != "consistent") {
    return Invalid("invalid mode '{}' in volume specification '{}'", option, text);
  }
  return {};
}

std::string Absolute(std::string_view path, const std::string& working_dir) {
  if (path.starts_with('/')) return std::string(path);
  if (path == ".") return working_dir;
  if (path.starts_with("./")) path.remove_prefix(2);
  return working_dir + '/' + std::string(path);
}

// Reads one `key=value` of --mount; keys of other types are errors too.
Status ApplyMountKey(engine::MountRequest& mount, std::string_view key, std::string_view value,
                     std::string_view text) {
  const auto truth = [&]() -> Result<bool> {
    if (value.empty() || value == "true" || value == "1") return true;
    if (value == "false" || value == "0") return false;
    return Invalid("invalid value for {}: {}", key, value);
  };
  using engine::MountKind;
  if (key == "type") {
    if (value == "bind")
      mount.kind = MountKind::kBind;
    else if (value == "volume")
      mount.kind = MountKind::kVolume;
    else if (value == "tmpfs")
      mount.kind = MountKind::kTmpfs;
    else if (value == "image")
      mount.kind = MountKind::kImage;
    else
      return Invalid("invalid mount type '{}' in '{}'", value, text);
  } else if (key == "source" || key == "src") {
    mount.source = value;
  } else if (key == "target" || key == "dst" || key == "destination") {
    mount.target = value;
  } else if (key == "readonly" || key == "ro") {
    SKIFF_ASSIGN(mount.read_only, truth());
  } else if (key == "bind-propagation") {
    if (!IsPropagation(value)) return Invalid("invalid bind propagation '{}'", value);
    mount.propagation = value;
  } else if (key == "bind-nonrecursive") {
    SKIFF_ASSIGN(const bool off, truth());
    mount.recursive = !off;
  } else if (key == "bind-recursive") {
    mount.recursive = value != "disabled";
  } else if (key == "bind-create-src") {
    SKIFF_ASSIGN(mount.create_host_path, truth());
  } else if (key == "volume-nocopy") {
    SKIFF_ASSIGN(mount.no_copy, truth());
  } else if (key == "volume-subpath" || key == "image-subpath") {
    mount.subpath = value;
  } else if (key == "volume-label") {
    const size_t equals = value.find('=');
    mount.volume_labels[std::string(value.substr(0, equals))] =
        equals == std::string_view::npos ? "" : value.substr(equals + 1);
  } else if (key == "tmpfs-size") {
    SKIFF_ASSIGN(mount.tmpfs_size, ParseBytes(value));
  } else if (key == "tmpfs-mode") {
    const auto mode = ParseNumber<uint32_t>(value, 8);
    if (!mode) return Invalid("invalid value for {}: {}", key, value);
    mount.tmpfs_mode = *mode;
  } else if (key != "consistency" && key != "volume-driver" && key != "volume-opt") {
    return Invalid("unexpected key '{}' in '{}'", key, text);
  } else if (key != "consistency") {
    return Fail(Code::kUnsupported, fmt::format("--mount {} is not supported yet", key));
  }
  return {};
}

}  // namespace

Result<PortRange> ParsePortRange(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = ParseNumber<uint16_t>(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : ParseNumber<uint16_t>(text.substr(dash + 1));
  if (!first || !last || *last < *first) return Invalid("invalid port range '{}'", text);
  return PortRange{*first, *last};
}

Result<std::vector<engine::PortRequest>> ParsePublish(std::string_view text) {
  SKIFF_ASSIGN(const PortWords words, SplitPort(text));
  auto container = ParsePortRange(words.container);
  if (!container || container->first == 0)
    return Invalid("invalid containerPort: {}", words.container);
  PortRange host;
  if (!words.host.empty()) {
    auto range = ParsePortRange(words.host);
    if (!range) return Invalid("invalid hostPort: {}", words.host);
    host = *range;
  }
  const int length = container->last - container->first;
  const int host_length = host.last - host.first;
  if (!words.host.empty() && length != host_length && length != 0) {
    return Invalid("invalid ranges specified for container and host Ports: {} and {}",
                   words.container, words.host);
  }
  std::vector<engine::PortRequest> ports;
  for (int i = 0; i <= length; ++i) {
    engine::PortRequest port;
    port.container_port = static_cast<uint16_t>(container->first + i);
    port.protocol = words.protocol;
    port.host_ip = words.ip;
    if (!words.host.empty()) {
      port.host_port = static_cast<uint16_t>(host.first + i);
      if (length == 0 && host_length > 0) port.host_port_last = host.last;
    }
    ports.push_back(std::move(port));
  }
  return ports;
}

Result<std::vector<engine::PortRequest>> ParseExpose(std::string_view text) {
  if (text.find(':') != std::string_view::npos) {
    return Invalid("invalid port format for --expose: {}", text);
  }
  SKIFF_ASSIGN(std::vector<engine::PortRequest> ports, ParsePublish(text));
  for (engine::PortRequest& port : ports) port.publish = false;
  return ports;
}

Result<engine::MountRequest> ParseVolume(std::string_view text, const std::string& working_dir) {
  engine::MountRequest mount;
  mount.kind = engine::MountKind::kVolume;
  const std::vector<std::string_view> parts = Split(text, ':');
  if (parts.size() > 3 || text.empty()) return Invalid("invalid volume specification: '{}'", text);
  for (std::string_view part : parts) {
    if (part.empty()) return Invalid("invalid spec: {}: empty section between colons", text);
  }
  mount.target = parts.size() == 1 ? parts[0] : parts[1];
  if (parts.size() > 1) {
    mount.source = parts[0];
    const char first = mount.source[0];
    if (first == '/' || first == '.') {
      mount.kind = engine::MountKind::kBind;
      mount.source = Absolute(mount.source, working_dir);
      mount.create_host_path = true;
    } else if (mount.source.find('/') != std::string::npos) {
      return Fail(
          Error(Code::kInvalidArgument,
                fmt::format("invalid volume name '{}' in '{}'", mount.source, text))
              .With("to mount a folder of the host write an absolute path, or ./ before it"));
    }
  }
  if (!mount.target.starts_with('/')) {
    return Invalid("invalid volume specification: '{}': mount path must be absolute", text);
  }
  if (mount.target == "/") {
    return Invalid("invalid volume specification: '{}': destination can't be '/'", text);
  }
  if (parts.size() == 3) {
    for (std::string_view option : Split(parts[2], ',')) {
      SKIFF_TRY(ApplyVolumeOption(mount, option, text));
    }
  }
  return mount;
}

Result<engine::MountRequest> ParseMount(std::string_view text, const std::string& working_dir) {
  engine::MountRequest mount;
  mount.kind = engine::MountKind::kVolume;
  SKIFF_ASSIGN(const std::vector<std::string> fields, SplitCsv(text));
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    const std::string key = ToLower(Trim(std::string_view(field).substr(0, equals)));
    const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
    SKIFF_TRY(ApplyMountKey(mount, key, value, text));
  }
  if (mount.target.empty()) return Invalid("invalid mount '{}': target is required", text);
  if (!mount.target.starts_with('/')) {
    return Invalid("invalid mount '{}': mount path must be absolute", text);
  }
  if (mount.kind == engine::MountKind::kBind) {
    if (mount.source.empty()) return Invalid("invalid mount '{}': source is required", text);
    mount.source = Absolute(mount.source, working_dir);
  }
  if (mount.kind == engine::MountKind::kTmpfs && !mount.source.empty()) {
    return Invalid("invalid mount '{}': a tmpfs has no source", text);
  }
  return mount;
}

Result<engine::MountRequest> ParseTmpfs(std::string_view text) {
  engine::MountRequest mount;
  mount.kind = engine::MountKind::kTmpfs;
  const size_t colon = text.find(':');
  mount.target = text.substr(0, colon);
  if (!mount.target.starts_with('/')) {
    return Invalid("invalid mount path '{}': mount path must be absolute", mount.target);
  }
  if (colon == std::string_view::npos) return mount;
  for (std::string_view option : Split(text.substr(colon + 1), ',')) {
    const size_t equals = option.find('=');
    const std::string_view key = option.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? "" : option.substr(equals + 1);
    if (key == "size") {
      SKIFF_ASSIGN(mount.tmpfs_size, ParseBytes(value));
    } else if (key == "mode") {
      const auto mode = ParseNumber<uint32_t>(value, 8);
      if (!mode) return Invalid("invalid mode '{}' in tmpfs option '{}'", value, text);
      mount.tmpfs_mode = *mode;
    } else if (key == "ro") {
      mount.read_only = true;
    } else if (!option.empty() && key != "rw") {
      mount.tmpfs_options.emplace_back(option);
    }
  }
  return mount;
}

Result<engine::Ulimit> ParseUlimit(std::string_view text) {
  constexpr std::string_view kNames[] = {"core",    "cpu",      "data",   "fsize",      "locks",
                                         "memlock", "msgqueue", "nice",   "nofile",     "nproc",
                                         "rss",     "rtprio",   "rttime", "sigpending", "stack"};
  const size_t equals = text.find('=');
  if (equals == std::string_view::npos) return Invalid("invalid ulimit argument: {}", text);
  engine::Ulimit limit;
  limit.name = text.substr(0, equals);
  if (std::find(std::begin(kNames), std::end(kNames), limit.name) == std::end(kNames)) {
    return Invalid("invalid ulimit type: {}", limit.name);
  }
  const std::vector<std::string_view> values = Split(text.substr(equals + 1), ':');
  const auto number = [](std::string_view word) -> std::optional<int64_t> {
    if (word == "unlimited") return -1;
    return ParseNumber<int64_t>(word);
  };
  const auto soft = number(values[0]);
  const auto hard = values.size() > 1 ? number(values[1]) : soft;
  if (!soft || !hard || values.size() > 2) return Invalid("invalid ulimit value '{}'", text);
  if (*hard != -1 && (*soft > *hard || *soft == -1)) {
    return Invalid("ulimit soft limit must be less than or equal to hard limit: {} > {}", values[0],
                   values.back());
  }
  limit.soft = *soft;
  limit.hard = *hard;
  return limit;
}

Result<engine::DeviceRequest> ParseDevice(std::string_view text) {
  const auto valid_mode = [](std::string_view mode) {
    return !mode.empty() && mode.find_first_not_of("rwm") == std::string_view::npos;
  };
  const std::vector<std::string_view> parts = Split(text, ':');
  if (parts.size() > 3 || parts[0].empty())
    return Invalid("invalid device specification: {}", text);
  engine::DeviceRequest device;
  device.host_path = parts[0];
  device.container_path = parts[0];
  if (parts.size() == 3) {
    device.container_path = parts[1];
    device.permissions = parts[2];
  } else if (parts.size() == 2) {
    (valid_mode(parts[1]) ? device.permissions : device.container_path) = parts[1];
  }
  if (!valid_mode(device.permissions))
    return Invalid("invalid device mode: {}", device.permissions);
  if (!device.container_path.starts_with('/')) {
    return Invalid("invalid device specification: {}: not an absolute path", text);
  }
  return device;
}

Result<engine::RestartPolicy> ParseRestart(std::string_view text) {
  using engine::RestartMode;
  engine::RestartPolicy policy;
  const size_t colon = text.find(':');
  const std::string_view name = text.substr(0, colon);
  if (name == "no" || name.empty())
    policy.mode = RestartMode::kNo;
  else if (name == "always")
    policy.mode = RestartMode::kAlways;
  else if (name == "unless-stopped")
    policy.mode = RestartMode::kUnlessStopped;
  else if (name == "on-failure")
    policy.mode = RestartMode::kOnFailure;
  else
    return Invalid(
        "invalid restart policy: unknown policy '{}'; use one of no, always, "
        "on-failure, unless-stopped",
        name);
  if (colon == std::string_view::npos) return policy;
  const auto count = ParseNumber<int>(text.substr(colon + 1));
  if (!count || *count < 0) {
    return Invalid("invalid restart policy format: maximum retry count must be an integer");
  }
  if (policy.mode != RestartMode::kOnFailure) {
    return Invalid(
        "invalid restart policy: maximum retry count can only be used with 'on-failure'");
  }
  policy.maximum_retries = *count;
  return policy;
}

Result<int64_t> ParseCpus(std::string_view text) {
  const size_t dot = text.find('.');
  const std::string_view fraction = dot == std::string_view::npos ? "" : text.substr(dot + 1);
  const std::string_view whole_text = text.substr(0, dot);
  const auto whole =
      whole_text.empty() ? std::optional<int64_t>(0) : ParseNumber<int64_t>(whole_text);
  std::string digits(fraction);
  if (digits.size() > 9) return Invalid("invalid value for --cpus: {} is too precise", text);
  digits.append(9 - digits.size(), '0');
  const auto nano = ParseNumber<int64_t>(digits);
  if (!whole || *whole < 0 || *whole > 1'000'000 || !nano || *nano < 0 || text == ".") {
    return Invalid("invalid value for --cpus: {}", text);
  }
  return *whole * 1'000'000'000 + *nano;
}

Result<NetworkChoice> ParseNetwork(std::string_view text) {
  NetworkChoice choice;
  if (text == "host" || text == "none" || text == "bridge" || text.starts_with("container:")) {
    choice.mode = text;
    return choice;
  }
  if (text == "default") {
    choice.mode = "bridge";
    return choice;
  }
  if (text.find('=') == std::string_view::npos) {
    choice.endpoint.network = text;
    if (text.empty()) return Invalid("invalid value for --network: it is empty");
    return choice;
  }
  SKIFF_ASSIGN(const std::vector<std::string> fields, SplitCsv(text));
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    const std::string key = field.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : field.substr(equals + 1);
    if (key == "name")
      choice.endpoint.network = value;
    else if (key == "alias")
      choice.endpoint.aliases.push_back(value);
    else if (key == "ip")
      choice.endpoint.ipv4_address = value;
    else if (key == "ip6")
      choice.endpoint.ipv6_address = value;
    else if (key == "mac-address")
      choice.endpoint.mac_address = value;
    else if (key == "gw-priority")
      choice.endpoint.gateway_priority = ParseNumber<int>(value).value_or(0);
    else
      return Invalid("invalid field key {} in --network {}", key, text);
  }
  if (choice.endpoint.network.empty()) return Invalid("network name/id is not specified");
  return choice;
}

Result<std::pair<std::string, std::string>> ParseKeyValue(std::string_view text,
                                                          std::string_view what) {
  const size_t equals = text.find('=');
  const std::string_view key = text.substr(0, equals);
  if (key.empty()) return Invalid("invalid {}: '{}'", what, text);
  return std::pair<std::string, std::string>(
      key, equals == std::string_view::npos ? "" : text.substr(equals + 1));
}

Result<std::vector<std::string>> ResolveEnvironment(const std::vector<std::string>& words,
                                                    const Environment& environment) {
  std::vector<std::string> out;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (word.empty() || equals == 0) return Invalid("invalid environment variable: {}", word);
    if (equals != std::string::npos) {
      out.push_back(word);
    } else if (const auto found = environment.find(word); found != environment.end()) {
      out.push_back(word + '=' + found->second);
    }
  }
  return out;
}

Result<std::vector<std::string>> ReadEnvironmentFile(const std::string& path,
                                                     const Environment& environment) {
  SKIFF_ASSIGN(const std::string text, ReadFile(path));
  std::vector<std::string> words;
  int number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    if (number == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (!line.empty() && (line.front() == ' ' || line.front() == '\t')) line.remove_prefix(1);
    if (line.empty() || line[0] == '#') continue;
    const std::string_view key = line.substr(0, line.find('='));
    if (key.empty() || key.find_first_of(" \t") != std::string_view::npos) {
      return Invalid("invalid env file {}:{}: variable '{}' contains whitespaces or is empty", path,
                     number, key);
    }
    words.emplace_back(line);
  }
  return ResolveEnvironment(words, environment);
}

Result<int64_t> ParseTail(std::string_view text) {
  if (text.empty() || text == "all") return -1;
  const auto count = ParseNumber<int64_t>(text);
  if (!count)
    return Invalid("invalid value for --tail: '{}' is neither a number nor \"all\"", text);
  return *count < 0 ? -1 : *count;
}

Result<int64_t> ParseMoment(std::string_view text, int64_t now) {
  if (text.empty()) return 0;
  if (auto span = ParseDuration(text); span && text != "0") return now - span->count();
  auto moment = ParseTimestamp(text);
  if (!moment) {
    return Invalid("invalid time '{}': use RFC 3339, Unix seconds, or a duration like 10m", text);
  }
  return *moment;
}

Result<std::map<std::string, int>> ParseScale(const std::vector<std::string>& words) {
  std::map<std::string, int> scale;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    const auto count = equals == std::string::npos
                           ? std::optional<int>()
                           : ParseNumber<int>(std::string_view(word).substr(equals + 1));
    if (!count || equals == 0) {
      return Invalid("invalid --scale option '{}': should be SERVICE=NUM", word);
    }
    if (*count < 0)
      return Invalid("cannot scale service '{}' to {}", word.substr(0, equals), *count);
    scale[word.substr(0, equals)] = *count;
  }
  return scale;
}

Result<int> ParseSignal(std::string_view text) {
  if (const auto number = ParseNumber<int>(text)) {
    if (*number > 0 && *number <= SIGRTMAX) return *number;
    return Invalid("invalid signal: {}", text);
  }
  std::string name = ToLower(text);
  if (name.starts_with("sig")) name.erase(0, 3);
  for (int number = 1; number < SIGRTMIN; ++number) {
    const char* known = sigabbrev_np(number);
    if (known != nullptr && ToLower(known) == name) return number;
  }
  const size_t sign = name.find_first_of("+-");
  const int offset = sign == std::string::npos
                         ? 0
                         : ParseNumber<int>(std::string_view(name).substr(sign + 1)).value_or(-1);
  const std::string base = name.substr(0, sign);
  if (base == "rtmin" && offset >= 0 && SIGRTMIN + offset <= SIGRTMAX) return SIGRTMIN + offset;
  if (base == "rtmax" && offset >= 0 && SIGRTMAX - offset >= SIGRTMIN) return SIGRTMAX - offset;
  return Invalid("invalid signal: {}", text);
}

Result<std::vector<std::string>> SplitShellWords(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool started = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quote == 0 && std::string_view(" \t\n").find(c) != std::string_view::npos) {
      if (started) words.push_back(std::move(word));
      word.clear();
      started = false;
      continue;
    }
    started = true;
    if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else if (c == '\\' && quote != '\'') {
      if (++i == text.size())
        return Invalid("invalid command line '{}': it ends in a backslash", text);
      word += text[i];
    } else {
      word += c;
    }
  }
  if (quote != 0) return Invalid("invalid command line '{}': a quote is not closed", text);
  if (started) words.push_back(std::move(word));
  return words;
}

Result<std::vector<std::string>> SplitCsv(std::string_view text) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted && c == '"' && i + 1 < text.size() && text[i + 1] == '"') {
      fields.back() += '"';
      ++i;
    } else if (c == '"' && (quoted || fields.back().empty())) {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  if (quoted) return Invalid("invalid value '{}': a quote is not closed", text);
  return fields;
}

}  // namespace skiff::cli
