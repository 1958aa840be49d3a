#include "engine-core/transfer/auth_challenge.h"

#include <algorithm>

namespace skiff::engine::transfer {
namespace {

bool IsSpace(char c) {
  return c == ' ' || c == '\t';
}

std::string Lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return out;
}

class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}
  bool done() const { return at_ >= text_.size(); }
  void Skip(std::string_view any) {
    while (!done() && any.find(text_[at_]) != std::string_view::npos) ++at_;
  }
  std::string_view Until(std::string_view any) {
    const size_t start = at_;
    while (!done() && any.find(text_[at_]) == std::string_view::npos) ++at_;
    return text_.substr(start, at_ - start);
  }
  bool Take(char c) {
    if (done() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // Behind the opening quote.
  std::string Quoted() {
    std::string out;
    while (!done() && text_[at_] != '"') {
      if (text_[at_] == '\\' && at_ + 1 < text_.size()) ++at_;
      out += text_[at_++];
    }
    Take('"');
    return out;
  }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

AuthChallenge ParseAuthChallenge(std::string_view header) {
  AuthChallenge challenge;
  Cursor cursor(header);
  cursor.Skip(" \t");
  challenge.scheme = Lower(cursor.Until(" \t,="));
  while (true) {
    cursor.Skip(" \t,");
    if (cursor.done()) return challenge;
    std::string_view key = cursor.Until("=,");
    while (!key.empty() && IsSpace(key.back())) key.remove_suffix(1);
    if (!cursor.Take('=')) continue;  // A second challenge or a token: nothing we use.
    cursor.Skip(" \t");
    std::string value =
        cursor.Take('"') ? cursor.Quoted() : std::string(cursor.Until(" \t,"));
    if (!key.empty()) challenge.parameters.emplace(Lower(key), std::move(value));
  }
}

}  // namespace skiff::engine::transfer
