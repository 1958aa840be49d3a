#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/diagnostic.h"
#include "base/source.h"
#include "schema/text/template.h"

namespace skiff::schema {

// Reads one file of KEY=VALUE lines that is already in `sources` into `variables`: keys that are
// there are visible to expansions and are replaced. `lookup` wins over them (compose-spec:
// 12-interpolation.md, env file syntax; compose-go: dotenv). Errors carry the place in the file;
// what stands before the error is kept. Returns false after an error.
bool ParseDotenv(const SourceMap& sources, uint32_t file, const Lookup& lookup,
                 std::map<std::string, std::string>& variables, Diagnostics& diagnostics);

// `format: raw`: what `docker run --env-file` reads. No quotes, no expansion.
bool ParseRawEnv(const SourceMap& sources, uint32_t file, const Lookup& lookup,
                 std::map<std::string, std::string>& variables, Diagnostics& diagnostics);

}  // namespace skiff::schema
