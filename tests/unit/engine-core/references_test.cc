#include "engine-core/references.h"

#include <gtest/gtest.h>

namespace skiff::engine {
namespace {

const std::string kDigest = "sha256:" + std::string(64, 'a');

struct Valid {
  std::string text;
  std::string canonical;
  std::string familiar;
};

TEST(ReferencesTest, EachFormHasOneNormalForm) {
  const Valid rows[] = {
      {"busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"},
      {"library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"},
      {"user/app", "docker.io/user/app:latest", "user/app:latest"},
      {"localhost/app", "localhost/app:latest", "localhost/app:latest"},
      {"localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"},
      {"localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"},
      {"registry.example/a", "registry.example/a:latest", "registry.example/a:latest"},
      {"UPPER/a", "UPPER/a:latest", "UPPER/a:latest"},
      {"[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"},
      {"a@" + kDigest, "docker.io/library/a@" + kDigest, "a@" + kDigest},
      {"a:t@" + kDigest, "docker.io/library/a:t@" + kDigest, "a:t@" + kDigest},
      {"a__b/c-d.e", "docker.io/a__b/c-d.e:latest", "a__b/c-d.e:latest"},
      {"a---b", "docker.io/library/a---b:latest", "a---b:latest"},
      {"docker.io/example.com/a", "docker.io/example.com/a:latest",
       "docker.io/example.com/a:latest"},
      {"library/" + std::string(64, 'a'), "docker.io/library/" + std::string(64, 'a') + ":latest",
       "docker.io/library/" + std::string(64, 'a') + ":latest"},
      {"a:_T.-1", "docker.io/library/a:_T.-1", "a:_T.-1"},
  };
  for (const Valid& row : rows) {
    const auto parsed = ParseReference(row.text);
    ASSERT_TRUE(parsed) << row.text << ": " << parsed.error().Text();
    EXPECT_EQ(parsed->Canonical(), row.canonical);
    EXPECT_EQ(parsed->Familiar(), row.familiar);
  }
}

TEST(ReferencesTest, WrongOnesAreRefused) {
  for (const std::string text :
       {"",
        ":",
        "a:",
        "a@",
        "a@sha256:12",
        "/a",
        "a//b",
        "a/",
        "-a",
        "a-",
        "a..b",
        "a___b",
        ".a",
        "a:-t",
        "a b",
        "a\nb",
        "localhost:port/a",
        "../a",
        "a/../b",
        "ex_ample.com/a",
        "a:12345678901234567890123456789012345678901234567890123456789012345678901234567890123456"
        "7890123456789012345678901234567890123456789"}) {
    const auto parsed = ParseReference(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code, Code::kInvalidArgument);
  }
}

TEST(ReferencesTest, TextsOfDocker) {
  EXPECT_EQ(ParseReference("Busybox").error().message,
            "invalid reference format: repository name (Busybox) must be lowercase");
  EXPECT_EQ(ParseReference(std::string(64, 'a')).error().message,
            "invalid repository name (" + std::string(64, 'a') +
                "), cannot specify 64-byte hexadecimal strings");
  EXPECT_EQ(ParseReference("docker.io/" + std::string(250, 'a')).error().message,
            "repository name must not be more than 255 characters");
}

TEST(ReferencesTest, Digests) {
  EXPECT_TRUE(IsDigest(kDigest));
  EXPECT_FALSE(IsDigest("sha256:" + std::string(63, 'a')));
  EXPECT_FALSE(IsDigest("sha256:" + std::string(64, 'A')));
  EXPECT_FALSE(IsDigest("sha512:" + std::string(64, 'a')));
}

}  // namespace
}  // namespace skiff::engine
