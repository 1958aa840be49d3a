#include "engine-core/runtime_spec.h"

#include <utility>

#include "base/wire.h"

namespace skiff::engine {
namespace {

// Tags are never reused. A struct's fields are described once, in Visit(), for both directions:
// `Encoder` writes each field, `Decoder` takes the field with the reader's current tag.
class Encoder {
 public:
  explicit Encoder(WireWriter& writer) : writer_(writer) {}

  // Also an empty one: the field may have another value by default.
  void operator()(uint16_t tag, const std::string& value) { writer_.Bytes(tag, value); }
  void operator()(uint16_t tag, bool value) { writer_.Bool(tag, value); }
  template <typename T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  void operator()(uint16_t tag, T value) { writer_.Int(tag, static_cast<int64_t>(value)); }
  void operator()(uint16_t tag, Nanoseconds value) { writer_.Int(tag, value.count()); }
  void operator()(uint16_t tag, const std::vector<std::string>& values) {
    writer_.Strings(tag, values);
  }
  void operator()(uint16_t tag, const std::map<std::string, std::string>& values) {
    for (const auto& [key, value] : values) {
      WireWriter entry;
      entry.Bytes(1, key);
      entry.Bytes(2, value);
      writer_.Message(tag, entry);
    }
  }
  template <typename T>
  requires std::is_class_v<T>
  void operator()(uint16_t tag, const T& value);
  template <typename T>
  requires std::is_class_v<T>
  void operator()(uint16_t tag, const std::vector<T>& values) {
    for (const T& value : values) (*this)(tag, value);
  }

 private:
  WireWriter& writer_;
};

class Decoder {
 public:
  explicit Decoder(WireReader& reader) : reader_(reader) {}

  bool ok() const { return ok_; }

  void operator()(uint16_t tag, std::string& value) {
    if (tag == reader_.tag()) value = reader_.text();
  }
  template <typename T>
  requires std::is_integral_v<T> || std::is_enum_v<T>
  void operator()(uint16_t tag, T& value) {
    if (tag == reader_.tag()) value = static_cast<T>(reader_.integer());
  }
  void operator()(uint16_t tag, Nanoseconds& value) {
    if (tag == reader_.tag()) value = Nanoseconds(reader_.integer());
  }
  void operator()(uint16_t tag, std::vector<std::string>& values) {
    if (tag == reader_.tag()) values.push_back(reader_.text());
  }
  void operator()(uint16_t tag, std::map<std::string, std::string>& values) {
    if (tag != reader_.tag()) return;
    WireReader entry(reader_.bytes());
    std::string key, value;
    while (entry.Next()) {
      if (entry.tag() == 1) key = entry.text();
      if (entry.tag() == 2) value = entry.text();
    }
    ok_ = ok_ && entry.ok();
    values[std::move(key)] = std::move(value);
  }
  template <typename T>
  requires std::is_class_v<T>
  void operator()(uint16_t tag, T& value);
  template <typename T>
  requires std::is_class_v<T>
  void operator()(uint16_t tag, std::vector<T>& values) {
    if (tag == reader_.tag()) (*this)(tag, values.emplace_back());
  }

