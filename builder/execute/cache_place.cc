#include "builder/cache_place.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "base/diagnostic.h"
#include "base/text.h"
#include "builder/syntax/csv.h"
#include "engine-core/references.h"

namespace skiff::builder {
namespace {

using Fields = std::map<std::string, std::string, std::less<>>;

// What decides how layers are written and which media types they get: those that are made here go
// as they are.
constexpr std::string_view kHarmless[] = {"oci-mediatypes", "image-manifest",    "compression",
                                          "force-compression", "compression-level",
                                          "registry.insecure"};

std::string ValueOf(const Fields& fields, std::string_view key) {
  const auto it = fields.find(key);
  return it == fields.end() ? "" : it->second;
}

Status CheckKeys(const Fields& fields, std::vector<std::string_view> known) {
  known.push_back("type");
  for (const auto& [key, value] : fields) {
    if (std::ranges::count(known, key) > 0) continue;
    if (std::ranges::find(kHarmless, key) != std::end(kHarmless)) continue;
    Error error(Code::kInvalidArgument,
                fmt::format("unknown option '{}' of a {} cache", key, ValueOf(fields, "type")));
    if (const std::string near = DidYouMean(key, known); !near.empty()) {
      error.notes.push_back({"did you mean '" + near + "'?", {}});
    }
    return Fail(std::move(error));
  }
  return {};
}

Result<Fields> ReadFields(const std::vector<std::string>& words, std::string_view text) {
  Fields fields;
  for (const std::string& word : words) {
    const size_t equals = word.find('=');
    if (equals == std::string::npos) {
      return Fail(Code::kInvalidArgument, fmt::format("invalid value {}", word));
    }
    fields[ToLower(word.substr(0, equals))] = word.substr(equals + 1);
  }
  if (ValueOf(fields, "type").empty()) {
    return Fail(Error(Code::kInvalidArgument, fmt::format("type required form> \"{}\"", text))
                    .With("use type=registry, type=local or type=inline"));
  }
  return fields;
}

Result<CachePlace> RegistryPlace(const std::string& reference, std::string_view role) {
  CachePlace place;
  place.type = "registry";
  place.reference = reference;
  if (reference.empty()) {
    return Fail(Code::kInvalidArgument, fmt::format("registry cache {} requires ref", role));
  }
  SKIFF_TRY(engine::ParseReference(reference));
  return place;
}

// `key`: of the folder. `role`: "importer", "exporter".
Result<CachePlace> PlaceOf(const Fields& fields, std::string_view key, std::string_view role,
                           const std::string& working_dir) {
  CachePlace place;
  place.type = ValueOf(fields, "type");
  if (place.type == "registry") return RegistryPlace(ValueOf(fields, "ref"), role);
  if (place.type == "local") {
    place.kind = CacheKind::kFolder;
    place.folder = ValueOf(fields, key);
    if (place.folder.empty()) {
      return Fail(Code::kInvalidArgument, fmt::format("local cache {} requires {}", role, key));
    }
    if (!place.folder.starts_with('/')) place.folder = working_dir + "/" + place.folder;
    place.name = ValueOf(fields, "tag");
    return place;
  }
  if (place.type == "gha" || place.type == "s3" || place.type == "azblob") {
    place.kind = CacheKind::kUnreachable;
    return place;
  }
  if (place.type == "inline" && role == "exporter") {
    place.kind = CacheKind::kInline;
    return place;
  }
  return Fail(Error(Code::kInvalidArgument, fmt::format("unknown cache {}: {}", role, place.type))
                  .With("use registry, local or inline"));
}

Result<bool> ReadMode(const Fields& fields) {
  const std::string mode = ToLower(ValueOf(fields, "mode"));
  if (mode == "max") return true;
  if (mode.empty() || mode == "min") return false;
  return Fail(Error(Code::kInvalidArgument, "unsupported cache export mode: " + mode)
                  .With("use min or max"));
}

}  // namespace

const std::string& CachePlace::Shown() const {
  if (kind == CacheKind::kRegistry) return reference;
  return kind == CacheKind::kFolder ? folder : type;
}

Result<std::vector<CachePlace>> ParseCacheSources(std::string_view text,
                                                  const std::string& working_dir) {
  SKIFF_ASSIGN(const std::vector<std::string> words, SplitRecord(text));
  std::vector<CachePlace> places;
  if (text.find('=') == std::string_view::npos) {
    for (const std::string& word : words) {
      SKIFF_ASSIGN(CachePlace place, RegistryPlace(word, "importer"));
      places.push_back(std::move(place));
    }
    return places;
  }
  SKIFF_ASSIGN(const Fields fields, ReadFields(words, text));
  SKIFF_ASSIGN(CachePlace place, PlaceOf(fields, "src", "importer", working_dir));
  if (place.kind != CacheKind::kUnreachable) {
    SKIFF_TRY(CheckKeys(fields, place.kind == CacheKind::kFolder
                                    ? std::vector<std::string_view>{"src", "tag", "digest"}
                                    : std::vector<std::string_view>{"ref"}));
  }
  if (const std::string digest = ValueOf(fields, "digest"); !digest.empty()) place.name = digest;
  places.push_back(std::move(place));
  return places;
}

Result<CacheTarget> ParseCacheTarget(std::string_view text, const std::string& working_dir) {
  CacheTarget target;
  if (text.find('=') == std::string_view::npos) {
    SKIFF_ASSIGN(static_cast<CachePlace&>(target), RegistryPlace(std::string(text), "exporter"));
    return target;
  }
  SKIFF_ASSIGN(const std::vector<std::string> words, SplitRecord(text));
  SKIFF_ASSIGN(const Fields fields, ReadFields(words, text));
  SKIFF_ASSIGN(static_cast<CachePlace&>(target),
               PlaceOf(fields, "dest", "exporter", working_dir));
  if (target.kind == CacheKind::kUnreachable) return target;
  std::vector<std::string_view> known = {"mode", "ignore-error"};
  if (target.kind == CacheKind::kFolder) known.insert(known.end(), {"dest", "tag"});
  if (target.kind == CacheKind::kRegistry) known.push_back("ref");
  SKIFF_TRY(CheckKeys(fields, std::move(known)));
  SKIFF_ASSIGN(target.every_stage, ReadMode(fields));
  target.ignore_error = ValueOf(fields, "ignore-error") == "true";
  if (target.kind == CacheKind::kFolder && target.name.empty()) target.name = "latest";
  return target;
}

Result<CachePlaces> ParseCachePlaces(
    const std::vector<std::string>& from, const std::vector<std::string>& to,
    const std::map<std::string, std::string, std::less<>>& arguments,
    const std::string& working_dir) {
  CachePlaces places;
  for (const std::string& text : from) {
    SKIFF_ASSIGN(auto sources, ParseCacheSources(text, working_dir));
    std::ranges::move(sources, std::back_inserter(places.sources));
  }
  for (const std::string& text : to) {
    SKIFF_ASSIGN(CacheTarget target, ParseCacheTarget(text, working_dir));
    places.targets.push_back(std::move(target));
  }
  const auto wanted = arguments.find("BUILDKIT_INLINE_CACHE");
  if (wanted != arguments.end() && (wanted->second == "1" || wanted->second == "true")) {
    CacheTarget target;
    target.kind = CacheKind::kInline;
    target.type = "inline";
    places.targets.push_back(std::move(target));
  }
  return places;
}

}  // namespace skiff::builder
