// Builds whose files come from web servers and Git repositories, as ADD or as contexts.

#include <filesystem>
#include <mutex>
#include <optional>

#include "tests/e2e/support/archive.h"
#include "tests/e2e/support/git_server.h"
#include "tests/e2e/support/http_server.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kModified = "Tue, 02 Jan 2024 03:04:05 GMT";  // 1704164645

class BuildRemoteTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    UseDefaultBridge();
    // In the network namespace that the test has got by now.
    server_.emplace([this](const ServerRequest& request) { return Answer(request); });
  }
  void TearDown() override {
    server_.reset();
    SkiffTest::TearDown();
  }
  // Files by path: a validator of each is its content.
  ServerAnswer Answer(const ServerRequest& request) {
    const std::lock_guard lock(mutex_);
    const auto it = files_.find(request.target);
    if (it == files_.end()) return {404, {}, "no"};
    const std::string etag = "\"" + std::to_string(std::hash<std::string>()(it->second)) + "\"";
    const std::vector<std::string> headers = {"ETag: " + etag,
                                              std::string("Last-Modified: ") + kModified};
    if (request.Header("if-none-match") == etag) return {304, headers, ""};
    return {200, headers, it->second};
  }
  void Serve(const std::string& path, const std::string& content) {
    const std::lock_guard lock(mutex_);
    files_[path] = content;
  }
  std::string Url(const std::string& path) const { return "http://" + server_->host() + path; }
  // Answers with a body since the last call.
  std::vector<std::string> Requests() {
    std::vector<std::string> all = server_->requests();
    const auto begin = all.begin() + static_cast<ptrdiff_t>(seen_);
    seen_ = all.size();
    return {begin, all.end()};
  }
  Outcome Build(std::string_view file, Words flags = {}) {
    WriteFile("context/Dockerfile", file);
    Words words = {"docker", "build", "--progress=plain", "-t", "x"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back("context");
    return Skiff(words);
  }
  std::string Run(const std::string& script) {
    return Succeed({"docker", "run", "--rm", "x", "sh", "-c", script});
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> files_;
  size_t seen_ = 0;
  std::optional<HttpServer> server_;
};

TEST_F(BuildRemoteTest, AddTakesAFileFromAnAddress) {
  Serve("/dir/a%20b.txt?x=1", "hello\n");
  ASSERT_THAT(Build("FROM busybox\n"
                    "ADD " + Url("/dir/a%20b.txt?x=1") + " /into/\n"
                    "ADD --chmod=644 --chown=3:4 " + Url("/dir/a%20b.txt?x=1") + " /as.txt\n"),
              Succeeds());
  EXPECT_EQ(Run("cat '/into/a b.txt'; stat -c '%a %u:%g %Y' '/into/a b.txt' /as.txt"),
            "hello\n600 0:0 1704164645\n644 3:4 1704164645\n");
}

TEST_F(BuildRemoteTest, WhatHasNotChangedIsNotSentAgain) {
  Serve("/a", "one\n");
  const std::string file = "FROM busybox\nADD " + Url("/a") + " /a\nRUN cat /a\n";
  ASSERT_THAT(Build(file), Succeeds());
  EXPECT_THAT(Requests(), ElementsAre("GET /a"));
  const Outcome again = Build(file);
  ASSERT_THAT(again, Succeeds());
  EXPECT_THAT(Requests(), ElementsAre("GET /a"));
  EXPECT_THAT(again.err, HasSubstr("ADD " + Url("/a") + " /a\n#3 CACHED"));
  Serve("/a", "two\n");
  ASSERT_THAT(Build(file), Succeeds());
  EXPECT_EQ(Run("cat /a"), "two\n");
}

TEST_F(BuildRemoteTest, AChecksumIsVerifiedAndSavesTheQuestion) {
  Serve("/a", "hello\n");
  const std::string good = "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
  const std::string file = "FROM busybox\nADD --checksum=" + good + " " + Url("/a") + " /a\n";
  ASSERT_THAT(Build(file), Succeeds());
  EXPECT_THAT(Requests(), ElementsAre("GET /a"));
  ASSERT_THAT(Build(file), Succeeds());
  EXPECT_THAT(Requests(), IsEmpty());
  Serve("/b", "other\n");
  const Outcome wrong =
      Build("FROM busybox\nADD --checksum=" + good + " " + Url("/b") + " /b\n");
  EXPECT_THAT(wrong, ExitsWith(1));
  EXPECT_THAT(wrong.err, HasSubstr("digest mismatch"));
  EXPECT_THAT(wrong.err, HasSubstr("context/Dockerfile:2:"));
}

TEST_F(BuildRemoteTest, ArchivesAtAddressesAreUnpackedOnlyWhenAsked) {
  Serve("/t.tar", Tar({{"f", "x\n"}}));
  ASSERT_THAT(Build("FROM busybox\n"
                    "ADD " + Url("/t.tar") + " /packed/\n"
                    "ADD --unpack=true " + Url("/t.tar") + " /unpacked/\n"),
              Succeeds());
  EXPECT_EQ(Run("ls /packed /unpacked; cat /unpacked/f"),
            "/packed:\nt.tar\n\n/unpacked:\nf\nx\n");
}

TEST_F(BuildRemoteTest, WhatIsNotThereIsAnErrorAtItsPlace) {
  const Outcome missing = Build("FROM busybox\nADD " + Url("/nope") + " /\n");
  EXPECT_THAT(missing, ExitsWith(1));
  EXPECT_THAT(missing.err, HasSubstr("context/Dockerfile:2:5: error: invalid response status 404"));
  const Outcome nobody = Build("FROM busybox\nADD http://127.0.0.1:1/x /\n");
  EXPECT_THAT(nobody, ExitsWith(1));
  EXPECT_THAT(nobody.err, HasSubstr("127.0.0.1:1/x"));
}

TEST_F(BuildRemoteTest, AContextIsAnArchiveOrADockerfile) {
  Serve("/c.tar", Tar({{"Dockerfile", "FROM busybox\nCOPY f /g\n"}, {"f", "x\n"}}));
  ASSERT_THAT(Skiff({"docker", "build", "-t", "x", Url("/c.tar")}), Succeeds());
  EXPECT_EQ(Run("cat /g"), "x\n");
  Serve("/file", "FROM busybox\nRUN echo here > /h\n");
  ASSERT_THAT(Skiff({"docker", "build", "-t", "x", Url("/file")}), Succeeds());
  EXPECT_EQ(Run("cat /h"), "here\n");
}

TEST_F(BuildRemoteTest, LinksOfAContextDoNotLeadOutOfIt) {
  // The Dockerfile is a link to a file of this machine; inside the context there is none.
  WriteFile("outside", "FROM busybox\n");
  Serve("/c.tar", Tar({{"Dockerfile", "", '2', project_directory() + "/outside"}}));
  const Outcome outcome = Skiff({"docker", "build", Url("/c.tar")});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("the context has none"));
}

