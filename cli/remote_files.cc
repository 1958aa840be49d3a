#include "cli/remote_files.h"

#include <dirent.h>
#include <fmt/format.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <functional>
#include <memory>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/identity.h"
#include "base/text.h"
#include "builder/git.h"
#include "cli/context.h"
#include "cli/registry_config.h"
#include "engine-core/references.h"

namespace skiff::cli {
namespace {

// Types of the reference's `publish`.
constexpr const char* kProjectType = "application/vnd.docker.compose.project";
constexpr const char* kEmptyConfig = "application/vnd.docker.compose.config.empty.v1+json";
constexpr const char* kComposeFile = "application/vnd.docker.compose.file+yaml";
constexpr const char* kEnvFile = "application/vnd.docker.compose.envfile";
constexpr const char* kFileNote = "com.docker.compose.file";
constexpr const char* kExtendsNote = "com.docker.compose.extends";
constexpr const char* kEnvFileNote = "com.docker.compose.envfile";

constexpr std::string_view kRegistryScheme = "oci://";
constexpr const char* kDraftMark = ".tmp-";

bool Exists(const std::string& path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0;
}

// Drafts of commands that died.
Status RemoveDrafts(const std::string& cache) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(cache.c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + cache + "'");
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    if (name.find(kDraftMark) != std::string::npos) SKIFF_TRY(RemoveTree(cache + "/" + name));
  }
  return {};
}

// Fills a folder under another name first: one with its own name is complete.
Status FillFolder(const std::string& cache, const std::string& name,
                  const std::function<Status(const std::string&)>& fill) {
  const std::string folder = cache + "/" + name;
  if (Exists(folder)) return {};
  SKIFF_TRY(MakeDirectories(cache, 0700));
  // Whoever fills one shares the lock: alone with it, every draft is a dead command's.
  const std::string lock = cache + "/lock";
  if (const auto alone = FileLock::TryAcquire(lock, FileLock::Mode::kExclusive)) {
    SKIFF_TRY(RemoveDrafts(cache));
  }
  SKIFF_ASSIGN(const FileLock filling, FileLock::Acquire(lock, FileLock::Mode::kShared));
  const std::string draft = folder + kDraftMark + RandomHex(8);
  SKIFF_TRY(MakeDirectories(draft, 0700));
  Status filled = fill(draft);
  if (filled && ::rename(draft.c_str(), folder.c_str()) == 0) return {};
  // Another command was faster: its folder has the same content.
  if (filled && !Exists(folder)) filled = FailErrno("cannot write '" + folder + "'");
  if (const Status removed = RemoveTree(draft); !removed && filled) return removed;
  return filled;
}

// A repository may have links to anywhere.
Result<std::string> Inside(const std::string& folder, const std::string& path,
                           const std::string& shown) {
  char real[PATH_MAX], root[PATH_MAX];
  if (::realpath(folder.c_str(), root) == nullptr) return FailErrno("cannot read '" + folder + "'");
  if (::realpath(path.c_str(), real) == nullptr) {
    return Fail(Code::kNotFound, "it has no file '" + shown + "'");
  }
  if (std::string_view(real) != root && !std::string_view(real).starts_with(root + std::string("/"))) {
    return Fail(Code::kInvalidArgument, "'" + shown + "' leads out of it");
  }
  return std::string(real);
}

Result<std::string> ComposeFileIn(const std::string& folder, const std::string& subdir) {
  SKIFF_ASSIGN(const std::string path, Inside(folder, folder + "/" + subdir, subdir));
  struct stat info = {};
  if (::stat(path.c_str(), &info) != 0) return FailErrno("cannot read '" + path + "'");
  if (!S_ISDIR(info.st_mode)) return path;
  for (const std::string_view name : schema::kComposeFileNames) {
    const std::string file = path + "/" + std::string(name);
    if (!Exists(file)) continue;
    return Inside(folder, file, subdir.empty() ? std::string(name) : subdir + "/" + std::string(name));
  }
  return Fail(Code::kNotFound, "it has no Compose file" + (subdir.empty() ? "" : " in " + subdir));
}

bool IsPlainName(const std::string& name) {
  return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos;
}

// The files of an artifact as its folder has them. Compose files of one name are one file of several
// documents.
Result<std::map<std::string, std::string>> FilesOf(const engine::RegistryArtifact& artifact) {
  std::map<std::string, std::string> files;
  for (const engine::ArtifactFile& part : artifact.files) {
    const auto note = [&](const char* key) {
      const auto found = part.annotations.find(key);
      return found == part.annotations.end() ? std::string() : found->second;
    };
    std::string name;
    if (part.media_type == kComposeFile) {
      name = part.annotations.contains(kExtendsNote) ? note(kFileNote) : "compose.yaml";
    } else if (part.media_type == kEnvFile) {
      name = note(kEnvFileNote);
    } else {
      continue;
    }
    if (!IsPlainName(name)) {
      return Fail(Code::kInvalidArgument, "a file in it has the name '" + name + "'");
    }
    std::string& content = files[name];
    if (!content.empty() && part.media_type == kComposeFile) content += "\n---\n";
    content += part.bytes;
  }
  if (!files.contains("compose.yaml")) return Fail(Code::kNotFound, "it has no Compose file");
  return files;
}

Error NotHere(const Context& context) {
  return Error(Code::kUnsupported, "it is not here, and this command fetches nothing")
      .With(fmt::format("'{} pull' or '{} up' fetches it", context.program(), context.program()));
}

