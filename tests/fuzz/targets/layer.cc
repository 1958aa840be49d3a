// A tar stream, plain or compressed, is applied to a folder: nothing outside of it may change.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/identity.h"
#include "engine-core/transfer/unpack.h"
#include "tests/fuzz/target.h"

namespace {

using skiff::Fd;
using skiff::fuzz::Require;

// <folder>/root is filled; around it lie a file, a folder and a link that a traversal would meet.
class Place {
 public:
  Place() {
    Require(skiff::MakeDirectories(folder_ + "/outside", 0700).has_value(), "a folder can be made");
    const auto written = skiff::WriteFileAtomically(folder_ + "/canary", "safe", 0600,
                                                    skiff::Durability::kVolatile);
    Require(written.has_value(), "a file can be written");
    before_ = Shape();
  }
  ~Place() { static_cast<void>(skiff::RemoveTree(folder_)); }

  std::string root() const { return folder_ + "/root"; }

  void RequireUntouched() const {
    skiff::fuzz::RequireEqual(before_, Shape(), "nothing outside is touched");
    skiff::fuzz::RequireEqual(skiff::ReadFile(folder_ + "/canary").value_or("gone"), "safe",
                              "nothing outside is written");
  }

 private:
  static std::string Parent() {
    const char* given = std::getenv("TMPDIR");
    return given != nullptr ? given : "/dev/shm";
  }

  std::string Shape() const {
    std::string shape;
    for (const char* name : {"/canary", "/outside"}) {
      struct stat info = {};
      const std::string path = folder_ + name;
      Require(::lstat(path.c_str(), &info) == 0, "what lies outside is there still");
      shape += std::to_string(info.st_mode) + " " + std::to_string(info.st_uid) + " " +
               std::to_string(info.st_nlink) + " " + std::to_string(info.st_mtim.tv_nsec) + "\n";
    }
    return shape;
  }

  std::string folder_ = Parent() + "/skiff-fuzz-" + skiff::RandomHex(8);
  std::string before_;
};

Fd FileOf(std::string_view bytes) {
  Fd file(::memfd_create("layer", MFD_CLOEXEC));
  Require(file.valid(), "memory can be had");
  Require(skiff::WriteAll(file.get(), bytes, "layer").has_value(), "memory can be written");
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

}  // namespace

SKIFF_FUZZ(layer) {
  static Place place;
  Require(skiff::MakeDirectories(place.root(), 0755).has_value(), "a folder can be made");
  {
    const Fd root(::open(place.root().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const Fd file = FileOf(input);
    skiff::engine::UnpackLimits limits;
    limits.entries = 200;
    limits.bytes = 1 << 20;
    limits.ratio = 1;
    const auto unpacked =
        skiff::engine::transfer::Unpack(file.get(), root.get(), -1, limits);
    if (unpacked) Require(unpacked->layer.entries <= limits.entries, "limits hold");
  }
  place.RequireUntouched();
  Require(skiff::RemoveTree(place.root()).has_value(), "what was unpacked can be removed");
}
