#include "base/units.h"

#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <limits>

#include "base/text.h"

namespace skiff {
namespace {

tl::unexpected<Error> Invalid(std::string_view what, std::string_view text) {
  return Fail(Code::kInvalidArgument,
              "invalid " + std::string(what) + " '" + std::string(text) + "'");
}

// "12.5": digits with at most one point; at least one digit. Removed from the front of `text`.
bool TakeDecimal(std::string_view& text, double& value) {
  size_t i = 0;
  size_t digits = 0;
  bool point = false;
  for (; i < text.size(); ++i) {
    if (text[i] >= '0' && text[i] <= '9') {
      ++digits;
    } else if (text[i] == '.' && !point) {
      point = true;
    } else {
      break;
    }
  }
  if (digits == 0) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + i, value);
  if (error != std::errc()) return false;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  // from_chars leaves a trailing point alone: "1." is a number for us, as for Go.
  if (text.starts_with('.')) text.remove_prefix(1);
  return true;
}

struct DurationUnit {
  std::string_view name;
  int64_t nanoseconds;
};
constexpr DurationUnit kDurationUnits[] = {
    {"ns", 1},         {"us", 1'000},        {"\xc2\xb5s", 1'000},  {"\xce\xbcs", 1'000},
    {"ms", 1'000'000}, {"s", 1'000'000'000}, {"m", 60'000'000'000}, {"h", 3'600'000'000'000},
};

const DurationUnit* FindDurationUnit(std::string_view name) {
  for (const DurationUnit& unit : kDurationUnits) {
    if (unit.name == name) return &unit;
  }
  return nullptr;
}

// `value` with up to `digits` digits after the point, without trailing zeros.
std::string Fraction(int64_t whole, int64_t rest, int64_t unit) {
  std::string out = std::to_string(whole);
  if (rest == 0) return out;
  out += '.';
  for (unit /= 10; rest > 0; unit /= 10) {
    out += static_cast<char>('0' + rest / unit);
    rest %= unit;
  }
  return out;
}

}  // namespace

Result<int64_t> ParseBytes(std::string_view text) {
  std::string_view rest = Trim(text);
  const bool negative = rest.starts_with('-');
  if (negative) rest.remove_prefix(1);
  double value = 0;
  if (!TakeDecimal(rest, value)) return Invalid("size", text);
  const std::string unit = ToLower(Trim(rest));
  static constexpr std::string_view kPrefixes = "kmgtpe";
  double factor = 1;
  if (!unit.empty() && unit != "b") {
    const size_t power = kPrefixes.find(unit[0]);
    const std::string_view tail = std::string_view(unit).substr(1);
    if (power == std::string_view::npos || (!tail.empty() && tail != "b" && tail != "ib")) {
      return Invalid("size", text);
    }
    factor = std::pow(1024.0, static_cast<double>(power + 1));
  }
  const double bytes = value * factor;
  if (bytes >= 9.2e18) return Invalid("size", text);
  const auto result = static_cast<int64_t>(bytes);
  return negative ? -result : result;
}

Result<std::chrono::nanoseconds> ParseDuration(std::string_view text) {
  std::string_view rest = text;
  bool negative = false;
  if (rest.starts_with('-') || rest.starts_with('+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return std::chrono::nanoseconds(0);
  if (rest.empty()) return Invalid("duration", text);
  double total = 0;
  while (!rest.empty()) {
    double value = 0;
    if (!TakeDecimal(rest, value)) return Invalid("duration", text);
    size_t end = 0;
    while (end < rest.size() && rest[end] != '.' && (rest[end] < '0' || rest[end] > '9')) ++end;
    const DurationUnit* unit = FindDurationUnit(rest.substr(0, end));
    if (unit == nullptr) return Invalid("duration", text);
    total += value * static_cast<double>(unit->nanoseconds);
    if (total > 9.2e18) return Invalid("duration", text);
    rest.remove_prefix(end);
  }
  const auto nanoseconds = static_cast<int64_t>(std::llround(total));
  return std::chrono::nanoseconds(negative ? -nanoseconds : nanoseconds);
}

std::string FormatDuration(std::chrono::nanoseconds duration) {
  int64_t n = duration.count();
  if (n == 0) return "0s";
  std::string sign;
  if (n < 0) {
    sign = "-";
    n = -n;
  }
  if (n < 1'000) return sign + std::to_string(n) + "ns";
  if (n < 1'000'000) return sign + Fraction(n / 1'000, n % 1'000, 1'000) + "\xc2\xb5s";
  if (n < 1'000'000'000) return sign + Fraction(n / 1'000'000, n % 1'000'000, 1'000'000) + "ms";
  const int64_t hours = n / 3'600'000'000'000;
  n %= 3'600'000'000'000;
  const int64_t minutes = n / 60'000'000'000;
  n %= 60'000'000'000;
  std::string out = sign;
  if (hours > 0) out += std::to_string(hours) + "h";
  if (hours > 0 || minutes > 0) out += std::to_string(minutes) + "m";
  return out + Fraction(n / 1'000'000'000, n % 1'000'000'000, 1'000'000'000) + "s";
}

std::string FormatSize(int64_t bytes, int digits) {
  static constexpr std::array<std::string_view, 7> kUnits = {"B",  "kB", "MB", "GB",
                                                             "TB", "PB", "EB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000.0 && unit + 1 < kUnits.size()) {
    value /= 1000.0;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.*g", digits, value);
  return std::string(text) + std::string(kUnits[unit]);
}

std::string FormatTimestamp(int64_t nanoseconds_since_epoch) {
  int64_t seconds = nanoseconds_since_epoch / 1'000'000'000;
  int64_t rest = nanoseconds_since_epoch % 1'000'000'000;
  if (rest < 0) {
    rest += 1'000'000'000;
    --seconds;
  }
  const auto clock = static_cast<time_t>(seconds);
  tm parts = {};
  ::gmtime_r(&clock, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ", parts.tm_year + 1900,
                parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                static_cast<int>(rest));
  return text;
}

namespace {

// Nanoseconds of a decimal fraction's digits ("5" is half a second); nothing for non-digits.
std::optional<int64_t> FractionNanoseconds(std::string_view digits) {
  if (digits.empty()) return std::nullopt;
  int64_t value = 0;
  int64_t unit = 100'000'000;
  for (const char c : digits) {
    if (c < '0' || c > '9') return std::nullopt;
    value += (c - '0') * unit;
    unit /= 10;
  }
  return value;
}

// "Z", "+01:00", "-0530" to seconds east of UTC.
std::optional<int64_t> ZoneSeconds(std::string_view zone) {
  if (zone == "Z" || zone == "z") return 0;
  if (zone.size() != 6 || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':') return std::nullopt;
  const auto hours = ParseNumber<int>(zone.substr(1, 2));
  const auto minutes = ParseNumber<int>(zone.substr(4, 2));
  if (!hours || !minutes) return std::nullopt;
  const int64_t seconds = *hours * 3600 + *minutes * 60;
  return zone[0] == '-' ? -seconds : seconds;
}

// Nothing when it is more than 64 bits hold (the years 1678 to 2261).
std::optional<int64_t> InNanoseconds(int64_t seconds, int64_t nanoseconds) {
  int64_t out = 0;
  if (__builtin_mul_overflow(seconds, int64_t{1'000'000'000}, &out) ||
      __builtin_add_overflow(out, nanoseconds, &out)) {
    return std::nullopt;
  }
  return out;
}

}  // namespace

Result<int64_t> ParseTimestamp(std::string_view text) {
  const auto point_in_time = [text](int64_t seconds, int64_t nanoseconds) -> Result<int64_t> {
    const auto out = InNanoseconds(seconds, nanoseconds);
    if (!out) return Invalid("time stamp", text);
    return *out;
  };
  const size_t point = text.find('.');
  if (const auto seconds = ParseNumber<int64_t>(text.substr(0, point));
      seconds && text.find('-', 1) == std::string_view::npos) {
    if (point == std::string_view::npos) return point_in_time(*seconds, 0);
    const auto fraction = FractionNanoseconds(text.substr(point + 1));
    if (!fraction) return Invalid("time stamp", text);
    return point_in_time(*seconds, *fraction);
  }
  tm parts = {};
  int consumed = 0;
  const std::string copy(text);
  int fields = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d%n", &parts.tm_year, &parts.tm_mon,
                           &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &consumed);
  if (fields != 6) {
    parts = {};
    fields = std::sscanf(copy.c_str(), "%4d-%2d-%2d%n", &parts.tm_year, &parts.tm_mon,
                         &parts.tm_mday, &consumed);
    if (fields != 3 || static_cast<size_t>(consumed) != copy.size()) {
      return Invalid("time stamp", text);
    }
  }
  if (parts.tm_mon < 1 || parts.tm_mon > 12 || parts.tm_mday < 1 || parts.tm_mday > 31) {
    return Invalid("time stamp", text);
  }
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  std::string_view rest = std::string_view(copy).substr(static_cast<size_t>(consumed));
  int64_t nanoseconds = 0;
  if (rest.starts_with('.')) {
    size_t end = 1;
    while (end < rest.size() && rest[end] >= '0' && rest[end] <= '9') ++end;
    const auto fraction = FractionNanoseconds(rest.substr(1, end - 1));
    if (!fraction) return Invalid("time stamp", text);
    nanoseconds = *fraction;
    rest.remove_prefix(end);
  }
  // Without a zone the time is local, as docker reads it.
  if (rest.empty()) {
    parts.tm_isdst = -1;
    return point_in_time(::mktime(&parts), nanoseconds);
  }
  const auto zone = ZoneSeconds(rest);
  if (!zone) return Invalid("time stamp", text);
  return point_in_time(int64_t{::timegm(&parts)} - *zone, nanoseconds);
}

std::string HumanDuration(std::chrono::nanoseconds duration) {
  using namespace std::chrono;
  const int64_t s = duration_cast<seconds>(duration).count();
  const auto plural = [](int64_t n, const char* unit) { return std::to_string(n) + " " + unit; };
  if (s < 1) return "Less than a second";
  if (s == 1) return "1 second";
  if (s < 60) return plural(s, "seconds");
  const int64_t m = s / 60;
  if (m == 1) return "About a minute";
  if (m < 60) return plural(m, "minutes");
  // docker rounds hours to the nearest.
  const int64_t h = (s + 1800) / 3600;
  if (h == 1) return "About an hour";
  if (h < 48) return plural(h, "hours");
  if (h < 24 * 7 * 2) return plural(h / 24, "days");
  if (h < 24 * 30 * 2) return plural(h / 24 / 7, "weeks");
  if (h < 24 * 365 * 2) return plural(h / 24 / 30, "months");
  return plural(h / 24 / 365, "years");
}

}  // namespace skiff
