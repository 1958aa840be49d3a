#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace skiff::schema {

// The Compose Specification as data. Every pass over a tree (interpolation, checking, canonical
// forms, merging, path resolution, the final model, the JSON Schema) walks the tree and these rows
// together; nothing compares dotted paths.

// Kinds of YAML values an attribute accepts (compose-spec.json: type).
enum Accept : uint8_t {
  kStr = 1,
  kInt = 2,
  kFlt = 4,
  kBool = 8,
  kNull = 16,
  kSeq = 32,
  kMap = 64,
  kNum = kInt | kFlt,
};

// What the value becomes in the final model, and when it is left out of it.
enum class Form : uint8_t {
  kAny,           // Kept as it is (x-*, storage_opt).
  kString,        // Left out when "".
  kBool,          // Left out when false.
  kBoolSet,       // Kept whenever it is given.
  kOptOut,        // Left out when true.
  kInt,           // Left out when 0.
  kIntSet,        // Kept whenever it is given.
  kFloat32,       // Left out when 0.
  kBytes,         // A quoted number of bytes, left out when 0.
  kDuration,      // Kept whenever it is given.
  kDurationSet,   // Left out when 0.
  kFileMode,      // Octal text.
  kDeviceCount,   // A number, -1 for all.
  kList,          // Of item; a single string is a list of one. Left out when empty.
  kPrintedList,   // A list of strings; numbers are printed.
  kStruct,        // fields.
  kTable,         // User's keys to item.
  kKeyValue,      // key to text or nothing (MappingWithEquals).
  kLabels,        // key to text.
  kOptions,       // key to text, from a mapping only.
  kMultiOptions,  // key to list of text.
  kHosts,         // "host=ip" list, sorted.
  kCommand,       // List; a string is split as a shell does. [] is kept.
  kHealthTest,    // List; a string is CMD-SHELL.
  kSsh,
  kUlimit,
  kForgotten,  // Read, but not part of the model.
};

// What a string becomes right after interpolation (compose-go: interpolateTypeCastMapping).
enum class Cast : uint8_t { kNone, kBool, kInt, kFloat };

// Short syntax that the canonical form replaces.
enum class Short : uint8_t {
  kNone,
  kBuild,
  kDependsOn,
  kEnvFile,
  kStringToList,
  kExtends,
  kGpus,
  kNamesToTable,
  kVolume,
  kDevice,
  kFileMount,
  kPorts,
  kSsh,
  kExternal,
  kInclude,
  kPrinted,
  kPairsToTable,
};

// compose-spec: merge (13-merge.md) and compose-go's mergeSpecials.
enum class MergeRule : uint8_t {
  kDefault,
  kReplace,
  kToSequence,
  kBuild,
  kDependsOn,
  kNames,
  kLogging,
  kExtraHosts,
  kIpamConfig,
};

// What makes two items of a sequence the same; the later one takes the place of the earlier.
enum class Unique : uint8_t {
  kNone,
  kKeyValue,
  kPort,
  kVolume,
  kDevice,
  kExpose,
  kEnvFile,
  kConfig,
  kSecret,
};

enum class PathRule : uint8_t {
  kNone,
  kContext,    // Local unless it is a URL, a scheme or service:NAME.
  kFile,       // Absolute unless empty.
  kMountable,  // As kFile, but Windows paths are left alone.
  kExtends,
  kWatch,   // As kFile, links followed.
  kMount,   // The source of a bind mount.
  kDriver,  // The device of a local volume that is a bind.
};

// Which keys a mapping with keys of the user's choice takes.
enum class Keys : uint8_t {
  kAny,
  kName,       // [a-zA-Z0-9._-]+
  kNameLoose,  // The same, but others are let through as the reference does.
  kUlimit,     // [a-z]+, others ignored.
};

// What a text must look like besides its kind (compose-spec.json: pattern). The reference's
// patterns are not anchored, so a match anywhere is enough.
enum class Pattern : uint8_t { kNone, kContainerName, kPullPolicy };

struct Type;

enum FieldFlag : uint8_t {
  kRequired = 1,
  kDeprecated = 2,
  kNotHonoured = 4,   // Valid, but nothing of Skiff acts on it yet.
  kJsonAlways = 8,    // An empty struct that JSON prints as {}.
  kJsonCapital = 32,  // JSON of the reference capitalises the key (fields without a tag).
  kCondition = 16,    // Required after merging, given a default before.
};

struct Field {
  std::string_view name;
  const Type* type;
  uint8_t flags = 0;
};

struct Type {
  uint8_t accepts = 0;
  Form form = Form::kAny;
  std::string_view wants = {};  // In errors, when the kinds alone do not say it.
  const Type* item = nullptr;   // Of a list or a table.
  std::span<const Field> fields = {};
  std::span<const std::string_view> values = {};  // All that a string may be.
  Cast cast = Cast::kNone;
  Short short_form = Short::kNone;
  MergeRule merge = MergeRule::kDefault;
  Unique unique = Unique::kNone;
  PathRule path = PathRule::kNone;
  Keys keys = Keys::kAny;
  bool unique_items = false;
  bool extensible = true;  // x-* keys are allowed in a struct.
  int64_t minimum = INT64_MIN;
  int64_t maximum = INT64_MAX;
  Pattern pattern = Pattern::kNone;
  uint8_t item_accepts = 0;  // Of key-value mappings: kinds of the values.
};

// The whole file, and parts that passes enter on their own.
extern const Type kComposeFile;
extern const Type kService;
extern const Type kNetwork;
extern const Type kVolume;
extern const Type kConfig;
extern const Type kSecret;
extern const Type kInclude;

const Field* FindField(const Type& type, std::string_view name);
inline bool IsExtension(std::string_view key) {
  return key.substr(0, 2) == "x-";
}
// The type of a child of a mapping of this type: of the field, of a table's items, or null for
// extensions and unknown keys.
const Type* ChildType(const Type& type, std::string_view key);

}  // namespace skiff::schema
