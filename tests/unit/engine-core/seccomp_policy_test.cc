#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "engine-core/capabilities.h"
#include "engine-core/child/default_filter.h"
#include "engine-core/seccomp.h"
#include "engine-core/seccomp/default_policy.h"

namespace skiff::engine {
namespace {

// Runs a filter as the kernel would; returns SECCOMP_RET_*.
uint32_t Decide(std::string_view filter, const seccomp_data& call) {
  std::vector<sock_filter> program(filter.size() / sizeof(sock_filter));
  std::memcpy(program.data(), filter.data(), filter.size());
  uint32_t a = 0, x = 0, memory[16] = {};
  for (size_t at = 0; at < program.size(); ++at) {
    const sock_filter& step = program[at];
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&a, reinterpret_cast<const char*>(&call) + step.k, sizeof a);
        break;
      case BPF_LD | BPF_MEM:
        a = memory[step.k];
        break;
      case BPF_ST:
        memory[step.k] = a;
        break;
      case BPF_MISC | BPF_TAX:
        x = a;
        break;
      case BPF_MISC | BPF_TXA:
        a = x;
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        a &= step.k;
        break;
      case BPF_JMP | BPF_JA:
        at += step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        at += a == step.k ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        at += a > step.k ? step.jt : step.jf;
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        at += a >= step.k ? step.jt : step.jf;
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        ADD_FAILURE() << "instruction " << step.code;
        return 0;
    }
  }
  ADD_FAILURE() << "the filter has no end";
  return 0;
}

uint32_t Native(std::string_view filter, int number, uint64_t first = 0) {
  seccomp_data call = {};
  call.nr = number;
  call.arch = AUDIT_ARCH_X86_64;
  call.args[0] = first;
  return Decide(filter, call);
}

uint32_t On386(std::string_view filter, int number, uint64_t first = 0) {
  seccomp_data call = {};
  call.nr = number;
  call.arch = AUDIT_ARCH_I386;
  call.args[0] = first;
  return Decide(filter, call);
}

constexpr uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr uint32_t Refuse(int error) {
  return SECCOMP_RET_ERRNO | static_cast<uint32_t>(error);
}

TEST(SeccompPolicy, OfTheBuildIsTheDefaultOne) {
  const auto compiled = CompileDefaultSeccomp(kDefaultCapabilities);
  ASSERT_TRUE(compiled.has_value()) << compiled.error().Text();
  EXPECT_TRUE(child::DefaultFilter() == *compiled);
  EXPECT_LE(compiled->size() / sizeof(sock_filter), 4096u);
}

TEST(SeccompPolicy, DecidesAsDockers) {
  const std::string_view filter = child::DefaultFilter();
  for (const int number : {SYS_read, SYS_execve, SYS_chroot, SYS_ptrace, SYS_capset, SYS_seccomp,
                           SYS_openat2, SYS_landlock_create_ruleset, SYS_arch_prctl})
    EXPECT_EQ(Native(filter, number), kAllow) << number;
  for (const int number : {SYS_mount,
                           SYS_umount2,
                           SYS_unshare,
                           SYS_setns,
                           SYS_bpf,
                           SYS_keyctl,
                           SYS_add_key,
                           SYS_request_key,
                           SYS_io_uring_setup,
                           SYS_userfaultfd,
                           SYS_kexec_load,
                           SYS_reboot,
                           SYS_init_module,
                           SYS_fsopen,
                           SYS_move_mount,
                           SYS_open_by_handle_at,
                           SYS_settimeofday,
                           SYS_syslog,
                           SYS_acct,
                           5000})
    EXPECT_EQ(Native(filter, number), Refuse(EPERM)) << number;
  EXPECT_EQ(Native(filter, SYS_clone3), Refuse(ENOSYS));
}

TEST(SeccompPolicy, LooksAtArguments) {
  const std::string_view filter = child::DefaultFilter();
  for (const uint64_t family : {1, 2, 16, 37, 39, 41, 44})
    EXPECT_EQ(Native(filter, SYS_socket, family), kAllow) << family;
  for (const uint64_t family : {38, 40})
    EXPECT_EQ(Native(filter, SYS_socket, family), Refuse(EPERM)) << family;
  for (const uint64_t persona : {0ull, 8ull, 0x20000ull, 0x20008ull, 0xffffffffull})
    EXPECT_EQ(Native(filter, SYS_personality, persona), kAllow) << persona;
  EXPECT_EQ(Native(filter, SYS_personality, 0x40000), Refuse(EPERM));
  EXPECT_EQ(Native(filter, SYS_clone, 0x11), kAllow);
  for (uint64_t bit = 1; bit < uint64_t{1} << 32; bit <<= 1) {
    const bool makes_namespace = (bit & 0x7e020000) != 0;
    EXPECT_EQ(Native(filter, SYS_clone, bit), makes_namespace ? Refuse(EPERM) : kAllow) << bit;
  }
}

TEST(SeccompPolicy, CoversProgramsOf32Bits) {
  const std::string_view filter = child::DefaultFilter();
  EXPECT_EQ(On386(filter, 3 /* read */), kAllow);
  EXPECT_EQ(On386(filter, 21 /* mount */), Refuse(EPERM));
  EXPECT_EQ(On386(filter, 102 /* socketcall */), Refuse(EPERM));
  EXPECT_EQ(On386(filter, 359 /* socket */, 38), Refuse(EPERM));
  EXPECT_EQ(On386(filter, 359 /* socket */, 1), kAllow);
  EXPECT_EQ(Native(filter, 0x40000000 | SYS_read), kAllow);
  EXPECT_EQ(Native(filter, 0x40000000 | SYS_mount), Refuse(EPERM));
  seccomp_data foreign = {};
  foreign.arch = AUDIT_ARCH_AARCH64;
  EXPECT_EQ(Decide(filter, foreign), Refuse(EPERM));
}

