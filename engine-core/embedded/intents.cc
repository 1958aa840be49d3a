#include "engine-core/embedded/intents.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <optional>

#include "base/failpoint.h"
#include "base/identity.h"
#include "base/text.h"
#include "base/wire.h"

namespace skiff::engine::embedded {
namespace {

constexpr size_t kLongest = 64u << 20;

enum Tag : uint16_t {
  kTagIntent = 1,
  kTagKind = 2,
  kTagId = 3,
  kTagName = 4,
  kTagAddress = 5,
  kTagSubnet = 6,
  kTagOnly = 7,  // Intents in place of all before it.
  kTagOwner = 8,
  kTagPid = 9,
  kTagStart = 10,
  kTagNamespace = 11,
};

// The process that a file belongs to. A process that it starts has its locks until it executes
// another program or closes what it has: with a command that is killed just then, a lock alone would
// speak for a dead one.
struct Holder {
  int64_t pid = 0;
  int64_t start = 0;      // Of the kernel's clock ticks.
  int64_t pid_space = 0;  // The namespace in which this number is its.
};

int64_t OwnPidSpace() {
  struct stat status = {};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? static_cast<int64_t>(status.st_ino) : 0;
}

struct ProcessStatus {
  char state = 0;
  int64_t threads = 0;
  int64_t start = 0;
};

// Nothing: there is no such process. See proc_pid_stat(5); the name may have blanks and parentheses.
std::optional<ProcessStatus> StatusOf(int64_t pid) {
  const auto text = ReadFile("/proc/" + std::to_string(pid) + "/stat");
  if (!text) return std::nullopt;
  const size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  const auto fields = Split(std::string_view(*text).substr(name_end + 1), ' ');
  constexpr size_t kState = 1, kThreads = 18, kStart = 20;
  if (fields.size() <= kStart || fields[kState].empty()) return std::nullopt;
  ProcessStatus status;
  status.state = fields[kState][0];
  status.threads = ParseNumber<int64_t>(fields[kThreads]).value_or(0);
  status.start = ParseNumber<int64_t>(fields[kStart]).value_or(0);
  return status;
}

Holder OwnerOfThis() {
  Holder owner;
  owner.pid = ::getpid();
  owner.pid_space = OwnPidSpace();
  if (const auto status = StatusOf(owner.pid)) owner.start = status->start;
  return owner;
}

std::string Encode(const Holder& owner) {
  WireWriter inner;
  inner.Int(kTagPid, owner.pid);
  inner.Int(kTagStart, owner.start);
  inner.Int(kTagNamespace, owner.pid_space);
  WireWriter out;
  out.Message(kTagOwner, inner);
  return out.data();
}

std::optional<Holder> DecodeOwner(std::string_view data) {
  WireReader outer(data);
  if (!outer.Next() || outer.tag() != kTagOwner) return std::nullopt;
  Holder owner;
  WireReader in(outer.bytes());
  while (in.Next()) {
    if (in.tag() == kTagPid) owner.pid = in.integer();
    if (in.tag() == kTagStart) owner.start = in.integer();
    if (in.tag() == kTagNamespace) owner.pid_space = in.integer();
  }
  return in.ok() ? std::optional(owner) : std::nullopt;
}

// False too when that cannot be told from here.
bool HasDied(const Holder& owner) {
  if (owner.start == 0 || owner.pid_space == 0 || owner.pid_space != OwnPidSpace()) return false;
  const auto status = StatusOf(owner.pid);
  if (!status || status->start != owner.start) return true;
  // Others of its threads may be at work in the kernel after its first one has ended.
  return (status->state == 'Z' || status->state == 'X') && status->threads <= 1;
}

void Encode(const Intent& intent, WireWriter* out) {
  WireWriter inner;
  inner.Int(kTagKind, static_cast<int64_t>(intent.kind));
  inner.Bytes(kTagId, intent.id);
  inner.Bytes(kTagName, intent.name);
  inner.Strings(kTagAddress, intent.addresses);
  inner.Bytes(kTagSubnet, intent.subnet);
  out->Message(kTagIntent, inner);
}

std::optional<Intent> DecodeIntent(std::string_view data) {
  Intent intent;
  WireReader in(data);
  while (in.Next()) {
    switch (in.tag()) {
      case kTagKind:
        intent.kind = static_cast<Intent::Kind>(in.integer());
        break;
      case kTagId:
        intent.id = in.text();
        break;
      case kTagName:
        intent.name = in.text();
        break;
      case kTagAddress:
        intent.addresses.push_back(in.text());
        break;
      case kTagSubnet:
        intent.subnet = in.text();
        break;
      default:
        break;
    }
  }
  return in.ok() ? std::optional(std::move(intent)) : std::nullopt;
}

// A last entry cut short was never acted upon: it is left out.
std::vector<Intent> Decode(std::string_view data) {
  std::vector<Intent> intents;
  WireReader outer(data);
  while (outer.Next()) {
    if (outer.tag() == kTagOnly) {
      intents = Decode(outer.bytes());
    } else if (outer.tag() == kTagIntent) {
      if (auto intent = DecodeIntent(outer.bytes())) intents.push_back(std::move(*intent));
    }
  }
  return intents;
}

// Calls `visit(path, alive)` for each file of another process.
template <typename Visit>
Status ForEach(const std::string& folder_path, const std::string& own, Visit visit) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_path.c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + folder_path + "'");
  while (const dirent* entry = ::readdir(folder.get())) {
    if (entry->d_name[0] == '.') continue;
    const std::string path = folder_path + "/" + entry->d_name;
    if (path == own) continue;
    auto file = OpenFile(path, O_RDONLY);
    if (!file) continue;  // Its owner has just ended well.
    bool alive = ::flock(file->get(), LOCK_SH | LOCK_NB) != 0;
    if (alive) {
      SKIFF_ASSIGN(const std::string data, ReadAll(file->get(), kLongest, path));
      const auto owner = DecodeOwner(data);
      alive = !owner || !HasDied(*owner);
      if (::lseek(file->get(), 0, SEEK_SET) != 0) return FailErrno("cannot read '" + path + "'");
    }
    SKIFF_TRY(visit(path, *file, alive));
  }
  return {};
}

}  // namespace

