#include "tests/kernel/engine-core/engine_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"
#include "base/text.h"
#include "engine-core/layout.h"
#include "tests/unit/engine-core/tar_builder.h"

namespace skiff::engine {
namespace {

using skiff::testing::TarBuilder;

constexpr const char* kBusybox = "/bin/busybox";

std::string BusyboxTar(const std::string& program) {
  TarBuilder tar;
  TarBuilder::Options executable;
  executable.mode = 0755;
  tar.Folder("./").Folder("bin/").Folder("etc/").Folder("tmp/", 01777).Folder("root/", 0700);
  tar.Folder("dev/").Folder("proc/").Folder("sys/").Folder("data/", 0750);
  tar.File("bin/busybox", program, executable);
  for (const char* name :
       {"sh", "sleep",    "cat",   "echo",  "ls",   "nc",   "nslookup", "wget", "true", "false",
        "id", "hostname", "touch", "httpd", "kill", "ip",   "stat",     "env",  "ps",   "ping",
        "dd", "tty",      "mount", "mkdir", "rm",   "date", "test",     "grep"}) {
    tar.Symlink(std::string("bin/") + name, "busybox");
  }
  tar.File("etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n");
  tar.File("etc/group", "root:x:0:\nuser:x:1000:\n");
  TarBuilder::Options owned;
  owned.uid = 1000;
  owned.gid = 1000;
  owned.mode = 0640;
  tar.File("data/greeting", "hello from the image\n", owned);
  return tar.Finished();
}

std::vector<std::string> Lines(const std::string& path) {
  std::vector<std::string> lines;
  const auto text = ReadFile(path);
  if (!text) return lines;
  for (const std::string_view line : Split(*text, '\n')) lines.emplace_back(line);
  return lines;
}

}  // namespace

void EngineTest::SetUp() {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  if (::access(kBusybox, X_OK) != 0) GTEST_SKIP() << "needs busybox-static";
  folder_ = ::testing::TempDir() + "skiff-engine-" + RandomHex(4);
  auto engine = OpenEmbeddedEngine(Options());
  ASSERT_TRUE(engine) << engine.error().Text();
  engine_ = std::move(*engine);
  const auto program = ReadFile(kBusybox);
  ASSERT_TRUE(program);
  const Fd tar = TarBuilder::OpenBytes(BusyboxTar(*program));
  ImportOptions options;
  options.reference = "busybox";
  options.config.command = {"sh"};
  const auto image = engine_->ImportImage(tar.get(), options);
  ASSERT_TRUE(image) << image.error().Text();
  const auto committed = engine_->Commit();
  ASSERT_TRUE(committed) << committed.error().Text();
}

void EngineTest::TearDown() {
  if (folder_.empty()) return;  // Skipped.
  ASSERT_TRUE(ConfigureFailpoints(""));
  engine_ = Another();
  const auto containers = engine_->ListContainers({true, {}});
  ASSERT_TRUE(containers) << containers.error().Text();
  for (const Container& container : *containers) {
    RemoveOptions options;
    options.force = true;
    options.anonymous_volumes = true;
    const auto removed = engine_->RemoveContainer(container.id, options);
    EXPECT_TRUE(removed) << removed.error().Text();
  }
  const auto networks = engine_->ListNetworks({});
  ASSERT_TRUE(networks);
  for (const Network& network : *networks) {
    if (network.predefined) continue;
    const auto removed = engine_->RemoveNetwork(network.id);
    EXPECT_TRUE(removed) << removed.error().Text();
  }
  const auto committed = engine_->Commit();
  EXPECT_TRUE(committed) << committed.error().Text();
  engine_.reset();
  // Nothing of the root is left in the kernel either: bridges, the table and the cgroups' parents.
  const auto retired = RetireRoot(Options());
  EXPECT_TRUE(retired) << retired.error().Text();
  EXPECT_TRUE(RemoveTree(folder_));
}

EmbeddedOptions EngineTest::Options() const {
  EmbeddedOptions options;
  options.root = folder_ + "/root";
  options.run = folder_ + "/run";
  auto* notices = const_cast<std::vector<std::string>*>(&notices_);
  options.notice = [notices](const std::string& text) { notices->push_back(text); };
  return options;
}

std::unique_ptr<Engine> EngineTest::Another() const {
  auto engine = OpenEmbeddedEngine(Options());
  EXPECT_TRUE(engine);
  return engine ? std::move(*engine) : nullptr;
}

ContainerConfig EngineTest::Sleeper(const std::string& name) const {
  ContainerConfig config;
  config.name = name;
  config.image = "busybox";
  config.command = {"sleep", "1000"};
  config.init = true;
  config.network_mode = "none";
  return config;
}

ContainerConfig EngineTest::Shell(const std::string& name, const std::string& script) const {
  ContainerConfig config = Sleeper(name);
  config.command = {"sh", "-c", script};
  config.init = false;
  return config;
}

std::string EngineTest::Run(const ContainerConfig& config) {
  const auto created = engine_->CreateContainer(config);
  EXPECT_TRUE(created) << created.error().Text();
  if (!created) return "";
  const auto started = engine_->StartContainer(created->id);
  EXPECT_TRUE(started) << started.error().Text();
  const auto committed = engine_->Commit();
  EXPECT_TRUE(committed) << committed.error().Text();
  return created->id;
}

std::pair<int, std::string> EngineTest::ExecShell(const std::string& container,
                                                  const std::string& script) {
  auto pipe = MakePipe();
  EXPECT_TRUE(pipe);
  ExecConfig config;
  config.command = {"sh", "-c", script};
  auto session = engine_->Exec(container, config, {-1, pipe->write.get(), pipe->write.get()}, {});
  EXPECT_TRUE(session) << session.error().Text();
  if (!session) return {-1, ""};
  pipe->write.Reset();
  const auto output = ReadAll(pipe->read.get(), 1 << 20, "output");
  const auto code = (*session)->Wait();
  EXPECT_TRUE(code);
  return {code.value_or(-1), output.value_or("")};
}

std::string EngineTest::LogsOf(const std::string& container) {
  std::string text;
  LogOptions options;
  options.follow = true;
  const auto read = engine_->ReadLogs(container, options, [&](const LogEntry& entry) {
    text += entry.text;
    return true;
  });
  EXPECT_TRUE(read) << read.error().Text();
  return text;
}

ContainerState EngineTest::Await(const std::string& container, ContainerStatus status) {
  auto watch = engine_->WatchContainers({true, {}});
  EXPECT_TRUE(watch);
  while (true) {
    const auto now = engine_->InspectContainer(container);
    EXPECT_TRUE(now) << now.error().Text();
    if (!now || now->state.status == status) return now ? now->state : ContainerState();
    const auto changes = (*watch)->Next(-1);
    EXPECT_TRUE(changes) << changes.error().Text();
    if (!changes) return {};
  }
}

std::map<std::string, std::vector<std::string>> KernelObjects(const std::string& root) {
  std::map<std::string, std::vector<std::string>> objects;
  objects["mounts"] = Lines("/proc/self/mountinfo");
  const std::string hash = RootHash(root);
  const std::unique_ptr<DIR, int (*)(DIR*)> links(::opendir("/sys/class/net"), ::closedir);
  while (const dirent* entry = links ? ::readdir(links.get()) : nullptr) {
    const std::string name = entry->d_name;
    // Only those of this root: other tests may run on the machine.
    if (name.starts_with("sk" + hash.substr(0, 4)) || name.starts_with("sv" + hash.substr(0, 4))) {
      objects["links"].push_back(name);
    }
  }
  std::error_code error;
  for (const auto& hierarchy : std::filesystem::directory_iterator("/sys/fs/cgroup", error)) {
    const auto folder = hierarchy.path() / ("skiff-" + hash);
    for (const auto& inside : std::filesystem::directory_iterator(folder, error)) {
      if (inside.is_directory() && inside.path().filename() != "monitors") {
        objects["cgroups"].push_back(inside.path().string());
      }
    }
  }
  return objects;
}

void ExpectNothingLeft(const std::map<std::string, std::vector<std::string>>& before,
                       const std::string& root) {
  std::map<std::string, std::vector<std::string>> now;
  // Links and namespaces vanish asynchronously: the kernel tells nobody, so it is asked for 2 s.
  for (int attempt = 0; attempt < 200; ++attempt) {
    now = KernelObjects(root);
    if (now == before) return;
    ::poll(nullptr, 0, 10);
  }
  EXPECT_EQ(before, now);
}

}  // namespace skiff::engine
