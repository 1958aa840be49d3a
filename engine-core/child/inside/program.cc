#include "engine-core/child/inside/program.h"

#include "engine-core/child/inside/process.h"
#include "engine-core/child/inside/report.h"
#include "engine-core/child/inside/stat.h"

namespace skiff::engine::child::inside {
namespace {

constexpr char kDefaultPath[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const char* PathVariable(const ProcessPlan& plan) {
  for (size_t i = 0; i < plan.env_size; ++i) {
    if (StartsWith(plan.env[i], "PATH=")) return plan.env[i] + 5;
  }
  return kDefaultPath;
}

// 0 when this user may execute the regular file.
Word CheckExecutable(const char* path) {
  Word error = 0;
  const FileFacts facts = FactsOfPath(path, &error);
  if (error < 0) return error;
  if ((facts.mode & 0170000) == 0040000) return -EISDIR;
  constexpr int kExecute = 1, kEffective = 0x200;
  Word result = Syscall(__NR_faccessat2, kAtCwd, W(path), kExecute, kEffective);
  if (result == -ENOSYS || result == -EPERM) result = (facts.mode & 0111) != 0 ? 0 : -EACCES;
  return result;
}

const char* Reason(Word error) {
  switch (-error) {
    case ENOENT:
      return "no such file or directory";
    case EACCES:
    case EPERM:
      return "permission denied";
    case EISDIR:
      return "is a directory";
    case ENOTDIR:
      return "not a directory";
    case ENOEXEC:
      return "exec format error";
    case ELOOP:
      return "too many levels of symbolic links";
    case ETXTBSY:
      return "text file busy";
    case E2BIG:
      return "argument list too long";
    case ENOMEM:
      return "cannot allocate memory";
    default:
      return nullptr;
  }
}

int ExitCodeOf(Word error) {
  switch (-error) {
    case ENOENT:
    case ENOTDIR:
      return 127;
    case EACCES:
    case EPERM:
    case EISDIR:
      return 126;
    default:
      return 128;
  }
}

[[noreturn]] void Refuse(const char* program, const char* middle, Word error) {
  static Text<kReportText> text;
  text.Add("exec: \"");
  text.Add(program);
  text.Add("\": ");
  text.Add(middle);
  const char* reason = Reason(error);
  if (reason == nullptr) Die(error, text.data, nullptr, ExitCodeOf(error));
  text.Add(reason);
  DieWith(text.data, error, ExitCodeOf(error));
}

bool HasSlash(const char* text) {
  for (; *text != 0; ++text) {
    if (*text == '/') return true;
  }
  return false;
}

}  // namespace

const char* FindProgram(const ProcessPlan& plan) {
  const char* name = plan.args[0];
  if (name == nullptr) DieWith("no command specified", EINVAL, 127);
  if (HasSlash(name)) {
    const Word error = CheckExecutable(name);
    if (error == 0) return name;
    Text<kReportText> stat;
    if (error == -ENOENT || error == -ENOTDIR) {
      stat.Add("stat ");
      stat.Add(name);
      stat.Add(": ");
    }
    Refuse(name, stat.data, error);
  }
  static PathText candidate;
  const char* at = *name == 0 ? "" : PathVariable(plan);
  while (*at != 0) {
    size_t size = 0;
    while (at[size] != 0 && at[size] != ':') ++size;
    candidate = PathText();
    candidate.AddBytes(at, size);
    candidate.AddByte('/');
    candidate.Add(name);
    // A relative entry would mean whatever the working directory holds.
    if (*at == '/' && !candidate.truncated && CheckExecutable(candidate.data) == 0)
      return candidate.data;
    at += size;
    if (*at == ':') ++at;
  }
  Text<kReportText> text;
  text.Add("exec: \"");
  text.Add(name);
  text.Add("\": executable file not found in $PATH");
  DieWith(text.data, ENOENT, 127);
}

void Execute(const ProcessPlan& plan, const char* program) {
  ReportStage(kStageExecuting);
  const Word error = Syscall(__NR_execve, W(program), W(plan.args), W(plan.env));
  Refuse(program, "", error);
}

}  // namespace skiff::engine::child::inside
