#include "engine-core/child/inside/report.h"

#include <linux/socket.h>

namespace skiff::engine::child::inside {
namespace {

int g_status = -1;
ReportMessage g_message;

void Put(const char* text) {
  while (text != nullptr && *text != 0 && g_message.text_size < kReportText)
    g_message.text[g_message.text_size++] = *text++;
}

void Compose(uint8_t stage, Word error, const char* what, const char* object) {
  g_message.stage = stage;
  g_message.exit_code = 0;
  g_message.text_size = 0;
  g_message.sys_errno = static_cast<int32_t>(error < 0 ? -error : error);
  Put(what);
  if (object != nullptr) {
    Put(" '");
    Put(object);
    Put("'");
  }
}

void Send() {
  Write(g_status, &g_message, kReportHeader + g_message.text_size);
}

}  // namespace

size_t Length(const char* text) {
  return __builtin_strlen(text);
}

bool Same(const char* a, const char* b) {
  while (*a != 0 && *a == *b) ++a, ++b;
  return *a == *b;
}

bool StartsWith(const char* text, const char* prefix) {
  while (*prefix != 0) {
    if (*text++ != *prefix++) return false;
  }
  return true;
}

void SetStatusSocket(int socket) {
  g_status = socket;
}
int StatusSocket() {
  return g_status;
}

void Die(Word error, const char* what, const char* object, int exit_code) {
  Compose(kStageFailed, error, what, object);
  g_message.exit_code = static_cast<uint8_t>(exit_code);
  // A negative number asks the parent to append the error's text.
  g_message.sys_errno = -g_message.sys_errno;
  Send();
  Exit(exit_code);
}

void DieWith(const char* text, Word error, int exit_code) {
  Compose(kStageFailed, error, text, nullptr);
  g_message.exit_code = static_cast<uint8_t>(exit_code);
  Send();
  Exit(exit_code);
}

void Warn(Word error, const char* what, const char* object) {
  Compose(kStageWarning, error, what, object);
  g_message.sys_errno = -g_message.sys_errno;
  Send();
}

void ReportStage(uint8_t stage) {
  Compose(stage, 0, nullptr, nullptr);
  const Word sent = Syscall(__NR_write, g_status, W(&g_message), kReportHeader);
  if (sent < 0) Exit(128);  // Nobody is there any more.
}

void ReportTerminal(int master) {
  Compose(kStageTerminal, 0, nullptr, nullptr);
  struct Vector {
    void* data;
    size_t size;
  } vector = {&g_message, kReportHeader};
  struct Control {
    size_t length;
    int level;
    int type;
    int fd;
    int padding;
  } control = {16 + sizeof(int), 1 /* SOL_SOCKET */, 1 /* SCM_RIGHTS */, master, 0};
  struct Message {
    void* name;
    uint32_t name_size;
    Vector* vectors;
    size_t vector_count;
    void* control;
    size_t control_size;
    uint32_t flags;
  } message = {nullptr, 0, &vector, 1, &control, sizeof control, 0};
  const Word sent = Syscall(__NR_sendmsg, g_status, W(&message), 0x4000 /* MSG_NOSIGNAL */);
  if (sent < 0) Die(sent, "cannot hand over the container's terminal");
}

void AwaitRelease() {
  char byte;
  Word got;
  do {
    got = Read(g_status, &byte, 1);
  } while (got == -EINTR);
  if (got != 1) Exit(128);
}

}  // namespace skiff::engine::child::inside
