#include "base/text.h"
#include "cli/command.h"
#include "cli/terminal.h"
#include "cli/verbs.h"

namespace skiff::cli {
namespace {

using enum FlagKind;

constexpr Flag kHelp = {"help", 0, kBool, "", "Print this text"};
constexpr std::string_view kBuildHelp = "Build images before starting containers";

constexpr Flag kGlobal[] = {
    {"all-resources", 0, kBool, "", "Include all resources, even those not used by services"},
    {"ansi", 0, kText, "string",
     "Control when to print ANSI control characters (\"never\"|\"always\"|\"auto\")", "auto"},
    {"compatibility", 0, kBool, "", "Run in backward compatibility mode"},
    {"dry-run", 0, kBool, "", "Print what would be done, change nothing"},
    {"env-file", 0, kList, "stringArray", "Specify an alternate environment file"},
    {"file", 'f', kList, "stringArray", "Compose configuration files"},
    {"parallel", 0, kNumber, "int", "Control max parallelism, -1 for unlimited", "-1"},
    {"profile", 0, kList, "stringArray", "Specify a profile to enable"},
    {"progress", 0, kText, "string", "Set type of progress output (auto, tty, plain, json, quiet)",
     "auto"},
    {"project-directory", 0, kText, "string",
     "Specify an alternate working directory (default: the path of the first file)"},
    {"project-name", 'p', kText, "string", "Project name"},
    {"root", 0, kText, "path", "Folder of durable state (default $SKIFF_ROOT or /var/lib/skiff)"},
    {"run", 0, kText, "path", "Folder of volatile state (default $SKIFF_RUN or /run/skiff)"},
    {"strict", 0, kBool, "", "Take warnings about the file as errors"},
    {"version", 'v', kBool, "", "Show the version"},
    {"help", 'h', kBool, "", "Print this text"},
    {"no-ansi", 0, kBool},
    {"verbose", 0, kBool},
    {"workdir", 0, kText},
    {"insecure-registry", 0, kList},
};

constexpr Flag kBuild[] = {
    {"build-arg", 0, kList, "stringArray", "Set build-time variables for services"},
    {"builder", 0, kText},
    {"check", 0, kBool, "", "Check build configuration"},
    {"compress", 0, kBool},
    {"force-rm", 0, kBool},
    {"memory", 'm', kText},
    {"no-cache", 0, kBool, "", "Do not use cache when building the image"},
    {"no-rm", 0, kBool},
    {"parallel", 0, kBool},
    {"print", 0, kBool, "", "Print equivalent bake file"},
    {"progress", 0, kText},
    {"provenance", 0, kText},
    {"pull", 0, kBool, "", "Always attempt to pull a newer version of the image"},
    {"push", 0, kBool, "", "Push service images"},
    {"quiet", 'q', kBool, "", "Suppress the build output"},
    {"sbom", 0, kText},
    {"ssh", 0, kList, "list", "Set SSH authentications used when building service images"},
    {"with-dependencies", 0, kBool, "", "Also build dependencies (transitively)"},
    kHelp,
};

constexpr Flag kCreate[] = {
    {"build", 0, kBool, "", kBuildHelp},
    {"force-recreate", 0, kBool, "",
     "Recreate containers even if their configuration and image haven't changed"},
    {"no-build", 0, kBool, "", "Don't build an image, even if it's missing"},
    {"no-recreate", 0, kBool, "", "If containers already exist, don't recreate them"},
    {"pull", 0, kText, "string",
     "Pull image before running (\"always\"|\"missing\"|\"never\"|\"build\")", "missing"},
    {"quiet-pull", 0, kBool, "", "Pull without printing progress information"},
    {"remove-orphans", 0, kBool, "",
     "Remove containers for services not defined in the Compose file"},
    {"scale", 0, kList, "SERVICE=NUM", "Scale SERVICE to NUM instances"},
    {"yes", 'y', kBool, "", "Assume \"yes\" as answer to all prompts"},
    kHelp,
};

constexpr Flag kUp[] = {
    {"abort-on-container-exit", 0, kBool, "",
     "Stop all containers if any container was stopped. Incompatible with -d"},
    {"abort-on-container-failure", 0, kBool, "",
     "Stop all containers if any container exited with failure. Incompatible with -d"},
    {"always-recreate-deps", 0, kBool, "",
     "Recreate dependent containers. Incompatible with --no-recreate"},
    {"attach", 0, kList, "stringArray",
     "Restrict attaching to the specified services. Incompatible with --attach-dependencies"},
    {"attach-dependencies", 0, kBool, "",
     "Automatically attach to log output of dependent services"},
    {"build", 0, kBool, "", kBuildHelp},
    {"detach", 'd', kBool, "", "Detached mode: run containers in the background"},
    {"exit-code-from", 0, kText, "string",
     "Return the exit code of the selected service container. Implies --abort-on-container-exit"},
    {"force-recreate", 0, kBool, "",
     "Recreate containers even if their configuration and image haven't changed"},
    {"menu", 0, kBool},
    {"no-attach", 0, kList, "stringArray", "Do not attach (stream logs) to the specified services"},
    {"no-build", 0, kBool, "", "Don't build an image, even if it's missing"},
    {"no-color", 0, kBool, "", "Produce monochrome output"},
    {"no-deps", 0, kBool, "", "Don't start linked services"},
    {"no-log-prefix", 0, kBool, "", "Don't print prefix in logs"},
    {"no-recreate", 0, kBool, "",
     "If containers already exist, don't recreate them. Incompatible with --force-recreate"},
    {"no-start", 0, kBool, "", "Don't start the services after creating them"},
    {"pull", 0, kText, "string", "Pull image before running (\"always\"|\"missing\"|\"never\")",
     "missing"},
    {"quiet-build", 0, kBool, "", "Suppress the build output"},
    {"quiet-pull", 0, kBool, "", "Pull without printing progress information"},
    {"remove-orphans", 0, kBool, "",
     "Remove containers for services not defined in the Compose file"},
    {"renew-anon-volumes", 'V', kBool, "",
     "Recreate anonymous volumes instead of retrieving data from the previous containers"},
    {"scale", 0, kList, "SERVICE=NUM",
     "Scale SERVICE to NUM instances. Overrides the scale setting in the Compose file if present"},
    {"timeout", 't', kNumber, "int",
     "Use this timeout in seconds for container shutdown when attached or when containers are "
     "already running"},
    {"timestamps", 0, kBool, "", "Show timestamps"},
    {"wait", 0, kBool, "", "Wait for services to be running|healthy. Implies detached mode"},
    {"wait-timeout", 0, kNumber, "int",
     "Maximum duration in seconds to wait for the project to be running|healthy"},
    {"watch", 'w', kBool, "",
     "Watch source code and rebuild/refresh containers when files are updated"},
    {"yes", 'y', kBool, "", "Assume \"yes\" as answer to all prompts"},
    kHelp,
};

constexpr Flag kPlan[] = {
    {"always-recreate-deps", 0, kBool, "", "Recreate dependent containers"},
    {"force-recreate", 0, kBool, "", "Recreate containers even if nothing changed"},
    {"format", 0, kText, "string", "Format the output (\"text\"|\"json\")", "text"},
    {"no-deps", 0, kBool, "", "Don't start linked services"},
    {"no-recreate", 0, kBool, "", "If containers already exist, don't recreate them"},
    {"remove-orphans", 0, kBool, "",
     "Remove containers for services not defined in the Compose file"},
    {"renew-anon-volumes", 'V', kBool, "", "Recreate anonymous volumes"},
    {"scale", 0, kList, "SERVICE=NUM", "Scale SERVICE to NUM instances"},
    {"timeout", 't', kNumber, "int", "Shutdown timeout in seconds"},
    kHelp,
};

constexpr Flag kRun[] = {
    {"build", 0, kBool, "", "Build image before starting container"},
    {"cap-add", 0, kList, "list", "Add Linux capabilities"},
    {"cap-drop", 0, kList, "list", "Drop Linux capabilities"},
    {"detach", 'd', kBool, "", "Run container in background and print its name"},
    {"entrypoint", 0, kText, "string", "Override the entrypoint of the image"},
    {"env", 'e', kList, "stringArray", "Set environment variables"},
    {"env-from-file", 0, kList, "stringArray", "Set environment variables from file"},
    {"interactive", 'i', kBool, "", "Keep STDIN open even if not attached", "true"},
    {"label", 'l', kList, "stringArray", "Add or override a label", "", "labels"},
    {"name", 0, kText, "string", "Assign a name to the container"},
    {"no-tty", 'T', kBool, "", "Disable pseudo-TTY allocation (default: auto-detected)", "", "no-TTY"},
    {"no-deps", 0, kBool, "", "Don't start linked services"},
    {"publish", 'p', kList, "stringArray", "Publish a container's port(s) to the host"},
    {"pull", 0, kText, "string", "Pull image before running (\"always\"|\"missing\"|\"never\")",
     "missing"},
    {"quiet", 'q', kBool, "", "Don't print anything to STDOUT"},
    {"quiet-build", 0, kBool, "", "Suppress progress output from the build process"},
    {"quiet-pull", 0, kBool, "", "Pull without printing progress information"},
    {"remove-orphans", 0, kBool, "",
     "Remove containers for services not defined in the Compose file"},
    {"rm", 0, kBool, "", "Automatically remove the container when it exits"},
    {"service-ports", 'P', kBool, "",
     "Run command with all service's ports enabled and mapped to the host"},
    {"tty", 't', kBool},
    {"use-aliases", 0, kBool, "",
     "Use the service's network aliases in the network(s) the container connects to"},
    {"user", 'u', kText, "string", "Run as specified username or uid"},
    {"volume", 'v', kList, "stringArray", "Bind mount a volume", "", "volumes"},
    {"workdir", 'w', kText, "string", "Working directory inside the container"},
    kHelp,
};

constexpr Flag kExec[] = {
    {"detach", 'd', kBool, "", "Detached mode: run command in the background"},
    {"env", 'e', kList, "stringArray", "Set environment variables"},
    {"index", 0, kNumber, "int", "Index of the container if service has multiple replicas"},
    {"interactive", 'i', kBool},
    {"no-tty", 'T', kBool, "", "Disable pseudo-TTY allocation (default: auto-detected)", "", "no-TTY"},
    {"privileged", 0, kBool, "", "Give extended privileges to the process"},
    {"tty", 't', kBool},
    {"user", 'u', kText, "string", "Run the command as this user"},
    {"workdir", 'w', kText, "string", "Path to workdir directory for this command"},
    kHelp,
};

constexpr Flag kDown[] = {
    {"remove-orphans", 0, kBool, "",
     "Remove containers for services not defined in the Compose file"},
    {"rmi", 0, kText, "string",
     "Remove images used by services. \"local\" remove only images that don't have a custom tag "
     "(\"local\"|\"all\")"},
    {"timeout", 't', kNumber, "int", "Specify a shutdown timeout in seconds"},
    {"volumes", 'v', kBool, "",
     "Remove named volumes declared in the \"volumes\" section of the Compose file and anonymous "
     "volumes attached to containers"},
    kHelp,
};

constexpr Flag kPs[] = {
    {"all", 'a', kBool, "",
     "Show all stopped containers (including those created by the run command)"},
    {"filter", 0, kList, "string", "Filter services by a property (supported filters: status)"},
    {"format", 0, kText, "string", "Format output: table, table TEMPLATE, json, or a Go template",
     "table"},
    {"no-trunc", 0, kBool, "", "Don't truncate output"},
    {"orphans", 0, kBool, "", "Include orphaned services (not declared by project)", "true"},
    {"quiet", 'q', kBool, "", "Only display IDs"},
    {"services", 0, kBool, "", "Display services"},
    {"status", 0, kList, "stringArray",
     "Filter services by status. Values: paused, restarting, removing, running, dead, created, "
     "exited"},
    kHelp,
};

constexpr Flag kLogs[] = {
    {"follow", 'f', kBool, "", "Follow log output"},
    {"index", 0, kNumber, "int", "Index of the container if service has multiple replicas"},
    {"no-color", 0, kBool, "", "Produce monochrome output"},
    {"no-log-prefix", 0, kBool, "", "Don't print prefix in logs"},
    {"since", 0, kText, "string",
     "Show logs since timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 minutes)"},
    {"tail", 'n', kText, "string",
     "Number of lines to show from the end of the logs for each container", "all"},
    {"timestamps", 't', kBool, "", "Show timestamps"},
    {"until", 0, kText, "string",
     "Show logs before a timestamp (e.g. 2013-01-02T13:23:37Z) or relative (e.g. 42m for 42 "
     "minutes)"},
    kHelp,
};

constexpr Flag kConfig[] = {
    {"environment", 0, kBool, "", "Print environment used for interpolation"},
    {"format", 0, kText, "string", "Format the output. Values: [yaml | json]", "yaml"},
    {"hash", 0, kText, "string",
     "Print the service config hash, one per line (a comma-separated list of services, or \"*\")"},
    {"images", 0, kBool, "", "Print the image names, one per line"},
    {"lock-image-digests", 0, kBool, "", "Produce an override file with image digests"},
    {"models", 0, kBool, "", "Print the model names, one per line"},
    {"networks", 0, kBool, "", "Print the network names, one per line"},
    {"no-consistency", 0, kBool, "", "Don't check model consistency"},
    {"no-env-resolution", 0, kBool, "", "Don't resolve service env files"},
    {"no-interpolate", 0, kBool, "", "Don't interpolate environment variables"},
    {"no-normalize", 0, kBool, "", "Don't normalize compose model"},
    {"no-path-resolution", 0, kBool, "", "Don't resolve file paths"},
    {"output", 'o', kText, "string", "Save to file (default to stdout)"},
    {"profiles", 0, kBool, "", "Print the profile names, one per line"},
    {"quiet", 'q', kBool, "", "Only validate the configuration, don't print anything"},
    {"resolve-image-digests", 0, kBool, "", "Pin image tags to digests"},
    {"schema", 0, kBool, "", "Print a JSON Schema of Compose files, for editors"},
    {"services", 0, kBool, "", "Print the service names, one per line"},
    {"variables", 0, kBool, "", "Print model variables and default values"},
    {"volumes", 0, kBool, "", "Print the volume names, one per line"},
    kHelp,
};

constexpr Flag kTimeout[] = {
    {"timeout", 't', kNumber, "int", "Specify a shutdown timeout in seconds"}, kHelp};
constexpr Flag kRestart[] = {
    {"no-deps", 0, kBool, "", "Don't restart dependent services"},
    {"timeout", 't', kNumber, "int", "Specify a shutdown timeout in seconds"},
    kHelp};
constexpr Flag kKill[] = {
    {"remove-orphans", 0, kBool, "",
     "Remove containers for services not defined in the Compose file"},
    {"signal", 's', kText, "string", "SIGNAL to send to the container", "SIGKILL"},
    kHelp};
constexpr Flag kRm[] = {
    {"all", 'a', kBool},
    {"force", 'f', kBool, "", "Don't ask to confirm removal"},
    {"stop", 's', kBool, "", "Stop the containers, if required, before removing"},
    {"volumes", 'v', kBool, "", "Remove any anonymous volumes attached to containers"},
    kHelp};
constexpr Flag kScale[] = {{"no-deps", 0, kBool, "", "Don't start linked services"}, kHelp};
constexpr Flag kStart[] = {
    {"wait", 0, kBool, "", "Wait for services to be running|healthy"},
    {"wait-timeout", 0, kNumber, "int",
     "Maximum duration in seconds to wait for the project to be running|healthy"},
    kHelp};
constexpr Flag kPort[] = {
    {"index", 0, kNumber, "int", "Index of the container if service has multiple replicas"},
    {"protocol", 0, kText, "string", "tcp or udp", "tcp"},
    kHelp};
constexpr Flag kLs[] = {
    {"all", 'a', kBool, "", "Show all stopped Compose projects"},
    {"filter", 0, kList, "filter", "Filter output based on conditions provided (name=REGEX)"},
    {"format", 0, kText, "string", "Format the output. Values: [table | json]", "table"},
    {"quiet", 'q', kBool, "", "Only display project names"},
    kHelp};
constexpr Flag kWait[] = {
    {"down-project", 0, kBool, "", "Drops project when the first container stops"}, kHelp};
constexpr Flag kImages[] = {
    {"format", 0, kText, "string", "Format the output. Values: [table | json]", "table"},
    {"quiet", 'q', kBool, "", "Only display IDs"},
    kHelp};
constexpr Flag kPull[] = {
    {"ignore-buildable", 0, kBool, "", "Ignore images that can be built"},
    {"ignore-pull-failures", 0, kBool, "", "Pull what it can and ignores images with pull failures"},
    {"include-deps", 0, kBool, "", "Also pull services declared as dependencies"},
    {"no-parallel", 0, kBool},
    {"parallel", 0, kBool},
    {"policy", 0, kText, "string", "Apply pull policy (\"missing\"|\"always\")"},
    {"quiet", 'q', kBool, "", "Pull without printing progress information"},
    kHelp};
constexpr Flag kPush[] = {
    {"ignore-push-failures", 0, kBool, "", "Push what it can and ignores images with push failures"},
    {"include-deps", 0, kBool, "", "Also push images of services declared as dependencies"},
    {"quiet", 'q', kBool, "", "Push without printing progress information"},
    kHelp};
constexpr Flag kVolumes[] = {
    {"format", 0, kText, "string", "Format output: table, table TEMPLATE, json, or a Go template",
     "table"},
    {"quiet", 'q', kBool, "", "Only display volume names"},
    kHelp};
constexpr Flag kWatch[] = {
    {"no-up", 0, kBool, "", "Do not build & start services before watching"},
    {"prune", 0, kBool, "", "Prune dangling images on rebuild", "true"},
    {"quiet", 0, kBool, "", "Hide build output"},
    kHelp};
constexpr Flag kVersion[] = {
    {"format", 'f', kText, "string", "Format the output. Values: [pretty | json]", "pretty"},
    {"short", 0, kBool, "", "Show only the version number"},
    kHelp};
constexpr Flag kHelpOnly[] = {kHelp};
constexpr Flag kIndex = {"index", 0, kNumber, "int",
                         "Index of the container if service has multiple replicas"};
constexpr Flag kAttach[] = {
    {"detach-keys", 0, kText, "string", "Override the key sequence for detaching from a container",
     kDefaultDetachKeys},
    kIndex,
    {"no-stdin", 0, kBool, "", "Do not attach STDIN"},
    {"sig-proxy", 0, kBool, "", "Proxy all received signals to the process", "true"},
    kHelp,
};
constexpr Flag kCommit[] = {
    {"author", 'a', kText, "string",
     "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")"},
    {"change", 'c', kList, "list", "Apply Dockerfile instruction to the created image"},
    kIndex,
    {"message", 'm', kText, "string", "Commit message"},
    {"pause", 'p', kBool, "", "Pause container during commit", "true"},
    kHelp,
};
constexpr Flag kCopy[] = {
    {"all", 0, kBool, "", "Include containers created by the run command"},
    {"archive", 'a', kBool, "", "Archive mode (copy all uid/gid information)"},
    {"follow-link", 'L', kBool, "", "Always follow symbol link in SRC_PATH"},
    kIndex,
    kHelp,
};
constexpr Flag kEvents[] = {
    {"json", 0, kBool, "", "Output events as a stream of json objects"},
    {"since", 0, kText, "string", "Show all events created since timestamp"},
    {"until", 0, kText, "string", "Stream events until this timestamp"},
    kHelp,
};
constexpr Flag kStats[] = {
    {"all", 'a', kBool, "", "Show all containers (default shows just running)"},
    {"format", 0, kText, "string", "Format the output: table, json, or a Go template"},
    {"no-stream", 0, kBool, "", "Disable streaming stats and only pull the first result"},
    {"no-trunc", 0, kBool, "", "Do not truncate output"},
    kHelp,
};
constexpr Flag kExport[] = {
    kIndex,
    {"output", 'o', kText, "string", "Write to a file, instead of STDOUT"},
    kHelp,
};

constexpr Command kCommands[] = {
    {"build", "", "[SERVICE...]", 0, kAnyNumber, false, "Build or rebuild services",
     "build\nbuild --no-cache web\nbuild --build-arg VERSION=2 --with-dependencies web", kBuild,
     RunBuild},
    {"up", "", "[SERVICE...]", 0, kAnyNumber, false, "Create and start containers",
     "up -d --wait\nup --scale web=3 web\nup --exit-code-from tests", kUp, RunUp},
    {"down", "", "[SERVICES]", 0, kAnyNumber, false, "Stop and remove containers, networks",
     "down\ndown -v --remove-orphans -t 2", kDown, RunDown},
    {"plan", "", "[SERVICE...]", 0, kAnyNumber, false, "Show what `up` would do, and why",
     "plan\nplan --format json web", kPlan, RunPlan},
    {"ps", "", "[SERVICE...]", 0, kAnyNumber, false, "List containers",
     "ps -a\nps --format json\nps --format '{{.Name}} {{.Status}}'", kPs, RunPs},
    {"logs", "", "[SERVICE...]", 0, kAnyNumber, false, "View output from containers",
     "logs -f --tail 20 web\nlogs --since 10m", kLogs, RunLogs},
    {"exec", "", "SERVICE COMMAND [ARG...]", 2, kAnyNumber, true,
     "Execute a command in a running container", "exec web sh\nexec -T db psql -c 'select 1'",
     kExec, RunExec},
    {"run", "", "SERVICE [COMMAND] [ARG...]", 1, kAnyNumber, true,
     "Run a one-off command on a service", "run --rm web sh\nrun --rm -e DEBUG=1 tests pytest -q",
     kRun, RunRun},
    {"config", "convert", "[SERVICE...]", 0, kAnyNumber, false,
     "Parse, resolve and render compose file in canonical format",
     "config\nconfig --format json\nconfig --services", kConfig, RunConfig},
    {"create", "", "[SERVICE...]", 0, kAnyNumber, false, "Creates containers for a service",
     "create web", kCreate, RunCreate},
    {"start", "", "[SERVICE...]", 0, kAnyNumber, false, "Start services", "start\nstart --wait db",
     kStart, RunStart},
    {"stop", "", "[SERVICE...]", 0, kAnyNumber, false, "Stop services", "stop -t 2 web", kTimeout,
     RunStop},
    {"restart", "", "[SERVICE...]", 0, kAnyNumber, false, "Restart service containers",
     "restart web", kRestart, RunRestart},
    {"kill", "", "[SERVICE...]", 0, kAnyNumber, false, "Force stop service containers",
     "kill -s HUP web", kKill, RunKill},
    {"top", "", "[SERVICES...]", 0, kAnyNumber, false, "Display the running processes", "top web",
     kHelpOnly, RunComposeTop},
    {"attach", "", "SERVICE", 1, 1, false,
     "Attach local standard input, output, and error streams to a service's running container",
     "attach --index 2 web", kAttach, RunComposeAttach},
    {"commit", "", "SERVICE [REPOSITORY[:TAG]]", 1, 2, false,
     "Create a new image from a service container's changes",
     "commit -c 'CMD [\"server\"]' web web:patched", kCommit, RunComposeCommit},
    {"cp", "", "SERVICE:SRC_PATH DEST_PATH|- | SRC_PATH|- SERVICE:DEST_PATH", 2, 2, false,
     "Copy files/folders between a service container and the local filesystem",
     "cp web:/var/log/nginx ./logs\ncp config.json web:/etc/app/", kCopy, RunComposeCopy},
    {"events", "", "[SERVICE...]", 0, kAnyNumber, false, "Receive real time events from containers",
     "events --json\nevents --since 10m --until 0s web", kEvents, RunComposeEvents},
    {"stats", "", "[SERVICE]", 0, 1, false,
     "Display a live stream of container(s) resource usage statistics", "stats --no-stream web",
     kStats, RunComposeStats},
    {"export", "", "SERVICE", 1, 1, false, "Export a service container's filesystem as a tar archive",
     "export -o web.tar web", kExport, RunComposeExport},
    {"rm", "", "[SERVICE...]", 0, kAnyNumber, false, "Removes stopped service containers",
     "rm -fs web", kRm, RunRm},
    {"scale", "", "SERVICE=NUM...", 1, kAnyNumber, false, "Scale services", "scale web=3 worker=2",
     kScale, RunScale},
    {"watch", "", "[SERVICE...]", 0, kAnyNumber, false,
     "Watch build context for service and rebuild/refresh containers when files are updated",
     "watch\nwatch --no-up web", kWatch, RunWatch},
    {"port", "", "SERVICE PRIVATE_PORT", 2, 2, false, "Print the public port for a port binding",
     "port web 80\nport --protocol udp dns 53", kPort, RunPort},
    {"ls", "", "", 0, 0, false, "List running compose projects", "ls -a", kLs, RunLs},
    {"pause", "", "[SERVICE...]", 0, kAnyNumber, false, "Pause services", "pause web", kHelpOnly,
     RunPause},
    {"unpause", "", "[SERVICE...]", 0, kAnyNumber, false, "Unpause services", "unpause web",
     kHelpOnly, RunUnpause},
    {"wait", "", "SERVICE [SERVICE...]", 1, kAnyNumber, false,
     "Block until containers of all (or specified) services stop", "wait tests", kWait, RunWait},
    {"images", "", "[SERVICE...]", 0, kAnyNumber, false,
     "List images used by the created containers", "images", kImages, RunComposeImages},
    {"pull", "", "[SERVICE...]", 0, kAnyNumber, false, "Pull service images",
     "pull\npull --policy missing web", kPull, RunComposePull},
    {"push", "", "[SERVICE...]", 0, kAnyNumber, false, "Push service images", "push web", kPush,
     RunComposePush},
    {"volumes", "", "[SERVICE...]", 0, kAnyNumber, false, "List volumes", "volumes -q", kVolumes,
     RunComposeVolumes},
    {"version", "", "", 0, 0, false, "Show the version information", "version --short", kVersion,
     RunVersion},
    {"completion", "", "bash|zsh|fish", 1, 1, false, "Print a completion script for a shell",
     "completion bash > /etc/bash_completion.d/skiff", kHelpOnly, RunCompletion},
    {"manual", "", "[COMMAND]", 0, 1, false, "Print a manual page in the format of man",
     "manual up | man -l -", kHelpOnly, RunManual},
};

constexpr Group kGroup = {
    "", "Define and run multi-container applications from a Compose file, without a daemon.",
    Grammar::kCompose, kCommands};

}  // namespace

const Group& ComposeGroup() {
  return kGroup;
}
std::span<const Flag> GlobalFlags() {
  return kGlobal;
}

const Command* FindCommand(const Group& group, std::string_view name) {
  for (const Command& command : group.commands) {
    if (command.name == name) return &command;
    for (std::string_view alias : SplitWords(command.aliases)) {
      if (alias == name) return &command;
    }
  }
  return nullptr;
}

std::vector<std::string_view> CommandNames(const Group& group, bool with_aliases) {
  std::vector<std::string_view> names;
  for (const Command& command : group.commands) {
    names.push_back(command.name);
    if (!with_aliases) continue;
    for (std::string_view alias : SplitWords(command.aliases)) names.push_back(alias);
  }
  return names;
}

}  // namespace skiff::cli
