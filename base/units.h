#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace skiff {

// "64m", "1.5gb", "512", "-1" (compose-spec: byte values; units b k kb m mb g gb t tb p pb and the
// forms kib mib gib ..., powers of 1024, any case).
Result<int64_t> ParseBytes(std::string_view text);
// "1h5m30s20ms" (Go's time.ParseDuration: h m s ms us ns, fractions, a sign). A bare "0" is zero.
Result<std::chrono::nanoseconds> ParseDuration(std::string_view text);
// As Go prints it: "1m30s", "1.5s", "250ms", "0s".
std::string FormatDuration(std::chrono::nanoseconds duration);
// Sizes as docker prints them, decimal units, four significant digits where it asks for no other
// number: "1.84MB".
std::string FormatSize(int64_t bytes, int digits = 4);
// RFC 3339 in UTC with nine digits of nanoseconds: "2026-11-23T19:01:03.000000001Z".
std::string FormatTimestamp(int64_t nanoseconds_since_epoch);
// RFC 3339, or Unix seconds with an optional fraction; nanoseconds since the epoch.
// kInvalidArgument, also outside the years 1678 to 2261.
Result<int64_t> ParseTimestamp(std::string_view text);
// How long ago, in docker's words: "Less than a second", "About a minute", "3 hours".
std::string HumanDuration(std::chrono::nanoseconds duration);

}  // namespace skiff
