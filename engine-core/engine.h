#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"
#include "base/owner.h"
#include "engine-core/images.h"
#include "engine-core/types.h"

namespace skiff::engine {

struct ContainerFilter {
  bool all = false;  // Also those that do not run.
  // Each "key" or "key=value"; all must match.
  std::vector<std::string> labels;
};

struct StopOptions {
  std::string signal;                  // "": the container's stop signal.
  std::optional<Nanoseconds> timeout;  // Absent: the container's; negative: never kill.
};

struct RemoveOptions {
  bool force = false;              // Kill it first when it runs.
  bool anonymous_volumes = false;  // Remove those of its anonymous volumes nobody else uses.
};

struct ExecConfig {
  std::vector<std::string> command;
  std::vector<std::string> environment;  // KEY=VALUE, above the container's own.
  std::string user;                      // "": the container's.
  std::string working_dir;
  bool tty = false;
  bool privileged = false;
};

struct TerminalSize {
  uint16_t rows = 0;
  uint16_t columns = 0;
};

// A process somebody talks to: an exec, or the main process of a container. Destroying it detaches;
// the process goes on.
class Session {
 public:
  virtual ~Session() = default;
  // Of a session with a terminal: the master side; the caller copies bytes and keeps its own
  // terminal raw. Otherwise -1.
  virtual int terminal_fd() const = 0;
  virtual Status Resize(TerminalSize size) = 0;
  virtual Status Signal(int signal_number) = 0;
  // Readable (POLLIN) once the process has ended.
  virtual int exit_fd() const = 0;
  // Blocks until the end; 128 + n for a signal.
  virtual Result<int> Wait() = 0;
};

// Descriptors given to a process. They are duplicated; -1 is /dev/null.
struct StandardStreams {
  int input = -1;
  int output = -1;
  int error = -1;
};

enum class LogStream : uint8_t { kStdout, kStderr };
struct LogEntry {
  LogStream stream = LogStream::kStdout;
  int64_t time = 0;  // Nanoseconds since the epoch.
  std::string_view
      text;  // One line with its "\n", or a part of one without; valid in the callback.
};
struct LogOptions {
  bool follow = false;  // Until the container has stopped for good.
  int64_t tail = -1;    // Last N lines; -1: all.
  int64_t since = 0;    // Nanoseconds since the epoch, inclusive; 0: no bound.
  int64_t until = 0;
  int cancel_fd = -1;  // Readable: stop following, return success.
};

struct StateChange {
  std::string id;
  bool removed = false;
  ContainerState state;  // Of the container now, unless removed.
};
// Tells what happens to containers, by event. One thread waits at a time.
class Watch {
 public:
  virtual ~Watch() = default;
  // Readable when Next would not block.
  virtual int fd() const = 0;
  // Blocks until containers changed or `cancel_fd` (-1: none) is readable (then empty). Changes
  // between two calls are never lost; several of one container may arrive as the last one.
  virtual Result<std::vector<StateChange>> Next(int cancel_fd) = 0;
};

struct CreatedContainer {
  std::string id;
  std::vector<std::string> warnings;  // What this kernel cannot honour, naming the field.
};

struct EventOptions {
  int64_t since = 0;   // Nanoseconds since the epoch; 0: what happens from now on.
  int64_t until = 0;   // The same; 0: for ever. A time behind us: what is remembered, then the end.
  int cancel_fd = -1;  // Readable: stop, return success.
};

// What a container uses. All zeros but the time when it does not run.
struct ContainerUsage {
  int64_t time = 0;    // Nanoseconds of a clock that only runs forward.
  int64_t cpu_ns = 0;  // Processor time since its start.
  int64_t memory = 0;  // Bytes, without the cache of files nobody has used lately.
  int64_t memory_limit = 0;  // Its own, or the machine's memory.
  int64_t processes = 0;     // With threads.
  int64_t read_bytes = 0;    // Of block devices, since its start.
  int64_t written_bytes = 0;
  int64_t received_bytes = 0;  // Of its network interfaces.
  int64_t sent_bytes = 0;
};

struct PathInfo {
  std::string name;         // The last one of the path.
  uint32_t mode = 0;        // As stat(2) has it, with the type.
  int64_t size = 0;         // Bytes.
  int64_t modified_at = 0;  // Nanoseconds since the epoch.
  std::string link_target;  // Of a symbolic link.
};

struct WriteArchiveOptions {
  bool as_user = false;  // All belongs to the container's user instead of who the archive says.
};

// A path of this machine and what it is called in a container; both absolute.
struct SyncedPath {
  std::string source;
  std::string target;
};

struct Event {
  int64_t time = 0;  // Nanoseconds since the epoch.
  std::string type;    // container, image, network, volume
  std::string action;  // create, start, die, ...
  std::string actor;
  std::map<std::string, std::string> attributes;
};

// The one seam between what Skiff does and what runs containers. Implementations: the embedded
// engine (engine-core/embedded.h), a fake for tests (engine-core/fake_engine.h), later a client of
// Docker-compatible engines.
//
// All methods block and may be called from several threads at once. References to containers are a
// full id, a name, or a unique prefix of an id; errors are kNotFound ("no such container: x"),
// kInvalidArgument (ambiguous prefix), kFailedPrecondition (wrong state), kAlreadyExists (names,
// ports, addresses) and those of the kernel.
class Engine : public Images {
 public:
  // -- containers --
  // Declares the container: name, addresses and anonymous volumes are taken, nothing runs.
  virtual Result<CreatedContainer> CreateContainer(const ContainerConfig& config) = 0;
  // Returns when its process has been executed; fails with what the kernel said otherwise (the
  // container then has exit code 126, 127 or 128). Starting a running one is no error.
  virtual Status StartContainer(std::string_view ref) = 0;
  // Stop signal, deadline, SIGKILL; returns when it has ended. Stopping a stopped one is no error.
  virtual Status StopContainer(std::string_view ref, const StopOptions& options) = 0;
  virtual Status KillContainer(std::string_view ref, int signal_number) = 0;
  virtual Status RestartContainer(std::string_view ref, const StopOptions& options) = 0;
  virtual Status PauseContainer(std::string_view ref) = 0;
  virtual Status UnpauseContainer(std::string_view ref) = 0;
  virtual Status RemoveContainer(std::string_view ref, const RemoveOptions& options) = 0;
  virtual Status RenameContainer(std::string_view ref, std::string_view name) = 0;
  virtual Result<std::vector<Container>> ListContainers(const ContainerFilter& filter) = 0;
  virtual Result<Container> InspectContainer(std::string_view ref) = 0;

