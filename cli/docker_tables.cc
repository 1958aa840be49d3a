#include "cli/build_flags.h"
#include "cli/command.h"
#include "cli/prune_flags.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

using enum FlagKind;

constexpr Flag kHelp = {"help", 0, kBool, "", "Print this text"};
constexpr std::string_view kFormatHelp =
    "Format output: table, table TEMPLATE, json, or a Go template";

constexpr Flag kGlobal[] = {
    {"config", 0, kText},
    {"context", 'c', kText},
    {"debug", 'D', kBool},
    {"host", 'H', kList},
    {"log-level", 'l', kText},
    {"root", 0, kText, "path", "Folder of durable state (default $SKIFF_ROOT or /var/lib/skiff)"},
    {"run", 0, kText, "path", "Folder of volatile state (default $SKIFF_RUN or /run/skiff)"},
    {"version", 'v', kBool, "", "Print version information and quit"},
    {"help", 0, kBool, "", "Print this text"},
};

// The flags of `docker run` and `docker create`; those of run alone come first.
constexpr size_t kRunOnly = 2;
constexpr Flag kRun[] = {
    {"detach", 'd', kBool, "", "Run container in background and print container ID"},
    {"sig-proxy", 0, kBool, "", "Proxy received signals to the process", "true"},
    {"detach-keys", 0, kText, "string", "Override the key sequence for detaching a container",
     kDefaultDetachKeys},
    {"add-host", 0, kList, "list", "Add a custom host-to-IP mapping (host:ip)"},
    {"annotation", 0, kList},
    {"attach", 'a', kList, "list", "Attach to STDIN, STDOUT or STDERR"},
    {"blkio-weight", 0, kNumber, "uint16",
     "Block IO (relative weight), between 10 and 1000, or 0 to disable"},
    {"blkio-weight-device", 0, kList},
    {"cap-add", 0, kList, "list", "Add Linux capabilities"},
    {"cap-drop", 0, kList, "list", "Drop Linux capabilities"},
    {"cgroup-parent", 0, kText, "string", "Optional parent cgroup for the container"},
    {"cgroupns", 0, kText, "string", "Cgroup namespace to use (host|private)"},
    {"cidfile", 0, kText, "string", "Write the container ID to the file"},
    {"cpu-period", 0, kNumber, "int", "Limit CPU CFS (Completely Fair Scheduler) period"},
    {"cpu-quota", 0, kNumber, "int", "Limit CPU CFS (Completely Fair Scheduler) quota"},
    {"cpu-rt-period", 0, kNumber},
    {"cpu-rt-runtime", 0, kNumber},
    {"cpu-shares", 'c', kNumber, "int", "CPU shares (relative weight)"},
    {"cpus", 0, kText, "decimal", "Number of CPUs"},
    {"cpuset-cpus", 0, kText, "string", "CPUs in which to allow execution (0-3, 0,1)"},
    {"cpuset-mems", 0, kText, "string", "MEMs in which to allow execution (0-3, 0,1)"},
    {"device", 0, kList, "list", "Add a host device to the container"},
    {"device-cgroup-rule", 0, kList, "list", "Add a rule to the cgroup allowed devices list"},
    {"device-read-bps", 0, kList},
    {"device-read-iops", 0, kList},
    {"device-write-bps", 0, kList},
    {"device-write-iops", 0, kList},
    {"disable-content-trust", 0, kBool, "", "", "true"},
    {"dns", 0, kList, "list", "Set custom DNS servers"},
    {"dns-option", 0, kList, "list", "Set DNS options", "", "dns-opt"},
    {"dns-search", 0, kList, "list", "Set custom DNS search domains"},
    {"domainname", 0, kText, "string", "Container NIS domain name"},
    {"entrypoint", 0, kText, "string", "Overwrite the default ENTRYPOINT of the image"},
    {"env", 'e', kList, "list", "Set environment variables"},
    {"env-file", 0, kList, "list", "Read in a file of environment variables"},
    {"expose", 0, kList, "list", "Expose a port or a range of ports"},
    {"gpus", 0, kText},
    {"group-add", 0, kList, "list", "Add additional groups to join"},
    {"health-cmd", 0, kText, "string", "Command to run to check health"},
    {"health-interval", 0, kText, "duration", "Time between running the check (ms|s|m|h)"},
    {"health-retries", 0, kNumber, "int", "Consecutive failures needed to report unhealthy"},
    {"health-start-interval", 0, kText, "duration",
     "Time between running the check during the start period (ms|s|m|h)"},
    {"health-start-period", 0, kText, "duration",
     "Start period for the container to initialize before starting health-retries countdown "
     "(ms|s|m|h)"},
    {"health-timeout", 0, kText, "duration", "Maximum time to allow one check to run (ms|s|m|h)"},
    {"hostname", 'h', kText, "string", "Container host name"},
    {"init", 0, kBool, "",
     "Run an init inside the container that forwards signals and reaps processes"},
    {"interactive", 'i', kBool, "", "Keep STDIN open even if not attached"},
    {"ip", 0, kText, "string", "IPv4 address (e.g., 172.30.100.104)"},
    {"ip6", 0, kText, "string", "IPv6 address (e.g., 2001:db8::33)"},
    {"ipc", 0, kText, "string", "IPC mode to use"},
    {"isolation", 0, kText},
    {"kernel-memory", 0, kText},
    {"label", 'l', kList, "list", "Set meta data on a container"},
    {"label-file", 0, kList, "list", "Read in a line delimited file of labels"},
    {"link", 0, kList},
    {"link-local-ip", 0, kList},
    {"log-driver", 0, kText, "string", "Logging driver for the container (json-file, local, none)"},
    {"log-opt", 0, kList, "list", "Log driver options"},
    {"mac-address", 0, kText, "string", "Container MAC address (e.g., 92:d0:c6:0a:29:33)"},
    {"memory", 'm', kText, "bytes", "Memory limit"},
    {"memory-reservation", 0, kText, "bytes", "Memory soft limit"},
    {"memory-swap", 0, kText, "bytes",
     "Swap limit equal to memory plus swap: '-1' to enable unlimited swap"},
    {"memory-swappiness", 0, kNumber, "int", "Tune container memory swappiness (0 to 100)"},
    {"mount", 0, kList, "mount", "Attach a filesystem mount to the container"},
    {"name", 0, kText, "string", "Assign a name to the container"},
    {"net", 0, kList},
    {"net-alias", 0, kList},
    {"network", 0, kList, "network", "Connect a container to a network"},
    {"network-alias", 0, kList, "list", "Add network-scoped alias for the container"},
    {"no-healthcheck", 0, kBool, "", "Disable any container-specified HEALTHCHECK"},
    {"oom-kill-disable", 0, kBool, "", "Disable OOM Killer"},
    {"oom-score-adj", 0, kNumber, "int", "Tune host's OOM preferences (-1000 to 1000)"},
    {"pid", 0, kText, "string", "PID namespace to use"},
    {"pids-limit", 0, kNumber, "int", "Tune container pids limit (set -1 for unlimited)"},
    {"platform", 0, kText, "string", "Set platform if server is multi-platform capable"},
    {"privileged", 0, kBool, "", "Give extended privileges to this container"},
    {"publish", 'p', kList, "list", "Publish a container's port(s) to the host"},
    {"publish-all", 'P', kBool, "", "Publish all exposed ports to random ports"},
    {"pull", 0, kText, "string", "Pull image before running (\"always\", \"missing\", \"never\")",
     "missing"},
    {"quiet", 'q', kBool, "", "Suppress the pull output"},
    {"read-only", 0, kBool, "", "Mount the container's root filesystem as read only"},
    {"restart", 0, kText, "string", "Restart policy to apply when a container exits", "no"},
    {"rm", 0, kBool, "",
     "Automatically remove the container and its associated anonymous volumes when it exits"},
    {"runtime", 0, kText},
    {"security-opt", 0, kList, "list", "Security Options"},
    {"shm-size", 0, kText, "bytes", "Size of /dev/shm"},
    {"stop-signal", 0, kText, "string", "Signal to stop the container"},
    {"stop-timeout", 0, kNumber, "int", "Timeout (in seconds) to stop a container"},
    {"storage-opt", 0, kList},
    {"sysctl", 0, kList, "map", "Sysctl options"},
    {"tmpfs", 0, kList, "list", "Mount a tmpfs directory"},
    {"tty", 't', kBool, "", "Allocate a pseudo-TTY"},
    {"ulimit", 0, kList, "ulimit", "Ulimit options"},
    {"user", 'u', kText, "string", "Username or UID (format: <name|uid>[:<group|gid>])"},
    {"use-api-socket", 0, kBool},
    {"userns", 0, kText, "string", "User namespace to use"},
    {"uts", 0, kText, "string", "UTS namespace to use"},
    {"volume", 'v', kList, "list", "Bind mount a volume"},
    {"volume-driver", 0, kText},
    {"volumes-from", 0, kList, "list", "Mount volumes from the specified container(s)"},
    {"workdir", 'w', kText, "string", "Working directory inside the container"},
    kHelp,
};

