#include "engine-core/child/inside/stat.h"

#include <asm/statfs.h>
#include <linux/stat.h>

namespace skiff::engine::child::inside {
namespace {

constexpr unsigned kWanted = STATX_TYPE | STATX_MODE | STATX_UID;

FileFacts Convert(const struct statx& data) {
  return {data.stx_mode, data.stx_uid, data.stx_rdev_major, data.stx_rdev_minor};
}

}  // namespace

FileFacts FactsOf(int fd) {
  struct statx data;
  if (Syscall(__NR_statx, fd, W(""), kAtEmptyPath, kWanted, W(&data)) < 0) return {};
  return Convert(data);
}

FileFacts FactsOfPath(const char* path, Word* error) {
  struct statx data;
  *error = Syscall(__NR_statx, kAtCwd, W(path), 0, kWanted, W(&data));
  return *error < 0 ? FileFacts{} : Convert(data);
}

uint64_t MountIdOf(const char* path) {
  struct statx data;
  if (Syscall(__NR_statx, kAtCwd, W(path), 0, STATX_MNT_ID, W(&data)) < 0) return 0;
  return (data.stx_mask & STATX_MNT_ID) != 0 ? data.stx_mnt_id : 0;
}

bool IsCharacterDevice(int fd, uint32_t major, uint32_t minor) {
  const FileFacts facts = FactsOf(fd);
  return (facts.mode & 0170000) == 0020000 && facts.device_major == major &&
         facts.device_minor == minor;
}

uint64_t FileSystemMagic(int fd) {
  struct statfs data;
  if (Syscall(__NR_fstatfs, fd, W(&data)) < 0) return 0;
  return static_cast<uint64_t>(data.f_type);
}

}  // namespace skiff::engine::child::inside
