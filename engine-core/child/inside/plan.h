#pragma once

#include <stddef.h>
#include <stdint.h>

// What the new process does, in plain memory that the parent prepared before the clone (it is the
// child's own copy afterwards). No constructor runs in the child; strings end in NUL.
namespace skiff::engine::child::inside {

template <typename T>
struct List {
  T* items = nullptr;
  size_t size = 0;
  T* begin() const { return items; }
  T* end() const { return items + size; }
};

// "size=64m" of a file system; value null: a flag.
struct FsOption {
  const char* key = nullptr;
  const char* value = nullptr;
};

enum class MountAction : uint8_t { kBind, kFileSystem, kCgroupV1 };

struct MountPlan {
  MountAction action = MountAction::kBind;
  const char* target = nullptr;
  const char* source = nullptr;   // kBind: path on the host.
  const char* fs_type = nullptr;  // kFileSystem
  List<FsOption> options;
  uint64_t attributes = 0;   // MOUNT_ATTR_*
  uint64_t propagation = 0;  // MS_PRIVATE, MS_SLAVE or MS_SHARED
  bool recursive_propagation = true;
  bool recursive = true;      // kBind
  bool plain_source = false;  // kBind: no link may be on the way.
  bool plain_target = false;  // No link may be on the way (proc, sys, dev).
  bool takes_mode = false;    // tmpfs without mode=: as the folder that it covers.
  bool is_dev = false;
  bool is_devpts = false;
  int tree = -1;  // kBind: the detached copy of the source.
};

// One hierarchy of cgroup v1, as seen in the container.
struct CgroupMount {
  const char* name = nullptr;    // "cpu,cpuacct"
  const char* source = nullptr;  // The container's own folder on the host.
  List<const char*> links;       // "cpu", "cpuacct"
};

struct DevicePlan {
  const char* path = nullptr;
  uint32_t mode = 0;  // With S_IFCHR or S_IFBLK.
  uint64_t device = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
};

struct LimitPlan {
  int resource = 0;
  uint64_t soft = 0;
  uint64_t hard = 0;
  const char* name = nullptr;
};

struct SysctlPlan {
  const char* name = nullptr;  // As the user wrote it.
  const char* path = nullptr;  // "net/ipv4/ip_forward"
  const char* value = nullptr;
};

// What init and further processes have in common.
struct ProcessPlan {
  int status = -1;           // Socket to the parent.
  List<int> keep;            // Sorted: all other descriptors above 2 are closed at once.
  List<int> cgroup_entries;  // Opened for writing.
  int input = -1;            // -1: /dev/null
  int output = -1;
  int error = -1;
  bool tty = false;
  uint16_t rows = 0;  // Of the terminal; 0: unknown.
  uint16_t columns = 0;
  bool die_with_parent = false;         // Where no PID namespace of its own sees to it.
  const char* oom_score_adj = nullptr;  // Decimal text.
  List<LimitPlan> limits;
  const char* user = nullptr;
  List<const char*> groups;
  const char* cwd = nullptr;
  const char** args = nullptr;  // Ends in null.
  const char** env = nullptr;   // Ends in two nulls: room for HOME.
  size_t env_size = 0;
  uint64_t capabilities = 0;
  bool no_new_privileges = false;
  const void* filter = nullptr;  // struct sock_filter[]
  size_t filter_size = 0;        // Instructions.
};

enum class OverlayChoice : uint8_t { kAutomatic, kFsconfig, kMount };

struct InitPlan {
  ProcessPlan process;
  int network_namespace = -1;
  int ipc_namespace = -1;
  int uts_namespace = -1;
  int cgroup_namespace = -1;
  bool new_cgroup_namespace = false;
  const char* hostname = nullptr;
  const char* domainname = nullptr;

  List<const char*> lower;  // Top first.
  const char* upper = nullptr;
  const char* work = nullptr;
  bool read_only = false;
  OverlayChoice overlay = OverlayChoice::kAutomatic;

  List<MountPlan> mounts;
  List<CgroupMount> cgroup_mounts;
  List<DevicePlan> default_devices;  // Only into a /dev of our own.
  List<DevicePlan> devices;
  List<const char*> masked;
  List<const char*> read_only_paths;
  List<SysctlPlan> sysctls;

  bool use_init = false;
  char* title = nullptr;  // Memory of this program's arguments, or null.
  size_t title_size = 0;
};

struct ExecPlan {
  ProcessPlan process;
  int init_pidfd = -1;
  uint64_t namespaces = 0;  // CLONE_NEW* to enter through it.
};

// The program of the new process. They never return.
[[noreturn]] void RunInit(InitPlan& plan);
[[noreturn]] void RunExec(ExecPlan& plan);

// One message over the status socket.
inline constexpr size_t kReportText = 2048;
struct ReportMessage {
  uint8_t stage = 0;  // child::Stage, or kStageExecuting.
  uint8_t exit_code = 0;
  uint16_t text_size = 0;
  int32_t sys_errno = 0;
  char text[kReportText];
};
inline constexpr size_t kReportHeader = 8;
inline constexpr uint8_t kStageReady = 1;
inline constexpr uint8_t kStageFailed = 2;
inline constexpr uint8_t kStageTerminal = 3;
inline constexpr uint8_t kStageWarning = 4;
inline constexpr uint8_t kStageExecuting = 255;

}  // namespace skiff::engine::child::inside
