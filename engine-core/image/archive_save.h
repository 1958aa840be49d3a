#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "engine-core/image/image_store.h"
#include "engine-core/image/tar_stream.h"

namespace skiff::engine::image {

// Writes images as one tar stream: an OCI layout, with docker's manifest.json beside it for
// kDocker. Layers as they came; one that was made here is packed again (and compared with its
// diff id). The same images give the same bytes.
Status SaveArchive(ImageStore& images, int fd, const std::vector<std::string>& refs,
                   const SaveOptions& options);
// The same of images that need not be here.
Status SaveArchive(ImageStore& images, int fd, const SentImages& sent, const SaveOptions& options);

// A manifest for an image as it can be sent now: the one it came with, or one over its layers: those
// that came from elsewhere as they came, those made here as `compression` says. gzip of the usual
// level is kept with the layer, anything else lives as long as this.
struct SendableImage {
  std::string config;
  std::string manifest_bytes;
  Manifest manifest;
  std::vector<std::string> layer_ids;  // Hexadecimal; one for each layer of the manifest.
  // Of compressed layers that are no blobs here: digest -> path below `work`.
  std::map<std::string, std::string> files;
  std::shared_ptr<const WorkFolder> work;
};
Result<SendableImage> MakeSendable(ImageStore& images, const store::ImageRecord& record,
                                   const LayerCompression& compression);
// The same for the bytes of a configuration over layers (hexadecimal) that are here.
Result<SendableImage> MakeSendable(ImageStore& images, const std::string& config,
                                   const std::vector<std::string>& layer_ids,
                                   const LayerCompression& compression,
                                   const std::map<std::string, std::string>& annotations = {});

// What one name is to refer to: an image, or a list of several.
struct SendableSet {
  std::vector<SendableImage> images;
  std::vector<Descriptor> entries;  // Of the manifests in a list, one for each image.
  std::string list;                 // Bytes; "" of one image.
  // Of what the name refers to, in a list above it.
  Descriptor top;
};
// `annotations`: of the entries, one for each image. Several images are sorted by platform.
// kInvalidArgument: two are for the same one.
Result<SendableSet> MakeSet(std::vector<SendableImage> images,
                            const std::vector<std::map<std::string, std::string>>& annotations,
                            const ListAnnotations& list_annotations);

// The same of images that need not be here.
Result<SendableSet> MakeSet(ImageStore& images, const SentImages& sent,
                            const LayerCompression& compression);
// Of the bytes of a configuration, hexadecimal.
Result<std::vector<std::string>> LayersOfConfig(const std::string& config);

// The bytes of a layer of its manifest, compared with what is known of them: kCorrupted.
Status StreamLayer(LayerStore& layers, const SendableImage& image, size_t number,
                   const ByteSink& sink);
// The bytes of a blob, compared with its digest at the end: kCorrupted.
Status StreamBlob(LayerStore& layers, const std::string& digest, const ByteSink& sink);
// The bytes of a layer, packed from its folder and compared with its diff id: kCorrupted.
Status PackLayer(LayerStore& layers, const std::string& hex, const ByteSink& sink);
// Of the stream that PackLayer writes.
Result<int64_t> PackedSize(LayerStore& layers, const std::string& hex);

}  // namespace skiff::engine::image
