#include "cli/build_request.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>

#include "base/fd.h"
#include "base/root_path.h"
#include "base/text.h"
#include "cli/build_archive.h"
#include "cli/build_settings.h"
#include "cli/flag_values.h"

namespace skiff::cli {
namespace {

constexpr size_t kMaximumFile = 64u << 20;

bool IsDirectory(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

bool Exists(const std::string& path) {
  struct stat info = {};
  return stat(path.c_str(), &info) == 0;
}

std::string Absolute(const std::string& path, const std::string& working_dir) {
  return path.starts_with('/') ? path : working_dir + "/" + path;
}

Status ReadArguments(const Context& context, const Arguments& arguments,
                     builder::PlanOptions& options) {
  for (const std::string& word : arguments.List("build-arg")) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    if (equals != std::string::npos) {
      options.arguments.insert_or_assign(name, word.substr(equals + 1));
    } else if (const auto found = context.around().environment.find(name);
               found != context.around().environment.end()) {
      options.arguments.insert_or_assign(name, found->second);
    }
  }
  for (const std::string& word : arguments.List("label")) {
    SKIFF_ASSIGN(auto pair, ParseKeyValue(word, "label"));
    options.labels.insert_or_assign(std::move(pair.first), std::move(pair.second));
  }
  for (const std::string& word : arguments.List("build-context")) {
    SKIFF_ASSIGN(auto pair, ParseKeyValue(word, "build context"));
    options.contexts.insert_or_assign(std::move(pair.first), std::move(pair.second));
  }
  return {};
}

Status ReadPlatforms(const Context& context, const Arguments& arguments,
                     std::vector<builder::Platform>& platforms) {
  std::vector<std::string> lists = arguments.List("platform");
  const std::string preset = context.Variable("DOCKER_DEFAULT_PLATFORM");
  if (lists.empty() && !preset.empty()) lists.push_back(preset);
  for (const std::string& list : lists) {
    for (const std::string_view word : Split(list, ',')) {
      SKIFF_ASSIGN(builder::Platform platform, builder::ParsePlatform(Trim(word)));
      if (std::ranges::count(platforms, platform) == 0) platforms.push_back(std::move(platform));
    }
  }
  return {};
}

struct FileText {
  std::string name, text;
};

Result<FileText> ReadStandardInput(const Context& context) {
  SKIFF_ASSIGN(std::string text, ReadAll(context.around().in, kMaximumFile, "standard input"));
  return FileText{"Dockerfile", std::move(text)};
}

// The Dockerfile that -f names, or the one of the context.
Result<FileText> ReadDockerfile(const Context& context, const std::string& given,
                                const std::string& folder) {
  if (given == "-") return ReadStandardInput(context);
  const std::string& working_dir = context.around().working_dir;
  std::string path = given;
  if (given.empty()) {
    path = folder + "/Dockerfile";
    if (!Exists(Absolute(path, working_dir))) {
      const std::string lower = folder + "/dockerfile";
      if (Exists(Absolute(lower, working_dir))) path = lower;
    }
  }
  auto text = ReadFile(Absolute(path, working_dir), kMaximumFile);
  if (!text) {
    Error error = std::move(text.error());
    if (error.code == Code::kNotFound) {
      error.message = "failed to read dockerfile: open " + path;
      error.notes.push_back({"-f names another file; -f - reads it from standard input", {}});
    }
    return Fail(std::move(error));
  }
  if (path.starts_with("./")) path.erase(0, 2);
  return FileText{path, std::move(*text)};
}

// The same in a context that came from elsewhere, whose links do not lead out of it.
Result<FileText> ReadDockerfileIn(const Context& context, int root, const std::string& given) {
  if (given == "-") return ReadStandardInput(context);
  std::string name = given.empty() ? "Dockerfile" : given;
  auto file = OpenInRoot(root, name, O_RDONLY | O_NONBLOCK);
  if (!file && !given.empty()) return ReadDockerfile(context, given, "");
  if (!file) {
    name = "dockerfile";
    file = OpenInRoot(root, name, O_RDONLY | O_NONBLOCK);
  }
  if (!file) {
    return Fail(Code::kNotFound,
                "failed to read dockerfile: open Dockerfile: the context has none");
  }
  SKIFF_ASSIGN(std::string text, ReadAll(file->get(), kMaximumFile, name));
  return FileText{name, std::move(text)};
}

// PATH "-": an archive is the context, anything else the Dockerfile of a build without one.
Result<FileText> ReadInputContext(Context& context, const std::string& given,
                                  BuildRequest& request) {
  SKIFF_ASSIGN(const InputFile input, OpenInput(context));
  if (!input.is_archive) {
    if (!given.empty()) return ReadDockerfile(context, given, "");
    SKIFF_ASSIGN(std::string text, ReadAll(input.file.get(), kMaximumFile, "standard input"));
    return FileText{"Dockerfile", std::move(text)};
  }
  SKIFF_TRY(UnpackContext(context, input, request));
  SKIFF_ASSIGN(const Fd root, request.unpacked->OpenRoot());
  return ReadDockerfileIn(context, root.get(), given);
}

// A context at an address; -f names a file in it, or else one here.
Result<FileText> ReadRemoteContext(Context& context, const std::string& address,
                                   const std::string& given, BuildRequest& request) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const builder::BuilderOptions options, ReadBuilderOptions(context));
  auto fetched = builder::FetchContext(*engine, address, options);
  if (!fetched) {
    Error error = std::move(fetched.error());
    error.message = "unable to prepare context: " + error.message;
    return Fail(std::move(error));
  }
  if (fetched->folder.empty()) {
    if (!given.empty()) return ReadDockerfile(context, given, "");
    return FileText{"Dockerfile", std::move(fetched->dockerfile)};
  }
  request.context = fetched->folder;
  const int root = fetched->root.get();
  request.fetched.emplace("", std::move(*fetched));
  return ReadDockerfileIn(context, root, given);
}