constexpr Flag kPs[] = {
    {"all", 'a', kBool, "", "Show all containers (default shows just running)"},
    {"filter", 'f', kList, "filter",
     "Filter output based on conditions provided (id, name, label, status, ancestor, volume, "
     "network, exited, health)"},
    {"format", 0, kText, "string", kFormatHelp},
    {"last", 'n', kNumber, "int", "Show n last created containers (includes all states)", "-1"},
    {"latest", 'l', kBool, "", "Show the latest created container (includes all states)"},
    {"no-trunc", 0, kBool, "", "Don't truncate output"},
    {"quiet", 'q', kBool, "", "Only display container IDs"},
    {"size", 's', kBool, "", "Display total file sizes"},
    kHelp,
};
constexpr Flag kExec[] = {
    {"detach", 'd', kBool, "", "Detached mode: run command in the background"},
    {"detach-keys", 0, kText, "string", "Override the key sequence for detaching a container",
     kDefaultDetachKeys},
    {"env", 'e', kList, "list", "Set environment variables"},
    {"env-file", 0, kList, "list", "Read in a file of environment variables"},
    {"interactive", 'i', kBool, "", "Keep STDIN open even if not attached"},
    {"privileged", 0, kBool, "", "Give extended privileges to the command"},
    {"tty", 't', kBool, "", "Allocate a pseudo-TTY"},
    {"user", 'u', kText, "string", "Username or UID (format: \"<name|uid>[:<group|gid>]\")"},
    {"workdir", 'w', kText, "string", "Working directory inside the container"},
    kHelp,
};
constexpr Flag kAttach[] = {
    {"detach-keys", 0, kText, "string", "Override the key sequence for detaching a container",
     kDefaultDetachKeys},
    {"no-stdin", 0, kBool, "", "Do not attach STDIN"},
    {"sig-proxy", 0, kBool, "", "Proxy all received signals to the process", "true"},
    kHelp,
};
constexpr Flag kStart[] = {
    {"attach", 'a', kBool, "", "Attach STDOUT/STDERR and forward signals"},
    {"detach-keys", 0, kText, "string", "Override the key sequence for detaching a container",
     kDefaultDetachKeys},
    {"interactive", 'i', kBool, "", "Attach container's STDIN"},
    kHelp,
};
constexpr Flag kStop[] = {
    {"signal", 's', kText, "string", "Signal to send to the container"},
    {"timeout", 't', kNumber, "int", "Seconds to wait before killing the container"},
    {"time", 0, kNumber},
    kHelp,
};
constexpr Flag kKill[] = {
    {"signal", 's', kText, "string", "Signal to send to the container", "KILL"}, kHelp};
