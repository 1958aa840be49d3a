#include "schema/load/environment.h"

#include <set>

#include "base/text.h"
#include "schema/text/dotenv.h"
#include "schema/text/short_syntax.h"

namespace skiff::schema {
namespace {

constexpr std::string_view kOverrideNames[] = {"compose.override.yml", "compose.override.yaml",
                                               "docker-compose.override.yml",
                                               "docker-compose.override.yaml"};

std::string Variable(const Environment& environment, const std::string& name) {
  const auto found = environment.find(name);
  return found == environment.end() ? "" : found->second;
}

class SettingReader {
 public:
  explicit SettingReader(Context& context) : context_(context), options_(context.options) {}

  Setting Run() {
    setting_.environment = options_.environment;
    setting_.environment.try_emplace("PWD", options_.working_dir);
    for (const std::string& file : options_.files) TakeFile(file);
    ReadEnvFiles();
    TakeComposeFileVariable();
    if (setting_.files.empty() && !setting_.incomplete) Discover();
    ReadEnvFiles();  // The project's folder may be another one now.
    setting_.own_dir = ProjectDirectory();
    setting_.working_dir = remote_dir_.empty() ? setting_.own_dir : remote_dir_;
    setting_.profiles = options_.profiles;
    if (setting_.profiles.empty()) {
      const std::string listed = Variable(setting_.environment, "COMPOSE_PROFILES");
      for (const std::string_view profile : Split(listed, ',')) {
        if (!Trim(profile).empty()) setting_.profiles.emplace_back(Trim(profile));
      }
    }
    return std::move(setting_);
  }

 private:
  std::string ProjectDirectory() const {
    if (!options_.project_directory.empty()) {
      return AbsolutePath(options_.working_dir, options_.project_directory);
    }
    for (const std::string& file : setting_.files) {
      if (file == "-") continue;
      if (remote_.contains(file)) break;
      return DirectoryOf(file);
    }
    return CleanPath(options_.working_dir);
  }

  void TakeFile(const std::string& file) {
    setting_.named_files.push_back(file);
    if (!IsRemoteAddress(file)) {
      setting_.files.push_back(file == "-" ? file : AbsolutePath(options_.working_dir, file));
      return;
    }
    auto local = context_.Obtain(file);
    if (local) {
      if (remote_dir_.empty()) remote_dir_ = DirectoryOf(*local);
      remote_.insert(*local);
      setting_.files.push_back(std::move(*local));
      return;
    }
    Error error(local.error().code, "cannot read '" + file + "': " + local.error().message);
    error.notes = local.error().notes;
    context_.Report(std::move(error));
    setting_.incomplete = true;
  }

  void ReadEnvFiles() {
    std::vector<std::string> files;
    std::vector<std::string> named = options_.env_files;
    if (named.empty()) {
      const std::string listed = Variable(options_.environment, "COMPOSE_ENV_FILES");
      for (const std::string_view file : Split(listed, ',')) {
        if (!file.empty()) named.emplace_back(file);
      }
    }
    for (const std::string& file : named) files.push_back(AbsolutePath(options_.working_dir, file));
    if (files.empty()) {
      const std::string disabled = Variable(options_.environment, "COMPOSE_DISABLE_ENV_FILE");
      if (disabled == "1" || ToLower(disabled) == "true" || ToLower(disabled) == "t") return;
      const std::string usual = JoinPath(ProjectDirectory(), ".env");
      if (context_.KindOf(usual) != Files::Kind::kFile) return;
      files.push_back(usual);
    }
    if (files == setting_.env_files) return;
    setting_.env_files = files;
    Environment values;
    const Lookup outer = [this](std::string_view name) -> std::optional<std::string> {
      const auto found = setting_.environment.find(std::string(name));
      if (found == setting_.environment.end()) return std::nullopt;
      return found->second;
    };
    for (const std::string& path : files) {
      const auto file = context_.ReadFile(path);
      if (!file) {
        context_.Report(file.error());
        continue;
      }
      ParseDotenv(context_.sources, *file, outer, values, context_.diagnostics);
    }
    setting_.environment.insert(values.begin(), values.end());
  }

