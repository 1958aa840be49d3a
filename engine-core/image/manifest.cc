#include "engine-core/image/manifest.h"

#include <sys/utsname.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "engine-core/json/whole_number.h"
#include "engine-core/references.h"

namespace skiff::engine {

std::string Platform::Text() const {
  return os + "/" + architecture + (variant.empty() ? "" : "/" + variant);
}

namespace image {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kReferenceType = "vnd.docker.reference.type";

struct ArchitectureName {
  std::string_view machine;  // uname, or a synonym people type.
  std::string_view name;
  std::string_view variant;
};
constexpr std::array kArchitectures = {
    ArchitectureName{"x86_64", "amd64", ""},  ArchitectureName{"x86-64", "amd64", ""},
    ArchitectureName{"aarch64", "arm64", ""}, ArchitectureName{"armv8l", "arm64", ""},
    ArchitectureName{"armv7l", "arm", "v7"},  ArchitectureName{"armhf", "arm", "v7"},
    ArchitectureName{"armv6l", "arm", "v6"},  ArchitectureName{"armel", "arm", "v6"},
    ArchitectureName{"i386", "386", ""},      ArchitectureName{"i686", "386", ""},
};

constexpr std::array<std::string_view, 13> kKnownArchitectures = {
    "amd64",   "arm64",    "arm",    "386",  "ppc64le", "ppc64",  "s390x",
    "riscv64", "mips64le", "mips64", "mips", "mipsle",  "loong64"};

tl::unexpected<Error> FailManifest(const std::string& why) {
  return Fail(Code::kInvalidArgument, "cannot read a manifest: " + why);
}

// Where both are given they must agree; a list is no manifest.
Status CheckKind(const Json& in, std::string_view media_type, bool index) {
  if (!in.is_object()) return FailManifest("it is no object");
  const auto own = in.find("mediaType");
  const std::string said = own != in.end() && own->is_string() ? own->get<std::string>() : "";
  if (!said.empty() && !media_type.empty() && said != media_type) {
    return FailManifest("it came as " + std::string(media_type) + " and says it is " + said);
  }
  const bool has_layers = in.contains("layers") || in.contains("config");
  const bool has_manifests = in.contains("manifests");
  if (has_layers && has_manifests) return FailManifest("it is a manifest and a list in one");
  if (index ? has_layers || !has_manifests : has_manifests || !in.contains("config")) {
    return FailManifest(index ? "it is no list of manifests" : "it is no manifest of an image");
  }
  if (WholeNumber(in, "schemaVersion", 0) == 1) {
    return Fail(Code::kUnsupported,
                "the image has a manifest of schema 1, which nobody writes any more: push it again "
                "with a current tool");
  }
  return {};
}

Result<Descriptor> ReadDescriptor(const Json& in) {
  if (!in.is_object()) return FailManifest("a descriptor is no object");
  Descriptor out;
  out.media_type = in.value("mediaType", "");
  out.digest = in.value("digest", "");
  out.size = WholeNumber(in, "size", int64_t{-1});
  out.artifact_type = in.value("artifactType", "");
  if (!IsDigest(out.digest)) return FailManifest("'" + out.digest + "' is no digest");
  if (out.size < 0) return FailManifest("the size of " + out.digest + " is missing or negative");
  if (const auto platform = in.find("platform"); platform != in.end() && platform->is_object()) {
    out.platform.os = platform->value("os", "");
    out.platform.architecture = platform->value("architecture", "");
    out.platform.variant = platform->value("variant", "");
  }
  if (const auto notes = in.find("annotations"); notes != in.end() && notes->is_object()) {
    for (const auto& [key, value] : notes->items()) {
      if (value.is_string()) out.annotations[key] = value.get<std::string>();
    }
  }
  return out;
}

Json WriteDescriptor(const Descriptor& descriptor) {
  Json out = Json::object();
  out["mediaType"] = descriptor.media_type;
  out["digest"] = descriptor.digest;
  out["size"] = descriptor.size;
  if (!descriptor.artifact_type.empty()) out["artifactType"] = descriptor.artifact_type;
  if (!descriptor.annotations.empty()) out["annotations"] = descriptor.annotations;
  if (!descriptor.platform.empty()) {
    Json& platform = out["platform"];
    platform["architecture"] = descriptor.platform.architecture;
    platform["os"] = descriptor.platform.os;
    if (!descriptor.platform.variant.empty()) platform["variant"] = descriptor.platform.variant;
  }
  return out;
}

// Runs `read` on the parsed text; what the library throws becomes an error.
template <typename T, typename Read>
Result<T> Parse(std::string_view json, Read read) {
  if (json.size() > kMaximumManifest) return FailManifest("it is larger than 4 MiB");
  try {
    return read(Json::parse(json));
  } catch (const Json::exception& error) {
    return FailManifest(error.what());
  }
}

// Higher runs lower: "v8" 8, "" the oldest there is.
int VariantLevel(const Platform& platform) {
  if (platform.variant.size() < 2 || platform.variant[0] != 'v') {
    if (platform.architecture == "arm64") return 8;
    if (platform.architecture == "arm") return 7;
    return 1;
  }
  return ParseNumber<int>(std::string_view(platform.variant).substr(1)).value_or(0);
}

}  // namespace

bool IsIndexType(std::string_view media_type) {
  return media_type == kDockerList || media_type == kOciIndex;
}

Result<std::string> MediaTypeOf(std::string_view json) {
  return Parse<std::string>(json, [](const Json& in) -> Result<std::string> {
    if (!in.is_object()) return FailManifest("it is no object");
    const std::string said = in.value("mediaType", "");
    if (!said.empty()) return said;
    return std::string(in.contains("manifests") ? kOciIndex : kOciManifest);
  });
}

Result<Manifest> ReadManifest(std::string_view json, std::string_view media_type) {
  return Parse<Manifest>(json, [&](const Json& in) -> Result<Manifest> {
    SKIFF_TRY(CheckKind(in, media_type, false));
    Manifest manifest;
    manifest.media_type = in.value("mediaType", std::string(media_type));
    manifest.artifact_type = in.value("artifactType", "");
    SKIFF_ASSIGN(manifest.config, ReadDescriptor(in.at("config")));
    if (const auto layers = in.find("layers"); layers != in.end() && layers->is_array()) {
      if (layers->size() > kMaximumLayers) {
        return FailManifest("it has " + std::to_string(layers->size()) + " layers, more than " +
                            std::to_string(kMaximumLayers));
      }
      for (const Json& layer : *layers) {
        SKIFF_ASSIGN(Descriptor descriptor, ReadDescriptor(layer));
        manifest.layers.push_back(std::move(descriptor));
      }
    }
    return manifest;
  });
}

Result<Index> ReadIndex(std::string_view json, std::string_view media_type) {
  return Parse<Index>(json, [&](const Json& in) -> Result<Index> {
    SKIFF_TRY(CheckKind(in, media_type, true));
    Index index;
    index.media_type = in.value("mediaType", std::string(media_type));
    const Json& manifests = in.at("manifests");
    if (!manifests.is_array()) return FailManifest("its manifests are no list");
    for (const Json& entry : manifests) {
      SKIFF_ASSIGN(Descriptor descriptor, ReadDescriptor(entry));
      index.manifests.push_back(std::move(descriptor));
    }
    return index;
  });
}

std::string WriteManifest(const Manifest& manifest) {
  Json out = Json::object();
  out["schemaVersion"] = 2;
  out["mediaType"] = manifest.media_type;
  if (!manifest.artifact_type.empty()) out["artifactType"] = manifest.artifact_type;
  out["config"] = WriteDescriptor(manifest.config);
  out["layers"] = Json::array();
  for (const Descriptor& layer : manifest.layers) out["layers"].push_back(WriteDescriptor(layer));
  if (!manifest.annotations.empty()) out["annotations"] = manifest.annotations;
  return out.dump();
}

std::string WriteIndex(const Index& index) {
  Json out = Json::object();
  out["schemaVersion"] = 2;
  out["mediaType"] = index.media_type;
  out["manifests"] = Json::array();
  for (const Descriptor& entry : index.manifests) {
    out["manifests"].push_back(WriteDescriptor(entry));
  }
  if (!index.annotations.empty()) out["annotations"] = index.annotations;
  return out.dump();
}

Platform HostPlatform() {
  utsname name{};
  std::string machine = ::uname(&name) == 0 ? name.machine : "x86_64";
  for (const ArchitectureName& row : kArchitectures) {
    if (row.machine == machine) return {"linux", std::string(row.name), std::string(row.variant)};
  }
  return {"linux", std::move(machine), ""};
}

Result<Descriptor> ChoosePlatform(const Index& index, const Platform& wanted) {
  const Platform platform = wanted.empty() ? HostPlatform() : wanted;
  const Descriptor* best = nullptr;
  for (const Descriptor& entry : index.manifests) {
    const auto type = entry.annotations.find(std::string(kReferenceType));
    if (type != entry.annotations.end() && type->second == "attestation-manifest") continue;
    // A list of one may say nothing about it.
    const bool any = entry.platform.empty() && index.manifests.size() == 1;
    if (!any && !PlatformMatches(platform, entry.platform)) continue;
    if (best == nullptr || VariantLevel(entry.platform) > VariantLevel(best->platform)) {
      best = &entry;
    }
  }
  if (best == nullptr) {
    return Fail(Code::kNotFound,
                "no matching manifest for " + platform.Text() + " in the manifest list entries");
  }
  return *best;
}

}  // namespace image