constexpr Flag kRm[] = {
    {"force", 'f', kBool, "", "Force the removal of a running container (uses SIGKILL)"},
    {"volumes", 'v', kBool, "", "Remove anonymous volumes associated with the container"},
    kHelp,
};
constexpr Flag kLogs[] = {
    {"details", 0, kBool},
    {"follow", 'f', kBool, "", "Follow log output"},
    {"since", 0, kText, "string",
     "Show logs since timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for 42 "
     "minutes)"},
    {"tail", 'n', kText, "string", "Number of lines to show from the end of the logs", "all"},
    {"timestamps", 't', kBool, "", "Show timestamps"},
    {"until", 0, kText, "string",
     "Show logs before a timestamp (e.g. \"2013-01-02T13:23:37Z\") or relative (e.g. \"42m\" for "
     "42 minutes)"},
    kHelp,
};
constexpr Flag kInspect[] = {
    {"format", 'f', kText, "string", "Format output: json, or a Go template"},
    {"size", 's', kBool, "", "Display total file sizes if the type is container"},
    {"type", 0, kText, "string",
     "Only inspect objects of the given type (container, image, network, volume)"},
    kHelp,
};
constexpr Flag kInspectOne[] = {
    {"format", 'f', kText, "string", "Format output: json, or a Go template"},
    {"verbose", 'v', kBool},
    {"size", 's', kBool, "", "Display total file sizes if the type is container"},
    kHelp,
};
constexpr Flag kImages[] = {
    {"all", 'a', kBool, "", "Show all images (default hides intermediate images)"},
    {"digests", 0, kBool, "", "Show digests"},
    {"filter", 'f', kList, "filter",
     "Filter output based on conditions provided (reference, label, dangling)"},
    {"format", 0, kText, "string", kFormatHelp},
    {"no-trunc", 0, kBool, "", "Don't truncate output"},
    {"quiet", 'q', kBool, "", "Only show image IDs"},
    kHelp,
};
constexpr Flag kImport[] = {
    {"change", 'c', kList, "list",
     "Apply Dockerfile instruction to the created image (CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, "
     "STOPSIGNAL, USER, VOLUME, WORKDIR)"},
    {"message", 'm', kText, "string", "Set commit message for imported image"},
    kHelp,
};
constexpr std::string_view kPlatformHelp = "Choose one of several platforms (os/arch[/variant])";
constexpr Flag kLoad[] = {
    {"input", 'i', kText, "string", "Read from tar archive file or OCI layout, instead of STDIN"},
    {"platform", 0, kText, "string", kPlatformHelp},
    {"quiet", 'q', kBool, "", "Suppress the load output"},
    kHelp,
};
constexpr Flag kSave[] = {
    {"format", 0, kText, "string", "Format of the archive (\"docker\"|\"oci\")", "docker"},
    {"output", 'o', kText, "string", "Write to a file, instead of STDOUT"},
    {"platform", 0, kText, "string", kPlatformHelp},
    kHelp,
};
constexpr Flag kExport[] = {
    {"output", 'o', kText, "string", "Write to a file, instead of STDOUT"},
    kHelp,
};
constexpr Flag kEvents[] = {
    {"filter", 'f', kList, "filter", "Filter output based on conditions provided"},
    {"format", 0, kText, "string", kFormatHelp},
    {"since", 0, kText, "string", "Show all events created since timestamp"},
    {"until", 0, kText, "string", "Stream events until this timestamp"},
    kHelp,
};
constexpr Flag kStats[] = {
    {"all", 'a', kBool, "", "Show all containers (default shows just running)"},
    {"format", 0, kText, "string", kFormatHelp},
    {"no-stream", 0, kBool, "", "Disable streaming stats and only pull the first result"},
    {"no-trunc", 0, kBool, "", "Do not truncate output"},
    kHelp,
};
constexpr Flag kCopy[] = {
    {"archive", 'a', kBool, "", "Archive mode (copy all uid/gid information)"},
    {"follow-link", 'L', kBool, "", "Always follow symlinks in SRC_PATH"},
    {"quiet", 'q', kBool, "",
     "Suppress progress output during copy. Progress output is automatically suppressed if no "
     "terminal is attached"},
    kHelp,
};
constexpr Flag kCommit[] = {
    {"author", 'a', kText, "string",
     "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"},
    {"change", 'c', kList, "list", "Apply Dockerfile instruction to the created image"},
    {"message", 'm', kText, "string", "Commit message"},
    {"no-pause", 0, kBool, "", "Disable pausing container during commit"},
    {"pause", 'p', kBool, "", "Pause container during commit", "true"},
    kHelp,
};
constexpr Flag kHistory[] = {
    {"format", 0, kText, "string", kFormatHelp},
    {"human", 'H', kBool, "", "Print sizes and dates in human readable format", "true"},
    {"no-trunc", 0, kBool, "", "Don't truncate output"},
    {"platform", 0, kText},
    {"quiet", 'q', kBool, "", "Only show image IDs"},
    kHelp,
};
constexpr Flag kInfo[] = {
    {"format", 'f', kText, "string", "Format output: json, or a Go template"},
    kHelp,
};
constexpr Flag kPull[] = {
    {"all-tags", 'a', kBool, "", "Download all tagged images in the repository"},
    {"disable-content-trust", 0, kBool},
    {"platform", 0, kText, "string", "Set platform if server is multi-platform capable"},
    {"quiet", 'q', kBool, "", "Suppress verbose output"},
    kHelp,
};
constexpr Flag kPush[] = {
    {"all-tags", 'a', kBool, "", "Push all tags of an image to the repository"},
    {"disable-content-trust", 0, kBool},
    {"platform", 0, kText},
    {"quiet", 'q', kBool, "", "Suppress verbose output"},
    kHelp,
};
constexpr Flag kLogin[] = {
    {"password", 'p', kText, "string", "Password or Personal Access Token (PAT)"},
    {"password-stdin", 0, kBool, "", "Take the Password or PAT from stdin"},
    {"username", 'u', kText, "string", "Username"},
    kHelp,
};
constexpr Flag kRmi[] = {
    {"force", 'f', kBool, "", "Force removal of the image"},
    {"no-prune", 0, kBool},
    kHelp,
};
constexpr Flag kNetworkLs[] = {
    {"filter", 'f', kList, "filter", "Provide filter values (name, id, driver, label)"},
    {"format", 0, kText, "string", kFormatHelp},
    {"no-trunc", 0, kBool, "", "Do not truncate the output"},
    {"quiet", 'q', kBool, "", "Only display network IDs"},
    kHelp,
};
constexpr Flag kNetworkCreate[] = {
    {"attachable", 0, kBool},
    {"aux-address", 0, kList, "map", "Auxiliary IPv4 or IPv6 addresses used by Network driver"},
    {"driver", 'd', kText, "string", "Driver to manage the Network", "bridge"},
    {"gateway", 0, kList, "strings", "IPv4 or IPv6 Gateway for the master subnet"},
    {"internal", 0, kBool, "", "Restrict external access to the network"},
    {"ip-range", 0, kList, "strings", "Allocate container ip from a sub-range"},
    {"ipv6", 0, kBool, "", "Enable IPv6 address assignment"},
    {"label", 0, kList, "list", "Set metadata on a network"},
    {"opt", 'o', kList, "map", "Set driver specific options"},
    {"subnet", 0, kList, "strings", "Subnet in CIDR format that represents a network segment"},
    kHelp,
};
constexpr Flag kNetworkConnect[] = {
    {"alias", 0, kList, "strings", "Add network-scoped alias for the container"},
    {"gw-priority", 0, kNumber, "int", "Highest gw-priority provides the default gateway"},
    {"ip", 0, kText, "string", "IPv4 address (e.g., \"172.30.100.104\")"},
    {"ip6", 0, kText, "string", "IPv6 address (e.g., \"2001:db8::33\")"},
    kHelp,
};
constexpr Flag kForce[] = {{"force", 'f', kBool, "", "Do not error when it does not exist"}, kHelp};
constexpr Flag kVolumeLs[] = {
    {"filter", 'f', kList, "filter", "Provide filter values (name, label, driver)"},
    {"format", 0, kText, "string", kFormatHelp},
    {"quiet", 'q', kBool, "", "Only display volume names"},
    kHelp,
};
constexpr Flag kVolumeCreate[] = {
    {"driver", 'd', kText, "string", "Specify volume driver name", "local"},
    {"label", 0, kList, "list", "Set metadata for a volume"},
    {"opt", 'o', kList, "map", "Set driver specific options"},
    kHelp,
};
constexpr Flag kVersion[] = {
    {"format", 'f', kText, "string", "Format output: json, or a Go template"}, kHelp};
