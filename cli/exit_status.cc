#include "cli/exit_status.h"

#include "base/text.h"

namespace skiff::cli {

int StartFailureStatus(const Error& error, int otherwise) {
  const std::string text = ToLower(error.Text());
  const auto says = [&](std::string_view words) { return text.find(words) != std::string::npos; };
  if (says("executable file not found") || says("no such file or directory")) return kExitNotFound;
  if (says("permission denied") || says("is a directory")) return kExitNotExecutable;
  return otherwise;
}

}  // namespace skiff::cli