Result<Platform> ParsePlatform(std::string_view text) {
  std::vector<std::string_view> parts = Split(text, '/');
  const auto fail = [&]() -> tl::unexpected<Error> {
    return Fail(Code::kInvalidArgument, "\"" + std::string(text) +
                                            "\": unknown operating system or architecture: invalid "
                                            "argument");
  };
  if (parts.empty() || parts.size() > 3 || std::ranges::count(parts, "") > 0) return fail();
  const auto named = [&](std::string_view architecture, Platform& out) {
    for (const image::ArchitectureName& row : image::kArchitectures) {
      if (row.machine != architecture) continue;
      out.architecture = row.name;
      out.variant = row.variant;
      return true;
    }
    out.architecture = architecture;
    return std::ranges::count(image::kKnownArchitectures, architecture) > 0;
  };
  Platform platform;
  if (parts.size() == 1) {
    // An architecture alone, or an operating system alone.
    platform.os = "linux";
    if (parts[0] == "linux") return image::HostPlatform();
    if (!named(parts[0], platform)) return fail();
    return platform;
  }
  platform.os = parts[0];
  if (!named(parts[1], platform) && platform.os == "linux") return fail();
  if (parts.size() == 3) platform.variant = parts[2];
  if (platform.architecture == "arm64" && platform.variant == "v8") platform.variant.clear();
  return platform;
}

}  // namespace skiff::engine

namespace skiff::engine {

bool PlatformMatches(const Platform& wanted, const Platform& have) {
  return wanted.os == have.os && wanted.architecture == have.architecture &&
         image::VariantLevel(have) <= image::VariantLevel(wanted);
}

Result<Image> FindImageFor(Images& images, const std::string& name, const Platform& platform) {
  SKIFF_ASSIGN(Image image, images.InspectImage(name));
  if (platform.empty() || PlatformMatches(platform, PlatformOf(image))) return image;
  for (const std::string& id : image.other_platforms) {
    SKIFF_ASSIGN(Image other, images.InspectImage(id));
    if (PlatformMatches(platform, PlatformOf(other))) return other;
  }
  return Fail(Code::kNotFound,
              "image with reference " + name + " was found but its platform (" +
                  PlatformOf(image).Text() + ") does not match the specified platform (" +
                  platform.Text() + ")");
}

}  // namespace skiff::engine
