#pragma once

#include <string>
#include <string_view>
#include <vector>

// Tar archives and images as other programs write them, made byte by byte: the code under test has
// no part in it.
namespace skiff::e2e {

struct TarItem {
  std::string path;
  std::string content = {};
  char type = '0';   // ustar's: '0' file, '1' hard link, '2' symlink, '5' folder.
  std::string link = {};  // Of '1' and '2'.
  int mode = 0644;
};
std::string Tar(const std::vector<TarItem>& items);

// "sha256:..." of the bytes.
std::string Digest(std::string_view bytes);

// An image of one layer or more: its parts and what they are called by.
struct CraftedImage {
  std::vector<std::string> layers;  // Plain tars.
  std::string config;
  std::string manifest;  // Of OCI.
  // Files of an OCI layout without index.json.
  std::vector<TarItem> Blobs() const;
  // {"mediaType":...,"digest":...,"size":...} of the manifest and, in a list, more fields.
  std::string Descriptor(const std::string& more = "") const;
};
// `command`: JSON list. `architecture`: "amd64".
CraftedImage CraftImage(const std::vector<std::string>& layers,
                        const std::string& architecture = "amd64",
                        const std::string& command = R"(["/bin/busybox","true"])");

std::string OciIndex(const std::vector<std::string>& descriptors);
// The layout as one tar; `index`: index.json.
std::string OciArchive(const std::vector<CraftedImage>& images, const std::string& index);

}  // namespace skiff::e2e
