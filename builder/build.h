#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "builder/cache_place.h"
#include "builder/ignore_file.h"
#include "builder/plan.h"
#include "engine-core/engine.h"

// Executes plans: every stage the target needs, as many at once as there are, through the engine's
// seam. A step whose key is known (in the engine's cache, or in this command) is not done again.
namespace skiff::builder {

// ---- What a build tells -------------------------------------------------------------------------

enum class StepOutcome { kDone, kCached, kFailed, kCancelled };

// Called by several threads at once.
class BuildProgress {
 public:
  virtual ~BuildProgress() = default;
  // A step begins: "[2/3] RUN make". Returns what the other calls name it by.
  virtual int Begin(const std::string& title) = 0;
  // What its program writes, in pieces as they come.
  virtual void Output(int step, engine::LogStream stream, std::string_view text) = 0;
  // One line about what is being done: "writing image sha256:...".
  virtual void Detail(int step, const std::string& text) = 0;
  // `message`: why it failed.
  virtual void End(int step, StepOutcome outcome, const std::string& message) = 0;
};

// ---- What it is given ---------------------------------------------------------------------------

// A folder files are copied from. It is read in place.
struct LocalContext {
  std::string folder;                     // Absolute.
  const IgnoreMatcher* ignore = nullptr;  // Outlives the build; null: nothing is ignored.
  bool lasting = true;                    // False: it goes with the build; digests are not kept.
};

// Either a value or a file that is read when a step asks for it.
struct BuildSecret {
  std::optional<std::string> value;
  std::string path;
};

// What --ssh gives steps: an agent's socket, or keys for an agent of the build's own.
struct BuildAgent {
  std::string socket;             // Absolute.
  std::vector<std::string> keys;  // Files, absolute.
};
// "ID[=SOCKET]", "ID=KEY[,KEY...]"; without a value the socket of SSH_AUTH_SOCK. `folder`: of relative
// paths. kInvalidArgument, kNotFound. https://docs.docker.com/reference/cli/docker/buildx/build/#ssh
Result<std::pair<std::string, BuildAgent>> ParseBuildAgent(
    const std::string& text, const std::map<std::string, std::string>& environment,
    const std::string& folder);

struct BuildSettings {
  std::optional<LocalContext> context;
  std::map<std::string, LocalContext, std::less<>> contexts;  // By the name of a ContextSource.
  std::vector<std::string> references;                        // Tags of the image.
  bool keep_image = true;  // False: only its files and its configuration are of interest.
  bool no_cache = false;
  std::vector<std::string> no_cache_stages;  // --no-cache-filter
  CachePlaces caches;                        // A source that cannot be read is passed over.
  std::string title;                         // Put into titles of steps: "web" of a service.