TEST_F(BuildRemoteTest, ACommandThatFailsOrDiesOnTheWayLeavesNothing) {
  Serve("/a", "hello\n");
  Serve("/c.tar", Tar({{"Dockerfile", "FROM busybox\nADD " + Url("/a") + " /a\n"}}));
  const Words build = {"docker", "build", "-t", "x", Url("/c.tar")};
  for (const char* point : {"build.fetch_context=fail", "build.fetch_context=kill",
                            "build.download=fail", "build.download=kill",
                            "transfer.registry=fail"}) {
    SCOPED_TRACE(point);
    ProcessOptions options;
    options.environment["SKIFF_FAILPOINTS"] = point;
    EXPECT_FALSE(Skiff(build, options).ok());
    EXPECT_THAT(Skiff({"docker", "ps"}), Succeeds());  // Repairs.
    EXPECT_THAT(Skiff({"system", "check"}), Succeeds());
  }
  EXPECT_THAT(Skiff(build), Succeeds());
}

class BuildGitTest : public BuildRemoteTest {
 protected:
  void SetUp() override {
    if (!GitServer::Installed()) GTEST_SKIP() << "git is not installed";
    BuildRemoteTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    git_.emplace(project_directory());
    git_->Commit({{"Dockerfile", "FROM busybox\nCOPY sub/f /f\n"},
                  {"sub/f", "one\n"},
                  {"sub/Dockerfile", "FROM busybox\nCOPY f /below\n"}});
    git_->Tag("v1");
    git_->Commit({{"sub/f", "two\n"}});
    git_->Serve();
  }
  void TearDown() override {
    git_.reset();
    BuildRemoteTest::TearDown();
  }
  std::string Address(const std::string& rest = "") const { return git_->Address(rest); }

