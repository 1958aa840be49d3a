#include "schema/text/short_syntax.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "base/text.h"
#include "base/units.h"

namespace skiff::schema {
namespace {

tl::unexpected<Error> FailAt(std::string message, size_t offset, size_t length,
                             std::string note = "") {
  Error error(Code::kInvalidArgument, std::move(message));
  error.span = {0, static_cast<uint32_t>(offset), static_cast<uint32_t>(length)};
  if (!note.empty()) error.notes.push_back({std::move(note), {}});
  return Fail(std::move(error));
}

struct PortRange {
  uint16_t first = 0, last = 0;
};

std::optional<PortRange> ParsePortRange(std::string_view text) {
  const size_t dash = text.find('-');
  const auto first = ParseNumber<uint16_t>(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? first : ParseNumber<uint16_t>(text.substr(dash + 1));
  if (!first || !last || *last < *first) return std::nullopt;
  return PortRange{*first, *last};
}

// "80/" before "8080/": as the numbers are written, with what follows them.
bool LessAsText(uint16_t a, uint16_t b) {
  char texts[2][8];
  size_t lengths[2];
  for (const auto& [number, value] : {std::pair(0, a), std::pair(1, b)}) {
    char* end = std::to_chars(texts[number], texts[number] + 6, value).ptr;
    *end++ = '/';
    lengths[number] = static_cast<size_t>(end - texts[number]);
  }
  return std::string_view(texts[0], lengths[0]) < std::string_view(texts[1], lengths[1]);
}

}  // namespace

bool IsIpAddress(std::string_view text) {
  const std::string copy(text);
  std::array<unsigned char, 16> address;
  return inet_pton(AF_INET, copy.c_str(), address.data()) == 1 ||
         inet_pton(AF_INET6, copy.c_str(), address.data()) == 1;
}

Result<std::vector<PortSpec>> ParsePortSpec(std::string_view text) {
  const size_t last_colon = text.rfind(':');
  std::string_view container = text;
  std::string_view host, ip;
  size_t host_offset = 0;
  if (last_colon != std::string_view::npos) {
    container = text.substr(last_colon + 1);
    const std::string_view front = text.substr(0, last_colon);
    const size_t colon = front.rfind(':');
    host_offset = colon == std::string_view::npos ? 0 : colon + 1;
    host = front.substr(host_offset);
    if (colon != std::string_view::npos) ip = front.substr(0, colon);
  }
  const size_t container_offset = text.size() - container.size();
  std::string protocol = "tcp";
  const size_t slash = container.find('/');
  std::string_view ports = container.substr(0, slash);
  if (ports.empty()) {
    return FailAt("no container port in '" + std::string(text) + "'", 0, text.size(),
                  "the short form is [[IP:]HOST:]CONTAINER[/PROTOCOL]");
  }
  if (slash != std::string_view::npos && slash + 1 < container.size()) {
    protocol = ToLower(container.substr(slash + 1));
    if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") {
      return FailAt("invalid protocol '" + std::string(container.substr(slash + 1)) + "'",
                    container_offset + slash + 1, container.size() - slash - 1,
                    "valid are tcp, udp and sctp");
    }
  }
  std::string_view address = ip;
  if (address.size() > 1 && address.front() == '[' && address.back() == ']') {
    address = address.substr(1, address.size() - 2);
  }
  if (!ip.empty() && !IsIpAddress(address)) {
    return FailAt("invalid IP address '" + std::string(ip) + "'", 0, ip.size());
  }
  const auto inner = ParsePortRange(ports);
  if (!inner || inner->first == 0) {
    return FailAt("invalid container port '" + std::string(ports) + "'", container_offset,
                  ports.size(), "ports are 1 to 65535, a range is FIRST-LAST");
  }
  std::optional<PortRange> outer;
  if (!host.empty()) {
    outer = ParsePortRange(host);
    if (!outer) {
      return FailAt("invalid host port '" + std::string(host) + "'", host_offset, host.size(),
                    "ports are 0 to 65535, a range is FIRST-LAST");
    }
    if (outer->last - outer->first != inner->last - inner->first && inner->first != inner->last) {
      return FailAt("the port ranges '" + std::string(host) + "' and '" + std::string(ports) +
                        "' differ in length",
                    0, text.size());
    }
  }
  std::vector<PortSpec> specs;
  for (int i = 0; i <= inner->last - inner->first; ++i) {
    PortSpec spec;
    spec.host_ip = std::string(address);
    spec.protocol = protocol;
    spec.target = static_cast<uint16_t>(inner->first + i);
    if (outer) {
      spec.published = std::to_string(outer->first + i);
      if (inner->first == inner->last && outer->first != outer->last) {
        spec.published += "-" + std::to_string(outer->last);
      }
    }
    specs.push_back(std::move(spec));
  }
  // The reference sorts the ports of a range as text.
  std::sort(specs.begin(), specs.end(), [](const PortSpec& a, const PortSpec& b) {
    return LessAsText(a.target, b.target);
  });
  return specs;
}

namespace {

bool IsDrive(std::string_view section, char next) {
  return next == ':' && section.size() == 1 &&
         std::isalpha(static_cast<unsigned char>(section[0])) != 0;
}

bool IsFilePath(std::string_view source) {
  if (source.empty()) return false;
  if (source[0] == '.' || source[0] == '/' || source[0] == '~') return true;
  if (source.starts_with("\\\\")) return true;
  return source.size() > 1 && IsDrive(source.substr(0, 1), source[1]);
}

void TakeVolumeOption(VolumeSpec& spec, std::string_view option, size_t offset) {
  static constexpr std::string_view kPropagations[] = {"rprivate", "private", "rshared",
                                                       "shared",   "rslave",  "slave"};
  if (option == "ro" || option == "rw") {
    spec.read_only = option == "ro";
  } else if (option == "nocopy") {
    spec.has_volume_options = spec.nocopy = true;
  } else if (option == "z" || option == "Z") {
    spec.has_bind_options = true;
    spec.selinux = std::string(option);
  } else if (std::find(std::begin(kPropagations), std::end(kPropagations), option) !=
             std::end(kPropagations)) {
    spec.has_bind_options = true;
    spec.propagation = std::string(option);
  } else {
    spec.ignored.push_back({std::string(option), static_cast<uint32_t>(offset)});
  }
}

}  // namespace

Result<VolumeSpec> ParseVolumeSpec(std::string_view text) {
  VolumeSpec spec;
  if (text.empty()) return FailAt("the volume is empty", 0, 0, "the short form is SOURCE:TARGET");
  if (text.size() <= 2) {
    spec.target = std::string(text);
    return spec;
  }
  // Sections between colons; a drive letter and the inside of ${...} keep theirs.
  std::vector<std::pair<size_t, size_t>> sections;  // offset, length
  int braces = 0;
  size_t begin = 0;
  for (size_t i = 0; i <= text.size(); ++i) {
    const bool end = i == text.size();
    if (!end && text[i] == '$' && i + 1 < text.size() && text[i + 1] == '{') ++braces;
    if (!end && text[i] == '}' && braces > 0) --braces;
    if (!end && (text[i] != ':' || braces > 0)) continue;
    if (!end && IsDrive(text.substr(begin, i - begin), ':')) continue;
    if (i == begin) {
      return FailAt("empty section between colons in '" + std::string(text) + "'", end ? i - 1 : i,
                    1, "the short form is SOURCE:TARGET[:OPTIONS]");
    }
    sections.emplace_back(begin, i - begin);
    begin = i + 1;
  }
  if (sections.size() > 3) {
    return FailAt("too many colons in '" + std::string(text) + "'", sections[3].first - 1, 1,
                  "the short form is SOURCE:TARGET[:OPTIONS]");
  }
  const auto section = [&](size_t index) {
    return text.substr(sections[index].first, sections[index].second);
  };
  spec.target = std::string(section(sections.size() == 1 ? 0 : 1));
  if (sections.size() > 1) spec.source = std::string(section(0));
  if (sections.size() == 3) {
    size_t offset = sections[2].first;
    for (const std::string_view option : Split(section(2), ',')) {
      TakeVolumeOption(spec, option, offset);
      offset += option.size() + 1;
    }
  }
  spec.bind = IsFilePath(spec.source);
  if (spec.bind) {
    spec.has_bind_options = true;
  } else {
    spec.has_volume_options = true;
  }
  return spec;
}

namespace {

// State of SplitShellWords, character by character.
struct WordReader {
  ShellWords result;
  std::string word;
  bool started = false, quoted = false;  // Something, or "" in quotes, belongs to the word.
  bool escaped = false, in_double = false, in_single = false, in_back = false, in_dollar = false;

