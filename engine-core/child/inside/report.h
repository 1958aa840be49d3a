#pragma once

#include "engine-core/child/inside/plan.h"
#include "engine-core/child/inside/sys.h"

namespace skiff::engine::child::inside {

// Text in a fixed buffer; what does not fit is cut.
template <size_t kSize>
struct Text {
  char data[kSize] = {};
  size_t size = 0;
  bool truncated = false;

  void Add(const char* text) {
    while (text != nullptr && *text != 0) AddByte(*text++);
  }
  void AddBytes(const char* text, size_t count) {
    for (size_t i = 0; i < count; ++i) AddByte(text[i]);
  }
  void AddByte(char byte) {
    if (size + 1 >= kSize) {
      truncated = true;
      return;
    }
    data[size++] = byte;
    data[size] = 0;
  }
  void AddNumber(uint64_t number) {
    char digits[24];
    size_t count = 0;
    do {
      digits[count++] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number != 0);
    while (count > 0) AddByte(digits[--count]);
  }
};
using PathText = Text<4096>;

size_t Length(const char* text);
bool Same(const char* a, const char* b);
bool StartsWith(const char* text, const char* prefix);

// Where reports of this process go. Set once, first thing.
void SetStatusSocket(int socket);
int StatusSocket();

// The end of this process: "cannot mount '/x'", to which the parent appends the error's text.
[[noreturn]] void Die(Word error, const char* what, const char* object = nullptr,
                      int exit_code = 128);
// A complete text; `error` only tells the parent what kind it was.
[[noreturn]] void DieWith(const char* text, Word error, int exit_code);
void Warn(Word error, const char* what, const char* object = nullptr);
void ReportStage(uint8_t stage);
void ReportTerminal(int master);
// Waits for Release(); ends the process when the parent has gone.
void AwaitRelease();

}  // namespace skiff::engine::child::inside
