#include "compose/watch/watch_rules.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "base/fd.h"
#include "base/text.h"
#include "compose/watch/tree_watch.h"

namespace skiff::compose {
namespace {

// Of Git, and of editors while they save: JetBrains, emacs, vim, kate, and Go's tools.
const std::vector<std::string> kEverywhere = {
    "**/.git",      "**/*___jb_old___", "**/*___jb_tmp___", "**/.idea",
    "**/.#*",       "**/#*#",           "**/4913",          "**/*~",
    "**/.*.swp",    "**/.*.swx",        "**/.*.swo",        "**/.*.swn",
    "**/.*.kate-swp", "**/*-go-tmp-umask"};

// From `folder` on; "." for itself.
std::string Relative(const std::string& folder, const std::string& path) {
  if (path == folder) return ".";
  return path.substr(folder == "/" ? 1 : folder.size() + 1);
}

bool IgnoresAllOf(const builder::IgnoreMatcher& matcher, const std::string& folder) {
  return matcher.Ignores(folder) && !matcher.MayContainException(folder);
}

bool IsMounted(const schema::Service& service, const std::string& path) {
  return std::ranges::any_of(service.volumes, [&](const schema::VolumeMount& mount) {
    return mount.type == schema::VolumeMountType::kBind && IsWithin(mount.source, path);
  });
}

}  // namespace

std::string WatchRule::TargetOf(const std::string& path) const {
  const std::string relative = Relative(trigger->path, path);
  std::string target = trigger->target.starts_with('/') ? trigger->target : "/" + trigger->target;
  while (target.size() > 1 && target.ends_with('/')) target.pop_back();
  if (relative == ".") return target;
  return target == "/" ? target + relative : target + "/" + relative;
}

Result<WatchRules> WatchRules::Make(const schema::Project& project,
                                    const std::vector<std::string>& services, bool can_build,
                                    const std::function<void(const Error&)>& warn) {
  WatchRules rules;
  SKIFF_ASSIGN(rules.everywhere_, builder::IgnoreMatcher::FromPatterns(kEverywhere));
  for (const auto& [name, service] : project.services) {
    if (!services.empty() && std::ranges::count(services, name) == 0) continue;
    for (const schema::WatchTrigger& trigger : service.watch) {
      if (trigger.action.starts_with("sync") && IsMounted(service, trigger.path)) {
        warn(Error(Code::kInvalidArgument,
                   fmt::format("path '{}' also declared by a bind mount volume, this path won't be "
                               "monitored!",
                               trigger.path))
                 .At(trigger.span));
        continue;
      }
      SKIFF_TRY(rules.Add(service, trigger, can_build));
    }
  }
  if (rules.rules_.empty()) {
    return Fail(Code::kNotFound,
                "none of the selected services is configured for watch, consider setting a "
                "'develop' section");
  }
  return rules;
}

Status WatchRules::Add(const schema::Service& service, const schema::WatchTrigger& trigger,
                       bool can_build) {
  const auto wrong = [&](std::string message) {
    return Fail(Error(Code::kInvalidArgument, std::move(message)).At(trigger.span));
  };
  if (trigger.action == "rebuild" && !service.build) {
    return wrong(fmt::format("can't watch service \"{}\" with action rebuild without a build context",
                             service.name));
  }
  if (trigger.action == "rebuild" && !can_build) {
    return wrong(fmt::format("--no-build is incompatible with watch action rebuild in service {}",
                             service.name));
  }
  if (trigger.action == "sync+exec" && trigger.exec.command.empty()) {
    return wrong(fmt::format("can't watch with action \"sync+exec\" on service {} without a command",
                             service.name));
  }
  Patterns patterns;
  const auto compile = [&](const std::vector<std::string>& texts) {
    auto matcher = builder::IgnoreMatcher::FromPatterns(texts);
    if (!matcher && !matcher.error().span.valid()) matcher.error().span = trigger.span;
    return matcher;
  };
  SKIFF_ASSIGN(patterns.ignore, compile(trigger.ignore));
  if (!trigger.include.empty()) {
    SKIFF_ASSIGN(patterns.include, compile(trigger.include));
  }
  SKIFF_TRY(ReadContext(service, patterns));
  rules_.push_back({&service, &trigger});
  patterns_.push_back(std::move(patterns));
  return {};
}

Status WatchRules::ReadContext(const schema::Service& service, Patterns& patterns) {
  if (!service.build || !service.build->context.starts_with('/')) return {};
  patterns.context = service.build->context;
  const std::string& named = service.build->dockerfile;
  std::string dockerfile = named.empty() ? "Dockerfile" : named;
  if (!dockerfile.starts_with('/')) dockerfile = patterns.context + "/" + dockerfile;
  for (const std::string& path : builder::IgnoreFileCandidates(dockerfile, patterns.context)) {
    if (::access(path.c_str(), F_OK) != 0) continue;
    SKIFF_ASSIGN(std::string text, ReadFile(path));
    const uint32_t file = sources_.Add(path, std::move(text));
    auto matcher = builder::IgnoreMatcher::Parse(sources_, file);
    if (!matcher) {
      return Fail(Code::kInvalidArgument, sources_.Describe(matcher.error().span) + ": " +
                                              matcher.error().message);
    }
    patterns.context_ignore = std::move(*matcher);
    return {};
  }
  return {};
}

std::vector<std::string> WatchRules::Paths() const {
  std::vector<std::string> paths;
  for (const WatchRule& rule : rules_) {
    if (std::ranges::count(paths, rule.trigger->path) == 0) paths.push_back(rule.trigger->path);
  }
  return paths;
}

bool WatchRules::Ignores(const Patterns& patterns, const WatchRule& rule,
                         const std::string& path) const {
  if (everywhere_.Ignores(Relative("/", path))) return true;
  if (patterns.ignore.Ignores(Relative(rule.trigger->path, path))) return true;
  return !patterns.context.empty() && IsWithin(patterns.context, path) &&
         patterns.context_ignore.Ignores(Relative(patterns.context, path));
}

bool WatchRules::Matches(size_t index, const std::string& path) const {
  const WatchRule& rule = rules_[index];
  const Patterns& patterns = patterns_[index];
  if (!IsWithin(rule.trigger->path, path)) return false;
  if (patterns.include && !patterns.include->Ignores(Relative(rule.trigger->path, path))) {
    return false;
  }
  return !Ignores(patterns, rule, path);
}

bool WatchRules::MatchesAny(const std::string& path) const {
  for (size_t i = 0; i < rules_.size(); ++i) {
    if (Matches(i, path)) return true;
  }
  return false;
}

bool WatchRules::Skips(const std::string& folder) const {
  if (IgnoresAllOf(everywhere_, Relative("/", folder))) return true;
  for (size_t i = 0; i < rules_.size(); ++i) {
    const std::string& path = rules_[i].trigger->path;
    if (!IsWithin(path, folder)) continue;
    const Patterns& patterns = patterns_[i];
    const bool by_context = !patterns.context.empty() && IsWithin(patterns.context, folder) &&
                            IgnoresAllOf(patterns.context_ignore, Relative(patterns.context, folder));
    if (!by_context && !IgnoresAllOf(patterns.ignore, Relative(path, folder))) return false;
  }
  return true;
}

}  // namespace skiff::compose
