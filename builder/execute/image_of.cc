// The image that comes out, and base images that go in.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "builder/execute/session.h"
#include "builder/execute/tree_writer.h"
#include "engine-core/image_config.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

// BuildKit: an entry without a time has that of the first new layer, or of the layer before it.
void FillTimes(std::vector<engine::HistoryEntry>& history) {
  std::optional<int64_t> created;
  bool missing = false;
  for (const engine::HistoryEntry& entry : history) {
    if (!entry.created_at) {
      missing = true;
      continue;
    }
    created = entry.created_at;
    if (missing) break;
  }
  missing = false;
  for (engine::HistoryEntry& entry : history) {
    if (!entry.created_at) {
      missing = true;
      entry.created_at = created;
    } else if (missing) {
      created = entry.created_at;
    }
  }
}

// `created`: of the layers that are not the base image's, in order.
std::vector<engine::HistoryEntry> HistoryOf(const ImageDescription& image,
                                            const std::vector<int64_t>& created,
                                            std::optional<int64_t> epoch) {
  std::vector<engine::HistoryEntry> history;
  size_t layer = 0;
  for (const HistoryEntry& planned : image.history) {
    engine::HistoryEntry entry;
    entry.created_by = planned.created_by;
    entry.author = planned.author;
    entry.comment = planned.comment;
    entry.empty_layer = planned.empty_layer;
    if (planned.created_at != 0) {
      entry.created_at = planned.created_at;
    } else if (!planned.empty_layer && layer < created.size()) {
      entry.created_at = created[layer++];
    }
    const bool is_new = planned.created_at == 0;
    if (is_new && epoch && entry.created_at) entry.created_at = std::min(*entry.created_at, *epoch);
    history.push_back(std::move(entry));
  }
  FillTimes(history);
  return history;
}

engine::ImageDocument DocumentOf(const ImageDescription& image, std::vector<std::string> layers,
                                 const std::vector<int64_t>& created,
                                 std::optional<int64_t> epoch) {
  engine::ImageDocument document;
  document.architecture = image.platform.architecture;
  document.variant = image.platform.variant;
  document.os = image.platform.os;
  document.os_version = image.platform.os_version;
  document.author = image.author;
  document.config = image.config;
  document.args_escaped = image.args_escaped;
  document.diff_ids = std::move(layers);
  document.history = HistoryOf(image, created, epoch);
  if (!document.history.empty()) document.created_at = document.history.back().created_at;
  if (epoch) document.created_at = epoch;
  return document;
}

Result<ImageDescription> Describe(engine::Engine& engine, const std::string& reference) {
  SKIFF_ASSIGN(const std::string text, engine.ReadImageConfig(reference));
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(text));
  ImageDescription description;
  description.config = document.config;
  description.args_escaped = document.args_escaped;
  description.author = document.author;
  description.platform = {document.os, document.architecture, document.variant,
                          document.os_version};
  description.has_layers = !document.diff_ids.empty();
  for (const engine::HistoryEntry& entry : document.history) {
    // 0 would be one of this build.
    description.history.push_back({entry.created_by, entry.empty_layer, entry.comment, entry.author,
                                   entry.created_at.value_or(1)});
  }
  return description;
}

}  // namespace

