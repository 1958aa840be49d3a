// What ADD brings from addresses: one file, or the files of a repository.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/identity.h"
#include "base/text.h"
#include "base/trace.h"
#include "builder/execute/remote_source.h"
#include "builder/execute/session.h"

namespace skiff::builder {
namespace {

constexpr mode_t kFileMode = 0600;
constexpr size_t kMaximumRecord = 64u << 10;
constexpr const char* kTokenSecret = "GIT_AUTH_TOKEN";

// What the last download of an address said. Format: "skiff address 1", digest, ETag, Last-Modified,
// a line each; anything else is taken for nothing.
struct AddressRecord {
  std::string digest, etag, modified;

  static constexpr std::string_view kTitle = "skiff address 1";
  static std::string PathOf(const std::string& cache_folder, const std::string& url) {
    return cache_folder + "/addresses/" + Sha256Hex(url).substr(0, 32);
  }
  static AddressRecord Read(const std::string& path) {
    AddressRecord record;
    const auto text = ReadFile(path, kMaximumRecord);
    if (!text) return record;
    const std::vector<std::string_view> lines = Split(*text, '\n');
    if (lines.size() != 5 || lines[0] != kTitle) return record;
    record.digest = lines[1];
    record.etag = lines[2];
    record.modified = lines[3];
    return record;
  }
  // What is not remembered is downloaded again, nothing else.
  void Write(const std::string& folder, const std::string& path) const {
    if (etag.empty() && modified.empty()) return;
    if (!MakeDirectories(folder + "/addresses")) return;
    const std::string text =
        Join({std::string(kTitle), digest, etag, modified}, "\n") + "\n";
    [[maybe_unused]] const Status written =
        WriteFileAtomically(path, text, 0600, Durability::kVolatile);
  }
};

std::string PercentDecoded(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' && i + 2 < text.size()
                          ? ParseNumber<uint8_t>(text.substr(i + 1, 2), 16)
                          : std::nullopt;
    out += byte ? static_cast<char>(*byte) : text[i];
    if (byte) i += 2;
  }
  return out;
}

// Last-Modified in seconds since the epoch; 0 without one.
int64_t TimeOf(const std::string& modified) {
  struct tm time {};
  const char* end = ::strptime(modified.c_str(), "%a, %d %b %Y %H:%M:%S GMT", &time);
  return end != nullptr && *end == '\0' ? ::timegm(&time) : 0;
}

}  // namespace

std::string FileNameOf(std::string_view url) {
  std::string_view path = url.substr(0, url.find_first_of("?#"));
  const size_t host = path.find("://");
  path = host == std::string_view::npos ? path : path.substr(host + 3);
  const size_t slash = path.find('/');
  const std::string decoded =
      slash == std::string_view::npos ? "" : PercentDecoded(path.substr(slash));
  std::string_view name = decoded;
  while (name.ends_with('/')) name.remove_suffix(1);
  name.remove_prefix(name.rfind('/') == std::string_view::npos ? 0 : name.rfind('/') + 1);
  const bool usable = !name.empty() && name != "." && name != ".." &&
                      name.find('\0') == std::string_view::npos;
  return usable ? std::string(name) : "__unnamed__";
}

Result<GitOptions> BuildSession::GitOptionsOf() const {
  GitOptions options;
  options.environment = shared_.options().environment;
  options.cancel_fd = shared_.options().cancel_fd;
  const auto secret = settings_.secrets.find(kTokenSecret);
  if (secret == settings_.secrets.end()) return options;
  if (secret->second.value) {
    options.token = *secret->second.value;
  } else {
    SKIFF_ASSIGN(const std::string text, ReadFile(secret->second.path, kMaximumRecord));
    options.token = Trim(text);
  }
  return options;
}

