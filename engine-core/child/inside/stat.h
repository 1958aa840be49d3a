#pragma once

#include "engine-core/child/inside/sys.h"

// What a descriptor refers to, without libc's struct stat (statx has one layout everywhere).
namespace skiff::engine::child::inside {

struct FileFacts {
  uint32_t mode = 0;  // 0: unknown.
  uint32_t uid = 0;
  uint32_t device_major = 0;  // Of a node.
  uint32_t device_minor = 0;
};
FileFacts FactsOf(int fd);
FileFacts FactsOfPath(const char* path, Word* error);

inline uint32_t ModeOf(int fd) {
  return FactsOf(fd).mode;
}
inline bool IsDirectory(int fd) {
  return (ModeOf(fd) & 0170000) == 0040000;
}
inline bool IsRegular(int fd) {
  return (ModeOf(fd) & 0170000) == 0100000;
}
inline bool IsPipe(int fd) {
  return (ModeOf(fd) & 0170000) == 0010000;
}
bool IsCharacterDevice(int fd, uint32_t major, uint32_t minor);

uint64_t MountIdOf(const char* path);  // 0: unknown (before Linux 5.8).

// statfs f_type, 0 when unknown.
uint64_t FileSystemMagic(int fd);

}  // namespace skiff::engine::child::inside
