#include "engine-core/seccomp/filter_builder.h"

#include <linux/filter.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"

namespace skiff::engine::seccomp {
namespace {

// The kernel's limit of a filter (BPF_MAXINSNS).
constexpr size_t kMaximumInstructions = 4096;

}  // namespace

void FilterBuilder::Release::operator()(void* context) const {
  seccomp_release(context);
}

Result<FilterBuilder> FilterBuilder::Create(uint32_t default_action) {
  void* context = seccomp_init(default_action);
  if (context == nullptr) return Fail(Code::kInternal, "cannot start a seccomp filter");
  FilterBuilder builder(context, default_action);
  // A call with a number no table knows (an invalid one) is refused like any other.
  seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_ERRNO(EPERM));
  // A tree instead of a chain of comparisons: 9 instead of 300 steps for a late number.
  seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  return builder;
}

Status FilterBuilder::AddArchitecture(uint32_t architecture) {
  const int result = seccomp_arch_add(context_.get(), architecture);
  if (result < 0 && result != -EEXIST)
    return FailErrno(-result, "cannot add an architecture to a seccomp filter");
  return {};
}

Status FilterBuilder::AddRule(uint32_t action, std::string_view name,
                              const std::vector<ArgumentRow>& arguments) {
  if (action == default_action_) return {};
  const std::string text(name);
  const int number = seccomp_syscall_resolve_name(text.c_str());
  if (number == __NR_SCMP_ERROR) return {};
  std::vector<scmp_arg_cmp> tests;
  tests.reserve(arguments.size());
  for (const ArgumentRow& row : arguments)
    tests.push_back({row.index, static_cast<scmp_compare>(row.comparison), row.a, row.b});
  const int result = seccomp_rule_add_array(context_.get(), action, number,
                                            static_cast<unsigned>(tests.size()), tests.data());
  if (result < 0 && result != -EEXIST && result != -EDOM)
    return FailErrno(-result, "cannot add the system call '" + text + "' to a seccomp filter");
  return {};
}

Result<std::string> FilterBuilder::Export() {
  // libseccomp 2.5 exports to a descriptor only.
  const Fd file(memfd_create("skiff-seccomp", MFD_CLOEXEC));
  if (!file) return FailErrno("cannot create a memory file for a seccomp filter");
  const int result = seccomp_export_bpf(context_.get(), file.get());
  if (result < 0) return FailErrno(-result, "cannot compile a seccomp filter");
  if (lseek(file.get(), 0, SEEK_SET) < 0) return FailErrno("cannot read a seccomp filter");
  SKIFF_ASSIGN(std::string filter, ReadAll(file.get(), 1u << 20, "seccomp filter"));
  if (filter.size() / sizeof(sock_filter) > kMaximumInstructions)
    return Fail(Code::kInvalidArgument, "the seccomp policy is too long for the kernel");
  return filter;
}

Status AddNativeFamily(FilterBuilder& builder) {
#if defined(__x86_64__)
  SKIFF_TRY(builder.AddArchitecture(SCMP_ARCH_X86));
  return builder.AddArchitecture(SCMP_ARCH_X32);
#elif defined(__aarch64__)
  return builder.AddArchitecture(SCMP_ARCH_ARM);
#else
  return {};
#endif
}

}  // namespace skiff::engine::seccomp
