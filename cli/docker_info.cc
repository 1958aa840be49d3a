// `docker info`: what there is, and what it runs on.
#include <fmt/format.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <map>
#include <nlohmann/json.hpp>

#include "base/fd.h"
#include "base/text.h"
#include "cli/listing.h"
#include "cli/status_text.h"
#include "cli/verbs.h"
#include "cli/version.h"

namespace skiff::cli {
namespace {

using Json = nlohmann::ordered_json;

// A value of /etc/os-release, "" when it says nothing.
std::string OsRelease(std::string_view key) {
  const auto text = ReadFile("/etc/os-release");
  if (!text) return "";
  for (const std::string_view line : Split(*text, '\n')) {
    if (!line.starts_with(key) || line.substr(key.size(), 1) != "=") continue;
    std::string value(line.substr(key.size() + 1));
    if (value.size() >= 2 && value.front() == '"') value = value.substr(1, value.size() - 2);
    return value;
  }
  return "";
}

Result<Json> Info(Context& context) {
  SKIFF_ASSIGN(engine::Engine * engine, context.Engine());
  SKIFF_ASSIGN(const auto containers, engine->ListContainers({true, {}}));
  SKIFF_ASSIGN(const auto images, engine->ListImages());
  int running = 0, paused = 0;
  for (const engine::Container& container : containers) {
    const bool is_paused = container.state.status == engine::ContainerStatus::kPaused;
    paused += is_paused ? 1 : 0;
    running += container.state.running() && !is_paused ? 1 : 0;
  }
  const int all = static_cast<int>(containers.size());
  utsname kernel{};
  ::uname(&kernel);
  struct sysinfo memory {};
  ::sysinfo(&memory);
  const bool unified = ::access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0;
  const std::string root = context.EngineOptions().root;
  return Json{{"Containers", all},
              {"ContainersRunning", running},
              {"ContainersPaused", paused},
              {"ContainersStopped", all - running - paused},
              {"Images", images.size()},
              {"Driver", "overlay2"},
              {"LoggingDriver", "json-file"},
              {"CgroupDriver", "cgroupfs"},
              {"CgroupVersion", unified ? "2" : "1"},
              {"KernelVersion", kernel.release},
              {"OperatingSystem", OsRelease("PRETTY_NAME")},
              {"OSVersion", OsRelease("VERSION_ID")},
              {"OSType", "linux"},
              {"Architecture", kernel.machine},
              {"NCPU", ::sysconf(_SC_NPROCESSORS_ONLN)},
              {"MemTotal", static_cast<int64_t>(memory.totalram) * memory.mem_unit},
              {"DockerRootDir", root},
              {"Name", kernel.nodename},
              {"ServerVersion", kVersion},
              {"DefaultRuntime", "skiff"},
              {"LiveRestoreEnabled", true},
              {"Debug", false},
              {"SecurityOptions", Json::array({"name=seccomp,profile=builtin"})},
              {"Swarm", {{"LocalNodeState", "inactive"}}},
              {"Warnings", nullptr}};
}

std::string InfoText(const Json& info) {
  const auto text = [&](const char* key) {
    return info[key].is_string() ? info[key].get<std::string>() : info[key].dump();
  };
  std::string out = "Engine:\n";
  const auto row = [&](std::string_view name, const std::string& value) {
    out += fmt::format(" {}: {}\n", name, value);
  };
  row("Containers", text("Containers"));
  row(" Running", text("ContainersRunning"));
  row(" Paused", text("ContainersPaused"));
  row(" Stopped", text("ContainersStopped"));
  row("Images", text("Images"));
  row("Server Version", text("ServerVersion"));
  row("Storage Driver", text("Driver"));
  row("Logging Driver", text("LoggingDriver"));
  row("Cgroup Driver", text("CgroupDriver"));
  row("Cgroup Version", text("CgroupVersion"));
  row("Default Runtime", text("DefaultRuntime"));
  row("Kernel Version", text("KernelVersion"));
  row("Operating System", text("OperatingSystem"));
  row("OSType", text("OSType"));
  row("Architecture", text("Architecture"));
  row("CPUs", text("NCPU"));
  row("Total Memory", BinarySize(info["MemTotal"].get<int64_t>()));
  row("Name", text("Name"));
  row("Docker Root Dir", text("DockerRootDir"));
  return out;
}

}  // namespace

Result<int> RunDockerInfo(Context& context, const Arguments& arguments) {
  SKIFF_ASSIGN(const Json info, Info(context));
  if (!arguments.Has("format")) {
    SKIFF_TRY(context.Print(InfoText(info)));
    return 0;
  }
  const std::string format = arguments.Text("format");
  if (format == "json") {
    SKIFF_TRY(context.Print(info.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n'));
    return 0;
  }
  SKIFF_ASSIGN(const std::string text, RenderInspect({info}, format));
  SKIFF_TRY(context.Print(text));
  return 0;
}

}  // namespace skiff::cli
