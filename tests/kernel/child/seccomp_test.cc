#include "engine-core/seccomp.h"

#include <unistd.h>

#include <filesystem>

#include "engine-core/capabilities.h"
#include "tests/kernel/child/container_fixture.h"

namespace skiff::engine::child {
namespace {

class SeccompTest : public ContainerTest {
 protected:
  // The results of all probes, one "name result" per line.
  std::string Probe(RuntimeSpec spec) {
    std::filesystem::copy_file(
        std::filesystem::read_symlink("/proc/self/exe").parent_path() / "syscall_probe",
        ImagePath("/probe"), std::filesystem::copy_options::overwrite_existing);
    spec.args = {"/probe"};
    return Output(spec);
  }
};

TEST_F(SeccompTest, AppliesDockersDefaultPolicy) {
  std::string answers = Probe(MakeSpec({}));
  // Both say that the call reached the kernel: with the family (as a module) and without.
  const size_t known = answers.find("socket 41 ESOCKTNOSUPPORT");
  if (known != answers.npos) answers.replace(known + 10, 15, "EAFNOSUPPORT");
  EXPECT_EQ(answers,
            "keyctl EPERM\nadd_key EPERM\nunshare user EPERM\nunshare cgroup EPERM\nsetns EPERM\n"
            "mount EPERM\numount2 EPERM\npivot_root EPERM\nfsopen EPERM\nfsconfig EPERM\n"
            "open_tree EPERM\nbpf EPERM\nio_uring_setup EPERM\nuserfaultfd EPERM\n"
            "perf_event_open EPERM\nopen_by_handle_at EPERM\nkexec_load EPERM\nreboot EPERM\n"
            "syslog EPERM\nsettimeofday EPERM\nclone3 ENOSYS\nsocket unix OK\n"
            "socket 37 EAFNOSUPPORT\nsocket alg EPERM\nsocket 39 EAFNOSUPPORT\n"
            "socket vsock EPERM\nsocket 41 EAFNOSUPPORT\npersonality 0 OK\n"
            "personality 0x40000 EPERM\nchroot OK\ngetpid x32 ENOSYS\nunknown EPERM\nfork OK\n");
}

TEST_F(SeccompTest, FollowsTheCapabilities) {
  RuntimeSpec spec = MakeSpec({});
  spec.capabilities = (kDefaultCapabilities | uint64_t{1} << 21) & ~(uint64_t{1} << 18);
  auto choice = ResolveSeccomp("", spec.capabilities, folder() + "/cache");
  ASSERT_TRUE(choice.has_value()) << choice.error().Text();
  EXPECT_FALSE(choice->filter.empty());
  spec.seccomp_filter = choice->filter;
  const std::string probes = Probe(spec);
  EXPECT_NE(probes.find("unshare user OK\n"), probes.npos) << probes;
  EXPECT_NE(probes.find("clone3 EINVAL\n"), probes.npos) << probes;
  EXPECT_NE(probes.find("chroot EPERM\n"), probes.npos) << probes;
  EXPECT_NE(probes.find("keyctl EPERM\n"), probes.npos) << probes;
}

TEST_F(SeccompTest, AppliesAProfile) {
  auto choice = ResolveSeccomp(
      R"({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
            {"names": ["personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
            {"names": ["socket"], "action": "SCMP_ACT_ERRNO",
             "args": [{"index": 0, "value": 41, "op": "SCMP_CMP_EQ"}]},
            {"names": ["fork", "chroot"], "action": "SCMP_ACT_ERRNO",
             "excludes": {"caps": ["CAP_SYS_CHROOT"]}}]})",
      kDefaultCapabilities, "");
  ASSERT_TRUE(choice.has_value()) << choice.error().Text();
  RuntimeSpec spec = MakeSpec({});
  spec.seccomp_filter = choice->filter;
  const std::string probes = Probe(spec);
  EXPECT_NE(probes.find("personality 0 ENOSYS\n"), probes.npos) << probes;
  EXPECT_NE(probes.find("socket 39 EAFNOSUPPORT\n"), probes.npos) << probes;
  EXPECT_NE(probes.find("socket 41 EPERM\n"), probes.npos) << probes;
  EXPECT_NE(probes.find("chroot OK\n"), probes.npos) << probes;
}

TEST_F(SeccompTest, AppliesItWithNoNewPrivilegesAndToOtherUsers) {
  for (const bool no_new_privileges : {false, true}) {
    RuntimeSpec spec = MakeSpec({});
    spec.user = "alice";
    spec.no_new_privileges = no_new_privileges;
    spec.use_init = no_new_privileges;
    const std::string probes = Probe(spec);
    EXPECT_NE(probes.find("keyctl EPERM\n"), probes.npos) << probes;
    EXPECT_NE(probes.find("clone3 ENOSYS\n"), probes.npos) << probes;
  }
}

}  // namespace
}  // namespace skiff::engine::child
