#include "tests/e2e/fault_verbs.h"

#include <filesystem>
#include <fstream>

#include "base/identity.h"
#include "engine-core/journal.h"

namespace skiff::e2e {

// `data` lies where the image has files, so that they are copied; `chatty` rotates its log.
const char* const kFaultProject = R"(name: fault
services:
  web:
    image: busybox:latest
    init: true
    command: sleep 1000
    ports: ["127.0.0.1::80", "[::1]::81", "82"]
    volumes: ["data:/home", "./made/by/up:/host"]
    networks: [inner]
    deploy: {resources: {limits: {memory: 64M, pids: 100}}}
  job:
    image: busybox:latest
    init: true
    command: sleep 1000
    networks: [inner]
    restart: always
    configs: [text]
  chatty:
    image: busybox:latest
    command: seq 3000
    networks: [inner]
    profiles: [extra]
    cap_add: [SYS_ADMIN]
    logging: {driver: json-file, options: {max-size: 10k, max-file: "2"}}
  shared:
    image: busybox:latest
    command: sh -c "sleep 1000 & exit 0"
    networks: [inner]
    pid: host
    profiles: [extra]
configs: {text: {content: written by up}}
volumes: {data: {}}
networks: {inner: {}}
)";

namespace {

constexpr size_t kEveryday = 6;

void ForgetHostPath(const std::string& directory) {
  std::filesystem::remove_all(directory + "/project/made");
}

// Made once and kept: made again under each fault.
void ForgetWhatIsKept(const std::string& directory) {
  std::filesystem::remove_all(directory + "/root/seccomp");
}

void ForgetCache(const std::string& directory) {
  ForgetWhatIsKept(directory);
  std::filesystem::remove_all(directory + "/cache");
}

void FillJournal(const std::string& directory) {
  std::ofstream(directory + "/run/events.jsonl", std::ios::app)
      << std::string(engine::kJournalLimit, ' ') << '\n';
}

void ForgetRoots(const std::string& directory) {
  for (const char* name : {"/fresh-r", "/fresh-v"}) std::filesystem::remove_all(directory + name);
}

void AddStrayLink(const std::string& directory) {
  const std::string hash = Sha256Hex(directory + "/root").substr(0, 5);
  const Outcome added =
      RunCommand({"ip", "link", "add", "sk" + hash + "badbad0", "type", "bridge"});
  EXPECT_THAT(added, Succeeds()) << added;
}

}  // namespace

