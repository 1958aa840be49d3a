#include "cli/build_settings.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <array>

#include "base/text.h"
#include "base/units.h"
#include "cli/flag_values.h"
#include "cli/registry_config.h"

namespace skiff::cli {
namespace {

// Seen by RUN without an ARG, in both cases of letters.
constexpr std::array<std::string_view, 5> kProxyVariables = {"http_proxy", "https_proxy",
                                                             "ftp_proxy", "no_proxy", "all_proxy"};

std::string Absolute(const Context& context, const std::string& path) {
  return path.starts_with('/') ? path : context.around().working_dir + "/" + path;
}

std::string Upper(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  });
  return out;
}

// The lower-case variable wins; both are set.
std::vector<std::string> ProxiesOf(const builder::PlanOptions& options) {
  std::vector<std::string> proxies;
  for (const std::string_view name : kProxyVariables) {
    const std::string upper = Upper(name);
    auto value = options.arguments.find(name);
    if (value == options.arguments.end()) value = options.arguments.find(upper);
    if (value == options.arguments.end()) continue;
    proxies.push_back(upper + "=" + value->second);
    proxies.push_back(std::string(name) + "=" + value->second);
  }
  return proxies;
}

Result<builder::NetworkMode> ParseBuildNetwork(const std::string& word) {
  if (word.empty() || word == "default" || word == "bridge") return builder::NetworkMode::kDefault;
  if (word == "none") return builder::NetworkMode::kNone;
  if (word == "host") return builder::NetworkMode::kHost;
  return Fail(Error(Code::kUnsupported, "network mode \"" + word + "\" is not supported by builds")
                  .With("use default, none or host"));
}

Status ReadContexts(const Context& context, const BuildRequest& request,
                    builder::BuildSettings& settings) {
  for (const auto& [name, value] : request.options.contexts) {
    if (const auto fetched = request.fetched.find(name); fetched != request.fetched.end()) {
      settings.contexts.emplace(name,
                                builder::LocalContext{fetched->second.folder, nullptr, false});
      continue;
    }
    if (value.starts_with("docker-image://") || builder::IsLayoutContext(value)) continue;
    const std::string folder = Absolute(context, value);
    struct stat info = {};
    if (stat(folder.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)) {
      return Fail(Code::kNotFound,
                  "unable to prepare context: path \"" + value + "\" of '" + name + "' not found");
    }
    builder::LocalContext local;
    local.folder = folder;
    const auto ignore = request.context_ignores.find(name);
    if (ignore != request.context_ignores.end()) local.ignore = &ignore->second;
    settings.contexts.emplace(name, std::move(local));
  }
  return {};
}

Status ReadRunSettings(const Context& context, const Arguments& arguments,
                       builder::BuildSettings& settings) {
  SKIFF_ASSIGN(settings.network, ParseBuildNetwork(arguments.Text("network")));
  for (const std::string& list : arguments.List("allow")) {
    for (const std::string_view word : Split(list, ',')) {
      settings.allow_host_network = settings.allow_host_network || word == "network.host";
      settings.allow_insecure = settings.allow_insecure || word == "security.insecure";
    }
  }
  settings.allow_host_network =
      settings.allow_host_network || settings.network == builder::NetworkMode::kHost;
  for (const std::string& word : arguments.List("add-host")) {
    std::string entry = word;
    // "host=address" is the newer form.
    if (const size_t at = entry.find_first_of("=:"); at != std::string::npos) entry[at] = ':';
    settings.extra_hosts.push_back(std::move(entry));
  }
  if (const std::string size = arguments.Text("shm-size"); !size.empty()) {
    SKIFF_ASSIGN(settings.shm_size, ParseBytes(size));
  }
  for (const std::string& word : arguments.List("ulimit")) {
    SKIFF_ASSIGN(engine::Ulimit limit, ParseUlimit(word));
    settings.ulimits.push_back(std::move(limit));
  }
  settings.cgroup_parent = arguments.Text("cgroup-parent");
  for (const std::string& text : arguments.List("secret")) {
    SKIFF_ASSIGN(auto secret, ParseSecret(context, text));
    settings.secrets.insert_or_assign(std::move(secret.first), std::move(secret.second));
  }
  for (const std::string& text : arguments.List("ssh")) {
    SKIFF_ASSIGN(auto agent, builder::ParseBuildAgent(text, context.around().environment,
                                                      context.around().working_dir));
    settings.agents.insert_or_assign(std::move(agent.first), std::move(agent.second));
  }
  return {};
}

}  // namespace

