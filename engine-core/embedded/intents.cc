#include "engine-core/embedded/intents.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "base/failpoint.h"
#include "base/identity.h"
#include "base/wire.h"

namespace skiff::engine::embedded {
namespace {

enum Tag : uint16_t {
  kTagIntent = 1,
  kTagKind = 2,
  kTagId = 3,
  kTagName = 4,
  kTagAddress = 5,
  kTagSubnet = 6,
};

std::string Encode(const Intent& intent) {
  WireWriter inner;
  inner.Int(kTagKind, static_cast<int64_t>(intent.kind));
  inner.Bytes(kTagId, intent.id);
  inner.Bytes(kTagName, intent.name);
  inner.Strings(kTagAddress, intent.addresses);
  inner.Bytes(kTagSubnet, intent.subnet);
  WireWriter out;
  out.Message(kTagIntent, inner);
  return out.data();
}

// A last entry cut short was never acted upon: it is left out.
std::vector<Intent> Decode(std::string_view data) {
  std::vector<Intent> intents;
  WireReader outer(data);
  while (outer.Next()) {
    if (outer.tag() != kTagIntent) continue;
    Intent intent;
    WireReader in(outer.bytes());
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
    if (in.ok()) intents.push_back(std::move(intent));
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
    const bool alive = ::flock(file->get(), LOCK_SH | LOCK_NB) != 0;
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
  return {};
}

Status IntentLog::Append(const Intent& intent) {
  SKIFF_TRY(OpenOwn());
  SKIFF_TRY(Failpoint("intents.append"));
  SKIFF_TRY(WriteAll(file_.get(), Encode(intent), path_));
  own_.push_back(intent);
  return {};
}

Status IntentLog::Replace(const std::vector<Intent>& kept) {
  if (!file_.valid()) return {};
  SKIFF_TRY(Failpoint("intents.replace"));
  // Killed between the two calls, nothing of `kept` is told: they are containers that nobody has
  // started yet, and reconciliation removes such by their row.
  if (::ftruncate(file_.get(), 0) != 0) return FailErrno("cannot truncate '" + path_ + "'");
  std::string data;
  for (const Intent& intent : kept) data += Encode(intent);
  if (!data.empty()) SKIFF_TRY(WriteAll(file_.get(), data, path_));
  own_ = kept;
  return {};
}

Result<std::vector<Intent>> IntentLog::Others() const {
  std::vector<Intent> all;
  SKIFF_TRY(ForEach(layout_.intents(), path_,
                    [&](const std::string& path, const Fd& file, bool alive) -> Status {
                      if (!alive) return {};
                      SKIFF_ASSIGN(const std::string data, ReadAll(file.get(), 64u << 20, path));
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
                      SKIFF_ASSIGN(const std::string data, ReadAll(file.get(), 64u << 20, path));
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