std::vector<FaultVerb> FaultVerbs(const std::string& directory) {
  const Words down = {"down", "-v", "-t", "0", "--remove-orphans"};
  const Words run = {"run", "--rm", "-T", "web", "true"};
  const Words recreate = {"up", "-d", "--force-recreate", "-t", "0"};
  const Words standard = FaultVerb().next;
  const Words list = {"docker", "ps"};
  const Words import = {"image", "import", directory + "/extra.tar", "extra:latest"};
  const Words fresh = {"--root", directory + "/fresh-r",
                       "--run",  directory + "/fresh-v",
                       "docker", "volume",
                       "create", "data"};
  const std::map<std::string, std::string> rebooted = {{"SKIFF_TEST_BOOT_ID", "after the reboot"}};
  const std::string saved = directory + "/saved.tar";
  const Words remove_image = {"image", "rm", "extra:latest"};
  const Words build = {"docker", "build", "-t", "built", "built"};
  const Words compressed = {"docker", "build", "-t", "built", "-o",
                            "type=oci,compression=gzip,dest=" + saved, "built"};
  const std::string cache = directory + "/cache";
  const Words export_cache = {"docker", "build", "-t", "built", "--cache-to",
                              "type=local,mode=max,dest=" + cache, "built"};
  const Words import_cache = {"docker", "build", "-t", "built", "--cache-from",
                              "type=local,src=" + cache, "built"};
  const Words remove_built = {"image", "rm", "built:latest"};
  const Words prune = {"builder", "prune", "-af"};
  std::vector<FaultVerb> verbs = {
      {"up", false, {}, {"up", "-d"}, {"up", "-d"}, {down}},
      {"down", true, {}, down, down, {{"up", "-d"}}},
      {"exec", true, {}, {"exec", "-T", "web", "true"}},
      {"run", true, {}, run, standard, {run}},
      {"restart", true, {}, {"restart", "-t", "0"}},
      {"scale", true, {}, {"scale", "job=3"}},
      {"scale down", true, {{"scale", "job=3"}}, {"scale", "job=1"}},
      {"recreate", true, {}, recreate, standard, {recreate}},
      {"stop", true, {}, {"stop", "-t", "0"}},
      {"kill", true, {}, {"kill", "web"}},
      {"pause", true, {}, {"pause", "job"}, list, {{"docker", "unpause", "fault-job-1"}}},
      {"unpause",
       true,
       {{"pause", "job"}},
       {"unpause", "job"},
       list,
       {{"docker", "unpause", "fault-job-1"}}},
      {"rename",
       true,
       {},
       {"docker", "rename", "fault-job-1", "renamed"},
       list,
       {{"docker", "rename", "renamed", "fault-job-1"}}},
      {"connect",
       true,
       {{"network", "create", "side"}},
       {"network", "connect", "side", "fault-job-1"},
       list,
       {{"network", "disconnect", "side", "fault-job-1"}, {"network", "rm", "side"}}},
      {"disconnect",
       true,
       {{"network", "create", "side"}, {"network", "connect", "side", "fault-job-1"}},
       {"network", "disconnect", "side", "fault-job-1"},
       list,
       {{"network", "disconnect", "side", "fault-job-1"}, {"network", "rm", "side"}}},
      {"import", true, {}, import, list, {remove_image}},
      {"image rm", true, {import}, remove_image, list, {remove_image}},
      {"commit",
       true,
       {},
       {"docker", "commit", "fault-job-1", "extra:latest"},
       list,
       {remove_image}},
      {"save", true, {import}, {"docker", "save", "-o", saved, "extra:latest"}, list, {remove_image}},
      {"load",
       true,
       {import, {"docker", "save", "-o", saved, "extra:latest"}, remove_image},
       {"docker", "load", "-i", saved},
       list,
       {remove_image}},
      {"export",
       true,
       {},
       {"docker", "export", "-o", saved, "fault-job-1"},
       list},
      {"copy",
       true,
       {},
       {"cp", "compose.yaml", "web:/home/"},
       list,
       {{"exec", "-T", "web", "rm", "-f", "/home/compose.yaml"}}},
      {"build", true, {}, build, list, {remove_built, prune}},
      {"compressed build", true, {}, compressed, list, {remove_built, prune}},
      {"export cache", true, {}, export_cache, list, {remove_built, prune}, "", {}, ForgetCache},
      {"import cache",
       true,
       {export_cache, remove_built, prune},
       import_cache,
       list,
       {remove_built, prune}},
      {"layout",
       true,
       {export_cache, remove_built, prune},
       {"docker", "build", "-t", "built", "--build-context", "base=oci-layout://" + cache, "built"},
       list,
       {remove_built, prune}},
      {"prune", true, {build}, prune, list, {remove_built, prune}},
      {"log", true, {}, {"--profile", "extra", "run", "--rm", "chatty"}},
      {"shared", true, {}, {"--profile", "extra", "run", "--rm", "shared"}},
      {"host path", false, {down}, {"up", "-d"}, {"up", "-d"}, {down}, "", {}, ForgetHostPath},
      {"journal", true, {}, run, standard, {}, "", {}, FillJournal},
      {"first", false, {}, fresh, fresh, {}, "", {}, ForgetRoots},
      {"reboot", false, {fresh}, fresh, fresh, {}, "", rebooted},
      {"retire",
       false,
       {{"network", "create", "side"}},
       {"system", "retire"},
       {"system", "retire"},
       {{"network", "rm", "side"}}},
      {"check",
       false,
       {},
       {"system", "check", "--repair"},
       {"system", "check", "--repair"},
       {},
       "",
       {},
       AddStrayLink},
      {"config", true, {}, {"config", "-o", "written.yaml"}, list},
      {"repair",
       true,
       {{"up", "-d", "--force-recreate", "-t", "0"}},
       {"up", "-d", "-t", "0"},
       {"up", "-d", "-t", "0"},
       {},
       "engine.create.before_row=kill"},
  };
  for (size_t i = 0; i < verbs.size(); ++i) {
    verbs[i].everyday = i < kEveryday;
    if (verbs[i].arrange == nullptr) verbs[i].arrange = ForgetWhatIsKept;
  }
  return verbs;
}

}  // namespace skiff::e2e
