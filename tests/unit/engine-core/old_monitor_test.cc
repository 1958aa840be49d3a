// Commands of today and monitors of the first release, which go on living when skiff is replaced.
// What those say is written down here as bytes: the code that makes and reads messages now has no
// part in it.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <thread>

#include "engine-core/monitor/protocol.h"
#include "engine-core/monitor_client.h"

namespace skiff::engine {
namespace {

using Fields = std::multimap<int, std::string>;

// Tag and length, little endian, then the bytes.
std::string Field(int tag, std::string_view bytes) {
  std::string out;
  out += static_cast<char>(tag & 0xff);
  out += static_cast<char>(tag >> 8);
  for (int shift = 0; shift < 32; shift += 8) out += static_cast<char>(bytes.size() >> shift & 0xff);
  return out.append(bytes);
}
std::string Number(int tag, int64_t value) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) {
    bytes += static_cast<char>(static_cast<uint64_t>(value) >> shift & 0xff);
  }
  return Field(tag, bytes);
}
Fields Read(std::string_view message) {
  Fields fields;
  const auto at = [&](size_t i) { return static_cast<unsigned char>(message[i]); };
  while (message.size() >= 6) {
    const size_t length = at(2) | at(3) << 8 | at(4) << 16 | static_cast<size_t>(at(5)) << 24;
    if (length > message.size() - 6) break;
    fields.emplace(at(0) | at(1) << 8, message.substr(6, length));
    message.remove_prefix(6 + length);
  }
  EXPECT_TRUE(message.empty()) << "a request with a broken field";
  return fields;
}
int64_t NumberOf(const Fields& fields, int tag) {
  const auto it = fields.find(tag);
  if (it == fields.end() || it->second.size() != 8) return -1;
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = value << 8 | static_cast<unsigned char>(it->second[i]);
  return static_cast<int64_t>(value);
}

// Verbs 1 to 9 of version 1; whatever came later it does not know.
class OldMonitor {
 public:
  explicit OldMonitor(const std::string& folder) {
    listener_ = Fd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
    sockaddr_un address = {AF_UNIX, {}};
    (folder + "/control.sock").copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_.get(), 8), 0);
    thread_ = std::thread([this] { Serve(); });
  }
  ~OldMonitor() {
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }
  const std::vector<Fields>& requests() const { return requests_; }

 private:
  void Serve() {
    while (true) {
      const Fd peer(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!peer) return;
      char buffer[65536];
      const ssize_t got = ::recv(peer.get(), buffer, sizeof buffer, 0);
      if (got <= 0) continue;
      requests_.push_back(Read({buffer, static_cast<size_t>(got)}));
      for (const std::string& answer : AnswersTo(requests_.back())) {
        EXPECT_EQ(::send(peer.get(), answer.data(), answer.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(answer.size()));
      }
    }
  }
  static std::vector<std::string> AnswersTo(const Fields& request) {
    EXPECT_GE(NumberOf(request, 1), 1) << "every request says its version first";
    switch (NumberOf(request, 2)) {
      case 8:  // exec: it stands, then it has ended with 7.
        return {Number(1, 1) + Number(20, 3) + Number(24, 0),
                Number(1, 1) + Number(20, 4) + Number(24, 7)};
      case 1: case 2: case 3: case 4: case 5: case 6: case 7:
        return {Number(1, 1) + Number(20, 1) + Number(24, 0)};
      default:
        return {Number(1, 1) + Number(20, 2) + Number(21, 2) + Field(22, "unknown request") +
                Number(23, 0) + Number(24, 0)};
    }
  }

  Fd listener_;
  std::thread thread_;
  std::vector<Fields> requests_;
};

class OldMonitorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/skiff-old-monitor-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    folder_ = name;
    monitor_ = std::make_unique<OldMonitor>(folder_);
  }
  void TearDown() override {
    monitor_.reset();
    std::filesystem::remove_all(folder_);
  }
  const Fields& Last() const { return monitor_->requests().back(); }

  std::string folder_;
  std::unique_ptr<OldMonitor> monitor_;
};

