#include "base/wire.h"

#include <cstring>

namespace skiff {
namespace {

constexpr size_t kHeader = sizeof(uint16_t) + sizeof(uint32_t);

}  // namespace

void WireWriter::Bytes(uint16_t tag, std::string_view value) {
  const uint32_t length = static_cast<uint32_t>(value.size());
  char header[kHeader];
  std::memcpy(header, &tag, sizeof tag);
  std::memcpy(header + sizeof tag, &length, sizeof length);
  data_.append(header, kHeader);
  data_.append(value);
}

void WireWriter::Int(uint16_t tag, int64_t value) {
  char bytes[sizeof value];
  std::memcpy(bytes, &value, sizeof value);
  Bytes(tag, std::string_view(bytes, sizeof bytes));
}

bool WireReader::Next() {
  if (!ok_ || data_.empty()) return false;
  uint32_t length = 0;
  if (data_.size() < kHeader) {
    ok_ = false;
    return false;
  }
  std::memcpy(&tag_, data_.data(), sizeof tag_);
  std::memcpy(&length, data_.data() + sizeof tag_, sizeof length);
  if (tag_ == 0 || data_.size() - kHeader < length) {
    ok_ = false;
    return false;
  }
  value_ = data_.substr(kHeader, length);
  data_.remove_prefix(kHeader + length);
  return true;
}

int64_t WireReader::integer() {
  int64_t value = 0;
  if (value_.size() != sizeof value) {
    ok_ = false;
    return 0;
  }
  std::memcpy(&value, value_.data(), sizeof value);
  return value;
}

}  // namespace skiff
