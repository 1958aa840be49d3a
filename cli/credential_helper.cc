#include "cli/credential_helper.h"

#include "base/program.h"
#include "base/text.h"

namespace skiff::cli {

Result<std::string> RunCredentialHelper(const std::string& name, const std::string& action,
                                        const std::string& input,
                                        const std::map<std::string, std::string>& environment) {
  const std::string file = "docker-credential-" + name;
  if (name.find('/') != std::string::npos) {
    return Fail(Code::kNotFound, "error getting credentials - err: exec: \"" + file +
                                     "\": executable file not found in $PATH");
  }
  ProgramCall call;
  call.arguments = {file, action};
  call.environment = environment;
  call.input = input;
  call.limit = 1u << 20;
  auto outcome = RunProgram(call);
  if (!outcome) {
    Error error = std::move(outcome.error());
    error.message = "error getting credentials - err: " + error.message;
    return Fail(std::move(error));
  }
  if (outcome->exit_code != 0) {
    return Fail(Code::kUnavailable, file + ": " + std::string(Trim(outcome->out)));
  }
  return std::move(outcome->out);
}

}  // namespace skiff::cli
