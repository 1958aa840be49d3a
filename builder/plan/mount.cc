// The options of RUN --mount.
#include "base/text.h"
#include "base/units.h"
#include "builder/plan/interpret.h"
#include "builder/syntax/csv.h"
#include "builder/syntax/mistake.h"

namespace skiff::builder {
namespace {

constexpr std::string_view kTypes[] = {"bind", "cache", "tmpfs", "secret", "ssh"};
constexpr std::string_view kSharings[] = {"shared", "private", "locked"};

std::string Quoted(std::string_view text) {
  return "\"" + std::string(text) + "\"";
}

template <size_t kCount>
std::optional<size_t> IndexOf(const std::string_view (&words)[kCount], std::string_view word) {
  for (size_t i = 0; i < kCount; ++i) {
    if (words[i] == word) return i;
  }
  return std::nullopt;
}

// Reads options one after the other; an option may depend on the type given before it.
class MountReader {
 public:
  explicit MountReader(SourceSpan place) : place_(place) {}

  Status Read(const Option& option, std::string value);
  Result<Mount> Finish();

 private:
  using Setter = Status (MountReader::*)(const std::string& key, const std::string& value);
  struct Row {
    std::string_view key;
    Setter set;
  };
  static const Row kRows[];

  tl::unexpected<Error> Refuse(std::string message) const {
    return Mistake(std::move(message), place_);
  }
  tl::unexpected<Error> RefuseValue(const std::string& key, const std::string& value) const {
    return Refuse("invalid value for " + key + ": " + value);
  }
  tl::unexpected<Error> RefuseKey(const std::string& key) const {
    return Refuse("unexpected key '" + key + "' for mount type '" + TypeName() + "'");
  }
  std::string TypeName() const { return std::string(kTypes[static_cast<size_t>(mount_.type)]); }
  bool IsHidden() const {
    return mount_.type == MountType::kSecret || mount_.type == MountType::kSsh;
  }

  Status Type(const std::string& key, const std::string& value);
  Status From(const std::string&, const std::string& value) {
    return has_from_ = !value.empty(), Status();
  }
  Status SetSource(const std::string&, const std::string& value) {
    return mount_.source = value, Status();
  }
  Status Target(const std::string&, const std::string& value) {
    return mount_.target = value, Status();
  }
  Status ReadOnly(const std::string& key, const std::string& value);
  Status ReadWrite(const std::string& key, const std::string& value);
  Status Required(const std::string& key, const std::string& value);
  Status Size(const std::string& key, const std::string& value);
  Status Id(const std::string&, const std::string& value) { return mount_.id = value, Status(); }
  Status Sharing(const std::string& key, const std::string& value);
  Status Mode(const std::string& key, const std::string& value);
  Status Owner(const std::string& key, const std::string& value);
  Status Variable(const std::string&, const std::string& value) {
    return mount_.variable = value, Status();
  }
  Status CheckSecret() const;

