#pragma once

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "base/atomic_file.h"
#include "engine-core/cgroup.h"
#include "engine-core/embedded.h"
#include "engine-core/embedded/deferred_session.h"
#include "engine-core/embedded/delegated_unit.h"
#include "engine-core/embedded/intents.h"
#include "engine-core/embedded/network_side.h"
#include "engine-core/embedded/spec.h"
#include "engine-core/engine.h"
#include "engine-core/image/image_store.h"
#include "engine-core/image/layer_draft.h"
#include "engine-core/launcher.h"
#include "engine-core/layout.h"
#include "engine-core/runtime_spec.h"
#include "engine-core/store/store.h"
#include "volumes/volumes.h"

namespace skiff::engine::embedded {

using store::ContainerRecord;
using store::NetworkRecord;
using store::Ptr;

// Of a namespace that another container has: "container:ID".
inline constexpr std::string_view kContainerMode = "container:";

// The engine of DESIGN 3 and 5. One object per command; any thread may call it.
//
// Locks, in the order they are taken (DESIGN 5): a container's (LockContainer), the state lock
// (LockState: names, addresses, subnets, intents; held briefly, never while waiting for a process),
// then those inside NetworkSide and Store.
class EmbeddedEngine : public Engine {
 public:
  explicit EmbeddedEngine(EmbeddedOptions options);
  ~EmbeddedEngine() override;

  // RestoreContainers().
  Result<std::vector<RestoredContainer>> Restore();

  Result<CreatedContainer> CreateContainer(const ContainerConfig& config) override;
  Status StartContainer(std::string_view ref) override;
  Status StopContainer(std::string_view ref, const StopOptions& options) override;
  Status KillContainer(std::string_view ref, int signal_number) override;
  Status RestartContainer(std::string_view ref, const StopOptions& options) override;
  Status PauseContainer(std::string_view ref) override;
  Status UnpauseContainer(std::string_view ref) override;
  Status RemoveContainer(std::string_view ref, const RemoveOptions& options) override;
  Status RenameContainer(std::string_view ref, std::string_view name) override;
  Result<std::vector<Container>> ListContainers(const ContainerFilter& filter) override;
  Result<Container> InspectContainer(std::string_view ref) override;
  Result<std::unique_ptr<Session>> Attach(std::string_view ref,
                                          const StandardStreams& streams) override;
  Result<std::unique_ptr<Session>> Exec(std::string_view ref, const ExecConfig& config,
                                        const StandardStreams& streams, TerminalSize size) override;
  Status ReadLogs(std::string_view ref, const LogOptions& options,
                  const std::function<bool(const LogEntry&)>& sink) override;
  Result<std::unique_ptr<Watch>> WatchContainers(const ContainerFilter& filter) override;
  Status ReadEvents(const EventOptions& options,
                    const std::function<bool(const Event&)>& sink) override;
  Result<ContainerUsage> ReadUsage(std::string_view ref) override;
  Result<PathInfo> StatPath(std::string_view ref, const std::string& path) override;
  Status ReadArchive(std::string_view ref, const std::string& path, const std::string& name,
                     int fd) override;
  Status WriteArchive(std::string_view ref, const std::string& folder, int tar_fd,
                      const WriteArchiveOptions& options) override;
  Result<int64_t> WrittenSize(std::string_view ref) override;
  Status SyncPaths(std::string_view ref, const std::vector<SyncedPath>& paths) override;
  Result<int64_t> UnpackFiles(int tar_fd, int folder_fd, Owner owner) override;
  Result<Network> CreateNetwork(const NetworkConfig& config) override;
  Status RemoveNetwork(std::string_view ref) override;
  Result<std::vector<Network>> ListNetworks(const std::vector<std::string>& labels) override;
  Status ConnectNetwork(std::string_view container, const EndpointRequest& endpoint) override;
  Status DisconnectNetwork(std::string_view container, std::string_view network) override;
  Result<Volume> CreateVolume(const VolumeConfig& config) override;
  Status RemoveVolume(std::string_view name) override;
  Result<std::vector<Volume>> ListVolumes(const std::vector<std::string>& labels) override;
  Result<std::vector<Image>> ListImages() override;
  Result<Image> InspectImage(std::string_view ref) override;
  Result<std::string> ReadImageConfig(std::string_view ref) override;
  Status TagImage(std::string_view ref, std::string_view new_reference) override;
  Result<RemovedImage> RemoveImage(std::string_view ref, bool force) override;
  Result<int64_t> CollectGarbage() override;
  Result<std::unique_ptr<WritableLayer>> CreateLayer(
      const std::vector<std::string>& parents) override;
  Result<Layer> CommitLayer(WritableLayer& layer, const CommitLayerOptions& options) override;
  Result<bool> UnpackArchive(int tar_fd, WritableLayer& layer) override;
  Result<std::string> CreateImage(const ImageSpec& spec) override;
  Result<std::string> CommitContainer(std::string_view ref,
                                      const CommitContainerOptions& options) override;
  Result<std::optional<CacheEntry>> FindCacheEntry(std::string_view key) override;
  Result<std::vector<CacheEntry>> ListCacheEntries() override;
  Status PutCacheEntry(const CacheEntry& entry) override;
  Status RemoveCacheEntry(std::string_view key) override;
  Result<std::string> ImportImage(int tar_fd, const ImportOptions& options) override;
  Result<std::vector<LoadedImage>> LoadImages(int fd, const LoadOptions& options) override;
  Status SaveImages(int fd, const std::vector<std::string>& refs,
                    const SaveOptions& options) override;
  Status ArchiveImages(int fd, const SentImages& images, const SaveOptions& options) override;
  Status ExportContainer(std::string_view ref, int fd) override;
  Status ExportLayer(WritableLayer& layer, int fd) override;
  Result<PulledImage> PullImage(std::string_view ref, const PullOptions& options) override;
  Result<PushedImage> PushImage(std::string_view ref, const PushOptions& options) override;
  Result<std::string> ResolveImage(std::string_view ref, const RegistryAccess& access) override;
  Result<bool> HasLayer(std::string_view diff_id) override;
  Result<int64_t> LayerSize(std::string_view diff_id) override;
  Result<OfferedImage> AskForImage(const ImagePlace& place) override;
  Result<RegistryArtifact> FetchArtifact(std::string_view ref,
                                         const std::vector<std::string>& types,
                                         const RegistryAccess& access) override;
  Status FetchLayers(const ImagePlace& place, const std::vector<std::string>& diff_ids) override;
  Result<PushedImage> SendImages(const ImagePlace& place, const SentImages& images) override;
  Result<std::string> LogIn(std::string_view host, const RegistryAccess& access) override;
  Result<Downloaded> DownloadFile(const std::string& url, int fd,
                                  const DownloadOptions& options) override;
  Status Commit() override;

