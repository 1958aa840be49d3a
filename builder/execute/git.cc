#include "builder/git.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/atomic_file.h"
#include "base/fd.h"
#include "base/program.h"
#include "base/text.h"
#include "builder/execute/source_tree.h"
#include "builder/plan/interpret.h"

namespace skiff::builder {
namespace {

constexpr size_t kCommitLength = 40;

std::string Base64(std::string_view bytes) {
  static constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < count ? static_cast<unsigned char>(bytes[i + j]) : 0);
    }
    for (size_t j = 0; j < 4; ++j) out += j <= count ? kDigits[group >> (18 - 6 * j) & 63] : '=';
  }
  return out;
}

// git with nothing that asks a person or runs what a repository says.
Result<std::string> Git(std::vector<std::string> arguments, const GitOptions& options) {
  ProgramCall call;
  call.arguments = {"git", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"};
  call.arguments.insert(call.arguments.end(), arguments.begin(), arguments.end());
  call.environment = options.environment;
  for (const char* name : {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT"}) {
    call.environment.erase(name);
  }
  call.environment["GIT_TERMINAL_PROMPT"] = "0";
  call.environment["LC_ALL"] = "C";
  call.environment.try_emplace("GIT_SSH_COMMAND", "ssh -o BatchMode=yes");
  if (!options.token.empty()) {
    // Not an argument: everybody may read those.
    call.environment["GIT_CONFIG_COUNT"] = "1";
    call.environment["GIT_CONFIG_KEY_0"] = "http.extraHeader";
    call.environment["GIT_CONFIG_VALUE_0"] =
        "Authorization: basic " + Base64("x-access-token:" + options.token);
  }
  call.cancel_fd = options.cancel_fd;
  auto outcome = RunProgram(call);
  if (!outcome && outcome.error().code == Code::kNotFound) {
    return Fail(Error(Code::kNotFound, "repositories need git, which is not installed")
                    .With("install the package git"));
  }
  if (!outcome) return Fail(std::move(outcome.error()));
  if (outcome->exit_code != 0) {
    const std::string& verb = arguments[arguments[0] == "-C" ? 2 : 0];
    const std::string& said = outcome->err.empty() ? outcome->out : outcome->err;
    return Fail(Code::kUnavailable, "git " + verb + ": " + std::string(Trim(said)));
  }
  return std::move(outcome->out);
}

Status SetParameter(GitAddress& address, std::string_view key, std::string value) {
  const bool on = value.empty() || value == "1" || value == "true";
  if (key == "ref") {
    address.ref = std::move(value);
  } else if (key == "branch") {
    address.ref = "refs/heads/" + value;
  } else if (key == "tag") {
    address.ref = "refs/tags/" + value;
  } else if (key == "subdir") {
    address.subdir = std::move(value);
  } else if (key == "checksum" || key == "commit") {
    address.checksum = std::move(value);
  } else if (key == "keep-git-dir") {
    address.keep_git_dir = on;
  } else if (key == "submodules") {
    address.submodules = on;
  } else if (key != "mtime" && key != "fetch-by-commit") {
    return Fail(Code::kInvalidArgument, "unexpected query \"" + std::string(key) + "\"");
  }
  return {};
}

// Times of everything below become `seconds`; modes those of a commit, whatever the umask was.
Status Settle(int folder, const std::string& path, int64_t seconds) {
  const timespec times[2] = {{seconds, 0}, {seconds, 0}};
  SKIFF_ASSIGN(const std::vector<std::string> names, NamesIn(folder, path));
  for (const std::string& name : names) {
    if (name == ".git") continue;
    struct stat info {};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return FailErrno("cannot look at '" + path + "/" + name + "'");
    }
    if (S_ISDIR(info.st_mode)) {
      SKIFF_ASSIGN(const Fd child, OpenFileAt(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      SKIFF_TRY(Settle(child.get(), path + "/" + name, seconds));
    }
    const bool plain = S_ISREG(info.st_mode) && (info.st_mode & 0100) == 0;
    if (!S_ISLNK(info.st_mode) && ::fchmodat(folder, name.c_str(), plain ? 0644 : 0755, 0) != 0) {
      return FailErrno("cannot set the mode of '" + path + "/" + name + "'");
    }
    if (::utimensat(folder, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) {
      return FailErrno("cannot set the time of '" + path + "/" + name + "'");
    }
  }
  return {};
}

// The files ".git" that lead from submodules to what is gone.
Status RemoveGitFiles(int folder, const std::string& path) {
  SKIFF_ASSIGN(const std::vector<std::string> names, NamesIn(folder, path));
  for (const std::string& name : names) {
    struct stat info {};
    if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
    if (S_ISDIR(info.st_mode)) {
      SKIFF_ASSIGN(const Fd child, OpenFileAt(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
      SKIFF_TRY(RemoveGitFiles(child.get(), path + "/" + name));
    } else if (name == ".git" && ::unlinkat(folder, ".git", 0) != 0) {
      return FailErrno("cannot remove '" + path + "/.git'");
    }
  }
  return {};
}

Status FetchCommit(const GitAddress& address, const std::string& commit, const std::string& folder,
                   const GitOptions& options) {
  const auto in_folder = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"-C", folder});
    return Git(std::move(arguments), options);
  };
  SKIFF_TRY(Git({"init", "--quiet", folder}, options));
  SKIFF_TRY(in_folder({"remote", "add", "--", "origin", address.remote}));
  // A server may give only what a name leads to; then everything has to come.
  auto fetched = in_folder({"fetch", "--quiet", "--depth=1", "--no-tags", "--", "origin", commit});
  if (fetched) return {};
  if (fetched.error().code == Code::kCancelled) return Fail(std::move(fetched.error()));
  const bool named = !address.ref.empty() && !IsCommit(address.ref);
  if (named) {
    fetched =
        in_folder({"fetch", "--quiet", "--depth=1", "--no-tags", "--", "origin", address.ref});
  } else {
    fetched = in_folder({"fetch", "--quiet", "--tags", "--", "origin",
                         "+refs/heads/*:refs/remotes/origin/*"});
  }
  if (!fetched) return Fail(std::move(fetched.error()));
  return {};
}

}  // namespace

bool IsCommit(std::string_view text) {
  return text.size() == kCommitLength && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool IsGitContext(std::string_view text) {
  if (text.starts_with("github.com/")) return true;
  const auto kind = KindOfSource(std::string(text));
  return kind && *kind == CopyKind::kGit;
}

Result<GitAddress> ParseGitAddress(std::string_view text) {
  GitAddress address;
  const size_t mark = text.find('#');
  std::string_view base = text.substr(0, mark);
  if (mark != std::string_view::npos) {
    const std::string_view fragment = text.substr(mark + 1);
    const size_t colon = fragment.find(':');
    address.ref = fragment.substr(0, colon);
    if (colon != std::string_view::npos) address.subdir = fragment.substr(colon + 1);
  }
  const size_t query = base.find('?');
  if (query != std::string_view::npos) {
    for (const std::string_view part : Split(base.substr(query + 1), '&')) {
      if (part.empty()) continue;
      const size_t equals = part.find('=');
      SKIFF_TRY(SetParameter(
          address, part.substr(0, equals),
          equals == std::string_view::npos ? "" : std::string(part.substr(equals + 1))));
    }
    base = base.substr(0, query);
  }
  address.remote = base;
  // git would take it for an option, or ssh would.
  if (base.starts_with('-')) {
    return Fail(Code::kInvalidArgument,
                "the address of a repository cannot begin with a dash: \"" + std::string(base) + "\"");
  }
  if (base.starts_with("github.com/")) address.remote = "https://" + address.remote;
  while (address.subdir.starts_with('/')) address.subdir.erase(0, 1);
  return address;
}

Result<std::string> ResolveGit(const GitAddress& address, const GitOptions& options) {
  std::string commit;
  if (IsCommit(address.ref)) {
    commit = address.ref;
  } else {
    const std::string ref = address.ref.empty() ? "HEAD" : address.ref;
    SKIFF_ASSIGN(const std::string listed,
                 Git({"ls-remote", "--", address.remote, ref, ref + "^{}"}, options));
    // A branch before a tag of that name, and the commit of a tag before the tag itself.
    const std::string wanted[] = {"refs/heads/" + ref, "refs/tags/" + ref + "^{}",
                                  "refs/tags/" + ref, ref + "^{}", ref};
    for (const std::string& name : wanted) {
      for (const std::string_view line : Split(listed, '\n')) {
        const size_t tab = line.find('\t');
        if (tab == std::string_view::npos || line.substr(tab + 1) != name) continue;
        commit = line.substr(0, tab);
      }
      if (!commit.empty()) break;
    }
    if (!IsCommit(commit)) {
      return Fail(Code::kNotFound, "repository does not contain ref " + ref);
    }
  }
  if (!commit.starts_with(address.checksum)) {
    return Fail(Code::kFailedPrecondition, "expected checksum to match " + address.checksum +
                                               ", got " + commit);
  }
  return commit;
}

Status FetchGit(const GitAddress& address, const std::string& commit, const std::string& folder,
                bool keep_git_dir, const GitOptions& options) {
  SKIFF_TRY(FetchCommit(address, commit, folder, options));
  SKIFF_TRY(Git({"-C", folder, "checkout", "--quiet", "--detach", commit}, options));
  SKIFF_ASSIGN(const Fd root, OpenFile(folder, O_RDONLY | O_DIRECTORY));
  const bool has_modules = ::faccessat(root.get(), ".gitmodules", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
  if (has_modules && address.submodules.value_or(true)) {
    SKIFF_TRY(Git({"-C", folder, "submodule", "--quiet", "update", "--init", "--recursive",
                   "--depth=1"},
                  options));
  }
  SKIFF_ASSIGN(const std::string time,
               Git({"-C", folder, "show", "--no-patch", "--format=%ct", commit}, options));
  if (!keep_git_dir) {
    SKIFF_TRY(RemoveTree(folder + "/.git"));
    SKIFF_TRY(RemoveGitFiles(root.get(), ""));
  }
  return Settle(root.get(), "", ParseNumber<int64_t>(Trim(time)).value_or(0));
}

}  // namespace skiff::builder