TEST_F(OldMonitorTest, DoesWhatItAlwaysDid) {
  const MonitorClient client(folder_);
  EXPECT_TRUE(client.Stop(15, std::chrono::seconds(3)));
  EXPECT_EQ(NumberOf(Last(), 2), 2);
  EXPECT_EQ(NumberOf(Last(), 4), 15);
  EXPECT_EQ(NumberOf(Last(), 5), 3'000'000'000);
  EXPECT_TRUE(client.Kill(9));
  EXPECT_EQ(NumberOf(Last(), 2), 3);
  EXPECT_TRUE(client.Restart(0, std::nullopt));
  EXPECT_EQ(NumberOf(Last(), 2), 4);
  EXPECT_TRUE(client.Pause());
  EXPECT_EQ(NumberOf(Last(), 2), 5);
  EXPECT_TRUE(client.Unpause());
  EXPECT_EQ(NumberOf(Last(), 2), 6);
  EXPECT_TRUE(client.Rename("new"));
  EXPECT_EQ(NumberOf(Last(), 2), 7);
  EXPECT_EQ(Last().find(6)->second, "new");
}

TEST_F(OldMonitorTest, RunsProgramsInItsContainer) {
  const MonitorClient client(folder_);
  ExecConfig config;
  config.command = {"sh", "-c", "exit 7"};
  config.environment = {"A=1"};
  config.working_dir = "/w";
  config.user = "1";
  auto session = client.Exec(config, {}, {});
  ASSERT_TRUE(session) << session.error().Text();
  EXPECT_EQ((*session)->Wait().value_or(-1), 7);
  std::vector<std::string> words;
  const auto [begin, end] = Last().equal_range(7);
  for (auto it = begin; it != end; ++it) words.push_back(it->second);
  EXPECT_EQ(words, config.command);
  EXPECT_EQ(Last().find(8)->second, "A=1");
  EXPECT_EQ(Last().find(9)->second, "/w");
  EXPECT_EQ(Last().find(10)->second, "1");
}

TEST_F(OldMonitorTest, SaysWhatItDoesNotKnow) {
  const MonitorClient client(folder_);
  const Status names = client.UpdateNames({});
  ASSERT_FALSE(names);
  EXPECT_EQ(names.error().message, "unknown request");
  EXPECT_FALSE(client.NetworkNamespace());
  // And it still does what it knows.
  EXPECT_TRUE(client.Stop(0, std::nullopt));
}

// The other way round: a command of the first release and the monitor of today.
TEST(OldCommandTest, IsUnderstood) {
  const auto ends = MakeSocketPair(SOCK_SEQPACKET);
  ASSERT_TRUE(ends);
  const std::string exec = Number(1, 1) + Number(2, 8) + Field(7, "sh") + Field(7, "") +
                           Field(8, "A=1") + Field(9, "/w") + Field(10, "1:2") + Number(11, 1) +
                           Number(12, 1) + Number(13, 24) + Number(14, 80) + Number(18, 0);
  ASSERT_TRUE(SendMessage(ends->first.get(), exec, {}));
  const auto request = monitor::ReceiveRequest(ends->second.get(), 0);
  ASSERT_TRUE(request && *request);
  EXPECT_EQ((*request)->verb, monitor::Verb::kExec);
  EXPECT_EQ((*request)->args, (std::vector<std::string>{"sh", ""}));
  EXPECT_EQ((*request)->environment, std::vector<std::string>{"A=1"});
  EXPECT_EQ((*request)->cwd, "/w");
  EXPECT_EQ((*request)->user, "1:2");
  EXPECT_TRUE((*request)->tty && (*request)->privileged && !(*request)->forward);
  EXPECT_EQ((*request)->rows, 24);
  EXPECT_EQ((*request)->columns, 80);
}

}  // namespace
}  // namespace skiff::engine