  Result<SystemReport> Check(bool repair);
  Status Retire();
  // State of a container now, from what its monitor wrote and whether it lives (observe.cc).
  ContainerState StateOf(const ContainerRecord& record);
  // Its record; kNotFound. For the watch.
  Result<Ptr<ContainerRecord>> RecordOf(std::string_view ref) { return store_.FindContainer(ref); }
  Result<std::vector<Ptr<ContainerRecord>>> Records() { return store_.Containers(); }
  // For calls that change nothing: the roots stand, and no dead command's work lies about half
  // done.
  Status Open();

 private:
  struct StateGuard {
    std::unique_lock<std::mutex> thread;
    FileLock process;
  };
  struct ContainerGuard {
    std::shared_ptr<std::mutex> mutex;
    std::unique_lock<std::mutex> thread;
    FileLock process;
  };
  // What OpenFiles() holds while a container's files are looked at.
  struct ContainerFiles {
    Fd root;
    Fd mounts;                            // Of one that does not run.
    std::optional<ContainerGuard> guard;  // The same: it cannot be started meanwhile.
  };
  Result<ContainerFiles> OpenFiles(const ContainerRecord& record);
  // Somebody is at a container: what has been announced of it is not done by a commit that comes in
  // between.
  class Busy {
   public:
    Busy(EmbeddedEngine* engine, std::string id) : engine_(engine), id_(std::move(id)) {
      const std::lock_guard lock(engine_->pending_mutex_);
      engine_->busy_.insert(id_);
    }
    ~Busy() {
      const std::lock_guard lock(engine_->pending_mutex_);
      engine_->busy_.erase(engine_->busy_.find(id_));
    }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;

   private:
    EmbeddedEngine* engine_;
    std::string id_;
  };
  // Ports of a container that is about to start.
  struct Publication {
    std::vector<net::PortReservation> reservations;
    std::vector<net::PublishSpec> specs;
    std::vector<PortSocketSpec> sockets;
    std::vector<int> descriptors;
    std::vector<PublishedPort> ports;
  };
  // Everything of the kernel a start has made, until the monitor owns it.
  struct Preparation {
    RuntimeSpec spec;
    Fd network_namespace;
    net::PreparedNamespace prepared;
    Publication publication;
    std::vector<std::string> warnings;
  };

