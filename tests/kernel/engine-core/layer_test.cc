#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/root_path.h"
#include "engine-core/embedded.h"
#include "engine-core/image_config.h"
#include "tests/kernel/engine-core/engine_fixture.h"

namespace skiff::engine {
namespace {

class LayerTest : public EngineTest {
 protected:
  std::vector<std::string> BaseLayers() { return engine_->InspectImage("busybox")->layers; }

  std::unique_ptr<WritableLayer> Make(const std::vector<std::string>& parents) {
    auto layer = engine_->CreateLayer(parents);
    EXPECT_TRUE(layer) << layer.error().Text();
    return layer ? std::move(*layer) : nullptr;
  }

  static void Write(WritableLayer& layer, const std::string& path, std::string_view text) {
    const auto root = layer.OpenRoot();
    ASSERT_TRUE(root) << root.error().Text();
    const auto file = OpenInRoot(root->get(), path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ASSERT_TRUE(file) << file.error().Text();
    ASSERT_TRUE(WriteAll(file->get(), text, path));
  }

  Layer CommitAt(WritableLayer& layer, int64_t time) {
    CommitLayerOptions options;
    options.latest_time = time;
    const auto committed = engine_->CommitLayer(layer, options);
    EXPECT_TRUE(committed) << committed.error().Text();
    return committed.value_or(Layer());
  }

  // The base image with `layers` above it.
  std::string ImageOf(const std::vector<std::string>& layers, const std::string& reference) {
    const auto config = engine_->ReadImageConfig("busybox");
    EXPECT_TRUE(config);
    auto document = ReadImageDocument(*config);
    EXPECT_TRUE(document);
    document->diff_ids.insert(document->diff_ids.end(), layers.begin(), layers.end());
    const auto id = engine_->CreateImage({WriteImageDocument(*document), {reference}, "", {}});
    EXPECT_TRUE(id) << id.error().Text();
    return id.value_or("");
  }

  // Runs `script` as root of a build step does; its exit code.
  int RunOn(WritableLayer& layer, const std::string& script) {
    ContainerConfig config = Shell("", script);
    config.image.clear();
    config.writable_layer = layer.id();
    config.auto_remove = true;
    const auto created = engine_->CreateContainer(config);
    EXPECT_TRUE(created) << created.error().Text();
    if (!created) return -1;
    auto session = engine_->Attach(created->id, {});
    EXPECT_TRUE(session) << session.error().Text();
    const auto started = engine_->StartContainer(created->id);
    EXPECT_TRUE(started) << started.error().Text();
    return session ? (*session)->Wait().value_or(-1) : -1;
  }

  size_t Problems() {
    const auto report = SystemCheck(Options(), false);
    EXPECT_TRUE(report) << report.error().Text();
    for (const SystemProblem& problem : report->problems) {
      ADD_FAILURE() << problem.kind << " " << problem.object << ": " << problem.message;
    }
    return report->problems.size();
  }
};

constexpr int64_t kTime = 1'700'000'000'000'000'000;

TEST_F(LayerTest, WhatIsWrittenAboveAnImageIsALayerOfANewOne) {
  auto layer = Make(BaseLayers());
  Write(*layer, "/etc/new", "new\n");
  Write(*layer, "/etc/passwd", "changed\n");
  {
    const auto root = layer->OpenRoot();
    ASSERT_TRUE(root);
    ASSERT_EQ(::unlinkat(root->get(), "etc/group", 0), 0);
  }
  const Layer first = CommitAt(*layer, kTime);
  EXPECT_FALSE(first.empty);
  EXPECT_EQ(first.size, 4 + 8);

  // The same once more: one layer is kept.
  auto again = Make(BaseLayers());
  Write(*again, "/etc/passwd", "changed\n");
  Write(*again, "/etc/new", "new\n");
  {
    const auto root = again->OpenRoot();
    ASSERT_TRUE(root);
    ASSERT_EQ(::unlinkat(root->get(), "etc/group", 0), 0);
  }
  EXPECT_EQ(CommitAt(*again, kTime).diff_id, first.diff_id);

  ImageOf({first.diff_id}, "above:1");
  layer.reset();
  again.reset();
  ASSERT_TRUE(engine_->Commit());
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/tmp"));
  ContainerConfig config = Shell("reader", "cat /etc/new /etc/passwd; ls /etc");
  config.image = "above:1";
  Run(config);
  EXPECT_EQ(LogsOf("reader"), "new\nchanged\nhostname\nhosts\nnew\npasswd\nresolv.conf\n");
  EXPECT_EQ(Problems(), 0u);
}

TEST_F(LayerTest, ARunOnALayerLeavesWhatItWroteAndNoPlacesOfMounts) {
  auto layer = Make(BaseLayers());
  EXPECT_EQ(RunOn(*layer, "echo made > /etc/made && mkdir /var && echo x > /var/x;"
                          "rm -r /root && mkdir /root; exit 3"),
            3);
  const std::string upper = Options().root + "/tmp/" + layer->id() + "/layer/diff";
  EXPECT_TRUE(std::filesystem::exists(upper + "/etc/made"));
  const Layer made = CommitAt(*layer, kTime);
  std::vector<std::string> names;
  const std::string diff = Options().root + "/layers/" + made.diff_id.substr(7) + "/diff";
  for (const auto& entry : std::filesystem::recursive_directory_iterator(diff)) {
    names.push_back(entry.path().string().substr(diff.size()));
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(names, (std::vector<std::string>{"/etc", "/etc/made", "/root", "/var", "/var/x"}));
  // Only the folder that hides one of the image keeps overlayfs's mark.
  const auto is_marked = [&](const char* name) {
    return ::getxattr((diff + name).c_str(), "trusted.overlay.opaque", nullptr, 0) > 0;
  };
  EXPECT_TRUE(is_marked("/root"));
  EXPECT_FALSE(is_marked("/var"));

  // On nothing at all: the image's own program is there by a layer of its own.
  auto empty = Make({});
  const Layer nothing = CommitAt(*empty, kTime);
  EXPECT_TRUE(nothing.empty);
  // The digest of a tar without entries, as every builder has it.
  EXPECT_EQ(nothing.diff_id,
            "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef");
  ImageOf({made.diff_id}, "kept:1");
  layer.reset();
  empty.reset();
  ASSERT_TRUE(engine_->Commit());
}

TEST_F(LayerTest, LayersNobodyNeedsAreCollected) {
  auto layer = Make(BaseLayers());
  Write(*layer, "/a", "a");
  const Layer kept = CommitAt(*layer, kTime);
  layer = Make(BaseLayers());
  Write(*layer, "/b", "b");
  const Layer cached = CommitAt(*layer, kTime);
  layer = Make(BaseLayers());
  Write(*layer, "/c", "c");
  const Layer lost = CommitAt(*layer, kTime);
  layer.reset();
  ImageOf({kept.diff_id}, "kept:1");
  ASSERT_TRUE(engine_->PutCacheEntry({"step", "{}", {cached.diff_id}, 1, 2}));
  ASSERT_TRUE(engine_->Commit());

  const auto exists = [&](const Layer& made) {
    return std::filesystem::exists(Options().root + "/layers/" + made.diff_id.substr(7));
  };
  auto other = Another();
  // While somebody builds, nothing goes.
  auto building = Make(BaseLayers());
  ASSERT_TRUE(other->CollectGarbage());
  ASSERT_TRUE(other->Commit());
  EXPECT_TRUE(exists(lost));
  building.reset();
  ASSERT_TRUE(engine_->Commit());
  ASSERT_EQ(other->CollectGarbage().value_or(-1), 1);
  ASSERT_TRUE(other->Commit());
  EXPECT_TRUE(exists(kept));
  EXPECT_TRUE(exists(cached));
  EXPECT_FALSE(exists(lost));

  const auto entry = other->FindCacheEntry("step");
  ASSERT_TRUE(entry && *entry);
  EXPECT_EQ((*entry)->layers, std::vector<std::string>{cached.diff_id});
  ASSERT_TRUE(other->RemoveCacheEntry("step"));
  ASSERT_TRUE(other->CollectGarbage());
  ASSERT_TRUE(other->Commit());
  EXPECT_FALSE(exists(cached));
  EXPECT_EQ(Problems(), 0u);
}

TEST_F(LayerTest, ABuildThatIsKilledLeavesNothing) {
  const auto parents = BaseLayers();
  engine_.reset();
  for (const char* failpoint : {"image.commit_layer", "image.layer", "engine.image.create",
                                "image.blob", "image.row", "image.sync", "store.before_commit"}) {
    SCOPED_TRACE(failpoint);
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      if (!ConfigureFailpoints(std::string(failpoint) + "=kill")) ::_exit(1);
      auto options = Options();
      options.notice = {};
      engine_ = std::move(*OpenEmbeddedEngine(options));
      auto layer = Make(parents);
      Write(*layer, "/x", "x");
      const Layer made = CommitAt(*layer, kTime);
      ImageOf({made.diff_id}, "doomed:1");
      layer.reset();
      static_cast<void>(engine_->Commit());
      ::_exit(2);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << "exit " << WEXITSTATUS(status);
    {
      auto engine = Another();
      ASSERT_TRUE(engine->CreateVolume({"nudge", "", {}, {}, {}}));
      ASSERT_TRUE(engine->Commit());
      EXPECT_EQ(engine->ListImages()->size(), 1u);
    }
    EXPECT_EQ(Problems(), 0u);
    EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/tmp"));
  }
  engine_ = Another();
}

TEST_F(LayerTest, AStepThatOutlivesItsBuilderIsEnded) {
  const auto parents = BaseLayers();
  engine_.reset();
  auto ready = MakePipe();
  ASSERT_TRUE(ready);
  const pid_t pid = ::fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    auto options = Options();
    options.notice = {};
    engine_ = std::move(*OpenEmbeddedEngine(options));
    auto layer = Make(parents);
    ContainerConfig config = Sleeper("");
    config.image.clear();
    config.writable_layer = layer->id();
    config.auto_remove = true;
    const auto created = engine_->CreateContainer(config);
    if (!created || !engine_->StartContainer(created->id)) ::_exit(1);
    static_cast<void>(WriteAll(ready->write.get(), "x", "pipe"));
    ready->write.Reset();
    ::pause();
  }
  ready->write.Reset();
  const auto said = ReadAll(ready->read.get(), 1, "pipe");
  ASSERT_EQ(said.value_or(""), "x");
  ASSERT_EQ(::kill(pid, SIGKILL), 0);
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  engine_ = Another();
  ASSERT_TRUE(engine_->CreateVolume({"nudge", "", {}, {}, {}}));
  ASSERT_TRUE(engine_->Commit());
  EXPECT_TRUE(engine_->ListContainers({true, {}})->empty());
  EXPECT_TRUE(std::filesystem::is_empty(Options().root + "/tmp"));
  EXPECT_EQ(Problems(), 0u);
}

}  // namespace
}  // namespace skiff::engine
