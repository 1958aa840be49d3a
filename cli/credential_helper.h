#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/error.h"

namespace skiff::cli {

// Runs docker-credential-NAME, looked up in `path` ($PATH of `environment`): `input` goes to its
// standard input, its output is returned. kUnavailable with what it said when it fails.
Result<std::string> RunCredentialHelper(const std::string& name, const std::string& action,
                                        const std::string& input,
                                        const std::map<std::string, std::string>& environment);

}  // namespace skiff::cli
