#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"

// Named volumes as folders: <root>/<name>/_data is what a container sees, beside it lie a lock and,
// while content of an image is being copied in, a marker. The module knows folders and names;
// containers, images and rows are its callers' business.
namespace skiff::volumes {

// docker: [a-zA-Z0-9][a-zA-Z0-9_.-]+, so at least two characters.
Status ValidateName(std::string_view name);

// Options of the local driver, as `docker volume create -o` takes them.
struct LocalOptions {
  std::string bind_source;  // Of type=none (or absent), o=bind, device=PATH: use that folder.
  bool read_only = false;
};
// kUnsupported names the option this driver does not have; kInvalidArgument a wrong value.
Result<LocalOptions> ParseLocalOptions(const std::map<std::string, std::string>& options);

class VolumeFolders {
 public:
  // `root`: the folder that holds all volumes; `trash`: on the same file system.
  VolumeFolders(std::string root, std::string trash)
      : root_(std::move(root)), trash_(std::move(trash)) {}

  // Path of the data, whether it exists or not.
  std::string DataPath(std::string_view name) const;
  // Makes the folder; an existing one is kept with its content.
  Status Create(const std::string& name) const;
  // Renames it away at once, then deletes. A missing one is no error.
  Status Remove(const std::string& name) const;

  // The same for one without data; one with data stays.
  Status RemoveEmpty(const std::string& name) const;

  // Copies the folder `path` inside `root_fd` (an image's root) into the volume, with owner, mode,
  // times, extended attributes and hard links, if the volume is empty and the path is a folder.
  // Links in `path` are followed inside that root only. A copy that was cut short is done anew, or
  // brought to its end; what others have put there meanwhile stays. True when something was copied.
  Result<bool> CopyUp(const std::string& name, int root_fd, const std::string& path) const;

  // Copies whose maker died: one that is not whole goes, a whole one is brought to its end. One that
  // is being made stays.
  Status SettleAbandonedCopies() const;

  // Marks a volume whose row is about to go, so that whoever finds the folder without a row knows
  // that its data was given up, not lost. Needs no sync of its own: the commit that erases the row
  // comes later on the same file system. Spare() takes the mark away.
  Status Doom(const std::string& name) const;
  bool IsDoomed(const std::string& name) const;
  Status Spare(const std::string& name) const;

 private:
  std::string Folder(std::string_view name) const { return root_ + "/" + std::string(name); }
  std::string DoomedMarker(std::string_view name) const { return Folder(name) + "/doomed"; }
  static Status MoveIn(const std::string& whole, const std::string& data);

  std::string root_;
  std::string trash_;
};

// Copies the content of folder `from` into folder `to` (both descriptors of open folders), and the
// owner, mode, times and attributes of the folder itself. Never follows links, skips sockets.
Status CopyTree(int from, int to);
// The latter alone.
Status CopyFolderMetadata(int from, int to);

}  // namespace skiff::volumes