  bool Inside() const { return in_double || in_single || in_back || in_dollar; }
  void Flush() {
    if (quoted || (started && !word.empty())) result.words.push_back(word);
    word.clear();
    started = quoted = false;
  }
  void Put(char c) {
    word += c;
    started = true;
  }

  void Escaped(char c) {
    escaped = false;
    if (in_back || in_dollar) word += '\\';
    if (!in_back && !in_dollar && c == 't') c = '\t';
    if (!in_back && !in_dollar && c == 'n') c = '\n';
    Put(c);
  }

  // False at an unmatched parenthesis.
  bool Parenthesis(char c) {
    if (in_single || in_double || in_back) {
      Put(c);
      return true;
    }
    if (c == ')') {
      if (!in_dollar) return false;
      Put(c);
      in_dollar = false;
      return true;
    }
    const size_t n = word.size();
    if (in_dollar || n == 0 || word[n - 1] != '$' || (n > 1 && word[n - 2] == '\\')) return false;
    in_dollar = true;
    word += c;
    return true;
  }

  bool Quote(char c) {
    bool& mine = c == '"' ? in_double : in_single;
    const bool other = c == '"' ? in_single : in_double;
    if (other || in_dollar || in_back) return false;
    if (mine) quoted = true;
    mine = !mine;
    return true;
  }
};

}  // namespace

Result<ShellWords> SplitShellWords(std::string_view text) {
  WordReader reader;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (reader.escaped) {
      reader.Escaped(c);
      continue;
    }
    if (c == '\\') {
      if (reader.in_single) {
        reader.word += c;
      } else {
        reader.escaped = true;
      }
      continue;
    }
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
      if (reader.Inside()) {
        reader.word += c;
      } else {
        reader.Flush();
      }
      continue;
    }
    if ((c == '"' || c == '\'') && reader.Quote(c)) continue;
    if (c == '(' || c == ')') {
      if (!reader.Parenthesis(c)) {
        return FailAt("a command without a shell cannot have '" + std::string(1, c) + "' here", i,
                      1, "quote it, or write the command as a list");
      }
      continue;
    }
    if (c == '`' && !reader.in_single && !reader.in_double && !reader.in_dollar) {
      reader.in_back = !reader.in_back;
    }
    if (std::string_view(";&|<>").find(c) != std::string_view::npos && !reader.Inside()) {
      const bool digits = c == '>' && !reader.word.empty() &&
                          reader.word.find_first_not_of("0123456789") == std::string::npos;
      if (digits) reader.started = reader.quoted = false;
      reader.result.dropped_from = static_cast<uint32_t>(i);
      break;
    }
    reader.Put(c);
  }
  reader.Flush();
  if (reader.escaped || reader.Inside()) {
    return FailAt("a quote or escape of the command does not end", 0, text.size());
  }
  return reader.result;
}