  std::optional<GitServer> git_;
};

TEST_F(BuildGitTest, AContextIsABranchATagOrAFolder) {
  ASSERT_THAT(Skiff({"docker", "build", "-t", "x", Address()}), Succeeds());
  EXPECT_EQ(Run("cat /f; stat -c '%a %Y' /f"), "two\n644 1700000000\n");
  ASSERT_THAT(Skiff({"docker", "build", "-t", "x", Address("#v1")}), Succeeds());
  EXPECT_EQ(Run("cat /f"), "one\n");
  ASSERT_THAT(Skiff({"docker", "build", "-t", "x", Address("#main:sub")}), Succeeds());
  EXPECT_EQ(Run("cat /below"), "two\n");
  const Outcome missing = Skiff({"docker", "build", Address("#nope")});
  EXPECT_THAT(missing, ExitsWith(1));
  EXPECT_THAT(missing.err, HasSubstr("repository does not contain ref nope"));
}

TEST_F(BuildGitTest, AddTakesARepositoryAndIsCachedByCommit) {
  const std::string file = "FROM busybox\n"
                           "ADD " + Address("#main") + " /all/\n"
                           "ADD " + Address("#v1:sub") + " /part/\n"
                           "ADD --keep-git-dir=true " + Address() + " /kept/\n";
  ASSERT_THAT(Build(file), Succeeds());
  EXPECT_EQ(Run("ls -A /all /part; cat /part/f; cat /kept/.git/HEAD | wc -c"),
            "/all:\nDockerfile\nsub\n\n/part:\nDockerfile\nf\none\n41\n");
  git_->Commit({{"sub/f", "three\n"}});
  const Outcome again = Build(file);
  ASSERT_THAT(again, Succeeds());
  EXPECT_THAT(again.err, HasSubstr("ADD " + Address("#main") + " /all/\n#3 DONE"));
  EXPECT_EQ(Run("cat /all/sub/f /part/f"), "three\none\n");
}

TEST_F(BuildGitTest, ANamedContextAndAServiceComeFromRepositories) {
  ASSERT_THAT(Build("FROM busybox\nCOPY --from=other /f /named\n",
                    {"--build-context", "other=" + Address("#v1:sub")}),
              Succeeds());
  EXPECT_EQ(Run("cat /named"), "one\n");
  WriteFile("compose.yaml",
            "services:\n"
            "  app:\n"
            "    image: x\n"
            "    build: \"" + Address("#v1") + "\"\n");
  ASSERT_THAT(Skiff({"compose", "build"}), Succeeds());
  EXPECT_EQ(Run("cat /f"), "one\n");
}

TEST_F(BuildGitTest, ARefIsNoOptionOfGit) {
  const Outcome outcome =
      Skiff({"docker", "build", Address("#--upload-pack=touch " + directory() + "/owned")});
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_FALSE(fs::exists(directory() + "/owned"));
}

}  // namespace
}  // namespace skiff::e2e