constexpr Flag kCheck[] = {
    {"format", 0, kText, "string", "Format the output (\"text\"|\"json\")", "text"},
    {"repair", 0, kBool, "", "Put right what is safe to put right"},
    kHelp,
};
constexpr Flag kHelpOnly[] = {kHelp};

constexpr std::span<const Flag> kCreate = std::span<const Flag>(kRun).subspan(kRunOnly);

// Commands that stand at the top of docker's grammar and below a noun under the same or another
// name are one row here each.
constexpr Command Run(std::string_view example) {
  return {"run",
          "",
          "IMAGE [COMMAND] [ARG...]",
          1,
          kAnyNumber,
          true,
          "Create and run a new container from an image",
          example,
          kRun,
          RunDockerRun};
}
constexpr Command Ps(std::string_view name, std::string_view aliases) {
  return {name, aliases,    "", 0, 0, false, "List containers", "ps -a\nps -q -f name=web",
          kPs,  RunDockerPs};
}
constexpr Command Images(std::string_view name, std::string_view aliases) {
  return {name, aliases, "[REPOSITORY[:TAG]]", 0, 1, false, "List images",
          "",   kImages, RunImageList};
}
constexpr Command RemoveImages(std::string_view name, std::string_view aliases) {
  return {name, aliases, "IMAGE [IMAGE...]", 1, kAnyNumber, false, "Remove one or more images",
          "",   kRmi,    RunImageRemove};
}
constexpr Command kCreateRow = {"create",
                                "",
                                "IMAGE [COMMAND] [ARG...]",
                                1,
                                kAnyNumber,
                                true,
                                "Create a new container",
                                "",
                                kCreate,
                                RunDockerCreate};
