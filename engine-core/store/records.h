#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine-core/images.h"
#include "engine-core/types.h"

// What the store keeps of each object: everything that was decided when it was made. Written as
// JSON; an unknown key is skipped and a missing one has its default, so that a row survives a
// step back to the release before.
namespace skiff::engine::store {

struct EndpointRecord {
  Endpoint endpoint;
  std::string interface_name;  // In the container: "eth0".
  int gateway_priority = 0;
  bool default_route = false;
};

// Whether a container ought to run: what `restart: always` means after a reboot.
enum class Desired { kNeverStarted = 0, kRunning = 1, kStopped = 2 };

struct ContainerRecord {
  // Columns.
  std::string id;
  std::string name;  // "": waits for the name of `replaces`.
  std::string image_id;
  int64_t created_at = 0;
  Desired desired = Desired::kNeverStarted;
  // One document.
  std::string image;
  std::vector<std::string> command;
  std::vector<std::string> layers;  // Ids, bottom first.
  // Folder of a layer in the making it writes to instead of one of its own, "" for none.
  std::string writable_layer;
  ContainerConfig config;  // With the image's defaults merged in.
  std::vector<EndpointRecord> endpoints;
  std::vector<PublishedPort> ports;
  std::vector<Mount> mounts;
  std::string replaces;           // Id.
  std::string network_container;  // Id, of network_mode container:ID.
};

// A layer as it came or was sent: one of the archives it can be had as.
struct LayerBlob {
  std::string digest;  // "sha256:...", "" for one that was made here and has never been sent.
  int64_t size = 0;
  std::string media_type;
};

struct LayerRecord {
  std::string id;  // Its diff id without "sha256:".
  int64_t size = 0;
  int64_t created_at = 0;
  LayerBlob packed = {};  // Of one that was made here: compressed to be sent.
  int64_t tar_size = 0;   // Bytes of the same as a plain tar; 0: not known.
};

struct ImageRecord {
  Image image;                         // Without references.
  std::vector<std::string> layer_ids;  // Bottom first.
  std::vector<LayerBlob> layer_blobs;  // One for each layer.
  std::string manifest;                // Digest of the manifest's blob, "" when there is none yet.
  std::string index;                   // Of the list it was chosen from, "" for none.
};

// What a name stands for.
struct ReferenceRecord {
  std::string image_id;
  // Ids of the images of other platforms that were made with it under this name: they are pushed and
  // saved together.
  std::vector<std::string> other_platforms;
};

struct NetworkRecord {
  Network network;
  std::string bridge;
  uint32_t link_group = 0;
};

std::string Encode(const ContainerRecord& record);
Status Decode(std::string_view json, ContainerRecord* record);
std::string Encode(const ImageRecord& record);
Status Decode(std::string_view json, ImageRecord* record);
std::string Encode(const NetworkRecord& record);
Status Decode(std::string_view json, NetworkRecord* record);
std::string Encode(const CacheEntry& entry);
Status Decode(std::string_view json, CacheEntry* entry);
std::string Encode(const Volume& volume);
Status Decode(std::string_view json, Volume* volume);

// A configuration alone, for front ends that show it.
std::string EncodeConfig(const ContainerConfig& config);

// Of a volatile row: the columns too.
std::string EncodeWhole(const ContainerRecord& record);
Status DecodeWhole(std::string_view json, ContainerRecord* record);

}  // namespace skiff::engine::store
