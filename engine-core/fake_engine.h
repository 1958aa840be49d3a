#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "engine-core/engine.h"

namespace skiff::engine {

// An engine in memory for tests of what stands above the seam. Nothing runs: containers change
// state when a call or the test says so. Ids are made from a counter, so that whole values can be
// compared. Every method may be called from several threads.
class FakeEngine : public Engine {
 public:
  // What happens when a container is started; found by container name.
  struct Behaviour {
    std::optional<Error> start_error;
    std::optional<int> exits_with;                  // Ends at once with this code.
    HealthStatus health = HealthStatus::kStarting;  // Only with a healthcheck.
  };
  struct ExecResult {
    int exit_code = 0;
    std::string output;
    std::string error_output;
  };
  struct FakeLog {
    LogStream stream = LogStream::kStdout;
    int64_t time = 0;
    std::string text;
  };

  FakeEngine();
  ~FakeEngine() override;

  // -- what a test does --
  // Calls so far: "CreateContainer p-web-1", "Commit", in order. Listing and inspecting are left
  // out.
  std::vector<std::string> Calls() const;
  void ClearCalls();
  void AddImage(const std::string& reference, const ImageConfig& config = {});
  // What PullImage finds.
  void AddRemoteImage(const std::string& reference, const ImageConfig& config = {});
  // What DownloadFile finds.
  void AddRemoteFile(const std::string& url, const std::string& content);
  void SetBehaviour(const std::string& name, Behaviour behaviour);
  void SetExecResult(const std::string& container, ExecResult result);
  // The next call whose record starts with `call` fails with `error`.
  void FailNext(const std::string& call, Error error);
  void Exit(const std::string& ref, int exit_code);
  void SetHealth(const std::string& ref, HealthStatus health);
  void SetState(const std::string& ref, const ContainerState& state);
  void AppendLog(const std::string& ref, FakeLog log);
  // Nanoseconds since the epoch, used for created_at and the like; every use adds one second.
  void SetClock(int64_t now);

  // -- Engine --
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
  Status ReadEvents(const EventOptions& options,
                    const std::function<bool(const Event&)>& sink) override;
  Result<ContainerUsage> ReadUsage(std::string_view ref) override;
  Result<PathInfo> StatPath(std::string_view ref, const std::string& path) override;
  Status ReadArchive(std::string_view ref, const std::string& path, const std::string& name,
                     int fd) override;
  Result<int64_t> WrittenSize(std::string_view ref) override;
  Status SyncPaths(std::string_view ref, const std::vector<SyncedPath>& paths) override;
  Status WriteArchive(std::string_view ref, const std::string& folder, int tar_fd,
                      const WriteArchiveOptions& options) override;
  Result<int64_t> UnpackFiles(int tar_fd, int folder_fd, Owner owner) override;
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

 private:
  struct Shared;  // State that watches and sessions keep alive.
  class FakeWatch;
  class FakeSession;
  std::shared_ptr<Shared> shared_;
};

}  // namespace skiff::engine
