#include "volumes/volumes.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>

#include "base/atomic_file.h"
#include "base/failpoint.h"
#include "base/fd.h"
#include "base/identity.h"
#include "base/root_path.h"
#include "base/text.h"

namespace skiff::volumes {
namespace {

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
         c == '.' || c == '-';
}

Result<bool> IsEmptyFolder(const std::string& path) {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + path + "'");
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") return false;
  }
  return true;
}

}  // namespace

Status ValidateName(std::string_view name) {
  const bool starts_well = !name.empty() && name[0] != '_' && name[0] != '.' && name[0] != '-';
  bool valid = starts_well && name.size() >= 2 && name.size() <= 255;
  for (const char c : name) valid = valid && IsNameCharacter(c);
  if (valid) return {};
  return Fail(Code::kInvalidArgument,
              "\"" + std::string(name) +
                  "\" includes invalid characters for a local volume name, only "
                  "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed (at least two characters)");
}

Result<LocalOptions> ParseLocalOptions(const std::map<std::string, std::string>& options) {
  LocalOptions parsed;
  const auto value = [&](const char* key) {
    const auto it = options.find(key);
    return it == options.end() ? std::string() : it->second;
  };
  for (const auto& [key, text] : options) {
    if (key != "type" && key != "o" && key != "device") {
      return Fail(Code::kUnsupported, "the local volume driver has no option '" + key + "'");
    }
  }
  if (options.empty()) return parsed;
  bool bind = false;
  for (const std::string_view word : Split(value("o"), ',')) {
    if (word == "bind" || word == "rbind") {
      bind = true;
    } else if (word == "ro") {
      parsed.read_only = true;
    } else if (!word.empty() && word != "rw") {
      return Fail(Code::kUnsupported,
                  "the local volume driver has no mount option '" + std::string(word) + "'");
    }
  }
  const std::string type = value("type");
  if (!bind || (type != "" && type != "none")) {
    return Fail(Code::kUnsupported, "the local volume driver can bind a folder (o=bind) only; '" +
                                        (type.empty() ? value("o") : type) + "' is not supported");
  }
  parsed.bind_source = value("device");
  if (parsed.bind_source.empty() || parsed.bind_source[0] != '/') {
    return Fail(Code::kInvalidArgument,
                "the option device of a bind volume must be an absolute path, not '" +
                    parsed.bind_source + "'");
  }
  return parsed;
}

std::string VolumeFolders::DataPath(std::string_view name) const {
  return Folder(name) + "/_data";
}

Status VolumeFolders::Create(const std::string& name) const {
  SKIFF_TRY(ValidateName(name));
  SKIFF_TRY(Failpoint("volumes.create"));
  SKIFF_TRY(MakeDirectories(Folder(name), 0700));
  const std::string data = DataPath(name);
  if (::mkdir(data.c_str(), 0755) == 0) {
    // As docker: anybody who reaches it may read; the folder above is closed to other users.
    if (::chmod(data.c_str(), 0755) != 0) return FailErrno("cannot set the mode of '" + data + "'");
    return {};
  }
  if (errno != EEXIST) return FailErrno("cannot make '" + data + "'");
  return {};
}

Status VolumeFolders::Remove(const std::string& name) const {
  SKIFF_TRY(ValidateName(name));
  const std::string doomed = trash_ + "/volume-" + RandomHex(8);
  SKIFF_TRY(Failpoint("volumes.remove"));
  if (::rename(Folder(name).c_str(), doomed.c_str()) != 0) {
    if (errno == ENOENT) return {};
    return FailErrno("cannot remove the volume '" + name + "'");
  }
  return RemoveTree(doomed);
}

Status VolumeFolders::RemoveEmpty(const std::string& name) const {
  SKIFF_TRY(ValidateName(name));
  const std::string data = DataPath(name);
  if (::rmdir(data.c_str()) == 0 || errno == ENOENT) return Remove(name);
  if (errno == ENOTEMPTY || errno == EEXIST) return {};
  return FailErrno("cannot remove '" + data + "'");
}

