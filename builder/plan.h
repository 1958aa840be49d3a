#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "builder/dockerfile.h"
#include "builder/environment.h"
#include "builder/lint.h"
#include "builder/platform.h"

// What a build does: the stages of a Dockerfile connected to each other and to images, with every
// variable expanded, as steps that can be executed, cached and printed; and the configuration and
// history of the image that comes out. A plan is a function of the file, the options and the
// configurations of the base images; making one touches nothing.
namespace skiff::builder {

class IgnoreMatcher;  // builder/ignore_file.h

// ---- Where files come from ----------------------------------------------------------------------

struct BuildContext {};  // The directory, archive or repository the build is about.
struct EmptySource {};   // "scratch"
struct StageSource {
  size_t stage = 0;  // Index into BuildPlan::stages, always an earlier one.
};
struct ImageSource {
  std::string reference;  // In its normal form: "docker.io/library/alpine:latest".
  Platform platform;
};
struct ContextSource {
  std::string name;  // A named context (--build-context) that is a directory or the like.
};
using Source = std::variant<BuildContext, EmptySource, StageSource, ImageSource, ContextSource>;

// ---- Steps: what makes layers
// ---------------------------------------------------------------------

enum class MountType { kBind, kCache, kTmpfs, kSecret, kSsh };
enum class CacheSharing { kShared, kPrivate, kLocked };
// RUN --mount, with the reference's defaults filled in.
struct Mount {
  MountType type = MountType::kBind;
  Source from;         // Of kBind, and the first content of kCache (EmptySource without "from").
  std::string source;  // Path inside `from`, absolute; "/" is all of it.
  std::string target;  // Absolute. "" of a secret that is only a variable.
  bool read_only = true;
  std::string id;  // Of kCache, kSecret, kSsh.
  CacheSharing sharing = CacheSharing::kShared;
  bool required = false;                // kSecret, kSsh.
  std::optional<std::string> variable;  // kSecret: the environment variable it also (or only) is.
  int64_t size = 0;                     // kTmpfs; 0: not limited.
  std::optional<uint32_t> mode, uid, gid;  // kCache, kSecret, kSsh.
};

// A script of a here-document that begins with "#!": it is made executable at `path` for the step.
struct Script {
  std::string path;  // "/dev/pipes/EOF"
  std::string content;
};

struct RunStep {
  std::vector<std::string> arguments;    // As executed, with the shell in front.
  std::vector<std::string> environment;  // NAME=value; the proxy variables are the executor's.
  std::string working_dir;
  std::string user;  // As USER says; "" is root.
  std::vector<Mount> mounts;
  NetworkMode network = NetworkMode::kDefault;
  SecurityMode security = SecurityMode::kSandbox;
  std::vector<Device> devices;
  std::optional<Script> script;
};

enum class CopyKind { kFiles, kUrl, kGit };
struct CopySource {
  CopyKind kind = CopyKind::kFiles;
  // kFiles: path or pattern inside CopyStep::from, absolute and without "..". Else the address.
  std::string path;
  // --parents: what below `path` is copied with its folders; "" without.
  std::string pattern;
  SourceSpan span;
};
struct CopyStep {
  bool is_add = false;
  Source from;
  std::vector<CopySource> sources;
  std::vector<InlineFile> files;  // Mode 0644.
  // Absolute; a "/" at its end says that it is a directory.
  std::string destination;
  std::string owner;  // "user[:group]" or numbers; "": root for files of the build context.
  std::string mode;   // Octal, or symbolic as for chmod(1); "": as it is.
  std::string checksum;
  bool link = false;
  bool parents = false;
  bool unpack_files = false;  // Archives of the context are unpacked.
  bool unpack_urls = false;   // So are downloaded ones.
  bool keep_git_dir = false;
  std::vector<std::string> excludes;
};

// mkdir -p, mode 0755; nothing when it exists.
struct WorkdirStep {
  std::string path;
  std::string owner;  // USER at this point.
};

struct Step {
  std::variant<RunStep, CopyStep, WorkdirStep> action;
  std::string title;  // "[base 2/3] RUN make"
  LineRange lines;
  SourceSpan span;
};

// ---- The image ---------------------------------------------------------------------------------

struct HistoryEntry {
  std::string created_by;
  bool empty_layer = false;
  std::string comment;
  std::string author;
  int64_t created_at = 0;  // Nanoseconds since the epoch; 0: when its layer is made.
};
inline constexpr std::string_view kHistoryComment = "buildkit.dockerfile.v0";

struct ImageDescription {
  engine::ImageConfig config;
  bool args_escaped = false;  // A CMD was given.
  std::string author;
  Platform platform;
  std::vector<HistoryEntry> history;  // Of base images first.
  bool has_layers = false;            // False of an image that is empty.
};

// ---- Stages -------------------------------------------------------------------------------------

struct PlannedStage {
  std::string name;   // "" when it has none.
  std::string title;  // "build", "stage-1"; "" when there is only one.
  SourceSpan span;    // Of its FROM.
  LineRange lines;
  Source base;
  Platform platform;
  bool needed = false;  // By the target. Other stages have no steps.
  // In order: the entries of image.history beyond those of the base that are not empty.
  std::vector<Step> steps;
  ImageDescription image;
};

// What can be given from outside (build --call=outline), in the order of the file.
struct OutlineArg {
  std::string name, value, description;
  LineRange lines;
};
struct OutlineSecret {
  std::string name;
  bool required = false;
  LineRange lines;
};
struct Outline {
  std::string name, description;
  std::vector<OutlineArg> args;
  std::vector<OutlineSecret> secrets, ssh;
};

struct BuildPlan {
  std::vector<PlannedStage> stages;  // As in the file.
  size_t target = 0;
  Outline outline;
  // SOURCE_DATE_EPOCH: seconds, or the name of a stage, a named context or "context", which have
  // it.
  std::optional<int64_t> source_date_epoch;
  std::string source_date_epoch_of;

