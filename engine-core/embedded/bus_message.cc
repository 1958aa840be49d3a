// D-Bus marshalling, as much of it as starting a scope takes (dbus-specification: Message
// Protocol).
#include <cstring>

#include "engine-core/embedded/delegated_unit.h"

namespace skiff::engine::embedded {
namespace {

constexpr size_t kFixedHeader = 16;
constexpr size_t kMaximumMessage = 1 << 20;
constexpr uint64_t kStopMicroseconds = 15'000'000;

class Marshal {
 public:
  void Align(size_t boundary) {
    data_.append((boundary - data_.size() % boundary) % boundary, '\0');
  }
  void Byte(uint8_t value) { data_ += static_cast<char>(value); }
  void Number(uint32_t value) {
    Align(4);
    data_.append(reinterpret_cast<const char*>(&value),
                 sizeof value);  // Little endian, as the host.
  }
  void LongNumber(uint64_t value) {
    Align(8);
    data_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void Text(std::string_view text) {
    Number(static_cast<uint32_t>(text.size()));
    data_.append(text);
    data_ += '\0';
  }
  void Signature(std::string_view text) {
    Byte(static_cast<uint8_t>(text.size()));
    data_.append(text);
    data_ += '\0';
  }
  // An array whose elements start at multiples of `boundary`: its length counts neither itself nor
  // the padding before the first element.
  size_t BeginArray(size_t boundary) {
    Number(0);
    const size_t length_at = data_.size() - 4;
    Align(boundary);
    starts_ = data_.size();
    return length_at;
  }
  void EndArray(size_t length_at) {
    const auto length = static_cast<uint32_t>(data_.size() - starts_);
    std::memcpy(data_.data() + length_at, &length, sizeof length);
  }
  const std::string& data() const { return data_; }

 private:
  std::string data_;
  size_t starts_ = 0;
};

void HeaderField(Marshal& out, uint8_t code, const char* signature, std::string_view value) {
  out.Align(8);
  out.Byte(code);
  out.Signature(signature);
  if (signature[0] == 'g') {
    out.Signature(value);
  } else {
    out.Text(value);
  }
}

class Unmarshal {
 public:
  explicit Unmarshal(std::string_view data) : data_(data) {}
  bool ok() const { return ok_; }
  size_t at() const { return at_; }
  void Align(size_t boundary) { at_ += (boundary - at_ % boundary) % boundary; }
  uint8_t Byte() {
    if (at_ >= data_.size()) return Malformed();
    return static_cast<uint8_t>(data_[at_++]);
  }
  uint32_t Number() {
    Align(4);
    if (at_ + 4 > data_.size()) return Malformed();
    uint32_t value = 0;
    std::memcpy(&value, data_.data() + at_, sizeof value);
    at_ += 4;
    return value;
  }
  std::string Take(size_t length) {
    if (at_ + length + 1 > data_.size()) {
      Malformed();
      return "";
    }
    std::string text(data_.substr(at_, length));
    at_ += length + 1;
    return text;
  }

 private:
  uint8_t Malformed() {
    ok_ = false;
    at_ = data_.size();
    return 0;
  }
  std::string_view data_;
  size_t at_ = 0;
  bool ok_ = true;
};

}  // namespace

std::string StartScopeMessage(uint32_t serial, const std::string& unit, uint32_t pid) {
  Marshal body;
  body.Text(unit);
  body.Text("fail");
  const size_t properties = body.BeginArray(8);
  const auto property = [&](const char* name, const char* signature) {
    body.Align(8);
    body.Text(name);
    body.Signature(signature);
  };
  property("Description", "s");
  body.Text("Containers of Skiff");
  property("Delegate", "b");
  body.Number(1);
  property("CollectMode", "s");
  body.Text("inactive-or-failed");
  // All containers are one unit to systemd, whose limit for a unit (15 % of the machine's) is meant
  // for one service.
  property("TasksMax", "t");
  body.LongNumber(~uint64_t{0});
  // A stop of the unit, as at shutdown: monitors take SIGTERM as docker stop; then the rest goes.
  property("TimeoutStopUSec", "t");
  body.LongNumber(kStopMicroseconds);
  property("PIDs", "au");
  body.Number(4);  // Bytes of the array's one element.
  body.Number(pid);
  body.EndArray(properties);
  body.Number(0);  // No further units.
  body.Align(8);

  Marshal out;
  for (const uint8_t byte : {uint8_t{'l'}, uint8_t{1}, uint8_t{0}, uint8_t{1}}) out.Byte(byte);
  out.Number(static_cast<uint32_t>(body.data().size()));
  out.Number(serial);
  const size_t fields = out.BeginArray(8);
  HeaderField(out, 1, "o", "/org/freedesktop/systemd1");
  HeaderField(out, 2, "s", "org.freedesktop.systemd1.Manager");
  HeaderField(out, 3, "s", "StartTransientUnit");
  HeaderField(out, 6, "s", "org.freedesktop.systemd1");
  HeaderField(out, 8, "g", "ssa(sv)a(sa(sv))");
  out.EndArray(fields);
  out.Align(8);
  return out.data() + body.data();
}

size_t BusMessageSize(std::string_view header) {
  if (header.size() < kFixedHeader || header[0] != 'l') return 0;
  uint32_t body = 0;
  uint32_t fields = 0;
  std::memcpy(&body, header.data() + 4, sizeof body);
  std::memcpy(&fields, header.data() + 12, sizeof fields);
  const size_t size = kFixedHeader + (size_t{fields} + 7) / 8 * 8 + body;
  return size <= kMaximumMessage ? size : 0;
}

Result<BusMessage> ParseBusMessage(std::string_view bytes) {
  const auto malformed = [] { return Fail(Code::kCorrupted, "systemd sent a malformed message"); };
  if (BusMessageSize(bytes) != bytes.size()) return malformed();
  BusMessage message;
  message.type = static_cast<uint8_t>(bytes[1]);
  uint32_t body = 0;
  uint32_t fields = 0;
  std::memcpy(&body, bytes.data() + 4, sizeof body);
  std::memcpy(&fields, bytes.data() + 12, sizeof fields);
  // From the start of the message, since alignment counts from there.
  Unmarshal in(bytes.substr(0, kFixedHeader + fields));
  in.Take(kFixedHeader - 1);
  while (in.ok() && in.at() < kFixedHeader + fields) {
    in.Align(8);
    const uint8_t code = in.Byte();
    const std::string signature = in.Take(in.Byte());
    std::string text;
    uint32_t number = 0;
    if (signature == "s" || signature == "o") {
      text = in.Take(in.Number());
    } else if (signature == "g") {
      text = in.Take(in.Byte());
    } else if (signature == "u") {
      number = in.Number();
    } else {
      return malformed();
    }
    if (code == 3) message.member = text;
    if (code == 4) message.error_name = text;
    if (code == 5) message.reply_serial = number;
  }
  if (!in.ok()) return malformed();
  message.body = bytes.substr(bytes.size() - body);
  return message;
}

}  // namespace skiff::engine::embedded
