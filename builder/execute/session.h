#pragma once

#include <sys/eventfd.h>

#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "builder/execute/shared.h"
#include "builder/execute/source_tree.h"
#include "builder/execute/step_key.h"
#include "builder/git.h"
#include "engine-core/image_config.h"

namespace skiff::builder {

// One Build(): its stages, each in a thread of its own.
class BuildSession {
 public:
  // `several`: it is one of several platforms', which its titles tell.
  BuildSession(Builder::Shared& shared, const BuildPlan& plan, const BuildSettings& settings,
               BuildProgress& progress, bool several)
      : shared_(shared),
        plan_(plan),
        settings_(settings),
        progress_(progress),
        several_(several),
        caches_given_up_(shared.remote_cache().given_up()),
        stop_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  // The image is not stored.
  Result<BuiltImage> Run();
  // Those elsewhere that the settings ask for, with what the sessions have in common: of `images`, or
  // of every stage. Sessions of one build, for different platforms.
  static Status WriteCaches(const std::vector<std::unique_ptr<BuildSession>>& sessions,
                            const std::vector<BuiltImage>& images);
  // Another thread: what runs is stopped.
  void Stop();
  // Meanwhile a cache elsewhere has been given up that steps of this build may stand on.
  bool lost_cache() const { return shared_.remote_cache().given_up() != caches_given_up_; }

 private:
  struct StageOutput {
    std::vector<std::string> layers;  // Diff ids, bottom first.
    std::vector<int64_t> created;     // Of those that no base image has.
  };
  // Where a step's files come from.
  struct OpenedSource {
    std::unique_ptr<engine::WritableLayer> layer;  // Of stages and images.
    Fd fd;
    SourceRoot root;
    std::string folder;               // Of folders on this machine.
    bool lasting = false;             // The folder is there in the next build, too.
    std::vector<std::string> layers;  // Of stages and images.
    bool is_local() const { return !folder.empty(); }
  };
  // What one step is done on.
  struct StepPlace {
    const PlannedStage& stage;
    const Step& step;
    const std::vector<std::string>& parents;
    int progress;  // Of the step.
  };
  // What one word of the step selects.
  struct Selection {
    const OpenedSource* source = nullptr;  // Null: it has not been fetched.
    std::vector<SourceItem> items;
    std::string identity;  // Of what is at an address.
    bool unpack = false;   // Archives are unpacked.
  };
  using Items = std::vector<Selection>;  // By source of the step.
  // What an ADD brings from an address; it is fetched when nothing has the layer.
  struct RemoteSource {
    const CopySource* source = nullptr;
    std::string identity;  // Of the contents.
    std::string name;      // Of the file; "" of a repository.
    GitAddress git;
    std::string commit;
    bool keep_git_dir = false;
    OpenedSource opened;
  };

  // -- session.cc --
  Result<StageOutput> RunStage(const PlannedStage& stage);
  Result<std::vector<std::string>> BaseLayers(const PlannedStage& stage);
  Result<StageOutput> OutputOf(size_t stage);
  Result<MadeLayer> MakeStep(const StepPlace& place);
  Result<std::vector<std::string>> LayersOf(const Source& source);
  bool Stopped() const;
  // With the service and the platforms in front: "[web linux/amd64->arm64 build 1/2] ...".
  std::string TitleOf(const std::string& title, const PlannedStage& stage) const;

  // -- step_cache.cc --
  bool UsesCache(const PlannedStage& stage) const;
  // The cache's layer for `key`, or what `make` makes, which is kept under it.
  Result<MadeLayer> Cached(const StepPlace& place, const std::string& key,
                           const std::function<Result<MadeLayer>()>& make);
  std::string EntryKey(const std::string& key) const;
  Result<std::optional<MadeLayer>> FindLayer(const std::string& key);
  Status KeepLayer(const std::string& key, const MadeLayer& made);
  // One that takes part in the result, for the caches that are written at the end.
  void Remember(const std::string& key, const MadeLayer& made);
  // The engine's, on parents that may be in a cache elsewhere.
  Result<std::unique_ptr<engine::WritableLayer>> CreateLayer(
      const std::vector<std::string>& parents);
  Result<MadeLayer> Commit(engine::WritableLayer& layer);