Result<engine::Downloaded> BuildSession::Download(const StepPlace& place, RemoteSource& remote,
                                                  const engine::DownloadOptions& options) {
  SKIFF_TRY(Failpoint("build.download"));
  OpenedSource opened;
  SKIFF_ASSIGN(opened.layer, shared_.engine().CreateLayer({}));
  SKIFF_ASSIGN(opened.fd, opened.layer->OpenRoot());
  SKIFF_ASSIGN(const Fd file, OpenFileAt(opened.fd.get(), remote.name,
                                         O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, kFileMode));
  const std::string& url = remote.source->path;
  int64_t told = 0;
  engine::DownloadOptions request = options;
  request.progress = [&](int64_t bytes) {
    constexpr int64_t kStep = int64_t{16} << 20;
    if (bytes - told < kStep) return;
    told = bytes;
    progress_.Detail(place.progress, "downloading " + url + ": " +
                                         std::to_string(bytes >> 20) + " MiB");
  };
  SKIFF_ASSIGN(engine::Downloaded got, shared_.engine().DownloadFile(url, file.get(), request));
  if (!got.changed) return got;
  if (::fchmod(file.get(), kFileMode) != 0) return FailErrno("cannot set the mode of " + url);
  const int64_t seconds = TimeOf(got.modified);
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  if (::futimens(file.get(), times) != 0) return FailErrno("cannot set the time of " + url);
  opened.root = {opened.fd.get(), nullptr};
  remote.opened = std::move(opened);
  return got;
}

// The digest of what is there now. Where --checksum says it, nobody is asked.
Status BuildSession::ResolveFile(const StepPlace& place, const std::string& checksum,
                                 RemoteSource& remote) {
  remote.name = FileNameOf(remote.source->path);
  std::string digest = checksum;
  if (digest.empty()) {
    const std::string& folder = shared_.options().cache_folder;
    const std::string path = AddressRecord::PathOf(folder, remote.source->path);
    AddressRecord record = UsesCache(place.stage) ? AddressRecord::Read(path) : AddressRecord();
    engine::DownloadOptions options;
    options.settings = shared_.options().downloads;
    options.etag = record.etag;
    options.modified = record.modified;
    SKIFF_ASSIGN(const engine::Downloaded got, Download(place, remote, options));
    if (got.changed) {
      record = {got.digest, got.etag, got.modified};
      record.Write(folder, path);
    }
    digest = record.digest;
  }
  remote.identity = StepKey("file").Add(remote.name).Add(digest).Finish();
  return {};
}

Status BuildSession::ResolveRepository(const CopyStep& copy, RemoteSource& remote) {
  SKIFF_ASSIGN(remote.git, ParseGitAddress(remote.source->path));
  if (!copy.checksum.empty()) remote.git.checksum = copy.checksum;
  remote.keep_git_dir = remote.git.keep_git_dir.value_or(copy.keep_git_dir);
  SKIFF_ASSIGN(const GitOptions options, GitOptionsOf());
  SKIFF_ASSIGN(remote.commit, ResolveGit(remote.git, options));
  StepKey key("repository");
  key.Add(remote.commit).Add(remote.git.subdir);
  key.Add(remote.git.submodules.value_or(true)).Add(remote.keep_git_dir);
  // With its folder .git, the address is in the files.
  if (remote.keep_git_dir) key.Add(remote.git.remote);
  remote.identity = key.Finish();
  return {};
}

Result<BuildSession::RemoteSource> BuildSession::Resolve(const StepPlace& place,
                                                         const CopyStep& copy,
                                                         const CopySource& source) {
  const TraceSpan span("build.resolve_address");
  RemoteSource remote;
  remote.source = &source;
  if (source.kind == CopyKind::kUrl) {
    SKIFF_TRY(ResolveFile(place, copy.checksum, remote));
  } else {
    SKIFF_TRY(ResolveRepository(copy, remote));
  }
  return remote;
}

Status BuildSession::Fetch(const StepPlace& place, RemoteSource& remote) {
  if (remote.opened.fd) return {};
  if (remote.name.empty()) {
    OpenedSource opened;
    SKIFF_ASSIGN(opened.layer, shared_.engine().CreateLayer({}));
    SKIFF_ASSIGN(opened.fd, opened.layer->OpenRoot());
    SKIFF_ASSIGN(const std::string folder,
                 PathOfDescriptor(opened.fd.get(), "the folder of what was fetched"));
    SKIFF_ASSIGN(const GitOptions options, GitOptionsOf());
    SKIFF_TRY(FetchGit(remote.git, remote.commit, folder, remote.keep_git_dir, options));
    opened.root = {opened.fd.get(), nullptr};
    remote.opened = std::move(opened);
    return {};
  }
  engine::DownloadOptions options;
  options.settings = shared_.options().downloads;
  SKIFF_ASSIGN(const engine::Downloaded got, Download(place, remote, options));
  if (StepKey("file").Add(remote.name).Add(got.digest).Finish() != remote.identity) {
    return Fail(Code::kCorrupted, "digest mismatch: " + remote.source->path + " has the digest " +
                                      got.digest + ", which is not the one expected");
  }
  return {};
}

}  // namespace skiff::builder
