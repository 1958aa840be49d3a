// Whether a source of ADD or COPY is a file, an address or a Git repository.
#include <algorithm>

#include "base/text.h"
#include "builder/plan/interpret.h"

namespace skiff::builder {
namespace {

bool IsWordCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// "https" of "https://...", in lower case; "" without one.
std::string SchemeOf(std::string_view text) {
  const size_t end = text.find("://");
  if (end == std::string_view::npos || end == 0) return "";
  const std::string_view scheme = text.substr(0, end);
  return std::ranges::all_of(scheme, IsWordCharacter) ? ToLower(scheme) : "";
}

// git@host:path
bool IsScpAddress(std::string_view text) {
  const size_t at = text.find('@');
  const size_t colon = text.find(':', at == std::string_view::npos ? 0 : at);
  if (at == std::string_view::npos || colon == std::string_view::npos) return false;
  const auto in_name = [](char c) { return IsWordCharacter(c) || c == '-' || c == '_'; };
  const auto in_host = [](char c) { return IsWordCharacter(c) || c == '-' || c == '.'; };
  const std::string_view user = text.substr(0, at);
  const std::string_view host = text.substr(at + 1, colon - at - 1);
  return !user.empty() && !host.empty() && std::ranges::all_of(user, in_name) &&
         std::ranges::all_of(host, in_host);
}

constexpr std::string_view kQueryKeys[] = {
    "ref",    "tag",          "branch",     "subdir", "checksum",
    "commit", "keep-git-dir", "submodules", "mtime",  "fetch-by-commit",
};
constexpr std::string_view kFlagKeys[] = {"keep-git-dir", "submodules", "fetch-by-commit"};

// ?key=value&... of a Git address.
Status CheckQuery(std::string_view query) {
  for (const std::string_view part : Split(query, '&')) {
    if (part.empty()) continue;
    const size_t equals = part.find('=');
    const std::string key(part.substr(0, equals));
    const bool has_value = equals != std::string_view::npos && equals + 1 < part.size();
    if (std::ranges::find(kQueryKeys, key) == std::end(kQueryKeys)) {
      return Fail(Code::kInvalidArgument, "unexpected query \"" + key + "\"");
    }
    if (!has_value && std::ranges::find(kFlagKeys, key) == std::end(kFlagKeys)) {
      return Fail(Code::kInvalidArgument, "query \"" + key + "\" has no value");
    }
  }
  return {};
}

}  // namespace

Result<CopyKind> KindOfSource(const std::string& text) {
  const bool relative = text.starts_with("./") || text.starts_with("../");
  const std::string scheme = SchemeOf(text);
  const std::string_view address = std::string_view(text).substr(0, text.find('#'));
  const size_t mark = address.find('?');
  const std::string_view query =
      mark == std::string_view::npos ? std::string_view() : address.substr(mark + 1);
  const bool web = scheme == "http" || scheme == "https";
  bool git = scheme == "ssh" || scheme == "git";
  if (web) git = address.substr(0, mark).ends_with(".git");
  if (scheme.empty() && !relative) git = IsScpAddress(text);
  if (git) {
    SKIFF_TRY(CheckQuery(query));
    return CopyKind::kGit;
  }
  return text.starts_with("http://") || text.starts_with("https://") ? CopyKind::kUrl
                                                                     : CopyKind::kFiles;
}

}  // namespace skiff::builder
