#include "builder/execute/tree_digest.h"

#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>

#include "base/atomic_file.h"
#include "base/root_path.h"
#include "builder/execute/step_key.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kMagic = "skiff digests 1\n";
constexpr int64_t kSecond = 1'000'000'000;
// A change this near to the reading may be one after it with the same time.
constexpr int64_t kFineClock = 50'000'000;
constexpr int64_t kCoarseClock = 2 * kSecond;  // Of file systems without fractions of a second.
constexpr size_t kMaximumRecords = 2'000'000;
constexpr size_t kFewFiles = 64;  // Not worth a second thread.

int64_t Nanoseconds(const timespec& time) {
  return time.tv_sec * kSecond + time.tv_nsec;
}

int64_t RealTime() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return Nanoseconds(now);
}

bool IsCopied(std::string_view name) {
  return name == "security.capability" || name.starts_with("system.posix_acl_") ||
         (name.starts_with("user.") && !name.starts_with("user.overlay."));
}

struct Job {
  std::string path;
  TreeNode* node;
};

void CollectFiles(const std::string& path, TreeNode& node, DigestStore* store,
                  std::vector<Job>& jobs) {
  if (S_ISREG(node.info.st_mode)) {
    if (store != nullptr) node.digest = store->Find(node.info);
    if (node.digest.empty()) jobs.push_back({path, &node});
  }
  for (TreeNode& child : node.children) {
    CollectFiles(path.empty() ? child.name : path + "/" + child.name, child, store, jobs);
  }
}

std::string DigestText(Sha256& hash) {
  const std::array<uint8_t, 32> bytes = hash.Finish();
  return std::string(bytes.begin(), bytes.end());
}

Status DigestFile(int root_fd, const Job& job, DigestStore* store, std::string& buffer) {
  const int64_t began = RealTime();
  SKIFF_ASSIGN(const Fd file, OpenInRoot(root_fd, job.path, O_RDONLY | O_NONBLOCK));
  struct stat& info = job.node->info;
  if (::fstat(file.get(), &info) != 0) return FailErrno("cannot read '/" + job.path + "'");
  if (!S_ISREG(info.st_mode)) {
    return Fail(Code::kFailedPrecondition, "'/" + job.path + "' changed while it was read");
  }
  Sha256 hash;
  SKIFF_ASSIGN(const AttributeList attributes, ReadAttributes(file.get(), job.path));
  for (const auto& [name, value] : attributes) {
    hash.Update(name + "=" + std::to_string(value.size()) + ":" + value);
  }
  hash.Update("\n");
  for (;;) {
    const ssize_t got = ::read(file.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return FailErrno("cannot read '/" + job.path + "'");
    if (got == 0) break;
    hash.Update({buffer.data(), static_cast<size_t>(got)});
  }
  job.node->digest = DigestText(hash);
  if (store != nullptr) store->Put(info, job.node->digest, began);
  return {};
}

void AddHeader(StepKey& key, const TreeNode& node, bool owned_by_root) {
  const struct stat& info = node.info;
  key.Add(static_cast<int64_t>(info.st_mode));
  key.Add(owned_by_root ? 0 : info.st_uid).Add(owned_by_root ? 0 : info.st_gid);
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    key.Add(static_cast<int64_t>(info.st_rdev));
  }
  key.Add(node.link).Add(node.digest);
}

class TreeHasher {
 public:
  TreeHasher(int root_fd, bool owned_by_root) : root_fd_(root_fd), owned_by_root_(owned_by_root) {}

  Status Add(StepKey& key, const std::string& path, const TreeNode& node) {
    AddHeader(key, node, owned_by_root_);
    if (!node.is_folder()) return {};
    const auto folder = OpenInRoot(root_fd_, path.empty() ? "/" : path, O_RDONLY | O_DIRECTORY);
    if (!folder) return Fail(folder.error());
    SKIFF_ASSIGN(const AttributeList attributes, ReadAttributes(folder->get(), path));
    for (const auto& [name, value] : attributes) key.Add(name).Add(value);
    key.Add(static_cast<int64_t>(node.children.size()));
    for (const TreeNode& child : node.children) {
      key.Add(child.name);
      SKIFF_TRY(Add(key, path.empty() ? child.name : path + "/" + child.name, child));
    }
    return {};
  }

 private:
  int root_fd_;
  bool owned_by_root_;
};

}  // namespace

Result<AttributeList> ReadAttributes(int fd, const std::string& path) {
  AttributeList attributes;
  std::string names(4096, '\0');
  ssize_t size = ::flistxattr(fd, names.data(), names.size());
  if (size < 0 && errno == ERANGE) {
    names.resize(65536);
    size = ::flistxattr(fd, names.data(), names.size());
  }
  if (size < 0) {
    if (errno == ENOTSUP) return attributes;
    return FailErrno("cannot list the attributes of '/" + path + "'");
  }
  names.resize(static_cast<size_t>(size));
  for (size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    if (!IsCopied(name)) continue;
    std::string value(65536, '\0');
    const ssize_t length = ::fgetxattr(fd, name.c_str(), value.data(), value.size());
    if (length < 0) return FailErrno("cannot read the attribute " + name + " of '/" + path + "'");
    value.resize(static_cast<size_t>(length));
    attributes.emplace_back(name, std::move(value));
  }
  std::ranges::sort(attributes);
  return attributes;
}

