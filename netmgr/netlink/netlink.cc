#include "netmgr/netlink/netlink.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace skiff::net {
namespace {

constexpr size_t kReceiveBuffer = 64 * 1024;

size_t Aligned(size_t size) {
  return (size + 3) & ~size_t{3};
}

// Calls `each` for every message in one datagram, with its sequence number.
template <typename Callback>
void ForEachMessage(std::string_view data, const Callback& each) {
  while (data.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    std::memcpy(&header, data.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > data.size()) return;
    each(header, NetlinkMessage{header.nlmsg_type, header.nlmsg_flags,
                                data.substr(sizeof header, header.nlmsg_len - sizeof header)});
    data.remove_prefix(std::min(data.size(), Aligned(header.nlmsg_len)));
  }
}

// Closes all descriptors but one or two (-1: none).
void KeepOnly(int one, int other) {
  unsigned next = 0;
  for (const int kept : {std::min(one, other), std::max(one, other)}) {
    if (kept < 0) continue;
    const auto number = static_cast<unsigned>(kept);
    if (number > next) ::close_range(next, number - 1, 0);
    next = number + 1;
  }
  ::close_range(next, ~0U, 0);
}

int ErrorOf(const NetlinkMessage& message) {
  return -message.Header<nlmsgerr>().error;
}

}  // namespace

size_t NetlinkBatch::Begin(uint16_t type, uint16_t flags) {
  const size_t index = BeginQuiet(type, flags | NLM_F_ACK);
  quiet_[index] = false;
  return index;
}

size_t NetlinkBatch::BeginQuiet(uint16_t type, uint16_t flags) {
  Align();
  starts_.push_back(buffer_.size());
  quiet_.push_back(true);
  nlmsghdr header = {};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<uint16_t>(flags | NLM_F_REQUEST);
  Raw(&header, sizeof header);
  return starts_.size() - 1;
}

NetlinkBatch& NetlinkBatch::Raw(const void* data, size_t size) {
  buffer_.append(static_cast<const char*>(data), size);
  Align();
  return *this;
}

NetlinkBatch& NetlinkBatch::Attribute(uint16_t type, const void* data, size_t size) {
  const nlattr header = {static_cast<uint16_t>(sizeof(nlattr) + size), type};
  Raw(&header, sizeof header);
  return Raw(data, size);
}

NetlinkBatch& NetlinkBatch::Text(uint16_t type, std::string_view text) {
  return Bytes(type, std::string(text) + '\0');
}

NetlinkBatch& NetlinkBatch::Nest(uint16_t type) {
  nests_.push_back(buffer_.size());
  const nlattr header = {0, static_cast<uint16_t>(type | NLA_F_NESTED)};
  return Raw(&header, sizeof header);
}

NetlinkBatch& NetlinkBatch::EndNest() {
  const auto length = static_cast<uint16_t>(buffer_.size() - nests_.back());
  std::memcpy(buffer_.data() + nests_.back(), &length, sizeof length);
  nests_.pop_back();
  return *this;
}

void NetlinkBatch::Align() {
  buffer_.resize(Aligned(buffer_.size()));
}

std::string NetlinkBatch::Finish(uint32_t first_sequence) {
  for (size_t i = 0; i < starts_.size(); ++i) {
    const size_t end = i + 1 < starts_.size() ? starts_[i + 1] : buffer_.size();
    nlmsghdr header;
    std::memcpy(&header, buffer_.data() + starts_[i], sizeof header);
    header.nlmsg_len = static_cast<uint32_t>(end - starts_[i]);
    header.nlmsg_seq = first_sequence + static_cast<uint32_t>(i);
    std::memcpy(buffer_.data() + starts_[i], &header, sizeof header);
  }
  starts_.clear();
  quiet_.clear();
  return std::exchange(buffer_, {});
}

uint32_t NetlinkAttribute::u32() const {
  uint32_t value = 0;
  if (data.size() >= sizeof value) std::memcpy(&value, data.data(), sizeof value);
  return value;
}

bool AttributeReader::Next() {
  nlattr header;
  if (data_.size() < sizeof header) return false;
  std::memcpy(&header, data_.data(), sizeof header);
  if (header.nla_len < sizeof header || header.nla_len > data_.size()) return false;
  current_.type = header.nla_type & NLA_TYPE_MASK;
  current_.data = data_.substr(sizeof header, header.nla_len - sizeof header);
  data_.remove_prefix(std::min(data_.size(), Aligned(header.nla_len)));
  return true;
}

Result<NetlinkSocket> NetlinkSocket::Open(int protocol) {
  Fd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return FailErrno("cannot open a netlink socket");
  return NetlinkSocket(std::move(fd));
}

Status NetlinkSocket::Write(const std::string& bytes) {
  // A message must fit the socket's buffer, twice over.
  constexpr size_t kUsualBuffer = 64 * 1024;
  if (const int wanted = static_cast<int>(bytes.size()) * 2; bytes.size() > kUsualBuffer) {
    if (::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUFFORCE, &wanted, sizeof wanted) != 0) {
      ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDBUF, &wanted, sizeof wanted);
    }
  }
  sockaddr_nl kernel = {};
  kernel.nl_family = AF_NETLINK;
  for (;;) {
    const ssize_t sent = ::sendto(fd_.get(), bytes.data(), bytes.size(), 0,
                                  reinterpret_cast<const sockaddr*>(&kernel), sizeof kernel);
    if (sent >= 0) return {};
    if (errno != EINTR) return FailErrno("cannot send to the kernel by netlink");
  }
}

