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

Result<bool> VolumeFolders::CopyUp(const std::string& name, int root_fd,
                                   const std::string& path) const {
  const std::string data = DataPath(name);
  const std::string marker = Folder(name) + "/copying";
  SKIFF_ASSIGN(const FileLock lock,
               FileLock::Acquire(Folder(name) + "/lock", FileLock::Mode::kExclusive));
  const bool cut_short = ::access(marker.c_str(), F_OK) == 0;
  SKIFF_ASSIGN(const bool empty, IsEmptyFolder(data));
  if (!empty && !cut_short) return false;
  auto source = OpenInRoot(root_fd, path, O_RDONLY | O_DIRECTORY);
  if (!source) {
    const int why = source.error().sys_errno;
    if (why == ENOENT || why == ENOTDIR) return false;
    return Fail(std::move(source).error());
  }
  SKIFF_TRY(WriteFileAtomically(marker, "", 0600, Durability::kDurable));
  if (cut_short) {
    SKIFF_TRY(RemoveTree(data));
    SKIFF_TRY(Create(name));
  }
  SKIFF_ASSIGN(const Fd target, OpenFile(data, O_RDONLY | O_DIRECTORY));
  SKIFF_TRY(Failpoint("volumes.copy_up"));
  SKIFF_TRY(CopyTree(source->get(), target.get()));
  // The marker may go only once the content would survive a power cut.
  if (::syncfs(target.get()) != 0) return FailErrno("cannot sync '" + data + "'");
  SKIFF_TRY(Failpoint("volumes.copy_up.unmark"));
  if (::unlink(marker.c_str()) != 0) return FailErrno("cannot remove '" + marker + "'");
  return true;
}

}  // namespace skiff::volumes