Result<BuiltImage> BuildSession::MakeImage(const StageOutput& output) {
  std::optional<int64_t> epoch;
  if (plan_.source_date_epoch) epoch = *plan_.source_date_epoch * kSecond;
  BuiltImage image;
  image.layers = output.layers;
  SKIFF_TRY(shared_.remote_cache().Fetch(output.layers, progress_));
  engine::ImageDocument document =
      DocumentOf(plan_.result().image, output.layers, output.created, epoch);
  const bool with_cache =
      std::ranges::any_of(settings_.caches.targets, [](const CacheTarget& target) {
        return target.kind == CacheKind::kInline;
      });
  if (with_cache) document.cache = KnownSteps(&output.layers);
  image.config = engine::WriteImageDocument(document);
  if (!settings_.keep_image) {
    image.id = "sha256:" + Sha256Hex(image.config);
    return image;
  }
  const int progress = progress_.Begin("exporting to image");
  const auto make = [&]() -> Status {
    SKIFF_TRY(Failpoint("build.image"));
    image.existed = shared_.engine().InspectImage("sha256:" + Sha256Hex(image.config)).has_value();
    SKIFF_ASSIGN(image.id, shared_.engine().CreateImage({image.config, settings_.references, ""}));
    return {};
  };
  const Status made = make();
  if (made) {
    progress_.Detail(progress, "writing image " + image.id);
    for (const std::string& name : settings_.references) {
      const auto reference = engine::ParseReference(name);
      progress_.Detail(progress, "naming to " + (reference ? reference->Canonical() : name));
    }
  }
  progress_.End(progress, made ? StepOutcome::kDone : StepOutcome::kFailed,
                made ? "" : made.error().Text());
  if (!made) return Fail(made.error());
  return image;
}

ImageResolver LocalImages(engine::Engine& engine) {
  return [&engine](const std::string& reference, const Platform& /*platform*/) {
    return Describe(engine, reference);
  };
}

Status ExportFiles(engine::Engine& engine, const std::vector<std::string>& layers,
                   const std::string& folder) {
  SKIFF_TRY(MakeDirectories(folder, 0755));
  SKIFF_ASSIGN(const Fd target, OpenFile(folder, O_RDONLY | O_DIRECTORY));
  SKIFF_ASSIGN(const auto layer, engine.CreateLayer(layers));
  SKIFF_ASSIGN(const Fd root, layer->OpenRoot());
  SKIFF_ASSIGN(const auto items, SelectSources({root.get(), nullptr}, {"/", "", {}}));
  WriteOptions options;
  options.owner = Owner{::geteuid(), ::getegid()};
  TreeWriter writer(root.get(), target.get(), options);
  for (const SourceItem& item : items) SKIFF_TRY(writer.Copy(item, "/"));
  return {};
}

Status ExportTar(engine::Engine& engine, const std::vector<std::string>& layers, int fd) {
  SKIFF_ASSIGN(const auto layer, engine.CreateLayer(layers));
  return engine.ExportLayer(*layer, fd);
}

// ---- Builder -----------------------------------------------------------------------------------

Builder::Builder(engine::Engine& engine, BuilderOptions options)
    : shared_(std::make_unique<Shared>(engine, std::move(options))) {}

Builder::~Builder() = default;

ImageResolver Builder::Images(bool pull, BuildProgress& progress) {
  Shared* shared = shared_.get();
  return [shared, pull, &progress](const std::string& reference,
                                   const Platform& platform) -> Result<ImageDescription> {
    engine::Engine& engine = shared->engine();
    const std::string key = reference + (pull ? " anew" : "");
    return shared->DescribeOnce(key, [&]() -> Result<ImageDescription> {
      const int step = progress.Begin("[internal] load metadata for " + reference);
      const auto describe = [&]() -> Result<ImageDescription> {
        if (!pull) {
          auto known = Describe(engine, reference);
          if (known || known.error().code != Code::kNotFound) return known;
        }
        SKIFF_TRY(shared->Pull(reference, platform));
        return Describe(engine, reference);
      };
      auto description = describe();
      progress.End(step, description ? StepOutcome::kDone : StepOutcome::kFailed,
                   description ? "" : description.error().Text());
      if (description) return description;
      Error error = std::move(description.error());
      error.message = "failed to resolve source metadata for " + reference + ": " + error.message;
      return Fail(std::move(error));
    });
  };
}

Result<BuiltImage> Builder::Build(const BuildPlan& plan, const BuildSettings& settings,
                                  BuildProgress& progress) {
  for (;;) {
    BuildSession session(*shared_, plan, settings, progress);
    auto image = session.Run();
    const bool stopped = !image && image.error().code == Code::kCancelled;
    // Once for each cache at most. What has been made by then is found.
    if (image || stopped || !session.lost_cache()) return image;
  }
}

}  // namespace skiff::builder