IntentLog::~IntentLog() {
  // With something left undone the file stays, and tells the next command.
  if (!path_.empty() && own_.empty()) ::unlink(path_.c_str());
}

Status IntentLog::OpenOwn() {
  if (file_.valid()) return {};
  const std::string path = layout_.intents() + "/" + RandomHex(8);
  SKIFF_ASSIGN(file_, OpenFile(path, O_RDWR | O_CREAT | O_EXCL | O_APPEND, 0600));
  // Waits for nobody but who asks just now whether the file has an owner.
  while (::flock(file_.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return FailErrno("cannot lock '" + path + "'");
  }
  path_ = path;
  return WriteAll(file_.get(), Encode(OwnerOfThis()), path_);
}

Status IntentLog::Append(const Intent& intent) {
  SKIFF_TRY(OpenOwn());
  SKIFF_TRY(Failpoint("intents.append"));
  WireWriter out;
  Encode(intent, &out);
  SKIFF_TRY(WriteAll(file_.get(), out.data(), path_));
  own_.push_back(intent);
  return {};
}

Status IntentLog::Replace(const std::vector<Intent>& kept) {
  if (!file_.valid() || kept == own_) return {};
  SKIFF_TRY(Failpoint("intents.replace"));
  // One call: whenever it is killed, either the old ones or `kept` are told.
  WireWriter inner;
  for (const Intent& intent : kept) Encode(intent, &inner);
  WireWriter out;
  out.Message(kTagOnly, inner);
  SKIFF_TRY(WriteAll(file_.get(), out.data(), path_));
  own_ = kept;
  return {};
}

Result<std::vector<Intent>> IntentLog::Others() const {
  std::vector<Intent> all;
  SKIFF_TRY(ForEach(layout_.intents(), path_,
                    [&](const std::string& path, const Fd& file, bool alive) -> Status {
                      if (!alive) return {};
                      SKIFF_ASSIGN(const std::string data, ReadAll(file.get(), kLongest, path));
                      for (Intent& intent : Decode(data)) all.push_back(std::move(intent));
                      return {};
                    }));
  return all;
}

Result<std::vector<IntentLog::Leftover>> IntentLog::Leftovers() const {
  std::vector<Leftover> all;
  SKIFF_TRY(ForEach(layout_.intents(), path_,
                    [&](const std::string& path, const Fd& file, bool alive) -> Status {
                      if (alive) return {};
                      SKIFF_ASSIGN(const std::string data, ReadAll(file.get(), kLongest, path));
                      all.push_back({path, Decode(data)});
                      return {};
                    }));
  return all;
}

Result<bool> IntentLog::SomebodyDied() const {
  bool died = false;
  // An empty file too, though nothing was announced: it goes with the repair.
  SKIFF_TRY(
      ForEach(layout_.intents(), path_, [&](const std::string&, const Fd&, bool alive) -> Status {
        died = died || !alive;
        return {};
      }));
  return died;
}

Status IntentLog::Forget(const Leftover& leftover) {
  if (::unlink(leftover.path.c_str()) != 0 && errno != ENOENT) {
    return FailErrno("cannot remove '" + leftover.path + "'");
  }
  return {};
}

}  // namespace skiff::engine::embedded
