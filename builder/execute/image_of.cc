// The image that comes out, and base images that go in.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <optional>

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
  image.id = "sha256:" + Sha256Hex(image.config);
  return image;
}

namespace {

Status CopyLayers(engine::Engine& engine, const std::vector<std::string>& layers, int target,
                  const std::optional<Owner>& owner) {
  SKIFF_ASSIGN(const auto layer, engine.CreateLayer(layers));
  SKIFF_ASSIGN(const Fd root, layer->OpenRoot());
  SKIFF_ASSIGN(const auto items, SelectSources({root.get(), nullptr}, {"/", "", {}}));
  WriteOptions options;
  options.owner = owner;
  TreeWriter writer(root.get(), target, options);
  for (const SourceItem& item : items) SKIFF_TRY(writer.Copy(item, "/"));
  return {};
}

}  // namespace

Status ExportFiles(engine::Engine& engine, const std::vector<ExportedFiles>& files,
                   const std::string& folder) {
  for (const ExportedFiles& one : files) {
    const std::string path = one.folder.empty() ? folder : folder + "/" + one.folder;
    SKIFF_TRY(MakeDirectories(path, 0755));
    SKIFF_ASSIGN(const Fd target, OpenFile(path, O_RDONLY | O_DIRECTORY));
    SKIFF_TRY(CopyLayers(engine, one.layers, target.get(), Owner{::geteuid(), ::getegid()}));
  }
  return {};
}

Status ExportTar(engine::Engine& engine, const std::vector<ExportedFiles>& files, int fd) {
  if (files.size() == 1 && files[0].folder.empty()) {
    SKIFF_ASSIGN(const auto layer, engine.CreateLayer(files[0].layers));
    return engine.ExportLayer(*layer, fd);
  }
  // Side by side in a layer of their own.
  SKIFF_ASSIGN(const auto whole, engine.CreateLayer({}));
  {
    SKIFF_ASSIGN(const Fd root, whole->OpenRoot());
    for (const ExportedFiles& one : files) {
      if (::mkdirat(root.get(), one.folder.c_str(), 0755) != 0) {
        return FailErrno("cannot make '" + one.folder + "'");
      }
      SKIFF_ASSIGN(const Fd target, OpenFileAt(root.get(), one.folder, O_RDONLY | O_DIRECTORY));
      SKIFF_TRY(CopyLayers(engine, one.layers, target.get(), std::nullopt));
    }
  }
  return engine.ExportLayer(*whole, fd);
}

}  // namespace skiff::builder
