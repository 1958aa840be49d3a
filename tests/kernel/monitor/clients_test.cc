#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/event_loop.h"
#include "tests/kernel/monitor/monitor_fixture.h"

namespace skiff::engine {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ExecConfig Command(std::vector<std::string> command) {
  ExecConfig config;
  config.command = std::move(command);
  return config;
}

size_t OpenDescriptors(int64_t pid) {
  size_t count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) {
    static_cast<void>(entry);
    ++count;
  }
  return count;
}

class ClientsTest : public MonitorTest {
 protected:
  LaunchedMonitor& LaunchIdle() { return LaunchShell("echo up; exec sleep 1000"); }
};

TEST_F(ClientsTest, ExecGivesOutputAndExitCode) {
  LaunchedMonitor& monitor = LaunchIdle();
  const ExecResult result =
      Exec(monitor, Command({"sh", "-c", "cat; echo bad >&2; exit 9"}), "in\n");
  EXPECT_EQ(result.exit_code, 9);
  EXPECT_EQ(result.output, "in\n");
  EXPECT_EQ(result.error, "bad\n");
  EXPECT_THAT(Journal(), HasSubstr("exec_die"));
}

TEST_F(ClientsTest, ExecHasItsOwnContext) {
  LaunchedMonitor& monitor = LaunchIdle();
  ExecConfig config = Command({"sh", "-c", "pwd; id -u; echo $MORE $TEST_MARK"});
  config.environment = {"MORE=yes", "TEST_MARK=other"};
  config.user = "alice";
  config.working_dir = "/tmp";
  EXPECT_EQ(Exec(monitor, config).output, "/tmp\n1000\nyes other\n");
}

TEST_F(ClientsTest, ExecOfAMissingProgramIs127AndSaysSo) {
  LaunchedMonitor& monitor = LaunchIdle();
  const ExecResult result = Exec(monitor, Command({"no-such-program"}));
  EXPECT_EQ(result.exit_code, 127);
  EXPECT_THAT(result.error, HasSubstr("executable file not found in $PATH"));
  ExecConfig config = Command({"no-such-program"});
  config.tty = true;
  auto session = monitor.client().Exec(config, {}, {24, 80});
  ASSERT_TRUE(session);
  EXPECT_THAT(ReadUntil((*session)->terminal_fd(),
                        [](const std::string& text) { return text.ends_with("\n"); }),
              HasSubstr("not found"));
  pollfd watched = {(*session)->exit_fd(), POLLIN, 0};
  EXPECT_EQ(::poll(&watched, 1, 5000), 1);
  EXPECT_EQ((*session)->Wait().value(), 127);
}