TEST(SeccompPolicy, NamesNoCallTwice) {
  std::vector<std::string_view> names(seccomp::AlwaysAllowed().begin(),
                                      seccomp::AlwaysAllowed().end());
  EXPECT_EQ(names.size(), 360u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  for (const seccomp::PolicyRule& rule : seccomp::ConditionalRules())
    EXPECT_FALSE(std::binary_search(names.begin(), names.end(), rule.name)) << rule.name;
}

TEST(SeccompChoice, CompilesOnlyWhatDiffers) {
  char name[] = "/tmp/skiff-seccomp-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::string cache = std::string(name) + "/seccomp";
  const uint64_t net_admin = kDefaultCapabilities | uint64_t{1} << 12;
  EXPECT_EQ(ResolveSeccomp("", net_admin, cache)->filter, "");
  EXPECT_FALSE(ResolveSeccomp("unconfined", 0, cache)->enabled);
  EXPECT_FALSE(std::filesystem::exists(cache));

  const uint64_t time = kDefaultCapabilities | uint64_t{1} << 25;
  const std::string compiled = ResolveSeccomp("", time, cache)->filter;
  EXPECT_EQ(Native(compiled, SYS_settimeofday), kAllow);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(cache), {}), 1);
  EXPECT_EQ(ResolveSeccomp("", time | uint64_t{1} << 12, cache)->filter, compiled);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(cache), {}), 1);
  // The cached one is used: it is what the file says.
  const std::string path = std::filesystem::directory_iterator(cache)->path();
  ASSERT_TRUE(WriteFileAtomically(path, "12345678", 0600, Durability::kVolatile).has_value());
  EXPECT_EQ(ResolveSeccomp("", time, cache)->filter, "12345678");
  // A damaged one is not.
  ASSERT_TRUE(WriteFileAtomically(path, "123", 0600, Durability::kVolatile).has_value());
  EXPECT_EQ(ResolveSeccomp("", time, cache)->filter, compiled);
  EXPECT_TRUE(RemoveTree(name).has_value());
}

struct ProfileError {
  const char* profile;
  const char* error;
};

TEST(SeccompProfile, SaysWhatIsWrong) {
  const ProfileError cases[] = {
      {"[]", "invalid seccomp profile: profile: it is not a JSON object"},
      {R"({"defaultAction": "SCMP_ACT_NOTHING"})",
       "invalid seccomp profile: defaultAction: unknown action 'SCMP_ACT_NOTHING'"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["x86"]})",
       "invalid seccomp profile: architectures: unknown 'x86'"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
           {"names": ["read"], "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 1, "op": "LIKE"}]}]})",
       "invalid seccomp profile: syscalls[0]: unknown comparison 'LIKE'"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": -1})",
       "invalid seccomp profile: [json.exception.out_of_range.406] the number -1 is out of range"},
      {R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1e300})",
       "invalid seccomp profile: [json.exception.type_error.302] a whole number is expected, not "
       "1e+300"},
  };
  for (const ProfileError& test : cases)
    EXPECT_EQ(CompileSeccompProfile(test.profile, 0).error().Text(), test.error);
  EXPECT_EQ(CompileSeccompProfile("{", 0).error().code, Code::kInvalidArgument);
  EXPECT_EQ(CompileSeccompProfile("{}", 0).error().code, Code::kInvalidArgument);
}

TEST(SeccompProfile, AppliesRulesByCapabilityAndKernel) {
  const char* profile = R"({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
    "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
    "syscalls": [
      {"names": ["read", "not_a_call"], "action": "SCMP_ACT_ALLOW"},
      {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
      {"names": ["write"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
      {"names": ["open"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.0"}},
      {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": null, "errnoRet": null,
       "excludes": {"arches": ["amd64"]}},
      {"names": ["kill"], "action": "SCMP_ACT_ALLOW",
       "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
                {"index": 0, "value": 2, "op": "SCMP_CMP_EQ"}]}]})";
  const auto plain = CompileSeccompProfile(profile, 0);
  const auto admin = CompileSeccompProfile(profile, uint64_t{1} << 21);
  ASSERT_TRUE(plain.has_value() && admin.has_value()) << plain.error().Text();
  EXPECT_EQ(Native(*plain, SYS_read), kAllow);
  EXPECT_EQ(Native(*plain, SYS_mount), Refuse(ENOSYS));
  EXPECT_EQ(Native(*admin, SYS_mount), kAllow);
  EXPECT_EQ(Native(*plain, SYS_write), kAllow);
  EXPECT_EQ(Native(*plain, SYS_open), Refuse(ENOSYS));
  EXPECT_EQ(Native(*plain, SYS_ptrace), Refuse(ENOSYS));
  EXPECT_EQ(Native(*plain, SYS_kill, 1), kAllow);
  EXPECT_EQ(Native(*plain, SYS_kill, 2), kAllow);
  EXPECT_EQ(Native(*plain, SYS_kill, 3), Refuse(ENOSYS));
  EXPECT_EQ(On386(*plain, 3), kAllow);
}

}  // namespace
}  // namespace skiff::engine
