#include "engine-core/image/tar_stream.h"

#include <algorithm>
#include <cstring>

namespace skiff::engine::image {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kName = 100;
constexpr size_t kPrefix = 155;
constexpr uint64_t kLargestId = 07777777;
constexpr int64_t kLargestNumber = 077777777777;

// The ustar header (POSIX.1-2001, "ustar Interchange Format").
struct UstarBlock {
  char name[100];
  char mode[8];
  char uid[8];
  char gid[8];
  char size[12];
  char mtime[12];
  char checksum[8];
  char type;
  char link[100];
  char magic[6];
  char version[2];
  char user[32];
  char group[32];
  char major[8];
  char minor[8];
  char prefix[155];
  char padding[12];
};
static_assert(sizeof(UstarBlock) == kBlock);

void Octal(char* field, size_t size, uint64_t value) {
  field[size - 1] = '\0';
  for (size_t i = size - 1; i-- > 0; value >>= 3) field[i] = static_cast<char>('0' + (value & 7));
}

void Text(char* field, size_t size, std::string_view text) {
  std::memcpy(field, text.data(), std::min(size, text.size()));
}

// Well-formed UTF-8, which is what a pax record holds.
bool IsUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length == 0 || lead > 0xf4 || at + length > text.size()) return false;
    for (size_t i = 1; i < length; ++i) {
      if ((static_cast<unsigned char>(text[at + i]) & 0xc0) != 0x80) return false;
    }
    at += length;
  }
  return true;
}

bool IsAscii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0; });
}

// Other bytes go into the header as they are while they fit there.
bool NeedsRecord(std::string_view text, bool fits) {
  return !fits || (!IsAscii(text) && IsUtf8(text));
}

// Where a long path is cut into prefix and name; npos: it cannot be.
size_t SplitPath(std::string_view path) {
  if (path.size() <= kName) return 0;
  if (path.size() > kPrefix + 1 + kName) return std::string_view::npos;
  // The last slash that leaves a name, a folder's own one aside.
  const size_t end = std::min(kPrefix, path.size() - 2);
  const size_t slash = path.rfind('/', end);
  if (slash == std::string_view::npos || slash == 0 || path.size() - slash - 1 > kName) {
    return std::string_view::npos;
  }
  return slash + 1;
}

// "LENGTH KEY=VALUE\n", where the length counts itself.
void AddRecord(std::string& records, std::string_view key, std::string_view value) {
  const size_t rest = key.size() + value.size() + 3;
  size_t size = rest + std::to_string(rest).size();
  size = rest + std::to_string(size).size();
  records += std::to_string(size);
  records += ' ';
  records += key;
  records += '=';
  records += value;
  records += '\n';
}

}  // namespace

Status TarStream::Block(const TarEntry& entry, std::string_view path) {
  UstarBlock header;
  std::memset(&header, 0, sizeof header);
  size_t name = SplitPath(path);
  if (name == std::string_view::npos) name = 0;  // A pax record has the whole one.
  if (name > 0) Text(header.prefix, sizeof header.prefix, path.substr(0, name - 1));
  Text(header.name, sizeof header.name, path.substr(name));
  Text(header.link, sizeof header.link, entry.link);
  Octal(header.mode, sizeof header.mode, entry.mode & 07777);
  Octal(header.uid, sizeof header.uid, entry.uid > kLargestId ? 0 : entry.uid);
  Octal(header.gid, sizeof header.gid, entry.gid > kLargestId ? 0 : entry.gid);
  Octal(header.size, sizeof header.size,
        entry.size > kLargestNumber ? 0 : static_cast<uint64_t>(entry.size));
  const bool fits = entry.mtime >= 0 && entry.mtime <= kLargestNumber;
  Octal(header.mtime, sizeof header.mtime, fits ? static_cast<uint64_t>(entry.mtime) : 0);
  header.type = entry.type;
  Text(header.magic, sizeof header.magic, "ustar");
  Text(header.version, sizeof header.version, "00");
  Octal(header.major, sizeof header.major, entry.major);
  Octal(header.minor, sizeof header.minor, entry.minor);
  std::memset(header.checksum, ' ', sizeof header.checksum);
  uint64_t sum = 0;
  const auto* bytes = reinterpret_cast<const unsigned char*>(&header);
  for (size_t i = 0; i < kBlock; ++i) sum += bytes[i];
  Octal(header.checksum, 7, sum);
  return sink_({reinterpret_cast<const char*>(&header), kBlock});
}

Status TarStream::Records(const TarEntry& entry, const std::string& records) {
  TarEntry extended;
  extended.type = 'x';
  extended.mode = 0;
  extended.size = static_cast<int64_t>(records.size());
  std::string_view base = entry.path;
  if (base.ends_with('/')) base.remove_suffix(1);
  base = base.substr(base.rfind('/') + 1);
  SKIFF_TRY(Block(extended, "PaxHeaders.0/" + std::string(base.substr(0, 80))));
  written_ = 0;
  SKIFF_TRY(Content(records));
  return EndContent();
}

Status TarStream::Header(const TarEntry& entry) {
  std::string records;
  const bool path = NeedsRecord(entry.path, SplitPath(entry.path) != std::string_view::npos);
  const bool link = NeedsRecord(entry.link, entry.link.size() <= kName);
  if ((path && !IsUtf8(entry.path)) || (link && !IsUtf8(entry.link))) {
    AddRecord(records, "hdrcharset", "BINARY");
  }
  if (path) AddRecord(records, "path", entry.path);
  if (link) AddRecord(records, "linkpath", entry.link);
  if (entry.uid > kLargestId) AddRecord(records, "uid", std::to_string(entry.uid));
  if (entry.gid > kLargestId) AddRecord(records, "gid", std::to_string(entry.gid));
  if (entry.size > kLargestNumber) AddRecord(records, "size", std::to_string(entry.size));
  if (entry.mtime < 0 || entry.mtime > kLargestNumber) {
    AddRecord(records, "mtime", std::to_string(entry.mtime));
  }
  for (const auto& [name, value] : entry.attributes) {
    AddRecord(records, "SCHILY.xattr." + name, value);
  }
  if (!records.empty()) SKIFF_TRY(Records(entry, records));
  written_ = 0;
  return Block(entry, entry.path);
}

Status TarStream::Content(std::string_view data) {
  written_ += static_cast<int64_t>(data.size());
  return sink_(data);
}

Status TarStream::Content(const FileSink& sink, int fd, int64_t size) {
  written_ += size;
  return sink(fd, size);
}

Status TarStream::EndContent() {
  static constexpr char kZeros[kBlock] = {};
  const size_t over = static_cast<size_t>(written_) % kBlock;
  written_ = 0;
  if (over == 0) return {};
  return sink_({kZeros, kBlock - over});
}

Status TarStream::File(const std::string& path, std::string_view content, int64_t mtime) {
  TarEntry entry;
  entry.path = path;
  entry.mode = 0644;
  entry.size = static_cast<int64_t>(content.size());
  entry.mtime = mtime;
  SKIFF_TRY(Header(entry));
  SKIFF_TRY(Content(content));
  return EndContent();
}

Status TarStream::Finish() {
  static constexpr char kZeros[2 * kBlock] = {};
  return sink_({kZeros, sizeof kZeros});
}

}  // namespace skiff::engine::image