  Status OpenRoots();
  // Opens and, once per process, puts right what others left behind.
  Status OpenForChange();
  Result<StateGuard> LockState();
  Result<ContainerGuard> LockContainer(const std::string& id);
  // With its lock held: the record again, since somebody may have removed the container meanwhile.
  Result<Ptr<ContainerRecord>> Again(const std::string& id);
  Result<CgroupManager*> Cgroups();
  // Before anything is started; what keeps it from its unit is a notice.
  void HoldUnit();
  Result<Launcher*> GetLauncher();
  void Notice(const std::string& text);
  void Journal(std::string_view type, std::string_view action, const std::string& actor,
               const std::vector<std::pair<std::string, std::string>>& attributes);
  // With all its attributes, for who learns of the container by this entry or does not see it again.
  void JournalWhole(std::string_view action, const ContainerRecord& record);

  // create.cc
  Result<Ptr<store::ImageRecord>> ImageOf(const ContainerConfig& request);
  Status PlaceOnLayer(const std::string& id, ContainerRecord& record);
  Result<std::string> ReserveName(const std::string& wanted, const std::string& replaced,
                                  const std::string& id);
  Status ReserveEndpoints(ContainerRecord& record);
  Result<store::EndpointRecord> MakeEndpoint(const EndpointRequest& request,
                                             const std::string& replaced,
                                             std::vector<std::string>* intents);
  Status Reserve(ContainerRecord& record, const std::string& wanted_name);
  Status ResolveModes(ContainerRecord& record);
  Status ResolveMounts(ContainerRecord& record, const store::ImageRecord& image);
  Result<Mount> ResolveMount(const MountRequest& request, const store::ImageRecord& image);
  Status MountsFrom(ContainerRecord& record);
  Status CopyUp(const std::string& volume, const store::ImageRecord& image,
                const std::string& target);
  Status MakeFolders(const ContainerRecord& record);
  Result<Volume> EnsureVolume(const VolumeConfig& config, bool anonymous);
  // Its row goes with the next commit, its data after it.
  Status GiveUpVolume(const std::string& name);

  // start.cc
  Status Start(const ContainerRecord& record);
  Result<bool> AwaitStartOrEnd(const ContainerRecord& record);
  Status SetStarted(const ContainerRecord& record);
  Result<Preparation> Prepare(ContainerRecord& record);
  Status PrepareNetwork(ContainerRecord& record, Preparation& out);
  Result<Publication> PreparePorts(const ContainerRecord& record);
  Result<SharedNamespaces> Namespaces(const ContainerRecord& record, Preparation& out);
  Status WriteEtcFiles(const ContainerRecord& record, const Preparation& out);
  Status Launch(const ContainerRecord& record, Preparation& prepared);
  Status AddNames(const ContainerRecord& record);
  Status RemoveNames(const ContainerRecord& record);
  DnsSpec NameServiceOf(const ContainerRecord& record, bool* wanted);

  // images.cc
  // What keeps layers and blobs from being collected as garbage by other commands while this one
  // is about to need them (engine-core/image/README.md).
  class ImageUse;
  class EngineLayer;
  Result<std::shared_ptr<ImageUse>> UseImages();
  // Alone with the images until the next commit; false: somebody uses them.
  Result<bool> OwnImages();
  Status AnnounceArtifact(image::Artifact kind, const std::string& hex);
  Result<image::Released> ReleaseArtifacts();
  Status ExpectMounts(const ContainerRecord& record);
  // image_exchange.cc
  // What a failed operation has brought is of no use to anybody.
  tl::unexpected<Error> GiveUp(Error error);
  Result<Layer> CommitFiles(const ContainerRecord& record);
  Result<std::string> ImageOfCommit(const ContainerRecord& record, const Layer& made,
                                    const CommitContainerOptions& options);
  Result<std::vector<std::string>> MountPlaces(const ContainerRecord& record);

  // lifecycle.cc
  Status SetDesired(const std::string& id, store::Desired desired);
  // What a container that does not run any more leaves in the kernel goes away.
  Status AfterEnd(const ContainerRecord& record);
  // Said before the ports of a container open or close: the firewall follows with the commit.
  Status AnnouncePorts(const ContainerRecord& record);
  Status KillLeft(const std::string& id, const std::string& cgroup_parent);
  Status EndNow(const ContainerRecord& record);
  Status Erase(const ContainerRecord& record, bool anonymous_volumes);
  Status PassName(const ContainerRecord& gone);
  Status Renamed(const ContainerRecord& record);

