// Addresses of files and repositories, as text.
#include <gmock/gmock.h>

#include "builder/build.h"
#include "builder/execute/remote_source.h"
#include "builder/git.h"

namespace skiff::builder {
namespace {

TEST(FileNameTest, IsTheLastPartOfThePath) {
  const struct {
    const char* url;
    const char* name;
  } cases[] = {
      {"https://example.com/a/b.tar.gz", "b.tar.gz"},
      {"https://example.com/a/b.tar.gz?x=/y#z/w", "b.tar.gz"},
      {"https://example.com/a%20b", "a b"},
      {"https://example.com/a%2", "a%2"},
      {"https://example.com/a%zz", "a%zz"},
      {"https://example.com/a/", "a"},
      {"https://example.com/", "__unnamed__"},
      {"https://example.com", "__unnamed__"},
      {"https://example.com/a/%2e%2e", "__unnamed__"},
      {"https://example.com/a%2f..%2fb", "b"},
      {"https://example.com/a%00b", "__unnamed__"},
  };
  for (const auto& [url, name] : cases) EXPECT_EQ(FileNameOf(url), name) << url;
}

TEST(GitAddressTest, HasARefAndAFolder) {
  const struct {
    const char* text;
    const char* remote;
    const char* ref;
    const char* subdir;
  } cases[] = {
      {"https://example.com/a.git", "https://example.com/a.git", "", ""},
      {"https://example.com/a.git#v1", "https://example.com/a.git", "v1", ""},
      {"https://example.com/a.git#v1:some/dir", "https://example.com/a.git", "v1", "some/dir"},
      {"https://example.com/a.git#:/dir", "https://example.com/a.git", "", "dir"},
      {"git@example.com:me/a.git#main", "git@example.com:me/a.git", "main", ""},
      {"github.com/me/a#main", "https://github.com/me/a", "main", ""},
      {"https://example.com/a.git?branch=main&subdir=x", "https://example.com/a.git",
       "refs/heads/main", "x"},
      {"https://example.com/a.git?tag=v1", "https://example.com/a.git", "refs/tags/v1", ""},
  };
  for (const auto& [text, remote, ref, subdir] : cases) {
    const auto address = ParseGitAddress(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->remote, remote) << text;
    EXPECT_EQ(address->ref, ref) << text;
    EXPECT_EQ(address->subdir, subdir) << text;
  }
  EXPECT_EQ(ParseGitAddress("https://example.com/a.git?x=y").error().code, Code::kInvalidArgument);
  EXPECT_EQ(ParseGitAddress("-oProxyCommand=x@host:a.git").error().code, Code::kInvalidArgument);
  EXPECT_EQ(ParseGitAddress("https://example.com/a.git?keep-git-dir=1")->keep_git_dir, true);
  EXPECT_EQ(ParseGitAddress("https://example.com/a.git?submodules=0")->submodules, false);
}

TEST(RemoteContextTest, IsTakenForAnAddressOrAPath) {
  for (const char* text : {"http://h/x", "https://h/x.git#a", "git://h/x", "ssh://git@h/x",
                           "git@h:x", "github.com/a/b"}) {
    EXPECT_TRUE(IsRemoteContext(text)) << text;
  }
  for (const char* text : {".", "/a/b", "./git@h:x", "a.git", "C:/x", "docker-image://x", ""}) {
    EXPECT_FALSE(IsRemoteContext(text)) << text;
  }
}

}  // namespace
}  // namespace skiff::builder