namespace {

// Digits with at most one point, as Go's durations have them: "1", "1.5", ".5", "1.".
std::optional<double> ParseDecimal(std::string_view text) {
  double value = 0, scale = 1;
  bool point = false, digits = false;
  for (const char c : text) {
    if (c == '.') {
      if (point) return std::nullopt;
      point = true;
      continue;
    }
    digits = true;
    value = value * 10 + (c - '0');
    if (point) scale *= 10;
  }
  if (!digits) return std::nullopt;
  return value / scale;
}

}  // namespace

Result<int64_t> ParseTimeSpan(std::string_view text) {
  const auto invalid = [&] {
    return FailAt("invalid duration '" + std::string(text) + "'", 0, text.size(),
                  "a duration is a number with a unit: 500ms, 10s, 1m30s, 2h");
  };
  struct Unit {
    std::string_view name;
    double nanoseconds;
  };
  static constexpr Unit kUnits[] = {
      {"ns", 1},  {"us", 1e3}, {"\u00b5s", 1e3}, {"\u03bcs", 1e3}, {"ms", 1e6},
      {"s", 1e9}, {"m", 60e9}, {"h", 3600e9},    {"d", 86400e9},   {"w", 604800e9},
  };
  std::string_view rest = text;
  bool negative = false;
  if (!rest.empty() && (rest[0] == '-' || rest[0] == '+')) {
    negative = rest[0] == '-';
    rest.remove_prefix(1);
  }
  if (rest == "0") return 0;
  if (rest.empty()) return invalid();
  double total = 0;
  while (!rest.empty()) {
    size_t digits = 0;
    while (digits < rest.size() &&
           (std::isdigit(static_cast<unsigned char>(rest[digits])) != 0 || rest[digits] == '.')) {
      ++digits;
    }
    size_t unit_end = digits;
    while (unit_end < rest.size() && rest[unit_end] != '.' &&
           std::isdigit(static_cast<unsigned char>(rest[unit_end])) == 0) {
      ++unit_end;
    }
    const auto number = ParseDecimal(rest.substr(0, digits));
    const std::string_view name = rest.substr(digits, unit_end - digits);
    const auto unit = std::find_if(std::begin(kUnits), std::end(kUnits),
                                   [&](const Unit& u) { return u.name == name; });
    if (!number || unit == std::end(kUnits)) return invalid();
    total += *number * unit->nanoseconds;
    rest.remove_prefix(unit_end);
  }
  if (total > 9.2e18) return invalid();
  const int64_t nanoseconds = std::llround(total);
  return negative ? -nanoseconds : nanoseconds;
}

std::string CleanPath(std::string_view path) {
  if (path.empty()) return ".";
  const bool rooted = path[0] == '/';
  std::vector<std::string_view> parts;
  for (const std::string_view part : Split(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == ".." && !parts.empty() && parts.back() != "..") {
      parts.pop_back();
    } else if (part != ".." || !rooted) {
      parts.push_back(part);
    }
  }
  std::string out = rooted ? "/" : "";
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += '/';
    out += parts[i];
  }
  return out.empty() ? "." : out;
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  return CleanPath(std::string(directory) + "/" + std::string(name));
}

std::string AbsolutePath(std::string_view directory, std::string_view path) {
  return path.starts_with("/") ? CleanPath(path) : JoinPath(directory, path);
}

std::string DirectoryOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == 0 ? "/" : std::string(path.substr(0, slash));
}

bool IsWindowsAbsolute(std::string_view path) {
  if (path.starts_with("\\\\")) return true;
  return path.size() > 2 && IsDrive(path.substr(0, 1), path[1]) &&
         (path[2] == '\\' || path[2] == '/');
}

}  // namespace skiff::schema
