// Runs inside a container: makes system calls and prints how each ends.

#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace {

void Show(const char* name, long result) {
  std::printf("%s %s\n", name, result >= 0 ? "OK" : strerrorname_np(errno));
}

}  // namespace

int main() {
  Show("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0));
  Show("add_key", syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_PROCESS_KEYRING));
  Show("unshare user", syscall(SYS_unshare, CLONE_NEWUSER));
  Show("unshare cgroup", syscall(SYS_unshare, CLONE_NEWCGROUP));
  Show("setns", syscall(SYS_setns, 0, 0));
  Show("mount", syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr));
  Show("umount2", syscall(SYS_umount2, "/proc", 2));
  Show("pivot_root", syscall(SYS_pivot_root, ".", "."));
  Show("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
  Show("fsconfig", syscall(SYS_fsconfig, -1, 0, nullptr, nullptr, 0));
  Show("open_tree", syscall(SYS_open_tree, -100, "/", 1));
  Show("bpf", syscall(SYS_bpf, 0, nullptr, 0));
  Show("io_uring_setup", syscall(SYS_io_uring_setup, 1, nullptr));
  Show("userfaultfd", syscall(SYS_userfaultfd, 0));
  Show("perf_event_open", syscall(SYS_perf_event_open, nullptr, 0, -1, -1, 0));
  Show("open_by_handle_at", syscall(SYS_open_by_handle_at, -1, nullptr, 0));
  Show("kexec_load", syscall(SYS_kexec_load, 0, 0, nullptr, 0));
  Show("reboot", syscall(SYS_reboot, 0, 0, 0, nullptr));
  Show("syslog", syscall(SYS_syslog, 10, nullptr, 0));
  Show("settimeofday", syscall(SYS_settimeofday, nullptr, nullptr));
  Show("clone3", syscall(SYS_clone3, nullptr, 0));
  Show("socket unix", socket(AF_UNIX, SOCK_STREAM, 0));
  Show("socket 37", syscall(SYS_socket, 37, SOCK_STREAM, 0));
  Show("socket alg", socket(38, SOCK_SEQPACKET, 0));
  Show("socket 39", syscall(SYS_socket, 39, SOCK_STREAM, 0));
  Show("socket vsock", socket(40, SOCK_STREAM, 0));
  Show("socket 41", syscall(SYS_socket, 41, SOCK_STREAM, 0));
  Show("personality 0", syscall(SYS_personality, 0));
  Show("personality 0x40000", syscall(SYS_personality, 0x40000));
  Show("chroot", chroot("/"));
  Show("getpid x32", syscall(0x40000000 | SYS_getpid));
  Show("unknown", syscall(9999));
  const pid_t child = fork();
  if (child == 0) _exit(0);
  Show("fork", child);
  waitpid(child, nullptr, 0);
  return 0;
}
