#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/image_platform.h"
#include "engine-core/images.h"

// Manifests and lists of manifests, of docker and of OCI (reference/engine 5.1). What comes from
// outside is bounded and checked here, before anything is done by it.
namespace skiff::engine::image {

inline constexpr size_t kMaximumManifest = 4u << 20;
inline constexpr size_t kMaximumConfig = 8u << 20;
inline constexpr size_t kMaximumLayers = 500;  // As many as overlayfs stacks.

inline constexpr std::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view kDockerList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr std::string_view kOciManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view kOciIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view kOciConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr std::string_view kOciLayer = "application/vnd.oci.image.layer.v1.tar";
inline constexpr std::string_view kOciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";

// Annotation of a list's entry: its tag.
inline constexpr const char* kRefNameAnnotation = "org.opencontainers.image.ref.name";

struct Descriptor {
  std::string media_type;
  std::string digest;  // "sha256:..."
  int64_t size = 0;
  Platform platform;          // In a list.
  std::map<std::string, std::string> annotations;
  std::string artifact_type = {};  // In a list: of a manifest that is no image.
  bool operator==(const Descriptor&) const = default;
};

struct Manifest {
  std::string media_type;
  std::string artifact_type;  // OCI 1.1: what it is when it is no image.
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations = {};  // Written, not read.
};

struct Index {
  std::string media_type;
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations = {};  // Written, not read.
};

// `media_type`: what came with it ("" for nothing); it must agree with what it says itself.
// Something that could be read as either is refused (CVE-2021-41190).
bool IsIndexType(std::string_view media_type);
// Of a document without a Content-Type: what it says, or what its fields show.
Result<std::string> MediaTypeOf(std::string_view json);
Result<Manifest> ReadManifest(std::string_view json, std::string_view media_type);
Result<Index> ReadIndex(std::string_view json, std::string_view media_type);

std::string WriteManifest(const Manifest& manifest);
std::string WriteIndex(const Index& index);

// This machine's, linux.
Platform HostPlatform();
// The entry for `wanted` (empty: this machine's): exact, else the next lower variant it runs.
// Attestations and unknown platforms are passed over. kNotFound with docker's text.
Result<Descriptor> ChoosePlatform(const Index& index, const Platform& wanted);
}  // namespace skiff::engine::image