TEST_F(ClientsTest, ExecWithALargeEnvironment) {
  LaunchedMonitor& monitor = LaunchIdle();
  ExecConfig config = Command({"sh", "-c", "echo ${#BIG}"});
  config.environment = {"BIG=" + std::string(100'000, 'x')};
  EXPECT_EQ(Exec(monitor, config).output, "100000\n");
}

TEST_F(ClientsTest, AFileOfTheCallerIsNotGivenToTheContainer) {
  LaunchedMonitor& monitor = LaunchIdle();
  const std::string path = folder() + "/secret";
  std::ofstream(path) << "content\n";
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  const std::string out = folder() + "/out";
  const Fd sink(::open(out.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  auto session = monitor.client().Exec(
      Command(
          {"sh", "-c", "cat; echo evil > /proc/self/fd/0; ls -l /proc/self/fd/0 /proc/self/fd/1"}),
      {file.get(), sink.get(), sink.get()}, {});
  ASSERT_TRUE(session);
  EXPECT_TRUE((*session)->Wait());
  EXPECT_EQ(ReadFile(path).value(), "content\n");
  EXPECT_THAT(ReadFile(out).value(), HasSubstr("content\n"));
  EXPECT_THAT(ReadFile(out).value(), ::testing::Not(HasSubstr("secret")));
}

TEST_F(ClientsTest, ExecOutlivesItsClient) {
  LaunchedMonitor& monitor = LaunchIdle();
  Pipe out = std::move(*MakePipe());
  {
    auto session = monitor.client().Exec(
        Command({"sh", "-c",
                 "echo begun; while ! test -e /tmp/go; do sleep 0.02; done; touch /tmp/done"}),
        {-1, out.write.get(), -1}, {});
    ASSERT_TRUE(session);
    ReadUntil(out.read.get(), [](const std::string& text) { return text == "begun\n"; });
  }
  out.read.Reset();
  EXPECT_EQ(Exec(monitor, Command({"touch", "/tmp/go"})).exit_code, 0);
  const ExecResult waited = Exec(
      monitor, Command({"sh", "-c", "while ! test -e /tmp/done; do sleep 0.02; done; echo there"}));
  EXPECT_EQ(waited.output, "there\n");
}

TEST_F(ClientsTest, TerminalExec) {
  LaunchedMonitor& monitor = LaunchIdle();
  ExecConfig config =
      Command({"sh", "-c", "stty size; tty; read x; stty size; echo got $x; exit 6"});
  config.tty = true;
  auto session = monitor.client().Exec(config, {}, {33, 77});
  ASSERT_TRUE(session) << session.error().Text();
  const int terminal = (*session)->terminal_fd();
  ASSERT_GE(terminal, 0);
  const std::string first =
      ReadUntil(terminal, [](const std::string& text) { return text.find("pts") != text.npos; });
  EXPECT_THAT(first, HasSubstr("33 77"));
  ASSERT_TRUE((*session)->Resize({44, 88}));
  ASSERT_TRUE((*session)->Signal(SIGWINCH));
  // The monitor answers in order: after this exec the size has been set.
  EXPECT_EQ(Exec(monitor, Command({"true"})).exit_code, 0);
  ASSERT_TRUE(WriteAll(terminal, "word\n", "terminal"));
  const std::string second = ReadUntil(
      terminal, [](const std::string& text) { return text.find("got word") != text.npos; });
  EXPECT_THAT(second, HasSubstr("44 88"));
  EXPECT_EQ((*session)->Wait().value(), 6);
}

TEST_F(ClientsTest, ATerminalWhoseClientIsGoneIsDrained) {
  LaunchedMonitor& monitor = LaunchIdle();
  ExecConfig config =
      Command({"sh", "-c", "trap '' HUP; seq 1 20000; touch /tmp/done; sleep 1000"});
  config.tty = true;
  {
    auto session = monitor.client().Exec(config, {}, {24, 80});
    ASSERT_TRUE(session);
  }
  const ExecResult waited = Exec(
      monitor, Command({"sh", "-c", "while ! test -e /tmp/done; do sleep 0.02; done; echo there"}));
  EXPECT_EQ(waited.output, "there\n");
}

TEST_F(ClientsTest, SignalsReachTheExec) {
  LaunchedMonitor& monitor = LaunchIdle();
  Pipe out = std::move(*MakePipe());
  auto session = monitor.client().Exec(
      Command({"sh", "-c", "trap 'exit 12' USR1; echo up; while :; do sleep 0.02; done"}),
      {-1, out.write.get(), -1}, {});
  ASSERT_TRUE(session);
  ReadUntil(out.read.get(), [](const std::string& text) { return text == "up\n"; });
  ASSERT_TRUE((*session)->Signal(SIGUSR1));
  EXPECT_EQ((*session)->Wait().value(), 12);
}

TEST_F(ClientsTest, TheEndOfTheContainerEndsItsExecs) {
  LaunchedMonitor& monitor = LaunchIdle();
  auto session = monitor.client().Exec(Command({"sleep", "1000"}), {}, {});
  ASSERT_TRUE(session);
  ASSERT_TRUE(monitor.client().Stop(SIGKILL, seconds(0)));
  EXPECT_EQ((*session)->Wait().value(), 137);
  EXPECT_EQ(monitor.client().Exec(Command({"true"}), {}, {}).error().code, Code::kUnavailable);
}

TEST_F(ClientsTest, AttachCopiesOutputToSeveralClients) {
  LaunchedMonitor& monitor = LaunchShell(
      "echo up; while ! test -e /tmp/go; do sleep 0.02; done; echo out; echo err >&2; exit 3");
  AwaitLine(monitor, "up\n");
  Pipe first = std::move(*MakePipe());
  Pipe second = std::move(*MakePipe());
  auto one = monitor.client().Attach({-1, first.write.get(), first.write.get()});
  auto two = monitor.client().Attach({-1, -1, second.write.get()});
  ASSERT_TRUE(one);
  ASSERT_TRUE(two);
  EXPECT_EQ((*one)->terminal_fd(), -1);
  EXPECT_EQ(Exec(monitor, Command({"touch", "/tmp/go"})).exit_code, 0);
  EXPECT_EQ((*one)->Wait().value(), 3);
  EXPECT_EQ((*two)->Wait().value(), 3);
  one->reset();
  two->reset();
  first.write.Reset();
  second.write.Reset();
  const auto never = [](const std::string&) { return false; };
  EXPECT_EQ(ReadUntil(first.read.get(), never), "out\nerr\n");
  EXPECT_EQ(ReadUntil(second.read.get(), never), "err\n");
}

TEST_F(ClientsTest, TheFirstClientComesWithTheLaunch) {
  RuntimeSpec spec = ShellSpec("echo first byte; cat; exit 2");
  spec.open_stdin = true;
  Pipe in = std::move(*MakePipe());
  Pipe out = std::move(*MakePipe());
  Launcher::Request request;
  request.attach_input = in.read.get();
  request.attach_output = out.write.get();
  LaunchedMonitor& monitor = Launch(spec, request);
  in.read.Reset();
  auto session =
      SessionOfLaunch(std::move(monitor.process.channel), {-1, out.write.get(), -1}, Fd());
  ASSERT_TRUE(WriteAll(in.write.get(), "through\n", "input"));
  in.write.Reset();
  EXPECT_EQ(session->Wait().value(), 2);
  session.reset();
  out.write.Reset();
  EXPECT_EQ(ReadUntil(out.read.get(), [](const std::string&) { return false; }),
            "first byte\nthrough\n");
  AwaitEnd(monitor);
  EXPECT_THAT(Log(monitor, LogStream::kStdout), ElementsAre("first byte\n", "through\n"));
}

TEST_F(ClientsTest, AClientThatDoesNotReadLosesNothingAtTheEnd) {
  RuntimeSpec spec = ShellSpec("seq 1 30000");
  Pipe out = std::move(*MakePipe());
  Launcher::Request request;
  request.attach_output = out.write.get();
  LaunchedMonitor& monitor = Launch(spec, request);
  auto session =
      SessionOfLaunch(std::move(monitor.process.channel), {-1, out.write.get(), -1}, Fd());
  // The pipe holds 64 KiB of 168 KiB; the container ends all the same.
  AwaitEnd(monitor);
  std::string expected;
  for (int i = 1; i <= 30000; ++i) expected += std::to_string(i) + "\n";
  ASSERT_EQ(::fcntl(out.write.get(), F_SETPIPE_SZ, 1 << 20), 1 << 20);
  EXPECT_EQ(session->Wait().value(), 0);
  session.reset();
  out.write.Reset();
  EXPECT_EQ(ReadUntil(out.read.get(), [](const std::string&) { return false; }), expected);
}

TEST_F(ClientsTest, AStuckClientThatLeavesLetsTheContainerGoOn) {
  RuntimeSpec spec = ShellSpec("seq 1 500000; exit 5");
  spec.log.options = {{"max-size", "-1"}};
  Pipe out = std::move(*MakePipe());
  Launcher::Request request;
  request.attach_output = out.write.get();
  LaunchedMonitor& monitor = Launch(spec, request);
  auto session = SessionOfLaunch(std::move(monitor.process.channel), {}, Fd());
  // More than all the pipes on the way hold: the container waits for this client.
  EXPECT_EQ(Exec(monitor, Command({"echo", "responsive"})).output, "responsive\n");
  EXPECT_TRUE(monitor.client().Alive());
  session.reset();
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 5);
  EXPECT_EQ(Log(monitor, LogStream::kStdout).size(), 500'000u);
}

TEST_F(ClientsTest, AReaderThatHasGoneIsNoObstacle) {
  Pipe out = std::move(*MakePipe());
  out.read.Reset();
  Launcher::Request request;
  request.attach_output = out.write.get();
  LaunchedMonitor& monitor = Launch(ShellSpec("echo unheard; exit 6"), request);
  EXPECT_EQ(AwaitEnd(monitor).exit_code, 6);
  EXPECT_THAT(Log(monitor, LogStream::kStdout), ElementsAre("unheard\n"));
}

TEST_F(ClientsTest, AContainerWithATerminal) {
  RuntimeSpec spec = ShellSpec("read x; echo got $x; stty size; exit 4");
  spec.tty = true;
  spec.open_stdin = true;
  LaunchedMonitor& monitor = Launch(spec);
  EXPECT_EQ(monitor.report.error, "");
  auto session = monitor.client().Attach({});
  ASSERT_TRUE(session) << session.error().Text();
  ASSERT_GE((*session)->terminal_fd(), 0);
  ASSERT_TRUE((*session)->Resize({50, 100}));
  ASSERT_TRUE(WriteAll((*session)->terminal_fd(), "hey\n", "terminal"));
  const std::string text = ReadUntil((*session)->terminal_fd(), [](const std::string& all) {
    return all.find("50 100") != all.npos;
  });
  EXPECT_THAT(text, HasSubstr("got hey"));
  EXPECT_EQ((*session)->Wait().value(), 4);
  AwaitEnd(monitor);
  EXPECT_THAT(Log(monitor, LogStream::kStdout), ::testing::Contains("got hey\r\n"));
}

TEST_F(ClientsTest, ATerminalThatComesWithTheLaunch) {
  RuntimeSpec spec = ShellSpec("echo first byte; tty; read x; stty size; echo got $x; exit 4");
  spec.tty = true;
  spec.open_stdin = true;
  auto ends = MakeSocketPair(SOCK_STREAM);
  ASSERT_TRUE(ends);
  Launcher::Request request;
  request.attach_input = ends->first.get();
  request.attach_output = ends->first.get();
  LaunchedMonitor& monitor = Launch(spec, request);
  ends->first.Reset();
  EXPECT_EQ(monitor.report.error, "");
  auto session = SessionOfLaunch(std::move(monitor.process.channel), {}, std::move(ends->second));
  ASSERT_TRUE(session->Resize({20, 40}));
  const int terminal = session->terminal_fd();
  // After this round trip the size has been set.
  EXPECT_EQ(Exec(monitor, Command({"true"})).exit_code, 0);
  // The terminal echoes at once: what is typed earlier appears between the program's lines.
  const std::string greeting = ReadUntil(terminal, [](const std::string& all) {
    const size_t name = all.find("/dev/");
    return name != all.npos && all.find('\n', name) != all.npos;
  });
  EXPECT_TRUE(greeting.starts_with("first byte\r\n/dev/")) << greeting;
  ASSERT_TRUE(WriteAll(terminal, "hey\n", "terminal"));
  // All of it, up to the end the monitor makes when the container has ended.
  const std::string text = ReadUntil(terminal, [](const std::string&) { return false; });
  EXPECT_EQ(text, "hey\r\n20 40\r\ngot hey\r\n");
  EXPECT_EQ(session->Wait().value(), 4);
}

TEST_F(ClientsTest, HostileConnectionsDoNotDisturb) {
  LaunchedMonitor& monitor = LaunchIdle();
  std::vector<Fd> idle;
  for (int i = 0; i < 600; ++i) {
    Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    const std::string path = monitor.run_dir + "/control.sock";
    ASSERT_LT(path.size(), sizeof address.sun_path);
    std::memcpy(address.sun_path, path.data(), path.size());
    // EAGAIN: the backlog is full for the moment.
    if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
      continue;
    if (i % 3 == 0) ::send(socket.get(), "nonsense", 8, MSG_NOSIGNAL);
    idle.push_back(std::move(socket));
  }
  EXPECT_EQ(Exec(monitor, Command({"echo", "alive"})).output, "alive\n");
}

TEST_F(ClientsTest, ManyExecsLeaveNothing) {
  LaunchedMonitor& monitor = LaunchIdle();
  AwaitLine(monitor, "up\n");
  const pid_t pid = monitor.process.pid;
  EXPECT_EQ(Exec(monitor, Command({"true"})).exit_code, 0);
  const size_t before = OpenDescriptors(pid);
  const BootTime start = Now();
  for (int i = 0; i < 100; ++i) {
    auto session = monitor.client().Exec(Command({"true"}), {}, {});
    ASSERT_TRUE(session);
    ASSERT_EQ((*session)->Wait().value(), 0);
  }
  RecordProperty("exec_us", static_cast<int>((Now() - start) / std::chrono::microseconds(100)));
  // The monitor hears of the end of the last connections a little later.
  const BootTime deadline = Now() + std::chrono::seconds(5);
  size_t after = OpenDescriptors(pid);
  while (after > before && Now() < deadline) {
    ::poll(nullptr, 0, 2);
    after = OpenDescriptors(pid);
  }
  EXPECT_LE(after, before);
}

}  // namespace
}  // namespace skiff::engine
