#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/fd.h"

namespace skiff::testing {

// Writes tar archives byte by byte, also ones no honest program would write.
class TarBuilder {
 public:
  struct Options {
    unsigned mode = 0644;
    unsigned uid = 0;
    unsigned gid = 0;
    long mtime = 1'600'000'000;
    unsigned major = 0;
    unsigned minor = 0;
  };

  TarBuilder& File(const std::string& path, std::string_view content) {
    return File(path, content, Options());
  }
  TarBuilder& File(const std::string& path, std::string_view content, const Options& options) {
    return Entry('0', path, "", content, options);
  }
  TarBuilder& Folder(const std::string& path, unsigned mode = 0755) {
    Options options;
    options.mode = mode;
    return Entry('5', path, "", "", options);
  }
  TarBuilder& Symlink(const std::string& path, const std::string& target) {
    return Entry('2', path, target, "", Options());
  }
  TarBuilder& Hardlink(const std::string& path, const std::string& target) {
    return Hardlink(path, target, Options());
  }
  TarBuilder& Hardlink(const std::string& path, const std::string& target, const Options& options) {
    return Entry('1', path, target, "", options);
  }
  TarBuilder& Node(char type, const std::string& path, unsigned major, unsigned minor) {
    Options options;
    options.major = major;
    options.minor = minor;
    return Entry(type, path, "", "", options);
  }
  // PAX records for the next entry.
  TarBuilder& Pax(const std::vector<std::pair<std::string, std::string>>& records) {
    std::string body;
    for (const auto& [key, value] : records) {
      const std::string rest = " " + key + "=" + value + "\n";
      size_t length = rest.size() + 1;
      while (std::to_string(length).size() + rest.size() != length) {
        length = std::to_string(length).size() + rest.size();
      }
      body += std::to_string(length) + rest;
    }
    return Entry('x', "pax", "", body, Options());
  }
  TarBuilder& Entry(char type, const std::string& path, const std::string& link,
                    std::string_view content, const Options& options) {
    char header[512] = {};
    std::snprintf(header, 100, "%s", path.c_str());
    std::snprintf(header + 100, 8, "%07o", options.mode);
    std::snprintf(header + 108, 8, "%07o", options.uid);
    std::snprintf(header + 116, 8, "%07o", options.gid);
    std::snprintf(header + 124, 12, "%011lo", static_cast<unsigned long>(content.size()));
    std::snprintf(header + 136, 12, "%011lo", static_cast<unsigned long>(options.mtime));
    std::memset(header + 148, ' ', 8);
    header[156] = type;
    std::snprintf(header + 157, 100, "%s", link.c_str());
    std::memcpy(header + 257,
                "ustar\0"
                "00",
                8);
    std::snprintf(header + 329, 8, "%07o", options.major);
    std::snprintf(header + 337, 8, "%07o", options.minor);
    unsigned sum = 0;
    for (const char c : header) sum += static_cast<unsigned char>(c);
    std::snprintf(header + 148, 8, "%06o", sum);
    data_.append(header, sizeof header);
    data_.append(content);
    data_.append((512 - content.size() % 512) % 512, '\0');
    return *this;
  }

  std::string Finished() const { return data_ + std::string(1024, '\0'); }
  // A descriptor at its start.
  Fd Open() const { return OpenBytes(Finished()); }
  static Fd OpenBytes(std::string_view bytes) {
    Fd fd(::memfd_create("tar", MFD_CLOEXEC));
    if (!WriteAll(fd.get(), bytes, "tar") || ::lseek(fd.get(), 0, SEEK_SET) != 0) fd.Reset();
    return fd;
  }

 private:
  std::string data_;
};

}  // namespace skiff::testing
