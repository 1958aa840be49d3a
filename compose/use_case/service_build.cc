// `build:` of a service as what the builder understands.
#include "compose/use_case/service_build.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"
#include "base/root_path.h"
#include "base/text.h"
#include "compose/labels.h"
#include "engine-core/references.h"

namespace skiff::compose {
namespace {

constexpr std::string_view kServiceScheme = "service:";
constexpr std::string_view kImageScheme = "docker-image://";
constexpr size_t kMaximumFile = 64u << 20;

bool IsDirectory(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool Exists(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0;
}

std::string Absolute(const std::string& folder, const std::string& path) {
  return path.starts_with('/') ? path : folder + "/" + path;
}

// As people would write it: below the project's folder.
std::string Shown(const schema::Project& project, const std::string& path) {
  const std::string prefix = project.working_dir + "/";
  return path.starts_with(prefix) ? path.substr(prefix.size()) : path;
}

class Reader {
 public:
  Reader(engine::Engine& engine, const schema::Project& project, const schema::Service& service,
         const BuildOptions& options, const BuildTools& tools, ServiceBuild& out)
      : engine_(engine),
        project_(project),
        service_(service),
        build_(*service.build),
        options_(options),
        tools_(tools),
        out_(out) {}

  Status Read() {
    out_.service = &service_;
    out_.image = ImageOf(project_.name, service_);
    SKIFF_TRY(ReadContext());
    SKIFF_TRY(ReadFiles());
    SKIFF_TRY(ReadArguments());
    SKIFF_TRY(ReadContexts());
    SKIFF_TRY(ReadPlatforms());
    SKIFF_TRY(ReadSettings());
    SKIFF_TRY(ReadSecrets());
    FindImagesOfServices();
    std::ranges::sort(out_.waits_for);
    return {};
  }

 private:
  Error Wrong(Code code, const std::string& message) const {
    Error error(code, fmt::format("cannot build service '{}': {}", service_.name, message));
    error.span = build_.span.valid() ? build_.span : service_.span;
    return error;
  }

  Status ReadContext() {
    if (builder::IsRemoteContext(build_.context)) {
      SKIFF_ASSIGN(builder::RemoteContext fetched, FetchContext(build_.context));
      folder_ = fetched.folder;
      remote_ = &out_.fetched.emplace("", std::move(fetched)).first->second;
      return {};
    }
    folder_ = Absolute(project_.working_dir, build_.context.empty() ? "." : build_.context);
    while (folder_.size() > 1 && (folder_.ends_with('/') || folder_.ends_with("/."))) {
      folder_.resize(folder_.size() - (folder_.ends_with('/') ? 1 : 2));
    }
    if (!IsDirectory(folder_)) {
      return Fail(Wrong(Code::kNotFound, fmt::format("path \"{}\" not found", folder_)));
    }
    return {};
  }

  Result<builder::RemoteContext> FetchContext(const std::string& address) {
    auto fetched = builder::FetchContext(engine_, address, tools_.builder);
    if (!fetched) {
      return Fail(Wrong(fetched.error().code, address + ": " + fetched.error().Text()));
    }
    return fetched;
  }

  // The Dockerfile of a context that came from elsewhere: links do not lead out of it.
  Status ReadRemoteFile(std::string& name, std::string& text) {
    if (folder_.empty()) {
      text = remote_->dockerfile;
      return {};
    }
    if (!build_.dockerfile.empty()) name = build_.dockerfile;
    auto file = OpenInRoot(remote_->root.get(), name, O_RDONLY | O_NONBLOCK);
    if (!file) {
      return Fail(Wrong(file.error().code, "failed to read dockerfile: " + file.error().Text()));
    }
    SKIFF_ASSIGN(text, ReadAll(file->get(), kMaximumFile, name));
    return {};
  }

  Status ReadFiles() {
    std::string name = "Dockerfile";
    std::string text = build_.dockerfile_inline;
    if (text.empty() && remote_ != nullptr) {
      SKIFF_TRY(ReadRemoteFile(name, text));
    } else if (text.empty()) {
      std::string path =
          Absolute(folder_, build_.dockerfile.empty() ? "Dockerfile" : build_.dockerfile);
      if (build_.dockerfile.empty() && !Exists(path)) path = folder_ + "/dockerfile";
      auto read = ReadFile(path, kMaximumFile);
      if (!read) {
        return Fail(Wrong(read.error().code, "failed to read dockerfile: " + read.error().Text()));
      }
      name = Shown(project_, path);
      text = std::move(*read);
    }
    out_.file = out_.sources.Add(name, std::move(text));
    out_.dockerfile = builder::ParseDockerfile(out_.sources, out_.file, out_.diagnostics);
    out_.diagnostics.SortAndDeduplicate();
    if (remote_ != nullptr) {
      // It has what it is meant to have.
      if (!folder_.empty()) out_.settings.context = builder::LocalContext{folder_, nullptr, false};
      return {};
    }
    const std::string dockerfile =
        build_.dockerfile_inline.empty() ? Absolute(project_.working_dir, name) : "";
    for (const std::string& path : builder::IgnoreFileCandidates(dockerfile, folder_)) {
      if (!Exists(path)) continue;
      SKIFF_ASSIGN(out_.ignore, ReadIgnoreFile(path));
      plan_.ignore = &*out_.ignore;
      break;
    }
    out_.settings.context = builder::LocalContext{folder_, plan_.ignore, true};
    return {};
  }

  Result<builder::IgnoreMatcher> ReadIgnoreFile(const std::string& path) {
    SKIFF_ASSIGN(std::string text, ReadFile(path, kMaximumFile));
    const uint32_t file = out_.sources.Add(Shown(project_, path), std::move(text));
    return builder::IgnoreMatcher::Parse(out_.sources, file);
  }

  Status ReadContexts() {
    for (const auto& [name, value] : build_.additional_contexts) {
      if (value.starts_with(kServiceScheme)) {
        const std::string other = value.substr(kServiceScheme.size());
        const auto it = project_.services.find(other);
        if (it == project_.services.end()) {
          return Fail(Wrong(Code::kInvalidArgument,
                            fmt::format("the context '{}' is of the service '{}', which is not "
                                        "part of the project",
                                        name, other)));
        }
        plan_.contexts[name] = std::string(kImageScheme) + ImageOf(project_.name, it->second);
        out_.waits_for.push_back(other);
        continue;
      }
      if (value.starts_with(kImageScheme)) {
        plan_.contexts[name] = value;
        continue;
      }
      if (builder::IsLayoutContext(value)) {
        plan_.contexts[name] = value;
        continue;
      }
      if (builder::IsRemoteContext(value)) {
        SKIFF_ASSIGN(builder::RemoteContext fetched, FetchContext(value));
        if (fetched.folder.empty()) {
          return Fail(Wrong(Code::kInvalidArgument,
                            fmt::format("the context '{}' at {} is neither an archive nor a "
                                        "repository",
                                        name, value)));
        }
        plan_.contexts[name] = value;
        out_.settings.contexts.emplace(name, builder::LocalContext{fetched.folder, nullptr, false});
        out_.fetched.emplace(name, std::move(fetched));
        continue;
      }
      builder::LocalContext local;
      local.folder = Absolute(project_.working_dir, value);
      if (!IsDirectory(local.folder)) {
        return Fail(Wrong(Code::kNotFound, fmt::format("path \"{}\" not found", local.folder)));
      }
      if (const std::string path = local.folder + "/.dockerignore"; Exists(path)) {
        SKIFF_ASSIGN(builder::IgnoreMatcher matcher, ReadIgnoreFile(path));
        local.ignore = &out_.context_ignores.emplace(name, std::move(matcher)).first->second;
      }
      plan_.contexts[name] = local.folder;
      out_.settings.contexts.emplace(name, std::move(local));
    }
    return {};
  }

  Status ReadArguments() {
    for (const auto& [name, value] : build_.args) {
      if (value) plan_.arguments[name] = *value;
    }
    for (const auto& [name, value] : options_.arguments) plan_.arguments[name] = value;
    for (const auto& [name, value] : build_.labels) plan_.labels[name] = value;
    plan_.labels[std::string(kProjectLabel)] = project_.name;
    plan_.labels[std::string(kServiceLabel)] = service_.name;
    plan_.labels[std::string(kVersionLabel)] = std::string(kComposeVersion);
    plan_.target = build_.target;
    return {};
  }

  // As they are to be built: those of the file, or the one the service runs on.
  Result<std::vector<std::string>> Platforms() const {
    std::vector<std::string> platforms = build_.platforms;
    std::string own = service_.platform;
    if (own.empty() && !options_.default_platform.empty()) {
      own = options_.default_platform;
      if (!platforms.empty() && std::ranges::count(platforms, own) == 0) {
        return Fail(Wrong(Code::kInvalidArgument,
                          fmt::format("build.platforms does not support value set by "
                                      "DOCKER_DEFAULT_PLATFORM: {}",
                                      own)));
      }
    }
    if (!own.empty()) {
      if (!platforms.empty() && std::ranges::count(platforms, own) == 0) {
        return Fail(Wrong(Code::kInvalidArgument,
                          fmt::format("service.build.platforms MUST include service.platform "
                                      "\"{}\"",
                                      own)));
      }
      if (options_.single_platform || platforms.empty()) platforms = {own};
    }
    // To run it, this machine's will do.
    if (options_.single_platform && platforms.size() > 1) platforms.clear();
    return platforms;
  }

  Status ReadPlatforms() {
    SKIFF_ASSIGN(const std::vector<std::string> platforms, Platforms());
    for (const std::string& text : platforms) {
      SKIFF_ASSIGN(builder::Platform platform, builder::ParsePlatform(text));
      const bool known = std::ranges::any_of(out_.plans, [&](const builder::PlanOptions& other) {
        return other.target_platform == platform;
      });
      if (known) continue;
      out_.plans.push_back(plan_);
      out_.plans.back().target_platform = std::move(platform);
    }
    if (out_.plans.empty()) out_.plans.push_back(plan_);
    for (builder::PlanOptions& plan : out_.plans) SKIFF_TRY(LoadLayouts(plan));
    return {};
  }

  Status LoadLayouts(builder::PlanOptions& plan) {
    for (auto& [name, value] : plan.contexts) {
      if (!builder::IsLayoutContext(value)) continue;
      auto image =
          builder::LoadLayoutImage(engine_, value, tools_.working_dir, plan.target_platform);
      if (!image) {
        return Fail(Wrong(image.error().code,
                          fmt::format("the context '{}': {}", name, image.error().Text())));
      }
      if (!image->existed) out_.layout_images.push_back(image->id);
      value = std::string(kImageScheme) + image->id;
    }
    return {};
  }

  Status ReadSettings() {
    builder::BuildSettings& settings = out_.settings;
    settings.title = service_.name;
    settings.references = {out_.image};
    for (const std::string& tag : build_.tags) {
      if (std::ranges::count(settings.references, tag) == 0) settings.references.push_back(tag);
    }
    settings.no_cache = build_.no_cache || options_.no_cache;
    settings.allow_insecure = build_.privileged;
    settings.allow_host_network = build_.network == "host";
    settings.shm_size = build_.shm_size;
    if (build_.network == "none") {
      settings.network = builder::NetworkMode::kNone;
    } else if (build_.network == "host") {
      settings.network = builder::NetworkMode::kHost;
    } else if (!build_.network.empty() && build_.network != "default" &&
               build_.network != "bridge") {
      return Fail(
          Wrong(Code::kUnsupported,
                fmt::format("network mode \"{}\" is not supported by builds", build_.network)));
    }
    for (std::string host : build_.extra_hosts) {
      if (const size_t at = host.find_first_of("=:"); at != std::string::npos) host[at] = ':';
      settings.extra_hosts.push_back(std::move(host));
    }
    auto caches = builder::ParseCachePlaces(build_.cache_from, build_.cache_to,
                                            plan_.arguments, tools_.working_dir);
    if (!caches) return Fail(Wrong(caches.error().code, caches.error().Text()));
    settings.caches = std::move(*caches);
    return ReadAgents();
  }

  Status ReadAgents() {
    std::vector<std::string> agents = build_.ssh;
    agents.insert(agents.end(), options_.agents.begin(), options_.agents.end());
    for (const std::string& agent : agents) {
      auto parsed =
          builder::ParseBuildAgent(agent, tools_.builder.environment, project_.working_dir);
      if (!parsed) return Fail(Wrong(parsed.error().code, parsed.error().Text()));
      out_.settings.agents.insert_or_assign(std::move(parsed->first), std::move(parsed->second));
    }
    return {};
  }

  Status ReadSecrets() {
    for (const schema::FileGrant& grant : build_.secrets) {
      const auto it = project_.secrets.find(grant.source);
      if (it == project_.secrets.end()) {
        return Fail(
            Wrong(Code::kInvalidArgument, fmt::format("undefined secret \"{}\"", grant.source)));
      }
      builder::BuildSecret secret;
      if (it->second.content) {
        secret.value = it->second.content;
      } else if (!it->second.environment.empty()) {
        const auto value = tools_.builder.environment.find(it->second.environment);
        secret.value = value == tools_.builder.environment.end() ? "" : value->second;
      } else if (!it->second.file.empty()) {
        secret.path = Absolute(project_.working_dir, it->second.file);
      } else {
        return Fail(Wrong(Code::kUnsupported,
                          fmt::format("build.secrets only supports environment or file-based "
                                      "secrets: \"{}\"",
                                      grant.source)));
      }
      out_.settings.secrets[grant.target.empty() ? grant.source : grant.target] = std::move(secret);
    }
    return {};
  }

  // FROM the image of another service that is built.
  void FindImagesOfServices() {
    for (const builder::Stage& stage : out_.dockerfile.stages) {
      const auto used = engine::ParseReference(stage.base().image.text);
      if (!used) continue;
      for (const auto& [name, other] : project_.services) {
        if (!other.build || name == service_.name) continue;
        const auto made = engine::ParseReference(ImageOf(project_.name, other));
        const bool known = std::ranges::count(out_.waits_for, name) > 0;
        if (made && *made == *used && !known) out_.waits_for.push_back(name);
      }
    }
  }

  engine::Engine& engine_;
  const schema::Project& project_;
  const schema::Service& service_;
  const schema::Build& build_;
  const BuildOptions& options_;
  const BuildTools& tools_;
  ServiceBuild& out_;
  builder::PlanOptions plan_;  // What the platforms have in common.
  std::string folder_;
  const builder::RemoteContext* remote_ = nullptr;
};

}  // namespace

Status ReadServiceBuild(engine::Engine& engine, const schema::Project& project,
                        const schema::Service& service, const BuildOptions& options,
                        const BuildTools& tools, ServiceBuild& out) {
  return Reader(engine, project, service, options, tools, out).Read();
}

}  // namespace skiff::compose
