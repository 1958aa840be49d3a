#pragma once

#include <linux/netlink.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/fd.h"

// The netlink protocol, as much of it as links, addresses, routes and nf_tables need: several
// messages go to the kernel in one system call. A wrapper of our own in place of libnl-route: that
// one caches links and addresses, sends one message per call, and is more than this is.
namespace skiff::net {

// Builds messages one after another in one buffer.
class NetlinkBatch {
 public:
  // Starts a message; NLM_F_REQUEST is added. Returns its number in the batch, from 0.
  size_t Begin(uint16_t type, uint16_t flags);
  // The same for a message that is only answered when it fails (nfnetlink's ends of a batch); its
  // failure is that of the whole batch.
  size_t BeginQuiet(uint16_t type, uint16_t flags);
  template <typename T>
  NetlinkBatch& Body(const T& body) {
    return Raw(&body, sizeof body);
  }
  NetlinkBatch& Attribute(uint16_t type, const void* data, size_t size);
  NetlinkBatch& Text(uint16_t type, std::string_view text);  // With its NUL.
  NetlinkBatch& Bytes(uint16_t type, std::string_view bytes) {
    return Attribute(type, bytes.data(), bytes.size());
  }
  template <typename T>
  NetlinkBatch& Number(uint16_t type, T number) {
    return Attribute(type, &number, sizeof number);
  }
  // Nested attributes: everything until the matching EndNest.
  NetlinkBatch& Nest(uint16_t type);
  NetlinkBatch& EndNest();
  // Some nests hold a struct before their attributes (VETH_INFO_PEER).
  NetlinkBatch& Raw(const void* data, size_t size);

  size_t count() const { return starts_.size(); }
  bool empty() const { return starts_.empty(); }
  // The bytes, message lengths filled in; `first_sequence` numbers the messages.
  std::string Finish(uint32_t first_sequence);
  bool quiet(size_t index) const { return quiet_[index]; }

 private:
  void Align();

  std::string buffer_;
  std::vector<size_t> starts_;
  std::vector<bool> quiet_;
  std::vector<size_t> nests_;
};

// One attribute of a received message.
struct NetlinkAttribute {
  uint16_t type = 0;
  std::string_view data;

  uint32_t u32() const;
  uint8_t u8() const { return data.empty() ? 0 : static_cast<uint8_t>(data[0]); }
  std::string text() const { return std::string(data.substr(0, data.find('\0'))); }
};

// Walks over attributes; malformed ones end the walk.
class AttributeReader {
 public:
  explicit AttributeReader(std::string_view data) : data_(data) {}
  bool Next();
  const NetlinkAttribute& operator*() const { return current_; }
  const NetlinkAttribute* operator->() const { return &current_; }

 private:
  std::string_view data_;
  NetlinkAttribute current_;
};

// A received message without its header.
struct NetlinkMessage {
  uint16_t type = 0;
  uint16_t flags = 0;
  std::string_view body;

  // The struct at the start; zeros when the message is too short.
  template <typename T>
  T Header() const {
    T header = {};
    if (body.size() >= sizeof header) std::memcpy(&header, body.data(), sizeof header);
    return header;
  }
  // What follows a struct of `size` bytes.
  std::string_view After(size_t size) const {
    const size_t aligned = (size + 3) & ~size_t{3};
    return body.size() > aligned ? body.substr(aligned) : std::string_view();
  }
};

class NetlinkSocket {
 public:
  // Speaks to the kernel of the network namespace the calling thread is in now, for good.
  static Result<NetlinkSocket> Open(int protocol);

  int fd() const { return fd_.get(); }
  Fd Release() && { return std::move(fd_); }
  // Sends all messages in one call and returns the kernel's verdict on each: 0 or an errno
  // (-1: no answer was due).
  Result<std::vector<int>> Send(NetlinkBatch&& batch);
  // Like Send, and the verdict on each message must be 0 or one of `tolerated`; the first other one
  // is the failure "cannot <what>".
  Status Transact(NetlinkBatch&& batch, std::string_view what,
                  std::initializer_list<int> tolerated = {});
  // Sends the batch from a process of its own, which outlives this one and holds nothing of it but
  // this socket and `also`, whose closing may take its time; returns when that process has been
  // started. Nobody learns the verdicts.
  Status SendDetached(NetlinkBatch&& batch, Fd also = {});
  // One message that the kernel answers with messages (NLM_F_DUMP or a plain get).
  Status Ask(NetlinkBatch&& batch, std::string_view what,
             const std::function<void(const NetlinkMessage&)>& each);
  // Joins a multicast group.
  Status Subscribe(uint32_t group);
  // Hands every message that has arrived to `each`, waiting at most `milliseconds` for the first.
  // kTimeout when none comes.
  Status Await(int milliseconds, const std::function<void(const NetlinkMessage&)>& each);

 private:
  explicit NetlinkSocket(Fd fd) : fd_(std::move(fd)) {}
  Status Write(const std::string& bytes);
  Result<std::string_view> Read();

  Fd fd_;
  uint32_t sequence_ = 1;
  std::string buffer_;
};

}  // namespace skiff::net
