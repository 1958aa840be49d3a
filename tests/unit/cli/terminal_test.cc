#include "cli/terminal.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>

#include "base/fd.h"
#include "cli/signals.h"
#include "cli/terminal_session.h"

namespace skiff::cli {
namespace {

struct Terminal {
  Fd master, slave;
};

Terminal OpenTerminal() {
  int master = -1, slave = -1;
  winsize size{};
  size.ws_row = 30;
  size.ws_col = 90;
  EXPECT_EQ(openpty(&master, &slave, nullptr, nullptr, &size), 0);
  return {Fd(master), Fd(slave)};
}

tcflag_t LocalFlags(int fd) {
  termios attributes{};
  EXPECT_EQ(tcgetattr(fd, &attributes), 0);
  return attributes.c_lflag;
}

// A terminal passes things on in its own time. What arrives until `text` is among it, or nothing more does within five seconds.
std::string ReadUntil(int fd, std::string_view text) {
  std::string seen;
  pollfd wait = {fd, POLLIN, 0};
  while (seen.find(text) == std::string::npos && poll(&wait, 1, 5000) == 1) {
    char buffer[64];
    const ssize_t count = read(fd, buffer, sizeof buffer);
    if (count <= 0) break;
    seen.append(buffer, static_cast<size_t>(count));
  }
  return seen;
}

// A process that talks over one end of a terminal and ends when the test says so.
class FakeSession : public engine::Session {
 public:
  FakeSession(int terminal, int exit_fd) : terminal_(terminal), exit_fd_(exit_fd) {}
  int terminal_fd() const override { return terminal_; }
  Status Resize(engine::TerminalSize size) override {
    resized = size;
    return {};
  }
  Status Signal(int number) override {
    signals.push_back(number);
    return {};
  }
  int exit_fd() const override { return exit_fd_; }
  Result<int> Wait() override { return 7; }

  engine::TerminalSize resized;
  std::vector<int> signals;

 private:
  int terminal_, exit_fd_;
};

TEST(RawMode, IsUndoneAtTheEnd) {
  const Terminal terminal = OpenTerminal();
  const tcflag_t before = LocalFlags(terminal.slave.get());
  {
    const auto raw = RawMode::Enter(terminal.slave.get());
    ASSERT_TRUE(raw);
    EXPECT_EQ(LocalFlags(terminal.slave.get()) & (ICANON | ECHO | ISIG), 0u);
  }
  EXPECT_EQ(LocalFlags(terminal.slave.get()), before);
  EXPECT_FALSE(RawMode::Enter(MakePipe()->read.get()));
}

TEST(DetachKeys, AreParsedLikeDockers) {
  EXPECT_EQ(*ParseDetachKeys("ctrl-p,ctrl-q"), "\x10\x11");
  EXPECT_EQ(*ParseDetachKeys("a,ctrl-["), "a\x1b");
  EXPECT_EQ(*ParseDetachKeys(""), "");
  EXPECT_FALSE(ParseDetachKeys("ctrl-1"));
}

TEST(DetachFilter, HoldsBackABeginning) {
  DetachFilter filter("\x10\x11");
  EXPECT_EQ(filter.Pass("ab\x10"), "ab");
  EXPECT_EQ(filter.Pass("c"),
            "\x10"
            "c");
  EXPECT_EQ(filter.Pass("\x10\x10"), "\x10");
  EXPECT_FALSE(filter.detached());
  EXPECT_EQ(filter.Pass("\x11rest"), "");
  EXPECT_TRUE(filter.detached());
}

TEST(SignalRouter, TurnsSignalsIntoBytes) {
  auto outer = SignalRouter::Create({SIGUSR1});
  ASSERT_TRUE(outer);
  {
    const auto inner = SignalRouter::Create({SIGUSR1, SIGUSR2});
    ASSERT_TRUE(inner);
    raise(SIGUSR1);
    EXPECT_EQ((*inner)->Take(), SIGUSR1);
    EXPECT_EQ((*inner)->Take(), 0);
    EXPECT_EQ((*outer)->Take(), 0);
  }
  raise(SIGUSR1);
  EXPECT_EQ((*outer)->Take(), SIGUSR1);
}

TEST(TerminalSession, CopiesBothWaysAndPassesTheExitCode) {
  const Terminal person = OpenTerminal();
  auto process = MakeSocketPair(SOCK_STREAM);
  auto ended = MakePipe();
  ASSERT_TRUE(process && ended);
  FakeSession session(process->first.get(), ended->read.get());
  ASSERT_TRUE(WriteAll(process->second.get(), "hello", "x"));
  ASSERT_TRUE(WriteAll(person.master.get(), "typed", "x"));
  ended->write.Reset();  // The process has ended; its output is still there.
  SessionOptions options;
  options.tty = options.interactive = true;
  options.in = options.out = person.slave.get();
  auto driver = TerminalSession::Create(options);
  ASSERT_TRUE(driver);
  EXPECT_EQ((*driver)->streams().output, -1);
  EXPECT_EQ((*driver)->size().columns, 90);
  const auto code = (*driver)->Drive(session);
  ASSERT_TRUE(code);
  EXPECT_EQ(*code, 7);
  EXPECT_EQ(session.resized.rows, 30);
  EXPECT_NE(ReadUntil(person.master.get(), "hello").find("hello"), std::string::npos);
}

TEST(TerminalSession, DetachesOnTheKeys) {
  const Terminal person = OpenTerminal();
  auto process = MakeSocketPair(SOCK_STREAM);
  auto ended = MakePipe();
  FakeSession session(process->first.get(), ended->read.get());
  termios raw{};
  tcgetattr(person.slave.get(), &raw);
  cfmakeraw(&raw);
  tcsetattr(person.slave.get(), TCSANOW, &raw);
  ASSERT_TRUE(WriteAll(person.master.get(), "x\x10\x11", "x"));
  SessionOptions options;
  options.tty = options.interactive = true;
  options.in = options.out = person.slave.get();
  auto driver = TerminalSession::Create(options);
  const auto code = (*driver)->Drive(session);
  ASSERT_TRUE(code);
  EXPECT_EQ(*code, 0);
  EXPECT_TRUE((*driver)->detached());
  char typed = 0;
  ASSERT_EQ(read(process->second.get(), &typed, 1), 1);
  EXPECT_EQ(typed, 'x');
}

TEST(TerminalSession, GivesDescriptorsWithoutATerminal) {
  SessionOptions options;
  options.in = 10;
  options.out = 11;
  options.err = 12;
  EXPECT_EQ((*TerminalSession::Create(options))->streams().input, -1);
  options.interactive = true;
  const engine::StandardStreams streams = (*TerminalSession::Create(options))->streams();
  EXPECT_EQ(streams.input, 10);
  EXPECT_EQ(streams.output, 11);
  EXPECT_EQ(streams.error, 12);
}

}  // namespace
}  // namespace skiff::cli