// ---- DigestStore -------------------------------------------------------------------------------

bool DigestStore::Record::Before(const Record& other) const {
  return device != other.device ? device < other.device : inode < other.inode;
}

DigestStore::Record DigestStore::RecordOf(const struct stat& info) {
  Record record;
  record.device = info.st_dev;
  record.inode = info.st_ino;
  record.size = info.st_size;
  record.modified = Nanoseconds(info.st_mtim);
  record.changed = Nanoseconds(info.st_ctim);
  return record;
}

DigestStore::DigestStore(std::string path) : path_(std::move(path)) {
  // What cannot be read is digested again.
  const auto text = ReadFile(path_, kMaximumRecords * sizeof(Record) + kMagic.size());
  if (!text || !text->starts_with(kMagic)) return;
  const size_t bytes = text->size() - kMagic.size();
  if (bytes % sizeof(Record) != 0) return;
  known_.resize(bytes / sizeof(Record));
  if (bytes != 0) ::memcpy(known_.data(), text->data() + kMagic.size(), bytes);
  const auto before = [](const Record& a, const Record& b) { return a.Before(b); };
  if (!std::ranges::is_sorted(known_, before)) known_.clear();
}

std::string DigestStore::Find(const struct stat& info) {
  const Record wanted = RecordOf(info);
  const std::lock_guard lock(mutex_);
  const auto it = std::lower_bound(known_.begin(), known_.end(), wanted,
                                   [](const Record& a, const Record& b) { return a.Before(b); });
  if (it == known_.end() || wanted.Before(*it) || it->size != wanted.size ||
      it->modified != wanted.modified || it->changed != wanted.changed) {
    return "";
  }
  it->used = 1;
  return std::string(it->digest, sizeof it->digest);
}

void DigestStore::Put(const struct stat& info, const std::string& digest, int64_t began) {
  Record record = RecordOf(info);
  const bool coarse = info.st_mtim.tv_nsec == 0 && info.st_ctim.tv_nsec == 0;
  if (record.changed > began - (coarse ? kCoarseClock : kFineClock)) return;
  if (digest.size() != sizeof record.digest) return;
  ::memcpy(record.digest, digest.data(), sizeof record.digest);
  record.used = 1;
  const std::lock_guard lock(mutex_);
  added_.push_back(record);
}

Status DigestStore::Save() {
  const std::lock_guard lock(mutex_);
  if (added_.empty()) return {};
  const auto before = [](const Record& a, const Record& b) { return a.Before(b); };
  // A newer record replaces the one of the same file.
  std::vector<Record> all = added_;
  const bool full = known_.size() + added_.size() > kMaximumRecords;
  for (const Record& record : known_) {
    if (!full || record.used != 0) all.push_back(record);
  }
  std::ranges::stable_sort(all, before);
  const auto same = [](const Record& a, const Record& b) {
    return a.device == b.device && a.inode == b.inode;
  };
  all.erase(std::unique(all.begin(), all.end(), same), all.end());
  std::string text(kMagic);
  std::vector<Record> clean = all;
  for (Record& record : clean) record.used = 0;
  text.append(reinterpret_cast<const char*>(clean.data()), clean.size() * sizeof(Record));
  known_ = std::move(all);
  added_.clear();
  const size_t slash = path_.rfind('/');
  SKIFF_TRY(MakeDirectories(path_.substr(0, slash)));
  return WriteFileAtomically(path_, text, 0600, Durability::kVolatile);
}

// ---- Trees -------------------------------------------------------------------------------------

Status DigestFiles(int root_fd, std::vector<SourceItem>& items, DigestStore* store) {
  std::vector<Job> jobs;
  for (SourceItem& item : items) CollectFiles(item.path, item.node, store, jobs);
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto work = [&]() -> Status {
    std::string buffer(1 << 17, '\0');
    for (size_t i = next++; i < jobs.size() && !failed; i = next++) {
      const Status done = DigestFile(root_fd, jobs[i], store, buffer);
      if (!done) {
        failed = true;
        return done;
      }
    }
    return {};
  };
  if (jobs.size() < kFewFiles) return work();
  Status beside;
  std::thread helper([&] { beside = work(); });
  const Status own = work();
  helper.join();
  SKIFF_TRY(own);
  return beside;
}

Result<std::string> DigestItems(int root_fd, const std::vector<SourceItem>& items,
                                bool owned_by_root) {
  StepKey key("tree");
  TreeHasher hasher(root_fd, owned_by_root);
  key.Add(static_cast<int64_t>(items.size()));
  for (const SourceItem& item : items) {
    key.Add(item.node.name);
    SKIFF_TRY(hasher.Add(key, item.path, item.node));
  }
  return key.Finish();
}

}  // namespace skiff::builder