constexpr Command kExecRow = {"exec",
                              "",
                              "CONTAINER COMMAND [ARG...]",
                              2,
                              kAnyNumber,
                              true,
                              "Execute a command in a running container",
                              "exec -it web sh",
                              kExec,
                              RunDockerExec};
constexpr Command kAttachRow = {"attach",
                                "",
                                "CONTAINER",
                                1,
                                1,
                                false,
                                "Attach local standard input, output, and error streams to a "
                                "running container",
                                "",
                                kAttach,
                                RunDockerAttach};
constexpr Command kStartRow = {"start",
                               "",
                               "CONTAINER [CONTAINER...]",
                               1,
                               kAnyNumber,
                               false,
                               "Start one or more stopped containers",
                               "",
                               kStart,
                               RunDockerStart};
constexpr Command kStopRow = {"stop",
                              "",
                              "CONTAINER [CONTAINER...]",
                              1,
                              kAnyNumber,
                              false,
                              "Stop one or more running containers",
                              "",
                              kStop,
                              RunDockerStop};
constexpr Command kRestartRow = {"restart",
                                 "",
                                 "CONTAINER [CONTAINER...]",
                                 1,
                                 kAnyNumber,
                                 false,
                                 "Restart one or more containers",
                                 "",
                                 kStop,
                                 RunDockerRestart};
