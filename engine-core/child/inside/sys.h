#pragma once

#include <asm/unistd.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>

// System calls as the code between clone and exec makes them: straight into the kernel, no errno,
// no libc. Each returns the kernel's value: negative is -errno.
namespace skiff::engine::child::inside {

using Word = long;

#if defined(__x86_64__)
inline Word Syscall(long number, Word a = 0, Word b = 0, Word c = 0, Word d = 0, Word e = 0,
                    Word f = 0) {
  Word result;
  register Word r10 asm("r10") = d;
  register Word r8 asm("r8") = e;
  register Word r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}
#elif defined(__aarch64__)
inline Word Syscall(long number, Word a = 0, Word b = 0, Word c = 0, Word d = 0, Word e = 0,
                    Word f = 0) {
  register Word x8 asm("x8") = number;
  register Word x0 asm("x0") = a;
  register Word x1 asm("x1") = b;
  register Word x2 asm("x2") = c;
  register Word x3 asm("x3") = d;
  register Word x4 asm("x4") = e;
  register Word x5 asm("x5") = f;
  asm volatile("svc #0"
               : "+r"(x0)
               : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
               : "memory");
  return x0;
}
#else
#error "no system call stub for this architecture"
#endif

inline Word W(const void* pointer) {
  return reinterpret_cast<Word>(pointer);
}

// Names from asm/unistd.h that old headers lack.
#ifndef __NR_mount_setattr
#define __NR_mount_setattr 442
#endif

inline constexpr int kAtCwd = -100;
inline constexpr int kAtEmptyPath = 0x1000;
inline constexpr int kAtRecursive = 0x8000;
inline constexpr int kAtSymlinkNofollow = 0x100;

inline constexpr int kOpenPath = 010000000;
inline constexpr int kOpenCloexec = 02000000;
#if defined(__aarch64__)
inline constexpr int kOpenDirectory = 040000;
inline constexpr int kOpenNofollow = 0100000;
#else
inline constexpr int kOpenDirectory = 0200000;
inline constexpr int kOpenNofollow = 0400000;
#endif
inline constexpr int kOpenNonblock = 04000;
inline constexpr int kOpenNoctty = 0400;
inline constexpr int kOpenCreate = 0100;
inline constexpr int kOpenExclusive = 0200;
inline constexpr int kOpenWrite = 1;
inline constexpr int kOpenReadWrite = 2;

inline constexpr uint64_t kResolveNoXdev = 0x01;
inline constexpr uint64_t kResolveNoMagiclinks = 0x02;
inline constexpr uint64_t kResolveNoSymlinks = 0x04;
inline constexpr uint64_t kResolveBeneath = 0x08;
inline constexpr uint64_t kResolveInRoot = 0x10;

struct OpenHow {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

inline int Open(const char* path, int flags, int mode = 0) {
  return static_cast<int>(Syscall(__NR_openat, kAtCwd, W(path), flags | kOpenCloexec, mode));
}
inline int OpenAt(int dir, const char* path, int flags, int mode = 0) {
  return static_cast<int>(Syscall(__NR_openat, dir, W(path), flags | kOpenCloexec, mode));
}
inline int Close(int fd) {
  return static_cast<int>(Syscall(__NR_close, fd));
}
inline Word Read(int fd, void* data, size_t size) {
  return Syscall(__NR_read, fd, W(data), static_cast<Word>(size));
}
inline Word Write(int fd, const void* data, size_t size) {
  return Syscall(__NR_write, fd, W(data), static_cast<Word>(size));
}
[[noreturn]] inline void Exit(int code) {
  for (;;) Syscall(__NR_exit_group, code);
}

}  // namespace skiff::engine::child::inside
