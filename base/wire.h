#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"

namespace skiff {

// The byte format of messages between a command and a monitor: a sequence of fields, each a tag
// (1-65535), a length and bytes, little endian. Unknown tags are skipped, so that a new command can
// drive an old monitor and the other way round. Nested messages are fields that hold a message.
class WireWriter {
 public:
  void Bytes(uint16_t tag, std::string_view value);
  void Int(uint16_t tag, int64_t value);
  void Bool(uint16_t tag, bool value) { Int(tag, value ? 1 : 0); }
  void Strings(uint16_t tag, const std::vector<std::string>& values) {
    for (const std::string& value : values) Bytes(tag, value);
  }
  void Message(uint16_t tag, const WireWriter& value) { Bytes(tag, value.data()); }
  const std::string& data() const { return data_; }

 private:
  std::string data_;
};

class WireReader {
 public:
  explicit WireReader(std::string_view data) : data_(data) {}

  // Moves to the next field. False at the end or on malformed data (then !ok()).
  bool Next();
  bool ok() const { return ok_; }
  uint16_t tag() const { return tag_; }
  std::string_view bytes() const { return value_; }
  std::string text() const { return std::string(value_); }
  // A field that is not 8 bytes long reads as 0 and makes the message malformed.
  int64_t integer();
  bool boolean() { return integer() != 0; }

 private:
  std::string_view data_;
  std::string_view value_;
  uint16_t tag_ = 0;
  bool ok_ = true;
};

}  // namespace skiff