  void TakeComposeFileVariable() {
    if (!setting_.files.empty()) return;
    const std::string listed = Variable(setting_.environment, "COMPOSE_FILE");
    if (listed.empty()) return;
    std::string separator = Variable(setting_.environment, "COMPOSE_PATH_SEPARATOR");
    if (separator.empty()) separator = ":";
    size_t begin = 0;
    while (begin <= listed.size()) {
      const size_t end = std::min(listed.find(separator, begin), listed.size());
      const std::string file = listed.substr(begin, end - begin);
      begin = end + separator.size();
      if (!file.empty()) TakeFile(file);
    }
  }

  void Discover() {
    std::string directory = options_.project_directory.empty()
                                ? CleanPath(options_.working_dir)
                                : AbsolutePath(options_.working_dir, options_.project_directory);
    while (true) {
      if (TakeFirst(directory, kComposeFileNames, "Compose files")) {
        TakeFirst(directory, kOverrideNames, "override files");
        return;
      }
      if (directory == "/") return;
      directory = CleanPath(directory + "/..");
    }
  }

  template <typename Names>
  bool TakeFirst(const std::string& directory, const Names& names, std::string_view what) {
    std::vector<std::string> found;
    for (const std::string_view name : names) {
      std::string path = JoinPath(directory, name);
      if (context_.Exists(path)) found.push_back(std::move(path));
    }
    if (found.empty()) return false;
    if (found.size() > 1) {
      context_.Warn({}, Where{},
                    "there are several " + std::string(what) + " (" + Join(found, ", ") + "); '" +
                        found.front() + "' is used");
    }
    setting_.files.push_back(found.front());
    return true;
  }

  Context& context_;
  const LoadOptions& options_;
  Setting setting_;
  std::set<std::string> remote_;  // Those of the files that came from an address.
  std::string remote_dir_;        // Of the first of them.
};

Status CheckName(const std::string& name, std::string_view origin) {
  if (NormaliseProjectName(name) == name) return {};
  Error error(Code::kInvalidArgument, "invalid project name '" + name + "'");
  if (!origin.empty()) error.notes.push_back({"it is given by " + std::string(origin), {}});
  error.notes.push_back(
      {"a project name has lower case letters, digits, '-' and '_' and begins with a letter or "
       "digit",
       {}});
  return Fail(std::move(error));
}

}  // namespace

Setting ReadSetting(Context& context) {
  return SettingReader(context).Run();
}

std::string NormaliseProjectName(std::string_view name) {
  std::string out;
  for (const char c : ToLower(name)) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
    if (!good || (out.empty() && (c == '_' || c == '-'))) continue;
    out += c;
  }
  return out;
}

Result<std::string> ChooseProjectName(const LoadOptions& options, const Setting& setting,
                                      const std::string& in_files, bool named) {
  if (!options.project_name.empty()) {
    SKIFF_TRY(CheckName(options.project_name, "-p"));
    return options.project_name;
  }
  const std::string variable = Variable(setting.environment, "COMPOSE_PROJECT_NAME");
  if (!variable.empty()) {
    SKIFF_TRY(CheckName(variable, "COMPOSE_PROJECT_NAME"));
    return variable;
  }
  std::string name = options.normalize ? NormaliseProjectName(in_files) : in_files;
  if (name.empty() && !named) {
    name = NormaliseProjectName(setting.own_dir.substr(setting.own_dir.rfind('/') + 1));
  }
  if (name.empty()) {
    return Fail(Error(Code::kInvalidArgument, "the project name is empty")
                    .With("set it with -p, COMPOSE_PROJECT_NAME or a top-level 'name:'"));
  }
  return name;
}

}  // namespace skiff::schema
