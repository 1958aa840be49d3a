#include "tests/e2e/support/archive.h"

#include <cstdio>
#include <set>

#include "base/identity.h"

namespace skiff::e2e {
namespace {

constexpr size_t kBlock = 512;

void PutField(std::string& header, size_t at, std::string_view text) {
  header.replace(at, text.size(), text);
}

std::string Octal(size_t value, int digits) {
  char text[24];
  std::snprintf(text, sizeof(text), "%0*zo", digits, value);
  return text;
}

}  // namespace

std::string Tar(const std::vector<TarItem>& items) {
  std::string out;
  for (const TarItem& item : items) {
    std::string header(kBlock, '\0');
    PutField(header, 0, item.path);
    PutField(header, 100, Octal(static_cast<size_t>(item.mode), 7));
    PutField(header, 108, Octal(0, 7));
    PutField(header, 116, Octal(0, 7));
    PutField(header, 124, Octal(item.content.size(), 11));
    PutField(header, 136, Octal(0, 11));
    PutField(header, 148, "        ");
    header[156] = item.type;
    PutField(header, 157, item.link);
    PutField(header, 257, std::string_view("ustar\00000", 8));
    size_t sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    PutField(header, 148, Octal(sum, 6) + std::string("\0 ", 2));
    out += header + item.content;
    out.resize((out.size() + kBlock - 1) / kBlock * kBlock, '\0');
  }
  out.resize(out.size() + 2 * kBlock, '\0');
  return out;
}

std::string Digest(std::string_view bytes) {
  return "sha256:" + Sha256Hex(bytes);
}

std::vector<TarItem> CraftedImage::Blobs() const {
  std::vector<TarItem> items = {{"oci-layout", R"({"imageLayoutVersion":"1.0.0"})"}};
  const auto add = [&](const std::string& bytes) {
    items.push_back({"blobs/sha256/" + Sha256Hex(bytes), bytes});
  };
  for (const std::string& layer : layers) add(layer);
  add(config);
  add(manifest);
  return items;
}

std::string CraftedImage::Descriptor(const std::string& more) const {
  return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
         Digest(manifest) + R"(","size":)" + std::to_string(manifest.size()) + more + "}";
}

CraftedImage CraftImage(const std::vector<std::string>& layers, const std::string& architecture,
                        const std::string& command) {
  CraftedImage image;
  image.layers = layers;
  std::string diff_ids;
  std::string descriptors;
  for (const std::string& layer : layers) {
    const std::string comma = diff_ids.empty() ? "" : ",";
    diff_ids += comma + '"' + Digest(layer) + '"';
    descriptors += comma +
                   R"({"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":")" +
                   Digest(layer) + R"(","size":)" + std::to_string(layer.size()) + "}";
  }
  image.config = R"({"architecture":")" + architecture +
                 R"(","os":"linux","created":"2024-05-06T07:08:09Z","config":{"Cmd":)" + command +
                 R"(,"Env":["PATH=/bin"]},"rootfs":{"type":"layers","diff_ids":[)" + diff_ids +
                 R"(]},"history":[{"created":"2024-05-06T07:08:09Z","created_by":"crafted"}]})";
  image.manifest = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                   R"("config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":")" +
                   Digest(image.config) + R"(","size":)" + std::to_string(image.config.size()) +
                   R"(},"layers":[)" + descriptors + "]}";
  return image;
}

std::string OciIndex(const std::vector<std::string>& descriptors) {
  std::string out = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",)"
                    R"("manifests":[)";
  for (size_t i = 0; i < descriptors.size(); ++i) out += (i == 0 ? "" : ",") + descriptors[i];
  return out + "]}";
}

std::string OciArchive(const std::vector<CraftedImage>& images, const std::string& index) {
  std::vector<TarItem> items;
  std::set<std::string> seen;
  for (const CraftedImage& image : images) {
    for (TarItem& item : image.Blobs()) {
      if (seen.insert(item.path).second) items.push_back(std::move(item));
    }
  }
  items.push_back({"index.json", index});
  return Tar(items);
}

}  // namespace skiff::e2e