  // Connects to the main process of a container, also of one that has been created only: output is
  // then complete from its first byte. `streams.input` is forwarded only with open_stdin.
  virtual Result<std::unique_ptr<Session>> Attach(std::string_view ref,
                                                  const StandardStreams& streams) = 0;
  virtual Result<std::unique_ptr<Session>> Exec(std::string_view ref, const ExecConfig& config,
                                                const StandardStreams& streams,
                                                TerminalSize size) = 0;
  // Calls `sink` for each entry until it returns false.
  virtual Status ReadLogs(std::string_view ref, const LogOptions& options,
                          const std::function<bool(const LogEntry&)>& sink) = 0;
  // Changes of the containers that match, also of those made later.
  virtual Result<std::unique_ptr<Watch>> WatchContainers(const ContainerFilter& filter) = 0;

  // Calls `sink` for what happens to containers, images, networks and volumes, in the order of
  // arrival, until it returns false. Remembered is the last MiB of the time since the last boot.
  // Events of containers carry their labels, image and name.
  virtual Status ReadEvents(const EventOptions& options,
                            const std::function<bool(const Event&)>& sink) = 0;

  virtual Result<ContainerUsage> ReadUsage(std::string_view ref) = 0;
  // Bytes of the files that it has written or changed above its image.
  virtual Result<int64_t> WrittenSize(std::string_view ref) = 0;

  // -- files of containers, also of those that do not run: with volumes and binds in place, links
  // followed inside the container (kNotFound: "Could not find the file P in container X") --
  // A link that is the last name is told of itself, unless the path ends with "/" or "/.".
  virtual Result<PathInfo> StatPath(std::string_view ref, const std::string& path) = 0;
  // Writes what the path names as a plain tar stream, its entries below `name` ("": its own name).
  virtual Status ReadArchive(std::string_view ref, const std::string& path,
                             const std::string& name, int fd) = 0;
  // Unpacks a tar stream, plain or compressed, into a folder that is there. A folder is never
  // replaced by something else nor the other way round (kInvalidArgument), which is also the answer
  // where the root or a volume is read-only.
  virtual Status WriteArchive(std::string_view ref, const std::string& folder, int tar_fd,
                              const WriteArchiveOptions& options) = 0;
  // Makes paths of a container what paths of this machine are: files, links and folders (without
  // what is in them) are written, the container's user's or root's; what is not here is removed
  // there. Folders above are made.
  virtual Status SyncPaths(std::string_view ref, const std::vector<SyncedPath>& paths) = 0;
  // The other half of a copy to this machine: unpacks what ReadArchive() wrote into a folder of it
  // by the same rules; all of it belongs to `owner`. Returns the bytes of the stream.
  virtual Result<int64_t> UnpackFiles(int tar_fd, int folder_fd, Owner owner) = 0;

  // -- networks --
  virtual Result<Network> CreateNetwork(const NetworkConfig& config) = 0;
  virtual Status RemoveNetwork(std::string_view ref) = 0;
  virtual Result<std::vector<Network>> ListNetworks(const std::vector<std::string>& labels) = 0;
  virtual Status ConnectNetwork(std::string_view container, const EndpointRequest& endpoint) = 0;
  virtual Status DisconnectNetwork(std::string_view container, std::string_view network) = 0;

  // -- volumes --
  virtual Result<Volume> CreateVolume(const VolumeConfig& config) = 0;  // Idempotent by name.
  virtual Status RemoveVolume(std::string_view name) = 0;
  virtual Result<std::vector<Volume>> ListVolumes(const std::vector<std::string>& labels) = 0;

  // Images: engine-core/images.h.

  // Makes durable and visible what the calls before it have done: one database commit and one
  // nftables batch, however many those were (DESIGN 5). A caller calls it before it waits for
  // anything and when it is done; the destructor does it too, but cannot report a failure.
  virtual Status Commit() = 0;
};

}  // namespace skiff::engine