  // -- cache_export.cc --
  void ReadCaches();
  Status WriteCache(const CacheTarget& target, std::vector<engine::CachedStep> steps, int progress);
  // Of these layers, or (null) of all.
  std::vector<engine::CachedStep> KnownSteps(const std::vector<std::string>* layers);

  // -- copy_step.cc --
  Result<MadeLayer> MakeCopy(const StepPlace& place, const CopyStep& copy);
  Result<OpenedSource> OpenSource(const Source& source);
  // Where digests of its files are kept; null: nowhere.
  DigestStore* DigestsOf(const OpenedSource& source);
  Result<std::vector<SourceItem>> SelectItems(const CopyStep& copy, const CopySource& wanted,
                                              const OpenedSource& source);
  Result<MadeLayer> MakeAdd(const StepPlace& place, const CopyStep& copy, const std::string& spec);
  Result<MadeLayer> CopyFound(const StepPlace& place, const CopyStep& copy, Items& items,
                              const std::string& spec, const std::function<Status()>& fetch);
  Result<MadeLayer> CopyFiles(const StepPlace& place, const CopyStep& copy, const Items& items);
  Result<bool> Unpack(const OpenedSource& source, const SourceItem& item, int target,
                      const CopyStep& copy);
  Result<MadeLayer> MakeWorkdir(const StepPlace& place, const WorkdirStep& workdir);

  // -- remote_source.cc --
  Result<RemoteSource> Resolve(const StepPlace& place, const CopyStep& copy,
                               const CopySource& source);
  Status ResolveFile(const StepPlace& place, const std::string& checksum, RemoteSource& remote);
  Status ResolveRepository(const CopyStep& copy, RemoteSource& remote);
  Status Fetch(const StepPlace& place, RemoteSource& remote);
  Result<engine::Downloaded> Download(const StepPlace& place, RemoteSource& remote,
                                      const engine::DownloadOptions& options);
  Result<GitOptions> GitOptionsOf() const;

  // -- run_step.cc, run_mounts.cc --
  struct RunMounts;
  Result<MadeLayer> MakeRun(const StepPlace& place, const RunStep& run);
  Result<std::string> RunKey(const StepPlace& place, const RunStep& run);
  Result<MadeLayer> Execute(const StepPlace& place, const RunStep& run);
  Result<engine::ContainerConfig> ContainerOf(const RunStep& run, engine::WritableLayer& layer,
                                              RunMounts& mounts);
  Result<int> RunContainer(const engine::ContainerConfig& config, int progress, RunMounts& mounts);
  Result<int> Follow(engine::Session& session, const Fd& out, const Fd& err, int progress);
  Result<int> AwaitEnd(engine::Session& session) const;
  Status AddMounts(const RunStep& run, engine::ContainerConfig& config, RunMounts& mounts);
  Status AddBind(const Mount& mount, engine::ContainerConfig& config, RunMounts& mounts);
  Status AddCache(const Mount& mount, engine::ContainerConfig& config, RunMounts& mounts);
  Status AddSecret(const Mount& mount, engine::ContainerConfig& config, RunMounts& mounts);
  Status AddAgent(const Mount& mount, int number, engine::ContainerConfig& config,
                  RunMounts& mounts);
  Status AddScript(const Script& script, engine::ContainerConfig& config, RunMounts& mounts);
  Result<std::string> CopyForMount(const Mount& mount, const OpenedSource& source,
                                   RunMounts& mounts);

  // -- image_of.cc --
  Result<BuiltImage> MakeImage(const StageOutput& output);

  Builder::Shared& shared_;
  const BuildPlan& plan_;
  const BuildSettings& settings_;
  BuildProgress& progress_;
  const bool several_;
  const int caches_given_up_;  // Before it began: what others found in them is not for this build.
  std::vector<std::shared_future<Result<StageOutput>>> outputs_;  // By stage.
  Fd stop_;  // Readable once a stage has failed.
  std::mutex known_mutex_;
  std::map<std::string, MadeLayer> known_;  // Steps of this build by their keys.
};

}  // namespace skiff::builder