constexpr Command kKillRow = {"kill",
                              "",
                              "CONTAINER [CONTAINER...]",
                              1,
                              kAnyNumber,
                              false,
                              "Kill one or more running containers",
                              "kill -s HUP web",
                              kKill,
                              RunDockerKill};
constexpr Command kRmRow = {"rm",       "remove",   "CONTAINER [CONTAINER...]",      1,
                            kAnyNumber, false,      "Remove one or more containers", "rm -fv web",
                            kRm,        RunDockerRm};
constexpr Command kLogsRow = {"logs",
                              "",
                              "CONTAINER",
                              1,
                              1,
                              false,
                              "Fetch the logs of a container",
                              "logs -f --tail 10 web",
                              kLogs,
                              RunDockerLogs};
constexpr Command kWaitRow = {
    "wait",
    "",
    "CONTAINER [CONTAINER...]",
    1,
    kAnyNumber,
    false,
    "Block until one or more containers stop, then print their exit codes",
    "",
    kHelpOnly,
    RunDockerWait};
constexpr Command kPauseRow = {"pause",
                               "",
                               "CONTAINER [CONTAINER...]",
                               1,
                               kAnyNumber,
                               false,
                               "Pause all processes within one or more containers",
                               "",
                               kHelpOnly,
                               RunDockerPause};
constexpr Command kUnpauseRow = {"unpause",
                                 "",
                                 "CONTAINER [CONTAINER...]",
                                 1,
                                 kAnyNumber,
                                 false,
                                 "Unpause all processes within one or more containers",
                                 "",
                                 kHelpOnly,
                                 RunDockerUnpause};
constexpr Command kRenameRow = {
    "rename", "",        "CONTAINER NEW_NAME", 2, 2, false, "Rename a container",
    "",       kHelpOnly, RunDockerRename};
constexpr Command kPortRow = {"port",
                              "",
                              "CONTAINER [PRIVATE_PORT[/PROTO]]",
                              1,
                              2,
                              false,
                              "List port mappings or a specific mapping for the container",
                              "port web 80/tcp",
                              kHelpOnly,
                              RunDockerPort};
constexpr Command kTopRow = {
    "top", "",        "CONTAINER", 1, 1, false, "Display the running processes of a container",
    "",    kHelpOnly, RunDockerTop};
constexpr Flag kBuilderPrune[] = {
    {"all", 'a', kBool, "", "Remove all unused build cache, not just dangling ones"},
    {"filter", 0, kList, "filter", "Provide filter values (e.g. \"until=24h\")"},
    {"force", 'f', kBool, "", "Do not prompt for confirmation"},
    {"keep-storage", 0, kText, "bytes", "Amount of disk space to keep for cache"},
    {"max-used-space", 0, kText},
    {"reserved-space", 0, kText},
    kHelp,
};
constexpr Command kBuildRow = {"build",
                               "b",
                               "PATH | URL | -",
                               1,
                               1,
                               false,
                               "Build an image from a Dockerfile",
                               "build --check .\nbuild --call=targets .",
                               kBuildFlags,
                               RunDockerBuild};
constexpr Command kImportRow = {"import",
                                "",
                                "file|- [REPOSITORY[:TAG]]",
                                1,
                                2,
                                false,
                                "Import the contents from a tarball to create a filesystem image",
                                "import rootfs.tar busybox:latest\n"
                                "import -c 'CMD [\"sh\"]' - tools < tools.tar",
                                kImport,
                                RunImageImport};
constexpr Command kTagRow = {"tag",
                             "",
                             "SOURCE_IMAGE[:TAG] TARGET_IMAGE[:TAG]",
                             2,
                             2,
                             false,
                             "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
                             "",
                             kHelpOnly,
                             RunImageTag};

constexpr Command kLoadRow = {"load", "", "", 0, 0, false,
                              "Load an image from a tar archive or STDIN",
                              "load -i images.tar\nload < images.tar.gz", kLoad, RunImageLoad};
constexpr Command kSaveRow = {"save", "", "IMAGE [IMAGE...]", 1, kAnyNumber, false,
                              "Save one or more images to a tar archive (streamed to STDOUT by default)",
                              "save -o images.tar web db\nsave --format oci web | gzip > web.tgz",
                              kSave, RunImageSave};
constexpr Command kEventsRow = {"events", "", "", 0, 0, false, "Get real time events",
                                "events --filter event=die\nevents --since 10m --until 0s",
                                kEvents, RunDockerEvents};