Status VolumeFolders::Doom(const std::string& name) const {
  SKIFF_TRY(ValidateName(name));
  const std::string marker = DoomedMarker(name);
  const Result<Fd> made = OpenFile(marker, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (made || made.error().sys_errno == ENOENT) return {};  // Without a folder there is no data.
  return Fail(made.error());
}

bool VolumeFolders::IsDoomed(const std::string& name) const {
  return ::access(DoomedMarker(name).c_str(), F_OK) == 0;
}

Status VolumeFolders::Spare(const std::string& name) const {
  if (::unlink(DoomedMarker(name).c_str()) == 0 || errno == ENOENT) return {};
  return FailErrno("cannot remove '" + DoomedMarker(name) + "'");
}

Result<bool> VolumeFolders::CopyUp(const std::string& name, int root_fd,
                                   const std::string& path) const {
  const std::string data = DataPath(name);
  const std::string copy = Folder(name) + "/copy";
  const std::string whole = Folder(name) + "/copied";
  SKIFF_ASSIGN(const FileLock lock,
               FileLock::Acquire(Folder(name) + "/lock", FileLock::Mode::kExclusive));
  if (::access(whole.c_str(), F_OK) == 0) {
    SKIFF_TRY(MoveIn(whole, data));
    return true;
  }
  SKIFF_TRY(RemoveTree(copy));
  SKIFF_ASSIGN(const bool empty, IsEmptyFolder(data));
  if (!empty) return false;
  auto source = OpenInRoot(root_fd, path, O_RDONLY | O_DIRECTORY);
  if (!source) {
    const int why = source.error().sys_errno;
    if (why == ENOENT || why == ENOTDIR) return false;
    return Fail(std::move(source).error());
  }
  const Status copied = [&]() -> Status {
    if (::mkdir(copy.c_str(), 0700) != 0) return FailErrno("cannot make '" + copy + "'");
    SKIFF_ASSIGN(const Fd target, OpenFile(copy, O_RDONLY | O_DIRECTORY));
    SKIFF_TRY(Failpoint("volumes.copy_up"));
    SKIFF_TRY(CopyTree(source->get(), target.get()));
    // It may count as whole only once the content would survive a power cut.
    if (::syncfs(target.get()) != 0) return FailErrno("cannot sync '" + copy + "'");
    if (::rename(copy.c_str(), whole.c_str()) == 0) return {};
    return FailErrno("cannot rename '" + copy + "'");
  }();
  if (!copied) {
    // The failure that matters is told; what stays is removed by the next copy.
    [[maybe_unused]] const Status removed = RemoveTree(copy);
    return Fail(copied.error());
  }
  SKIFF_TRY(MoveIn(whole, data));
  return true;
}

Status VolumeFolders::SettleAbandonedCopies() const {
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(root_.c_str()), ::closedir);
  if (!folder) {
    if (errno == ENOENT) return {};
    return FailErrno("cannot read '" + root_ + "'");
  }
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string volume = root_ + "/" + entry->d_name;
    const std::string copy = volume + "/copy";
    const std::string whole = volume + "/copied";
    if (entry->d_name[0] == '.') continue;
    if (::access(copy.c_str(), F_OK) != 0 && ::access(whole.c_str(), F_OK) != 0) continue;
    const auto lock = FileLock::TryAcquire(volume + "/lock", FileLock::Mode::kExclusive);
    if (!lock) continue;
    SKIFF_TRY(RemoveTree(copy));
    if (::access(whole.c_str(), F_OK) == 0) SKIFF_TRY(MoveIn(whole, DataPath(entry->d_name)));
  }
  return {};
}

Status VolumeFolders::MoveIn(const std::string& whole, const std::string& data) {
  SKIFF_TRY(Failpoint("volumes.copy_up.move"));
  SKIFF_ASSIGN(const Fd from, OpenFile(whole, O_RDONLY | O_DIRECTORY));
  SKIFF_ASSIGN(const Fd to, OpenFile(data, O_RDONLY | O_DIRECTORY));
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(whole.c_str()), ::closedir);
  if (!folder) return FailErrno("cannot read '" + whole + "'");
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name = entry->d_name;
    if (name == "." || name == "..") continue;
    const int moved =
        ::renameat2(from.get(), entry->d_name, to.get(), entry->d_name, RENAME_NOREPLACE);
    // Whoever shares the volume was faster: theirs stays.
    if (moved != 0 && errno != EEXIST) {
      return FailErrno("cannot move '" + whole + "/" + std::string(name) + "'");
    }
  }
  SKIFF_TRY(CopyFolderMetadata(from.get(), to.get()));
  return RemoveTree(whole);
}

}  // namespace skiff::volumes