Result<std::pair<std::string, builder::BuildSecret>> ParseSecret(const Context& context,
                                                                 const std::string& text) {
  SKIFF_ASSIGN(const std::vector<std::string> fields, SplitCsv(text));
  std::string id, source, variable, type;
  for (const std::string& field : fields) {
    const size_t equals = field.find('=');
    if (equals == std::string::npos) {
      return Fail(Code::kInvalidArgument, "invalid field '" + field + "' must be a key=value pair");
    }
    const std::string key = ToLower(field.substr(0, equals));
    const std::string value = field.substr(equals + 1);
    if (key == "id") {
      id = value;
    } else if (key == "src" || key == "source") {
      source = value;
    } else if (key == "env") {
      variable = value;
    } else if (key == "type") {
      type = value;
    } else {
      return Fail(Code::kInvalidArgument, "unexpected key '" + key + "' in '" + field + "'");
    }
  }
  if (type == "env" && variable.empty()) variable = std::exchange(source, "");
  const auto& environment = context.around().environment;
  if (source.empty() && variable.empty() && type.empty() && environment.contains(id)) {
    variable = id;
  }
  builder::BuildSecret secret;
  if (!variable.empty()) {
    const auto value = environment.find(variable);
    secret.value = value == environment.end() ? "" : value->second;
  } else {
    secret.path = Absolute(context, source.empty() ? id : source);
    struct stat info = {};
    if (stat(secret.path.c_str(), &info) != 0) {
      return FailErrno("failed to stat " + (source.empty() ? id : source));
    }
  }
  return std::pair(id, std::move(secret));
}

std::string BuildCacheFolder(Context& context) {
  return context.EngineOptions().root + "/build";
}

namespace {

// SKIFF_BUILD_CACHE_LIMIT, "none" for none; else a tenth of the file system.
Result<std::optional<int64_t>> CacheLimit(Context& context) {
  const std::string chosen = context.Variable("SKIFF_BUILD_CACHE_LIMIT");
  if (chosen == "none") return std::nullopt;
  if (!chosen.empty()) {
    auto bytes = ParseBytes(chosen);
    if (!bytes) {
      return Fail(Code::kInvalidArgument,
                  "SKIFF_BUILD_CACHE_LIMIT is neither a size nor \"none\": " + chosen);
    }
    return *bytes;
  }
  struct statvfs info = {};
  // Before the first build there may be no folder yet, and no cache either.
  if (::statvfs(context.EngineOptions().root.c_str(), &info) != 0) return std::nullopt;
  return static_cast<int64_t>(info.f_blocks / 10 * info.f_frsize);
}

}  // namespace

Result<builder::BuilderOptions> ReadBuilderOptions(Context& context) {
  builder::BuilderOptions options;
  SKIFF_ASSIGN(options.cache_limit, CacheLimit(context));
  options.cache_folder = BuildCacheFolder(context);
  options.now = context.around().now;
  options.registry = [&context](const std::string& reference) {
    return AccessToImage(context, reference);
  };
  options.downloads = ProxiesOf(context);
  options.environment = context.around().environment;
  SKIFF_ASSIGN(options.cancel_fd, context.InterruptFd());
  return options;
}

Result<builder::BuildSettings> ReadBuildSettings(const Context& context, const Arguments& arguments,
                                                 const BuildRequest& request) {
  builder::BuildSettings settings;
  if (!request.context.empty()) {
    builder::LocalContext local;
    local.folder = Absolute(context, request.context);
    local.ignore = request.options.ignore;
    local.lasting = request.lasting();
    settings.context = std::move(local);
  }
  SKIFF_TRY(ReadContexts(context, request, settings));
  settings.references = arguments.List("tag");
  settings.no_cache = arguments.Bool("no-cache");
  for (const std::string& list : arguments.List("no-cache-filter")) {
    for (const std::string_view stage : Split(list, ',')) {
      settings.no_cache_stages.emplace_back(stage);
    }
  }
  const auto hostname = request.options.arguments.find("BUILDKIT_SANDBOX_HOSTNAME");
  if (hostname != request.options.arguments.end()) settings.hostname = hostname->second;
  settings.proxies = ProxiesOf(request.options);
  SKIFF_ASSIGN(settings.caches,
               builder::ParseCachePlaces(arguments.List("cache-from"), arguments.List("cache-to"),
                                         request.options.arguments, context.around().working_dir));
  SKIFF_TRY(ReadRunSettings(context, arguments, settings));
  return settings;
}

}  // namespace skiff::cli