constexpr Command kStatsRow = {"stats", "", "[CONTAINER...]", 0, kAnyNumber, false,
                               "Display a live stream of container(s) resource usage statistics",
                               "stats --no-stream web db", kStats, RunContainerStats};
constexpr Command kCopyRow = {
    "cp", "", "CONTAINER:SRC_PATH DEST_PATH|- | SRC_PATH|- CONTAINER:DEST_PATH", 2, 2, false,
    "Copy files/folders between a container and the local filesystem",
    "cp web:/var/log/nginx ./logs\ncp config.json web:/etc/app/\ntar -c files | docker cp - web:/srv",
    kCopy, RunContainerCopy};
constexpr Command kExportRow = {"export", "", "CONTAINER", 1, 1, false,
                                "Export a container's filesystem as a tar archive", "", kExport,
                                RunContainerExport};
constexpr Command kCommitRow = {"commit", "", "CONTAINER [REPOSITORY[:TAG]]", 1, 2, false,
                                "Create a new image from a container's changes",
                                "commit -c 'CMD [\"server\"]' web web:patched", kCommit,
                                RunContainerCommit};
constexpr Command kHistoryRow = {"history", "", "IMAGE", 1, 1, false,
                                 "Show the history of an image", "", kHistory, RunImageHistory};
constexpr Command kPullRow = {"pull", "", "NAME[:TAG|@DIGEST]", 1, 1, false,
                              "Download an image from a registry", "pull localhost:5000/web:1",
                              kPull, RunImagePull};
constexpr Command kPushRow = {"push", "", "NAME[:TAG]", 1, 1, false,
                              "Upload an image to a registry", "push localhost:5000/web:1", kPush,
                              RunImagePush};
constexpr Command kLoginRow = {"login", "", "[SERVER]", 0, 1, false, "Authenticate to a registry",
                               "login -u me --password-stdin registry.example < token", kLogin,
                               RunLogin};
constexpr Command kLogoutRow = {"logout", "", "[SERVER]", 0, 1, false, "Log out from a registry",
                                "", kHelpOnly, RunLogout};