  // -- of RUN steps --
  NetworkMode network = NetworkMode::kDefault;  // Of steps that say "default".
  bool allow_host_network = false;              // --allow network.host
  bool allow_insecure = false;                  // --allow security.insecure
  std::string hostname = "buildkitsandbox";
  std::vector<std::string> extra_hosts;
  std::vector<std::string> proxies;  // NAME=value: seen by steps, in no key.
  int64_t shm_size = 0;
  std::vector<engine::Ulimit> ulimits;
  std::string cgroup_parent;
  engine::Resources resources;
  std::map<std::string, BuildSecret, std::less<>> secrets;
  std::map<std::string, BuildAgent, std::less<>> agents;  // --ssh, by id.
};

struct BuiltImage {
  std::string id;        // "sha256:..."
  bool existed = false;  // The engine had it before.
  std::string config;
  std::vector<std::string> layers;
};

struct BuiltImages {
  std::vector<BuiltImage> images;  // One for each plan.
  size_t main = 0;                 // The one that is meant where there can be but one.
  const BuiltImage& result() const { return images[main]; }
};

// ---- Contexts at addresses ----------------------------------------------------------------------

struct BuilderOptions;

// A context that is no folder here: an http(s) address or a Git repository (builder/git.h).
bool IsRemoteContext(std::string_view text);

// What is at the address. It is gone with this object.
struct RemoteContext {
  std::unique_ptr<engine::WritableLayer> tree;
  Fd root;                 // Of the files, when there are some: nothing leads out of it.
  std::string folder;      // The same, absolute; "" when what came is a Dockerfile.
  std::string dockerfile;  // That.
};
// A repository's files, those of an archive, or else a Dockerfile. kUnavailable, kNotFound,
// kInvalidArgument (an address git does not take).
Result<RemoteContext> FetchContext(engine::Engine& engine, const std::string& address,
                                   const BuilderOptions& options);

// Whether it is "oci-layout://FOLDER[:TAG][@DIGEST]".
bool IsLayoutContext(std::string_view text);

// An image of a layout among the engine's images, without a name.
struct LayoutImage {
  std::string id;
  bool existed = false;  // Before: else it is to be removed when the build is done.
};
// kNotFound, kInvalidArgument, kCorrupted. `working_dir`: of a relative folder.
Result<LayoutImage> LoadLayoutImage(engine::Engine& engine, const std::string& address,
                                    const std::string& working_dir,
                                    const std::optional<Platform>& platform);

// ---- The builder --------------------------------------------------------------------------------

// Base images the engine has; nothing is pulled. The engine outlives it.
ImageResolver LocalImages(engine::Engine& engine);

struct BuilderOptions {
  // Folder for what is worth keeping between builds: digests of files, cache mounts.
  std::string cache_folder;
  std::function<int64_t()> now;  // Nanoseconds since the epoch.
  int cancel_fd = -1;            // Readable: every build stops.
  // Bytes of layers that only the cache needs; absent: no limit. Builder::Finish() keeps to it.
  std::optional<int64_t> cache_limit;

  // -- what is reached over a network --
  // How the registry that has an image is reached; empty: without credentials.
  std::function<Result<engine::RegistryAccess>(const std::string& reference)> registry;
  engine::RegistrySettings downloads;              // For files at addresses.
  // Of git and of agents: PATH, HOME, SSH_AUTH_SOCK, proxies.
  std::map<std::string, std::string> environment;
};

// One command's builds. Equal steps of several builds are done once. Thread safe.
class Builder {
 public:
  Builder(engine::Engine& engine, BuilderOptions options);
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  // Base images: those the engine has; others (with `pull`: all) are pulled. Each is resolved once.
  ImageResolver Images(bool pull, BuildProgress& progress);
  // Plans of one file for different platforms. The images stand when it returns, under the names of
  // the settings, which mean the one for this machine (or else the first) where an image is run; they
  // are durable after the engine's Commit().
  Result<BuiltImages> Build(const std::vector<BuildPlan>& plans, const BuildSettings& settings,
                            BuildProgress& progress);

  // Once all builds are done: when they have made layers, those of the cache that have not been used
  // for longest are given up until no more than the limit remain. In effect after Commit().
  Status Finish();

  class Shared;

 private:
  std::unique_ptr<Shared> shared_;
};

// What an image of these layers shows, in a folder of what is written ("": at its top).
struct ExportedFiles {
  std::vector<std::string> layers;
  std::string folder;
};
// Into a folder, owned by who runs this: --output type=local.
Status ExportFiles(engine::Engine& engine, const std::vector<ExportedFiles>& files,
                   const std::string& folder);
// As a plain tar stream, owners kept: --output type=tar.
Status ExportTar(engine::Engine& engine, const std::vector<ExportedFiles>& files, int fd);

// ---- The cache ----------------------------------------------------------------------------------

struct PruneOptions {
  bool all = false;                  // Also what an image still uses.
  std::optional<int64_t> keep_size;  // Bytes: only until no more than this remain.
  int64_t unused_since = 0;          // Only what was used before this time; 0: all.
  bool mounts = true;                // Contents of cache mounts, too.
};
struct PrunedCache {
  std::vector<std::string> entries;
  int64_t bytes = 0;
};
// Forgets steps, oldest use first, empties cache mounts no step uses, and collects what nothing
// needs then. Durable after the engine's Commit().
Result<PrunedCache> PruneCache(engine::Engine& engine, const std::string& cache_folder,
                               const PruneOptions& options);

}  // namespace skiff::builder
