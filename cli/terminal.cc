#include "cli/terminal.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>

#include "base/text.h"

namespace skiff::cli {

bool IsTerminal(int fd) {
  return fd >= 0 && isatty(fd) == 1;
}

bool ReadYes(int fd, int interrupt_fd, bool otherwise) {
  constexpr size_t kLongest = 64;
  std::string answer;
  while (answer.size() < kLongest) {
    pollfd ready[] = {{fd, POLLIN, 0}, {interrupt_fd, POLLIN, 0}};
    if (::poll(ready, std::size(ready), -1) < 0 && errno == EINTR) continue;
    if (ready[1].revents != 0) return false;
    char c = 0;
    if (::read(fd, &c, 1) != 1 || c == '\n') break;
    answer += c;
  }
  answer = ToLower(Trim(answer));
  return answer.empty() ? otherwise : answer == "y" || answer == "yes";
}

engine::TerminalSize SizeOf(int fd) {
  winsize size{};
  if (fd < 0 || ioctl(fd, TIOCGWINSZ, &size) != 0) return {};
  return {size.ws_row, size.ws_col};
}

struct RawMode::Saved {
  termios attributes{};
};

RawMode::RawMode(int fd) : fd_(fd), saved_(std::make_unique<Saved>()) {}

Result<std::unique_ptr<RawMode>> RawMode::Enter(int fd) {
  std::unique_ptr<RawMode> mode(new RawMode(fd));
  if (tcgetattr(fd, &mode->saved_->attributes) != 0) {
    mode->fd_ = -1;
    return FailErrno("cannot read the mode of the terminal");
  }
  termios raw = mode->saved_->attributes;
  cfmakeraw(&raw);
  if (tcsetattr(fd, TCSADRAIN, &raw) != 0) {
    return FailErrno("cannot put the terminal into raw mode");
  }
  return mode;
}

RawMode::~RawMode() {
  if (fd_ >= 0) tcsetattr(fd_, TCSADRAIN, &saved_->attributes);
}

Result<std::string> ParseDetachKeys(std::string_view text) {
  std::string keys;
  if (text.empty()) return keys;
  for (std::string_view key : Split(text, ',')) {
    const std::string_view control = key.substr(std::min<size_t>(key.size(), 5));
    if (key.size() == 1) {
      keys += key[0];
    } else if (key.starts_with("ctrl-") && control.size() == 1 &&
               ((control[0] >= 'a' && control[0] <= 'z') ||
                std::string_view("@[\\]^_").find(control[0]) != std::string_view::npos)) {
      keys += static_cast<char>(control[0] & 0x1f);
    } else {
      return Fail(Code::kInvalidArgument,
                  fmt::format("invalid detach keys ({}): unknown character '{}'", text, key));
    }
  }
  return keys;
}

std::string DetachFilter::Pass(std::string_view input) {
  std::string out;
  for (char c : input) {
    if (detached_) break;
    if (keys_.empty()) {
      out += c;
      continue;
    }
    if (c == keys_[matched_]) {
      detached_ = ++matched_ == keys_.size();
      continue;
    }
    out.append(keys_, 0, matched_);
    matched_ = 0;
    if (c == keys_[0]) {
      detached_ = ++matched_ == keys_.size();
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace skiff::cli