  const PlannedStage& result() const { return stages[target]; }
};

// Where a base image's configuration comes from. Fails with kNotFound when there is no such image.
using ImageResolver =
    std::function<Result<ImageDescription>(const std::string& reference, const Platform& platform)>;
// Takes every image as an empty one for linux/amd64, for looking at a file without its images.
ImageResolver AssumedImages();

struct PlanOptions {
  std::string target;                                         // "": the last stage.
  std::map<std::string, std::string, std::less<>> arguments;  // --build-arg
  std::map<std::string, std::string, std::less<>> labels;     // --label
  // --build-context NAME=VALUE. "docker-image://REF" is an image; other values are files.
  std::map<std::string, std::string, std::less<>> contexts;
  // Absent: the first build platform; then a base image for another platform keeps its own.
  std::optional<Platform> target_platform;
  std::optional<Platform> build_platform;  // Absent: the host's.
  bool all_stages = false;  // Expand stages the target does not need too, for their warnings.
  ImageResolver images = AssumedImages();
  const IgnoreMatcher* ignore = nullptr;  // Of the build context; null: nothing is ignored.
};

// kUnsupported: the file's "# syntax=" (or the build argument BUILDKIT_SYNTAX) names a frontend other
// than docker/dockerfile, at its place. Planning does not ask: the file may be read all the same.
Status CheckFrontend(const Dockerfile& file, const PlanOptions& options);

// The rules of BuildKit's Dockerfile frontend. Warnings go to `linter`. Fails with the first
// mistake at its place.
Result<BuildPlan> PlanBuild(const Dockerfile& file, const PlanOptions& options, Linter& linter);

// ---- Reading a file without planning it
// ------------------------------------------------------------

// One line of build --call=targets.
struct Target {
  std::string name, description, base, platform;
  bool is_default = false;
  LineRange lines;
};
std::vector<Target> TargetsOf(const Dockerfile& file);
// The options of "# check=", or of the build argument BUILDKIT_DOCKERFILE_CHECK, which replaces it.
Result<LintOptions> LintOptionsOf(const Dockerfile& file, const PlanOptions& options);

}  // namespace skiff::builder