  // networks.cc
  Result<Ptr<NetworkRecord>> FindNetwork(std::string_view ref);
  Result<Ptr<NetworkRecord>> DefaultBridge();
  NetworkRecord Predefined(const std::string& name) const;
  Status ChooseSubnets(NetworkRecord& record);
  Result<net::FirewallState> WholeFirewall();

  // reconcile.cc
  Status Reconcile(bool fresh_boot);
  Status RepairLeftovers();
  Status RepairIntent(const Intent& intent);
  Status ReconcileContainer(const ContainerRecord& record, bool fresh_boot);
  // How its last run ended, when nothing of this boot knows.
  std::optional<ContainerState> EndOf(const ContainerRecord& record) const;
  std::vector<RestoredContainer> RestartOrphans();
  // Ports of every container that runs, of commands that have not committed as well.
  std::vector<net::PublishSpec> MarkedPorts();
  // Takes out of the firewall what no marker speaks of.
  Status SweepPorts();
  Status DestroyGarbage(const std::string& id);
  Status DestroyGarbage(const ContainerRecord& record);
  Status RemoveHalfRows(const std::string& id);
  // What the dead were writing in folders that several commands share.
  Status SweepTemporaries();
  // Commands that died with the machine had announced what they were making where it is lost. What has
  // no row is theirs. A volume's folder with something in it is kept for `system check`.
  Status SweepAfterBoot();
  Status EmptyTrash();
  Status EmptyTrashDetached();
  Result<std::vector<std::string>> TrashNames() const;
  // `stays` gets what could not be removed.
  Status DeleteTrash(std::set<std::string>& stays);
  // After a commit: drops the intents that have come true.
  Status SettleIntents();
  // Out of sight in one step; the path it has there. A missing one is no error.
  Result<std::string> MoveToTrash(const std::string& path, const std::string& name);
  // Renames into the trash, then deletes.
  Status Discard(const std::string& path, const std::string& name);
  Status PurgeBlobs(const std::vector<std::string>& blobs);
  Status Purge();
  Status Purge(const std::vector<std::string>& containers,
               const std::vector<std::string>& doomed_volumes, const image::Released& artifacts);
  // After removals: when nothing is left, nothing stays in the kernel.
  Status RetireIfIdle();

  // system_check.cc
  struct Checker;

  EmbeddedOptions options_;
  Layout layout_;
  std::string root_hash_;
  store::Store store_;
  IntentLog intents_;
  volumes::VolumeFolders volumes_;
  image::LayerStore layers_;
  image::ImageStore images_;
  NetworkSide network_;

  std::mutex open_mutex_;
  bool open_ = false;
  bool fresh_boot_ = false;
  bool looked_ = false;
  bool reconciled_ = false;

  std::mutex state_mutex_;
  std::mutex lazy_mutex_;
  DelegatedUnit delegated_unit_;
  bool unit_lost_ = false;
  std::unique_ptr<CgroupManager> cgroups_;
  std::unique_ptr<Launcher> launcher_;
  std::vector<std::unique_ptr<Launcher>> old_launchers_;
  std::mutex containers_mutex_;
  std::map<std::string, std::shared_ptr<std::mutex>> container_mutexes_;
  std::map<std::string, std::shared_ptr<DeferredState>> waiting_;  // By container id.

  // What a commit has to do after the rows are written. Guarded by pending_mutex_.
  std::mutex pending_mutex_;
  std::vector<std::string> doomed_containers_;
  std::vector<std::string> doomed_volumes_;
  image::Released doomed_artifacts_;
  bool removed_something_ = false;
  std::multiset<std::string> busy_;  // Ids of containers.
  std::set<std::string> orphans_;    // Containers a restart policy wants back.
  std::mutex commit_mutex_;

  std::mutex images_mutex_;
  std::shared_ptr<FileLock> images_used_;             // Shared, until the next commit.
  std::shared_ptr<FileLock> images_owned_;            // Exclusive, until the next commit.
  std::map<std::string, image::LayerDraft*> drafts_;  // By id.
};

int64_t NowNanoseconds();
std::string ShortId(std::string_view id);
// Where a start leaves word of what is in the kernel for a container: <run dir>/live.
std::string LiveMarker(const Layout& layout, const std::string& id);
Status WriteLiveMarker(const Layout& layout, const std::string& id,
                       const std::vector<net::PublishSpec>& ports);
// kNotFound without one.
Result<std::vector<net::PublishSpec>> ReadLiveMarker(const Layout& layout, const std::string& id);

}  // namespace skiff::engine::embedded