constexpr Command kDockerCommands[] = {
    Run("run --rm -it busybox sh\nrun -d --name web -p 8080:80 nginx"),
    kCreateRow,
    kExecRow,
    kAttachRow,
    kStartRow,
    kStopRow,
    kRestartRow,
    kKillRow,
    kRmRow,
    Ps("ps", ""),
    kLogsRow,
    kWaitRow,
    kPauseRow,
    kUnpauseRow,
    kRenameRow,
    kPortRow,
    kTopRow,
    {"inspect", "", "NAME|ID [NAME|ID...]", 1, kAnyNumber, false,
     "Return low-level information on Docker objects",
     "inspect web\ninspect -f '{{.State.Status}}' web", kInspect, RunDockerInspect},
    Images("images", ""),
    RemoveImages("rmi", ""),
    kBuildRow,
    kTagRow,
    kImportRow,
    kLoadRow,
    kSaveRow,
    kStatsRow,
    kCopyRow,
    kEventsRow,
    kExportRow,
    kCommitRow,
    kHistoryRow,
    kPullRow,
    kPushRow,
    kLoginRow,
    kLogoutRow,
    {"version", "", "", 0, 0, false, "Show the version information", "", kVersion,
     RunDockerVersion},
    {"info", "", "", 0, 0, false, "Display system-wide information",
     "info\ninfo -f '{{.CgroupVersion}}'", kInfo, RunDockerInfo},
};
constexpr Command kContainerCommands[] = {
    Run("container run --rm busybox true"),
    kCreateRow,
    kExecRow,
    kAttachRow,
    kStartRow,
    kStopRow,
    kRestartRow,
    kKillRow,
    kRmRow,
    Ps("ls", "list ps"),
    kLogsRow,
    kWaitRow,
    kPauseRow,
    kUnpauseRow,
    kRenameRow,
    kPortRow,
    kTopRow,
    kStatsRow,
    kCopyRow,
    kExportRow,
    kCommitRow,
    {"inspect", "", "CONTAINER [CONTAINER...]", 1, kAnyNumber, false,
     "Display detailed information on one or more containers", "", kInspectOne,
     RunContainerInspect},
    {"prune", "", "", 0, 0, false, "Remove all stopped containers",
     "container prune -f --filter until=24h", kPrune, RunContainerPrune},
};
constexpr Command kImageCommands[] = {
    Images("ls", "list"),
    RemoveImages("rm", "remove"),
    kBuildRow,
    kTagRow,
    kImportRow,
    kLoadRow,
    kSaveRow,
    kHistoryRow,
    kPullRow,
    kPushRow,
    {"prune", "", "", 0, 0, false, "Remove unused images", "image prune -a --filter until=24h",
     kImagePrune, RunImagePrune},
    {"inspect", "", "IMAGE [IMAGE...]", 1, kAnyNumber, false,
     "Display detailed information on one or more images", "", kInspectOne, RunImageInspect},
};
constexpr Command kNetworkCommands[] = {
    {"ls", "list", "", 0, 0, false, "List networks", "", kNetworkLs, RunNetworkList},
    {"create", "", "NETWORK", 1, 1, false, "Create a network",
     "network create --subnet 10.5.0.0/16 back", kNetworkCreate, RunNetworkCreate},
    {"rm", "remove", "NETWORK [NETWORK...]", 1, kAnyNumber, false, "Remove one or more networks",
     "", kForce, RunNetworkRemove},
    {"connect", "", "NETWORK CONTAINER", 2, 2, false, "Connect a container to a network", "",
     kNetworkConnect, RunNetworkConnect},
    {"disconnect", "", "NETWORK CONTAINER", 2, 2, false, "Disconnect a container from a network",
     "", kForce, RunNetworkDisconnect},
    {"inspect", "", "NETWORK [NETWORK...]", 1, kAnyNumber, false,
     "Display detailed information on one or more networks", "", kInspectOne, RunNetworkInspect},
    {"prune", "", "", 0, 0, false, "Remove all unused networks", "network prune -f", kPrune,
     RunNetworkPrune},
};
constexpr Command kVolumeCommands[] = {
    {"ls", "list", "", 0, 0, false, "List volumes", "", kVolumeLs, RunVolumeList},
    {"create", "", "[VOLUME]", 0, 1, false, "Create a volume", "volume create data", kVolumeCreate,
     RunVolumeCreate},
    {"rm", "remove", "VOLUME [VOLUME...]", 1, kAnyNumber, false, "Remove one or more volumes", "",
     kForce, RunVolumeRemove},
    {"inspect", "", "VOLUME [VOLUME...]", 1, kAnyNumber, false,
     "Display detailed information on one or more volumes", "", kInspectOne, RunVolumeInspect},
    {"prune", "", "", 0, 0, false, "Remove unused local volumes", "volume prune -af", kVolumePrune,
     RunVolumePrune},
};
constexpr Command kBuilderCommands[] = {
    kBuildRow,
    {"prune", "", "", 0, 0, false, "Remove build cache",
     "builder prune -a\nbuilder prune --keep-storage 10gb\nbuilder prune --filter until=24h",
     kBuilderPrune, RunBuilderPrune},
};
constexpr Command kSystemCommands[] = {
    {"check", "", "", 0, 0, false, "Verify that state on disk and in the kernel agree",
     "system check\nsystem check --repair", kCheck, RunSystemCheck},
    {"start", "", "", 0, 0, false,
     "Start the containers that their restart policy wants to run, as at the start of the machine",
     "system start", kHelpOnly, RunSystemStart},
    {"retire", "", "", 0, 0, false, "Take away what Skiff keeps in the kernel while nothing runs",
     "system retire", kHelpOnly, RunSystemRetire},
    {"prune", "", "", 0, 0, false, "Remove unused data", "system prune -f\nsystem prune -af --volumes",
     kSystemPrune, RunSystemPrune},
    {"info", "", "", 0, 0, false, "Display system-wide information", "system info", kInfo,
     RunDockerInfo},
};

constexpr Group kDocker = {"docker", "Containers, images, networks and volumes, as docker does it.",
                           Grammar::kDocker, kDockerCommands};
constexpr Group kNouns[] = {
    {"container", "Manage containers", Grammar::kDocker, kContainerCommands},
    {"image", "Manage images", Grammar::kDocker, kImageCommands},
    {"network", "Manage networks", Grammar::kDocker, kNetworkCommands},
    {"volume", "Manage volumes", Grammar::kDocker, kVolumeCommands},
    {"builder", "Build images", Grammar::kDocker, kBuilderCommands},
    {"buildx", "Build images, as docker's plugin does it", Grammar::kDocker, kBuilderCommands},
    {"system", "Manage Skiff's own state", Grammar::kDocker, kSystemCommands},
};

}  // namespace

const Group& DockerGroup() {
  return kDocker;
}
std::span<const Flag> DockerGlobalFlags() {
  return kGlobal;
}
std::span<const Group> NounGroups() {
  return kNouns;
}

const Group* FindNoun(std::string_view name) {
  for (const Group& group : kNouns) {
    if (group.name == name) return &group;
  }
  return nullptr;
}

}  // namespace skiff::cli
