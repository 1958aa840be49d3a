#include <seccomp.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/text.h"
#include "engine-core/capabilities.h"
#include "engine-core/json/whole_number.h"
#include "engine-core/seccomp.h"
#include "engine-core/seccomp/filter_builder.h"

// Docker's JSON profiles: a default action, and rules that apply by capability, machine and kernel.
namespace skiff::engine {
namespace {

using nlohmann::json;
using seccomp::ArgumentRow;
using seccomp::FilterBuilder;

#if defined(__x86_64__)
constexpr std::string_view kGoArchitecture = "amd64";
constexpr std::string_view kProfileArchitecture = "SCMP_ARCH_X86_64";
#else
constexpr std::string_view kGoArchitecture = "arm64";
constexpr std::string_view kProfileArchitecture = "SCMP_ARCH_AARCH64";
#endif

struct ComparisonName {
  std::string_view name;
  scmp_compare comparison;
};
constexpr ComparisonName kComparisons[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
                                           {"SCMP_CMP_LT", SCMP_CMP_LT},
                                           {"SCMP_CMP_LE", SCMP_CMP_LE},
                                           {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                           {"SCMP_CMP_GE", SCMP_CMP_GE},
                                           {"SCMP_CMP_GT", SCMP_CMP_GT},
                                           {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};

tl::unexpected<Error> Invalid(const std::string& where, const std::string& what) {
  return Fail(Code::kInvalidArgument, "invalid seccomp profile: " + where + ": " + what);
}

Result<uint32_t> ParseAction(const std::string& name, uint32_t error, const std::string& where) {
  if (name == "SCMP_ACT_ALLOW") return SCMP_ACT_ALLOW;
  if (name == "SCMP_ACT_ERRNO") return SCMP_ACT_ERRNO(error);
  if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD") return SCMP_ACT_KILL_THREAD;
  if (name == "SCMP_ACT_KILL_PROCESS") return SCMP_ACT_KILL_PROCESS;
  if (name == "SCMP_ACT_TRAP") return SCMP_ACT_TRAP;
  if (name == "SCMP_ACT_TRACE") return SCMP_ACT_TRACE(error);
  if (name == "SCMP_ACT_LOG") return SCMP_ACT_LOG;
  return Invalid(where, "unknown action '" + name + "'");
}

std::vector<std::string> Strings(const json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return {};
  return found->get<std::vector<std::string>>();
}

bool Contains(const std::vector<std::string>& list, std::string_view value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// "4.8" against the running kernel.
bool KernelIsAtLeast(const std::string& wanted) {
  utsname name;
  if (uname(&name) != 0) return false;
  const auto parse = [](std::string_view text) {
    std::pair<int, int> version = {0, 0};
    const size_t dot = text.find('.');
    version.first = ParseNumber<int>(text.substr(0, dot)).value_or(0);
    if (dot == text.npos) return version;
    std::string_view minor = text.substr(dot + 1);
    minor = minor.substr(0, minor.find_first_not_of("0123456789"));
    version.second = ParseNumber<int>(minor).value_or(0);
    return version;
  };
  return parse(name.release) >= parse(wanted);
}

struct Context {
  uint64_t capabilities = 0;
  bool Has(const std::string& capability) const {
    const int number = CapabilityNumber(capability);
    return number >= 0 && (capabilities >> number & 1) != 0;
  }
};

// docker: all capabilities of `includes` must be there, none of `excludes`.
bool Applies(const json& rule, const Context& context) {
  const auto conditions = [&](const char* key) {
    const auto found = rule.find(key);
    return found == rule.end() || found->is_null() ? json::object() : *found;
  };
  const json includes = conditions("includes");
  const json excludes = conditions("excludes");
  for (const std::string& capability : Strings(includes, "caps")) {
    if (!context.Has(capability)) return false;
  }
  for (const std::string& capability : Strings(excludes, "caps")) {
    if (context.Has(capability)) return false;
  }
  const std::vector<std::string> on = Strings(includes, "arches");
  if (!on.empty() && !Contains(on, kGoArchitecture)) return false;
  if (Contains(Strings(excludes, "arches"), kGoArchitecture)) return false;
  const std::string newer = includes.value("minKernel", "");
  if (!newer.empty() && !KernelIsAtLeast(newer)) return false;
  const std::string older = excludes.value("minKernel", "");
  return older.empty() || !KernelIsAtLeast(older);
}

Result<ArgumentRow> ParseArgument(const json& argument, const std::string& where) {
  ArgumentRow row;
  row.index = WholeNumber<unsigned>(argument.at("index"));
  row.a = WholeNumber<uint64_t>(argument.at("value"));
  row.b = WholeNumber(argument, "valueTwo", uint64_t{0});
  const std::string op = argument.at("op").get<std::string>();
  for (const ComparisonName& known : kComparisons) {
    if (known.name != op) continue;
    row.comparison = known.comparison;
    return row;
  }
  return Invalid(where, "unknown comparison '" + op + "'");
}

class ProfileCompiler {
 public:
  ProfileCompiler(const json& profile, Context context) : profile_(profile), context_(context) {}

  Result<std::string> Compile() {
    const uint32_t error = WholeNumber(profile_, "defaultErrnoRet", uint32_t{EPERM});
    SKIFF_ASSIGN(const uint32_t action, ParseAction(profile_.at("defaultAction").get<std::string>(),
                                                    error, "defaultAction"));
    SKIFF_ASSIGN(FilterBuilder builder, FilterBuilder::Create(action));
    SKIFF_TRY(AddArchitectures(builder));
    const json rules = profile_.value("syscalls", json::array());
    for (size_t i = 0; i < rules.size(); ++i) {
      if (Applies(rules[i], context_))
        SKIFF_TRY(AddRule(builder, rules[i], "syscalls[" + std::to_string(i) + "]"));
    }
    return builder.Export();
  }

 private:
  Status AddArchitectures(FilterBuilder& builder) {
    std::vector<std::string> names = Strings(profile_, "architectures");
    for (const json& map : profile_.value("archMap", json::array())) {
      if (map.value("architecture", "") != kProfileArchitecture) continue;
      for (std::string& name : Strings(map, "subArchitectures")) names.push_back(std::move(name));
    }
    for (const std::string& name : names) {
      constexpr std::string_view kPrefix = "SCMP_ARCH_";
      if (name.rfind(kPrefix, 0) != 0) return Invalid("architectures", "unknown '" + name + "'");
      const std::string known = ToLower(name.substr(kPrefix.size()));
      const uint32_t number = seccomp_arch_resolve_name(known.c_str());
      if (number == 0) return Invalid("architectures", "unknown '" + name + "'");
      SKIFF_TRY(builder.AddArchitecture(number));
    }
    return {};
  }

  Status AddRule(FilterBuilder& builder, const json& rule, const std::string& where) {
    const uint32_t error = WholeNumber(rule, "errnoRet", uint32_t{EPERM});
    SKIFF_ASSIGN(const uint32_t action,
                 ParseAction(rule.at("action").get<std::string>(), error, where));
    std::vector<std::string> names = Strings(rule, "names");
    const std::string single = rule.value("name", "");
    if (!single.empty()) names.push_back(single);
    std::vector<ArgumentRow> rows;
    bool repeated = false;  // Two tests of one argument mean "either", else all must hold (runc).
    const json arguments =
        rule.contains("args") && rule["args"].is_array() ? rule["args"] : json::array();
    for (const json& argument : arguments) {
      SKIFF_ASSIGN(const ArgumentRow row, ParseArgument(argument, where));
      for (const ArgumentRow& other : rows) repeated |= other.index == row.index;
      rows.push_back(row);
    }
    for (const std::string& name : names) {
      if (!repeated) {
        SKIFF_TRY(builder.AddRule(action, name, rows));
        continue;
      }
      for (const ArgumentRow& row : rows) SKIFF_TRY(builder.AddRule(action, name, {row}));
    }
    return {};
  }

  const json& profile_;
  Context context_;
};

}  // namespace

Result<std::string> CompileSeccompProfile(std::string_view text, uint64_t capabilities) {
  try {
    const json profile = json::parse(text);
    if (!profile.is_object()) return Invalid("profile", "it is not a JSON object");
    return ProfileCompiler(profile, {capabilities}).Compile();
  } catch (const json::exception& error) {
    return Fail(Code::kInvalidArgument, std::string("invalid seccomp profile: ") + error.what());
  }
}

}  // namespace skiff::engine