Result<std::string_view> NetlinkSocket::Read() {
  buffer_.resize(kReceiveBuffer);
  for (;;) {
    const ssize_t got = ::recv(fd_.get(), buffer_.data(), buffer_.size(), 0);
    if (got >= 0) return std::string_view(buffer_).substr(0, static_cast<size_t>(got));
    if (errno != EINTR) return FailErrno("cannot receive from the kernel by netlink");
  }
}

Result<std::vector<int>> NetlinkSocket::Send(NetlinkBatch&& batch) {
  std::vector<int> verdicts(batch.count(), -1);
  std::vector<bool> quiet(verdicts.size());
  size_t open = 0;
  for (size_t i = 0; i < verdicts.size(); ++i) {
    quiet[i] = batch.quiet(i);
    if (!quiet[i]) ++open;
  }
  const uint32_t first = sequence_;
  sequence_ += static_cast<uint32_t>(verdicts.size());
  SKIFF_TRY(Write(std::move(batch).Finish(first)));
  while (open > 0) {
    SKIFF_ASSIGN(const std::string_view data, Read());
    ForEachMessage(data, [&](const nlmsghdr& header, const NetlinkMessage& message) {
      const uint32_t index = header.nlmsg_seq - first;
      if (header.nlmsg_type != NLMSG_ERROR || index >= verdicts.size()) return;
      const bool repeated = verdicts[index] != -1;
      verdicts[index] = ErrorOf(message);
      if (quiet[index]) {
        open = 0;
      } else if (!repeated && open > 0) {
        --open;
      }
    });
  }
  return verdicts;
}

Status NetlinkSocket::Transact(NetlinkBatch&& batch, std::string_view what,
                               std::initializer_list<int> tolerated) {
  SKIFF_ASSIGN(const std::vector<int> verdicts, Send(std::move(batch)));
  for (const int verdict : verdicts) {
    if (verdict <= 0) continue;
    if (std::find(tolerated.begin(), tolerated.end(), verdict) != tolerated.end()) continue;
    return FailErrno(verdict, "cannot " + std::string(what));
  }
  return {};
}

Status NetlinkSocket::SendDetached(NetlinkBatch&& batch, Fd also) {
  // Between fork and _exit only system calls: other threads of this process may hold any lock.
  const std::string bytes = std::move(batch).Finish(sequence_);
  const pid_t child = ::fork();
  if (child < 0) return FailErrno("cannot start a process that removes links");
  if (child == 0) {
    // Whoever reads the caller's output must not wait for this process; nor may it hold a lock, a
    // port or a namespace of the caller, not even for as long as it takes to be scheduled: a caller
    // that is killed right after this call must look dead.
    KeepOnly(fd_.get(), also.get());
    // A grandchild, so that nobody has to reap it.
    const pid_t grandchild = ::fork();
    if (grandchild != 0) ::_exit(grandchild < 0 ? 1 : 0);
    ::setsid();
    // A signal to the caller's group does not reach it any more; the call itself cannot block on
    // anything but the kernel's own lock.
    const ssize_t sent = bytes.empty() ? 0 : ::send(fd_.get(), bytes.data(), bytes.size(), 0);
    ::_exit(sent < 0 ? 1 : 0);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno == ECHILD) return {};  // The caller ignores SIGCHLD: the kernel has reaped it.
    if (errno != EINTR) return FailErrno("cannot wait for a process that removes links");
  }
  if (status != 0) return Fail(Code::kSystem, "cannot start a process that removes links");
  return {};
}

Status NetlinkSocket::Ask(NetlinkBatch&& batch, std::string_view what,
                          const std::function<void(const NetlinkMessage&)>& each) {
  const uint32_t sequence = sequence_++;
  SKIFF_TRY(Write(std::move(batch).Finish(sequence)));
  int failure = 0;
  bool done = false;
  while (!done) {
    SKIFF_ASSIGN(const std::string_view data, Read());
    ForEachMessage(data, [&](const nlmsghdr& header, const NetlinkMessage& message) {
      if (header.nlmsg_seq != sequence) return;
      if (header.nlmsg_type == NLMSG_ERROR) {
        failure = ErrorOf(message);
        done = true;
      } else if (header.nlmsg_type == NLMSG_DONE) {
        failure = -message.Header<int>();
        done = true;
      } else {
        each(message);
        if ((header.nlmsg_flags & NLM_F_MULTI) == 0) done = true;
      }
    });
  }
  if (failure != 0) return FailErrno(failure, "cannot " + std::string(what));
  return {};
}

Status NetlinkSocket::Subscribe(uint32_t group) {
  const int number = static_cast<int>(group);
  if (::setsockopt(fd_.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &number, sizeof number) != 0) {
    return FailErrno("cannot subscribe to changes of links");
  }
  return {};
}

Status NetlinkSocket::Await(int milliseconds,
                            const std::function<void(const NetlinkMessage&)>& each) {
  pollfd wanted = {fd_.get(), POLLIN, 0};
  const int ready = ::poll(&wanted, 1, milliseconds);
  if (ready < 0 && errno != EINTR) return FailErrno("cannot wait for a change of a link");
  if (ready == 0) return Fail(Code::kTimeout, "no change of a link");
  if (ready < 0) return {};
  auto data = Read();
  // Too many changes of other links: the caller looks again.
  if (!data && data.error().sys_errno == ENOBUFS) return {};
  if (!data) return tl::unexpected(data.error());
  ForEachMessage(*data, [&](const nlmsghdr&, const NetlinkMessage& message) { each(message); });
  return {};
}

}  // namespace skiff::net