 private:
  WireReader& reader_;
  bool ok_ = true;
};

void Visit(auto& field, auto& root, const RootFilesystem*) {
  field(1, root.lower);
  field(2, root.upper);
  field(3, root.work);
  field(4, root.read_only);
}

void Visit(auto& field, auto& mount, const RuntimeMount*) {
  field(1, mount.kind);
  field(2, mount.source);
  field(3, mount.target);
  field(4, mount.data);
  field(5, mount.flags);
  field(6, mount.recursive);
  field(7, mount.source_is_file);
  field(8, mount.propagation);
  field(9, mount.plain_source);
}

void Visit(auto& field, auto& device, const DeviceNode*) {
  field(1, device.path);
  field(2, device.block);
  field(3, device.major);
  field(4, device.minor);
  field(5, device.mode);
  field(6, device.uid);
  field(7, device.gid);
}

void Visit(auto& field, auto& limit, const RuntimeUlimit*) {
  field(1, limit.resource);
  field(2, limit.soft);
  field(3, limit.hard);
}

void Visit(auto& field, auto& space, const NamespaceSpec*) {
  field(1, space.mode);
  field(2, space.path);
}

void Visit(auto& field, auto& restart, const RestartPolicy*) {
  field(1, restart.mode);
  field(2, restart.maximum_retries);
}

void Visit(auto& field, auto& check, const Healthcheck*) {
  field(1, check.test);
  field(2, check.interval);
  field(3, check.timeout);
  field(4, check.start_period);
  field(5, check.start_interval);
  field(6, check.retries);
}

void Visit(auto& field, auto& log, const LogConfig*) {
  field(1, log.driver);
  field(2, log.options);
}

void Visit(auto& field, auto& dns, const DnsSpec*) {
  field(1, dns.enabled);
  field(2, dns.tables);
  field(3, dns.upstreams);
  field(4, dns.forward);
  field(5, dns.endpoints);
}

void Visit(auto& field, auto& socket, const PortSocketSpec*) {
  field(1, socket.relay);
  field(2, socket.address);
  field(3, socket.port);
  field(4, socket.protocol);
}

void Visit(auto& field, auto& spec, const RuntimeSpec*) {
  field(1, spec.version);
  field(2, spec.id);
  field(3, spec.name);
  field(4, spec.run_dir);
  field(5, spec.hostname);
  field(6, spec.domainname);
  field(7, spec.args);
  field(8, spec.environment);
  field(9, spec.cwd);
  field(10, spec.user);
  field(11, spec.additional_groups);
  field(12, spec.tty);
  field(13, spec.open_stdin);
  field(14, spec.use_init);
  field(15, spec.no_new_privileges);
  field(16, spec.privileged);
  field(17, spec.capabilities);
  field(18, spec.seccomp);
  field(19, spec.seccomp_filter);
  field(20, spec.root);
  field(21, spec.mounts);
  field(22, spec.devices);
  field(23, spec.masked_paths);
  field(24, spec.read_only_paths);
  field(25, spec.sysctls);
  field(26, spec.ulimits);
  field(27, spec.oom_score_adj);
  field(28, spec.pid);
  field(29, spec.ipc);
  field(30, spec.uts);
  field(31, spec.cgroup);
  field(32, spec.network);
  field(33, spec.cgroups);
  field(34, spec.memory_cgroup);
  field(35, spec.freezer_cgroup);
  field(36, spec.unified);
  field(37, spec.stop_signal);
  field(38, spec.stop_timeout_ns);
  field(39, spec.restart);
  field(40, spec.healthcheck);
  field(41, spec.log);
  field(42, spec.log_path);
  field(43, spec.dns);
  field(44, spec.ports);
  field(45, spec.end_path);
}

template <typename T>
requires std::is_class_v<T>
void Encoder::operator()(uint16_t tag, const T& value) {
  WireWriter nested;
  Encoder encoder(nested);
  Visit(encoder, value, static_cast<const T*>(nullptr));
  writer_.Message(tag, nested);
}

template <typename T>
requires std::is_class_v<T>
void Decoder::operator()(uint16_t tag, T& value) {
  if (tag != reader_.tag()) return;
  WireReader nested(reader_.bytes());
  Decoder decoder(nested);
  while (nested.Next()) Visit(decoder, value, static_cast<const T*>(nullptr));
  ok_ = ok_ && nested.ok() && decoder.ok();
}

}  // namespace

std::string EncodeRuntimeSpec(const RuntimeSpec& spec) {
  WireWriter writer;
  Encoder encoder(writer);
  Visit(encoder, spec, static_cast<const RuntimeSpec*>(nullptr));
  return writer.data();
}

Result<RuntimeSpec> DecodeRuntimeSpec(std::string_view data) {
  RuntimeSpec spec;
  spec.version = 0;
  WireReader reader(data);
  Decoder decoder(reader);
  while (reader.Next()) Visit(decoder, spec, static_cast<const RuntimeSpec*>(nullptr));
  if (!reader.ok() || !decoder.ok())
    return Fail(Code::kCorrupted, "cannot read the container's runtime specification");
  if (spec.version < 1)
    return Fail(Code::kCorrupted, "the container's runtime specification has no version");
  return spec;
}

}  // namespace skiff::engine