Status LoadLayout(Context& context, BuildRequest& request, const builder::PlanOptions& options,
                  std::string& value) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const builder::LayoutImage image,
               builder::LoadLayoutImage(*engine, value, context.around().working_dir,
                                        options.target_platform));
  if (!image.existed) request.layout_images.push_back(image.id);
  value = "docker-image://" + image.id;
  return {};
}

Status FetchNamedContexts(Context& context, BuildRequest& request) {
  for (auto& [name, value] : request.options.contexts) {
    if (!builder::IsRemoteContext(value)) continue;
    SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
    SKIFF_ASSIGN(const builder::BuilderOptions options, ReadBuilderOptions(context));
    SKIFF_ASSIGN(builder::RemoteContext fetched, builder::FetchContext(*engine, value, options));
    if (fetched.folder.empty()) {
      return Fail(Code::kInvalidArgument, "the context '" + name + "' at " + value +
                                              " is neither an archive nor a repository");
    }
    request.fetched.emplace(name, std::move(fetched));
  }
  return {};
}

Status ReadIgnoreFile(const Context& context, BuildRequest& request) {
  const std::string& dockerfile = request.sources.File(request.file).name();
  for (const std::string& path : builder::IgnoreFileCandidates(dockerfile, request.context)) {
    const std::string absolute = Absolute(path, context.around().working_dir);
    if (!Exists(absolute)) continue;
    SKIFF_ASSIGN(std::string text, ReadFile(absolute, kMaximumFile));
    const uint32_t file = request.sources.Add(path, std::move(text));
    SKIFF_ASSIGN(request.ignore, builder::IgnoreMatcher::Parse(request.sources, file));
    request.options.ignore = &*request.ignore;
    return {};
  }
  return {};
}

