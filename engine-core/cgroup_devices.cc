#include <linux/bpf.h>

#include <algorithm>

#include "base/text.h"
#include "engine-core/cgroup.h"

namespace skiff::engine {
namespace {

// One instruction of eBPF as 8 bytes, little endian.
uint64_t Instruction(uint8_t code, uint8_t target, uint8_t source, int16_t offset, int32_t value) {
  return uint64_t{code} | uint64_t{static_cast<uint8_t>(target | source << 4)} << 8 |
         uint64_t{static_cast<uint16_t>(offset)} << 16 |
         uint64_t{static_cast<uint32_t>(value)} << 32;
}

enum Register : uint8_t {
  kResult = 0,
  kContext = 1,
  kType = 2,
  kAccess = 3,
  kMajor = 4,
  kMinor = 5,
  kScratch = 6
};

int32_t AccessBits(std::string_view access) {
  int32_t bits = 0;
  for (const char letter : access) {
    if (letter == 'm') bits |= BPF_DEVCG_ACC_MKNOD;
    if (letter == 'r') bits |= BPF_DEVCG_ACC_READ;
    if (letter == 'w') bits |= BPF_DEVCG_ACC_WRITE;
  }
  return bits;
}

constexpr int32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

// The steps of one rule: on a mismatch jump past its end.
std::vector<uint64_t> CompileRule(const DeviceRule& rule) {
  std::vector<uint64_t> steps;
  std::vector<size_t> mismatches;  // Jumps whose distance is filled in at the end.
  const auto unless_equal = [&](Register reg, int32_t value) {
    mismatches.push_back(steps.size());
    steps.push_back(Instruction(BPF_JMP | BPF_JNE | BPF_K, reg, 0, 0, value));
  };
  if (rule.type != 'a')
    unless_equal(kType, rule.type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
  const int32_t access = AccessBits(rule.access);
  if (access != kAllAccess) {
    steps.push_back(Instruction(BPF_ALU | BPF_MOV | BPF_X, kScratch, kAccess, 0, 0));
    steps.push_back(Instruction(BPF_ALU | BPF_AND | BPF_K, kScratch, 0, 0, access));
    mismatches.push_back(steps.size());
    // An allowance must cover all that is asked for, a refusal any of it.
    if (rule.allow) {
      steps.push_back(Instruction(BPF_JMP | BPF_JNE | BPF_X, kScratch, kAccess, 0, 0));
    } else {
      steps.push_back(Instruction(BPF_JMP | BPF_JEQ | BPF_K, kScratch, 0, 0, 0));
    }
  }
  if (rule.major >= 0) unless_equal(kMajor, static_cast<int32_t>(rule.major));
  if (rule.minor >= 0) unless_equal(kMinor, static_cast<int32_t>(rule.minor));
  steps.push_back(Instruction(BPF_ALU | BPF_MOV | BPF_K, kResult, 0, 0, rule.allow ? 1 : 0));
  steps.push_back(Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  for (const size_t at : mismatches) {
    const uint16_t distance = static_cast<uint16_t>(steps.size() - at - 1);
    steps[at] |= uint64_t{distance} << 16;
  }
  return steps;
}

bool MatchesEverything(const DeviceRule& rule) {
  return rule.type == 'a' && rule.major < 0 && rule.minor < 0 &&
         AccessBits(rule.access) == kAllAccess;
}

}  // namespace

const std::vector<DeviceRule>& DefaultDeviceRules() {
  static const std::vector<DeviceRule> rules = {
      {false, 'a', -1, -1, "rwm"},                             // Everything else.
      {true, 'c', -1, -1, "m"},                                // mknod, but not open.
      {true, 'b', -1, -1, "m"},     {true, 'c', 1, 3, "rwm"},  // null
      {true, 'c', 1, 5, "rwm"},                                // zero
      {true, 'c', 1, 7, "rwm"},                                // full
      {true, 'c', 1, 8, "rwm"},                                // random
      {true, 'c', 1, 9, "rwm"},                                // urandom
      {true, 'c', 5, 0, "rwm"},                                // tty
      {true, 'c', 5, 1, "rwm"},                                // console
      {true, 'c', 5, 2, "rwm"},                                // ptmx
      {true, 'c', 136, -1, "rwm"},                             // pts
      {false, 'c', 10, 229, "rwm"},                            // fuse
  };
  return rules;
}

Result<DeviceRule> ParseDeviceRule(std::string_view text) {
  const auto invalid = [&] {
    return Fail(Code::kInvalidArgument, "invalid device cgroup rule '" + std::string(text) + "'");
  };
  const std::vector<std::string_view> words = SplitWords(text);
  if (words.size() != 3 || words[0].size() != 1 || words[2].empty()) return invalid();
  DeviceRule rule;
  rule.type = words[0][0];
  if (rule.type != 'a' && rule.type != 'b' && rule.type != 'c') return invalid();
  const std::vector<std::string_view> numbers = Split(words[1], ':');
  if (numbers.size() != 2) return invalid();
  int64_t* const targets[] = {&rule.major, &rule.minor};
  for (size_t i = 0; i < 2; ++i) {
    if (numbers[i] == "*") continue;
    const auto number = ParseNumber<uint32_t>(numbers[i]);
    if (!number) return invalid();
    *targets[i] = *number;
  }
  if (words[2].find_first_not_of("rwm") != words[2].npos) return invalid();
  rule.access = std::string(words[2]);
  return rule;
}

std::vector<uint64_t> CompileDeviceProgram(const std::vector<DeviceRule>& rules) {
  std::vector<uint64_t> program = {
      // access_type holds the access in its upper, the type in its lower half.
      Instruction(BPF_LDX | BPF_MEM | BPF_W, kType, kContext, 0, 0),
      Instruction(BPF_ALU | BPF_MOV | BPF_X, kAccess, kType, 0, 0),
      Instruction(BPF_ALU | BPF_AND | BPF_K, kType, 0, 0, 0xffff),
      Instruction(BPF_ALU | BPF_RSH | BPF_K, kAccess, 0, 0, 16),
      Instruction(BPF_LDX | BPF_MEM | BPF_W, kMajor, kContext, 4, 0),
      Instruction(BPF_LDX | BPF_MEM | BPF_W, kMinor, kContext, 8, 0),
  };
  // Later rules win: they are asked first.
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule) {
    const std::vector<uint64_t> steps = CompileRule(*rule);
    program.insert(program.end(), steps.begin(), steps.end());
    // The verifier refuses steps that nothing leads to.
    if (MatchesEverything(*rule)) return program;
  }
  program.push_back(Instruction(BPF_ALU | BPF_MOV | BPF_K, kResult, 0, 0, 0));
  program.push_back(Instruction(BPF_JMP | BPF_EXIT, 0, 0, 0, 0));
  return program;
}

}  // namespace skiff::engine