Status CheckAllowed(const Context& context, const char* variable) {
  const std::string value = ToLower(context.Variable(variable));
  if (value != "0" && value != "f" && value != "false") return {};
  return Fail(Code::kFailedPrecondition, fmt::format("{} forbids it", variable));
}

}  // namespace

Result<std::string> RemoteFiles::CacheFolder() const {
  std::string base = context_.Variable("XDG_CACHE_HOME");
  if (!base.starts_with('/')) {
    const std::string home = context_.Variable("HOME");
    if (!home.starts_with('/')) {
      return Fail(Code::kFailedPrecondition, "neither XDG_CACHE_HOME nor HOME says where to keep it");
    }
    base = home + "/.cache";
  }
  return base + "/skiff/remote";
}

Result<std::string> RemoteFiles::Pinned(const std::string& address) const {
  SKIFF_ASSIGN(const std::string cache, CacheFolder());
  auto text = ReadFile(cache + "/pins/" + Sha256Hex(address), 4096);
  if (text) return std::string(Trim(*text));
  if (text.error().code == Code::kNotFound) return std::string();
  return Fail(text.error());
}

Status RemoteFiles::Pin(const std::string& address, const std::string& folder) const {
  SKIFF_ASSIGN(const std::string cache, CacheFolder());
  SKIFF_TRY(MakeDirectories(cache + "/pins", 0700));
  return WriteFileAtomically(cache + "/pins/" + Sha256Hex(address), folder + "\n", 0600,
                             Durability::kVolatile);
}

Result<std::string> RemoteFiles::FindInRepository(const std::string& address) {
  SKIFF_TRY(CheckAllowed(context_, "COMPOSE_EXPERIMENTAL_GIT_REMOTE"));
  SKIFF_ASSIGN(const builder::GitAddress parsed, builder::ParseGitAddress(address));
  SKIFF_ASSIGN(const std::string cache, CacheFolder());
  // Two repositories may have one commit, and one of them more submodules than the other can get.
  const auto folder_of = [&](const std::string& commit) {
    return "git-" + commit + "-" + Sha256Hex(parsed.remote).substr(0, 12);
  };
  std::string name;
  if (fetch_) {
    builder::GitOptions options;
    options.environment = context_.around().environment;
    SKIFF_ASSIGN(options.cancel_fd, context_.InterruptFd());
    SKIFF_ASSIGN(const std::string commit, builder::ResolveGit(parsed, options));
    name = folder_of(commit);
    const auto fill = [&](const std::string& draft) {
      return builder::FetchGit(parsed, commit, draft, true, options);
    };
    SKIFF_TRY(FillFolder(cache, name, fill));
    SKIFF_TRY(Pin(address, name));
  } else if (builder::IsCommit(parsed.ref) && Exists(cache + "/" + folder_of(parsed.ref))) {
    name = folder_of(parsed.ref);
  } else {
    SKIFF_ASSIGN(name, Pinned(address));
  }
  if (!name.starts_with("git-") || !Exists(cache + "/" + name)) return Fail(NotHere(context_));
  return ComposeFileIn(cache + "/" + name, parsed.subdir);
}

Result<std::string> RemoteFiles::FindInRegistry(const std::string& address) {
  SKIFF_TRY(CheckAllowed(context_, "COMPOSE_EXPERIMENTAL_OCI_REMOTE"));
  const std::string reference = address.substr(kRegistryScheme.size());
  SKIFF_ASSIGN(const engine::Reference parsed, engine::ParseReference(reference));
  SKIFF_ASSIGN(const std::string cache, CacheFolder());
  const auto folder_of = [](const std::string& digest) {
    return "oci-" + digest.substr(digest.find(':') + 1);
  };
  std::string name;
  if (!parsed.digest.empty() && Exists(cache + "/" + folder_of(parsed.digest))) {
    name = folder_of(parsed.digest);
  } else if (fetch_) {
    SKIFF_ASSIGN(engine::Engine * engine, context_.Engine());
    SKIFF_ASSIGN(const engine::RegistryAccess access, AccessToImage(context_, reference));
    SKIFF_ASSIGN(const engine::RegistryArtifact artifact,
                 engine->FetchArtifact(reference, {kProjectType, kEmptyConfig}, access));
    name = folder_of(artifact.digest);
    SKIFF_ASSIGN(const auto files, FilesOf(artifact));
    const auto fill = [&](const std::string& draft) -> Status {
      for (const auto& [file, content] : files) {
        SKIFF_TRY(WriteFileAtomically(draft + "/" + file, content, 0600, Durability::kVolatile));
      }
      return {};
    };
    SKIFF_TRY(FillFolder(cache, name, fill));
    SKIFF_TRY(Pin(address, name));
  } else {
    SKIFF_ASSIGN(name, Pinned(address));
  }
  if (!name.starts_with("oci-") || !Exists(cache + "/" + name)) return Fail(NotHere(context_));
  return cache + "/" + name + "/compose.yaml";
}

Result<std::string> RemoteFiles::Obtain(const std::string& address) {
  const auto known = known_.find(address);
  if (known != known_.end()) return known->second;
  SKIFF_ASSIGN(std::string path, address.starts_with(kRegistryScheme) ? FindInRegistry(address)
                                                                      : FindInRepository(address));
  return known_[address] = std::move(path);
}

}  // namespace skiff::cli
