// Manifests, lists of them and image configurations from a registry or an archive.

#include "engine-core/image/manifest.h"
#include "engine-core/image_config.h"
#include "engine-core/references.h"
#include "tests/fuzz/target.h"

SKIFF_FUZZ(manifest) {
  using namespace skiff::engine;
  using skiff::fuzz::Require;
  const auto type = image::MediaTypeOf(input);
  const auto manifest = image::ReadManifest(input, type.value_or(""));
  if (manifest) {
    Require(IsDigest(manifest->config.digest), "the configuration has a digest");
    Require(manifest->layers.size() <= image::kMaximumLayers, "layers are bounded");
    for (const auto& layer : manifest->layers) {
      Require(IsDigest(layer.digest) && layer.size >= 0, "layers are checked");
    }
    const auto again = image::ReadManifest(WriteManifest(*manifest), manifest->media_type);
    Require(again && again->layers == manifest->layers, "a manifest reads back the same");
  }
  const auto index = image::ReadIndex(input, type.value_or(""));
  Require(!(manifest && index), "nothing is both a manifest and a list");
  if (index) {
    for (const auto& entry : index->manifests) {
      Require(IsDigest(entry.digest) && entry.size >= 0, "entries are checked");
    }
    const auto chosen = image::ChoosePlatform(*index, {});
    Require(chosen || !chosen.error().message.empty(), "a refusal has a reason");
  }
  const auto document = ReadImageDocument(input);
  if (!document) return;
  const std::string written = WriteImageDocument(*document);
  const auto again = ReadImageDocument(written);
  Require(again.has_value(), "a configuration can be read again");
  skiff::fuzz::RequireEqual(WriteImageDocument(*again), written,
                            "a configuration reads back the same");
}
