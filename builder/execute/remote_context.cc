// Contexts at addresses.
#include <fcntl.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "base/root_path.h"
#include "builder/build.h"
#include "builder/execute/archive_kind.h"
#include "builder/execute/remote_source.h"
#include "builder/git.h"
#include "engine-core/image_config.h"

namespace skiff::builder {
namespace {

constexpr size_t kMaximumDockerfile = 64u << 20;
constexpr std::string_view kLayoutScheme = "oci-layout://";

bool IsWebAddress(std::string_view text) {
  return text.starts_with("http://") || text.starts_with("https://");
}

Result<RemoteContext> Opened(std::unique_ptr<engine::WritableLayer> tree,
                             const std::string& subdir) {
  RemoteContext context;
  SKIFF_ASSIGN(context.root, tree->OpenRoot());
  if (!subdir.empty()) {
    // Links inside a repository do not lead out of it.
    auto below = OpenInRoot(context.root.get(), subdir, O_RDONLY | O_DIRECTORY);
    if (!below) return Fail(Code::kNotFound, "the repository has no folder '" + subdir + "'");
    context.root = std::move(*below);
  }
  SKIFF_ASSIGN(context.folder,
               PathOfDescriptor(context.root.get(), "the folder of what was fetched"));
  context.tree = std::move(tree);
  return context;
}

Result<RemoteContext> FetchRepository(engine::Engine& engine, const std::string& text,
                                      const BuilderOptions& options) {
  SKIFF_ASSIGN(const GitAddress address, ParseGitAddress(text));
  const GitOptions git{options.environment, "", options.cancel_fd};
  SKIFF_ASSIGN(const std::string commit, ResolveGit(address, git));
  SKIFF_ASSIGN(auto tree, engine.CreateLayer({}));
  {
    SKIFF_ASSIGN(const Fd root, tree->OpenRoot());
    SKIFF_ASSIGN(const std::string folder,
                 PathOfDescriptor(root.get(), "the folder of what was fetched"));
    SKIFF_TRY(FetchGit(address, commit, folder, address.keep_git_dir.value_or(false), git));
  }
  return Opened(std::move(tree), address.subdir);
}

Result<RemoteContext> FetchFile(engine::Engine& engine, const std::string& url,
                                const BuilderOptions& options) {
  SKIFF_ASSIGN(auto tree, engine.CreateLayer({}));
  SKIFF_ASSIGN(const Fd file, OpenFile("/tmp", O_TMPFILE | O_RDWR, 0600));
  engine::DownloadOptions download;
  download.settings = options.downloads;
  SKIFF_TRY(engine.DownloadFile(url, file.get(), download));
  char beginning[512];
  const ssize_t got = ::pread(file.get(), beginning, sizeof beginning, 0);
  if (got < 0 || ::lseek(file.get(), 0, SEEK_SET) != 0) {
    return FailErrno("cannot read what was downloaded");
  }
  if (LooksLikeArchive({beginning, static_cast<size_t>(got)})) {
    SKIFF_ASSIGN(const bool unpacked, engine.UnpackArchive(file.get(), *tree));
    if (unpacked) return Opened(std::move(tree), "");
    if (::lseek(file.get(), 0, SEEK_SET) != 0) return FailErrno("cannot read what was downloaded");
  }
  RemoteContext context;
  SKIFF_ASSIGN(context.dockerfile, ReadAll(file.get(), kMaximumDockerfile, url));
  return context;
}

}  // namespace

bool IsRemoteContext(std::string_view text) {
  return IsWebAddress(text) || IsGitContext(text);
}

Result<RemoteContext> FetchContext(engine::Engine& engine, const std::string& address,
                                   const BuilderOptions& options) {
  SKIFF_TRY(Failpoint("build.fetch_context"));
  if (IsGitContext(address)) return FetchRepository(engine, address, options);
  return FetchFile(engine, address, options);
}

bool IsLayoutContext(std::string_view text) {
  return text.starts_with(kLayoutScheme);
}

Result<LayoutImage> LoadLayoutImage(engine::Engine& engine, const std::string& address,
                                    const std::string& working_dir,
                                    const std::optional<Platform>& platform) {
  SKIFF_TRY(Failpoint("build.load_layout"));
  engine::ImagePlace place;
  place.folder = address.substr(kLayoutScheme.size());
  if (const size_t at = place.folder.find('@'); at != std::string::npos) {
    place.reference = place.folder.substr(at + 1);
    place.folder.resize(at);
  }
  // A colon behind the last slash begins a tag; a digest says more.
  const size_t slash = place.folder.rfind('/');
  const size_t colon = place.folder.find(':', slash == std::string::npos ? 0 : slash);
  if (colon != std::string::npos) {
    if (place.reference.empty()) place.reference = place.folder.substr(colon + 1);
    place.folder.resize(colon);
  }
  if (!place.folder.starts_with('/')) place.folder = working_dir + "/" + place.folder;
  if (platform) place.platform = {platform->os, platform->architecture, platform->variant};
  SKIFF_ASSIGN(const engine::OfferedImage offered, engine.AskForImage(place));
  LayoutImage image;
  image.id = "sha256:" + Sha256Hex(offered.config);
  image.existed = engine.InspectImage(image.id).has_value();
  if (image.existed) return image;
  SKIFF_ASSIGN(const engine::ImageDocument document, engine::ReadImageDocument(offered.config));
  SKIFF_TRY(engine.FetchLayers(place, document.diff_ids));
  SKIFF_TRY(engine.CreateImage({offered.config, {}, "", {}}));
  return image;
}

}  // namespace skiff::builder