  SourceSpan place_;
  Mount mount_;
  bool has_from_ = false;
  bool has_sharing_ = false;
  std::optional<bool> read_only_;
};

const MountReader::Row MountReader::kRows[] = {
    {"type", &MountReader::Type},          {"from", &MountReader::From},
    {"source", &MountReader::SetSource},   {"src", &MountReader::SetSource},
    {"target", &MountReader::Target},      {"dst", &MountReader::Target},
    {"destination", &MountReader::Target}, {"readonly", &MountReader::ReadOnly},
    {"ro", &MountReader::ReadOnly},        {"readwrite", &MountReader::ReadWrite},
    {"rw", &MountReader::ReadWrite},       {"required", &MountReader::Required},
    {"size", &MountReader::Size},          {"id", &MountReader::Id},
    {"sharing", &MountReader::Sharing},    {"mode", &MountReader::Mode},
    {"uid", &MountReader::Owner},          {"gid", &MountReader::Owner},
    {"env", &MountReader::Variable},
};

Status MountReader::Type(const std::string&, const std::string& value) {
  const auto index = IndexOf(kTypes, ToLower(value));
  if (!index) {
    return Refuse("unsupported mount type " + Quoted(value) +
                  Suggestion(value, {std::begin(kTypes), std::end(kTypes)}));
  }
  mount_.type = static_cast<MountType>(*index);
  return {};
}

Status MountReader::ReadOnly(const std::string& key, const std::string& value) {
  read_only_ = ParseTruth(value);
  if (!read_only_) return RefuseValue(key, value);
  return {};
}

Status MountReader::ReadWrite(const std::string& key, const std::string& value) {
  SKIFF_TRY(ReadOnly(key, value));
  read_only_ = !*read_only_;
  return {};
}

Status MountReader::Required(const std::string& key, const std::string& value) {
  if (!IsHidden()) return RefuseKey(key);
  const auto truth = ParseTruth(value);
  if (!truth) return RefuseValue(key, value);
  mount_.required = *truth;
  return {};
}

Status MountReader::Size(const std::string& key, const std::string& value) {
  if (mount_.type != MountType::kTmpfs) return RefuseKey(key);
  const auto size = ParseBytes(value);
  if (!size) return RefuseValue(key, value);
  mount_.size = *size;
  return {};
}

Status MountReader::Sharing(const std::string&, const std::string& value) {
  const auto index = IndexOf(kSharings, ToLower(value));
  if (!index) {
    return Refuse("unsupported sharing value " + Quoted(value) +
                  Suggestion(value, {std::begin(kSharings), std::end(kSharings)}));
  }
  has_sharing_ = true;
  mount_.sharing = static_cast<CacheSharing>(*index);
  return {};
}

Status MountReader::Mode(const std::string& key, const std::string& value) {
  const auto number = ParseNumber<uint32_t>(value, 8);
  if (!number) return Refuse("invalid value " + value + " for " + key);
  mount_.mode = *number;
  return {};
}

Status MountReader::Owner(const std::string& key, const std::string& value) {
  const auto number = ParseNumber<uint32_t>(value);
  if (!number) return Refuse("invalid value " + value + " for " + key);
  (key == "uid" ? mount_.uid : mount_.gid) = *number;
  return {};
}

Status MountReader::Read(const Option& option, std::string value) {
  const std::string& key = option.key;
  if (!option.value) {
    const bool flag =
        key == "readonly" || key == "ro" || key == "readwrite" || key == "rw" || key == "required";
    if (!flag) return Refuse("invalid field '" + option.field + "' must be a key=value pair");
    value = "true";
  }
  std::vector<std::string_view> known;
  for (const Row& row : kRows) {
    if (row.key == key) return (this->*row.set)(key, value);
    known.push_back(row.key);
  }
  return Refuse("unexpected key '" + key + "' in '" + option.field + "'" + Suggestion(key, known));
}

Status MountReader::CheckSecret() const {
  if (has_from_) return Refuse("secret mount should not have a from");
  if (has_sharing_) return Refuse("secret mount should not define sharing");
  if (mount_.source.empty() && mount_.target.empty() && mount_.id.empty()) {
    return Refuse("invalid secret mount. one of source, target required");
  }
  if (!mount_.source.empty() && !mount_.id.empty()) {
    return Refuse("both source and id can't be set");
  }
  return {};
}

Result<Mount> MountReader::Finish() {
  const bool has_owner = IsHidden() || mount_.type == MountType::kCache;
  const std::pair<const char*, bool> restricted[] = {{"mode", mount_.mode.has_value()},
                                                     {"uid", mount_.uid.has_value()},
                                                     {"gid", mount_.gid.has_value()}};
  for (const auto& [key, given] : restricted) {
    if (given && !has_owner) {
      return Refuse(std::string(key) + " not allowed for " + Quoted(TypeName()) + " type mounts");
    }
  }
  const bool writable = mount_.type == MountType::kCache || mount_.type == MountType::kTmpfs;
  mount_.read_only = read_only_.value_or(!writable);
  if (mount_.type == MountType::kSecret) SKIFF_TRY(CheckSecret());
  if (has_sharing_ && mount_.type != MountType::kCache) {
    return Refuse("invalid cache sharing set for " + TypeName() + " mount");
  }
  return mount_;
}

}  // namespace

Result<Mount> ParseMount(const Word& options, const ExpandValue& value) {
  SKIFF_ASSIGN(const std::vector<Option> fields, SplitOptions(options.text));
  MountReader reader(options.span);
  for (const Option& field : fields) {
    std::string expanded;
    if (field.value) {
      SKIFF_ASSIGN(expanded, value(*field.value));
    }
    SKIFF_TRY(reader.Read(field, std::move(expanded)));
  }
  return reader.Finish();
}

}  // namespace skiff::builder
