#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// One source, two programs: with libFuzzer (preset fuzz) a fuzzer of its own; without, one of the
// targets that replay_seeds.cc gives their seeds.
//
//   SKIFF_FUZZ(dotenv) { ... `input` is what came ... Require(holds, "what has to hold"); }
namespace skiff::fuzz {

using Target = void (*)(std::string_view input);

struct Registration {
  Registration(const char* name, Target target);
};

// What Require prints besides: where the input is from. The text is borrowed.
void SetOrigin(const char* origin);

// Ends the program with the text when it does not hold.
void Require(bool holds, std::string_view what);
// Likewise, and shows both.
void RequireEqual(std::string_view left, std::string_view right, std::string_view what);

// Takes the first byte off `input`: choices of the target. 0 when there is none.
uint8_t TakeByte(std::string_view& input);
// Takes the text up to `mark`, which goes too; all of it without.
std::string_view TakeUntil(std::string_view& input, std::string_view mark);

}  // namespace skiff::fuzz

#ifdef SKIFF_LIBFUZZER
#define SKIFF_FUZZ(name)                                                        \
  static void FuzzOne(std::string_view input);                                  \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {     \
    FuzzOne(std::string_view(reinterpret_cast<const char*>(data), size));       \
    return 0;                                                                   \
  }                                                                             \
  static void FuzzOne(std::string_view input)
#else
#define SKIFF_FUZZ(name)                                                        \
  static void Fuzz_##name(std::string_view input);                              \
  static const ::skiff::fuzz::Registration registration_##name(#name, Fuzz_##name); \
  static void Fuzz_##name(std::string_view input)
#endif
