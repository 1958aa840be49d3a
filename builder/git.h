#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

// Git repositories as build contexts and as sources of ADD, by the git program of the machine.
namespace skiff::builder {

struct GitAddress {
  std::string remote;    // What git takes.
  std::string ref;       // Branch, tag, or any other name; a commit; "": HEAD.
  std::string subdir;    // Inside the repository, "" for all of it.
  std::string checksum;  // What the commit must begin with.
  std::optional<bool> keep_git_dir, submodules;
};

// What is taken for a repository: a scheme "git" or "ssh", "git@host:path", an http(s) address whose
// path ends with ".git", "github.com/..." (only of contexts). Syntax:
// https://docs.docker.com/build/concepts/context/#git-repositories
bool IsGitContext(std::string_view text);
// 40 hexadecimal digits: what never means anything else.
bool IsCommit(std::string_view text);
// "URL#REF:SUBDIR", or "URL?ref=..&subdir=..". kInvalidArgument: a query with an unknown key.
Result<GitAddress> ParseGitAddress(std::string_view text);

struct GitOptions {
  std::map<std::string, std::string> environment;
  std::string token;   // For http(s): the secret GIT_AUTH_TOKEN, "" for none.
  int cancel_fd = -1;  // Readable: git is killed.
};

// The commit that the address names now: 40 hexadecimal digits. Asks the server unless the address
// has a commit. kNotFound: no such ref, or no git here; kUnavailable: what git said.
Result<std::string> ResolveGit(const GitAddress& address, const GitOptions& options);
// The files of `commit`, and of its submodules, into the empty folder. Their times are the
// commit's, their modes 0644 and 0755. `keep_git_dir`: with the folder .git.
Status FetchGit(const GitAddress& address, const std::string& commit, const std::string& folder,
                bool keep_git_dir, const GitOptions& options);

}  // namespace skiff::builder