Status ReadContextIgnores(const Context& context, BuildRequest& request) {
  for (const auto& [name, value] : request.options.contexts) {
    if (value.find("://") != std::string::npos || request.fetched.contains(name)) continue;
    const std::string path = value + "/.dockerignore";
    if (!Exists(Absolute(path, context.around().working_dir))) continue;
    SKIFF_ASSIGN(std::string text,
                 ReadFile(Absolute(path, context.around().working_dir), kMaximumFile));
    const uint32_t file = request.sources.Add(path, std::move(text));
    SKIFF_ASSIGN(builder::IgnoreMatcher matcher,
                 builder::IgnoreMatcher::Parse(request.sources, file));
    request.context_ignores.emplace(name, std::move(matcher));
  }
  return {};
}

}  // namespace

Result<BuildCall> ParseBuildCall(const Arguments& arguments) {
  BuildCall call;
  const std::string given = arguments.Text("call");
  for (const std::string_view word : Split(given, ',')) {
    if (word == "format=json") {
      call.json = true;
    } else if (word == "ignorestatus" || word == "ignorestatus=true") {
      call.ignore_status = true;
    } else if (word.starts_with("format=") || word.starts_with("ignorestatus=")) {
      if (word != "format=text" && word != "ignorestatus=false" && word != "format=") {
        return Fail(Code::kInvalidArgument, "invalid --call option '" + std::string(word) + "'");
      }
    } else {
      call.method = word;
    }
  }
  if (arguments.Bool("check")) call.method = "check";
  if (call.method == "lint") call.method = "check";
  if (call.method.empty()) call.method = "build";
  for (const std::string_view known : {"build", "check", "outline", "targets", "plan"}) {
    if (call.method == known) return call;
  }
  return Fail(Error(Code::kInvalidArgument, "invalid value '" + call.method + "' for --call")
                  .With("use build, check, outline, targets or plan"));
}

Status ReadBuildRequest(Context& context, const Arguments& arguments, BuildRequest& request) {
  request.options.target = arguments.Text("target");
  SKIFF_TRY(ReadArguments(context, arguments, request.options));
  SKIFF_TRY(ReadPlatforms(context, arguments, request.platforms));
  const std::string given = arguments.Text("file");
  const std::string folder = arguments.Operand(0);
  if (folder == "-" && given == "-") {
    return Fail(Code::kInvalidArgument,
                "invalid argument: can't use stdin for both build context and dockerfile");
  }
  FileText file;
  if (folder == "-") {
    SKIFF_ASSIGN(file, ReadInputContext(context, given, request));
  } else if (builder::IsRemoteContext(folder)) {
    SKIFF_ASSIGN(file, ReadRemoteContext(context, folder, given, request));
  } else {
    if (!IsDirectory(Absolute(folder, context.around().working_dir))) {
      return Fail(Code::kNotFound, "unable to prepare context: path \"" + folder + "\" not found");
    }
    request.context = folder;
    SKIFF_ASSIGN(file, ReadDockerfile(context, given, folder));
  }
  request.file = request.sources.Add(std::move(file.name), std::move(file.text));
  // What came from elsewhere has what it is meant to have.
  if (!request.context.empty() && request.lasting()) SKIFF_TRY(ReadIgnoreFile(context, request));
  SKIFF_TRY(FetchNamedContexts(context, request));
  SKIFF_TRY(ReadContextIgnores(context, request));
  request.dockerfile = builder::ParseDockerfile(request.sources, request.file, request.diagnostics);
  request.diagnostics.SortAndDeduplicate();
  return {};
}

Result<std::vector<builder::PlanOptions>> PlanOptionsOf(Context& context, BuildRequest& request) {
  std::vector<builder::PlanOptions> all(std::max<size_t>(1, request.platforms.size()),
                                        request.options);
  for (size_t i = 0; i < request.platforms.size(); ++i) {
    all[i].target_platform = request.platforms[i];
  }
  for (builder::PlanOptions& options : all) {
    for (auto& [name, value] : options.contexts) {
      if (!builder::IsLayoutContext(value)) continue;
      if (auto loaded = LoadLayout(context, request, options, value); !loaded) {
        Error error = std::move(loaded.error());
        error.message = "the context '" + name + "': " + error.message;
        return Fail(std::move(error));
      }
    }
  }
  return all;
}

}  // namespace skiff::cli
