// `skiff docker build`: from a Dockerfile and a folder to an image that runs.

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <set>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

class BuildTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (!IsSkipped() && !HasFatalFailure()) UseDefaultBridge();
  }
  // Builds `file` with the project's folder as its context; the image's id.
  std::string Build(std::string_view file, Words flags = {}) {
    WriteFile("Dockerfile", file);
    Words words = {"docker", "build", "-q", "-t", "x"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(".");
    std::string id = Succeed(words);
    EXPECT_TRUE(id.starts_with("sha256:")) << id;
    return id;
  }
  Outcome TryBuild(std::string_view file, Words flags = {}) {
    WriteFile("Dockerfile", file);
    Words words = {"docker", "build", "--progress=plain"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(".");
    return Skiff(words);
  }
  std::string Run(const std::string& script) {
    return Succeed({"docker", "run", "--rm", "x", "sh", "-c", script});
  }
  // Titles of the steps by whether they were cached, as plain progress tells.
  size_t CachedSteps(const Words& flags = {}) {
    Words words = {"docker", "build", "--progress=plain"};
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back(".");
    const Outcome outcome = Skiff(words);
    EXPECT_THAT(outcome, Succeeds());
    size_t count = 0;
    for (const std::string& line : Lines(outcome.err)) count += line.ends_with(" CACHED") ? 1 : 0;
    return count;
  }
};

TEST_F(BuildTest, StepsAndConfigurationBecomeAnImage) {
  WriteFile("a.txt", "aa\n");
  WriteFile("skipped.txt", "no\n");
  WriteFile(".dockerignore", "skipped.*\n");
  Build(
      "FROM busybox AS base\n"
      "ARG WHO=nobody\n"
      "ENV GREETING=\"hello $WHO\"\n"
      "WORKDIR /app/sub\n"
      "COPY . ./\n"
      "RUN echo $GREETING > greeting && pwd > where\n"
      "FROM busybox\n"
      "COPY --from=base /app /copied\n"
      "USER 1000:50\n"
      "RUN id -u > /tmp/who || id -u > /dev/null\n"
      "LABEL a=b\n"
      "CMD [\"cat\", \"/copied/sub/greeting\"]\n",
      {"--build-arg", "WHO=you", "--label", "c=d"});
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "x"}), "hello you\n");
  EXPECT_EQ(Run("ls /copied/sub; cat /copied/sub/where; id -u"),
            "Dockerfile\na.txt\ngreeting\nwhere\n/app/sub\n1000\n");
  EXPECT_EQ(Succeed({"docker", "image", "inspect", "x", "--format",
                     "{{.Config.Labels.a}} {{.Config.Labels.c}} {{.Config.User}}"}),
            "b d 1000:50\n");
}

TEST_F(BuildTest, TheSameInputIsCachedAndGivesTheSameImage) {
  WriteFile("a.txt", "aa\n");
  const std::string file = "FROM busybox\nRUN date +%N > /when\nCOPY a.txt /a\nRUN date +%N > /b\n";
  const std::string first = Build(file);
  EXPECT_EQ(Build(file), first);
  EXPECT_EQ(CachedSteps(), 3U);
  // A mere touch changes nothing.
  const std::string path = project_directory() + "/a.txt";
  const timespec times[] = {{1000, 0}, {1000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  EXPECT_EQ(Build(file), first);
  // The same size and the same time, other content.
  WriteFile("a.txt", "bb\n");
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  const std::string changed = Build(file);
  EXPECT_NE(changed, first);
  EXPECT_EQ(Run("cat /a"), "bb\n");
  // And once more in place, which leaves the inode too.
  {
    const Fd in_place(::open(path.c_str(), O_WRONLY));
    ASSERT_TRUE(WriteAll(in_place.get(), "cc\n", path));
  }
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  Build(file);
  EXPECT_EQ(Run("cat /a"), "cc\n");
  WriteFile("a.txt", "aa\n");
  EXPECT_EQ(Build(file), first);
  EXPECT_EQ(CachedSteps(), 3U);
  EXPECT_EQ(CachedSteps({"--no-cache"}), 0U);
}

TEST_F(BuildTest, AChangeRebuildsOnlyWhatDependsOnIt) {
  WriteFile("a.txt", "a\n");
  WriteFile("b.txt", "b\n");
  WriteFile("Dockerfile",
            "FROM busybox AS one\nCOPY a.txt /a\nRUN cat /a > /one\n"
            "FROM busybox AS two\nCOPY b.txt /b\nRUN cat /b > /two\n"
            "FROM busybox\nCOPY --from=one /one /\nCOPY --from=two /two /\n");
  EXPECT_EQ(CachedSteps(), 0U);
  EXPECT_EQ(CachedSteps(), 6U);
  WriteFile("b.txt", "B\n");
  // COPY b, RUN of two and the last COPY.
  EXPECT_EQ(CachedSteps(), 3U);
  EXPECT_EQ(CachedSteps({"--no-cache-filter", "two"}), 4U);
  // A stage nobody needs is not built.
  WriteFile("Dockerfile", "FROM busybox AS broken\nRUN exit 1\nFROM busybox\nRUN true\n");
  EXPECT_EQ(CachedSteps(), 0U);
}

TEST_F(BuildTest, FilesKeepWhatTheyAre) {
  fs::create_directories(project_directory() + "/d/e");
  WriteFile("d/file", "x", true);
  WriteFile("d/e/f", "y");
  fs::create_symlink("e/f", project_directory() + "/d/link");
  fs::create_hard_link(project_directory() + "/d/file", project_directory() + "/d/same");
  ASSERT_EQ(::chmod((project_directory() + "/d/file").c_str(), 04751), 0);
  Build(
      "FROM busybox\n"
      "COPY d /d\n"
      "COPY --chown=1000:50 --chmod=640 d/e/f /new/owned\n"
      "COPY --chmod=u=rwX,go-rwx d /tight/\n"
      "COPY --parents d/e/f /parents/\n"
      "COPY --exclude=e d /without/\n"
      "COPY d/f* /matched/\n"
      "COPY <<A <<\"B\" /docs/\n$HOME text\nA\n$HOME\nB\n"
      "ADD --link d/e /linked\n");
  EXPECT_EQ(Run("stat -c '%a %h %u:%g' /d/file /d/same; readlink /d/link; cat /d/link; echo;"
                "stat -c '%a %u:%g %n' /new /new/owned /tight /tight/e /tight/e/f;"
                "find /parents /without /matched /linked -type f | sort;"
                "stat -c %a /docs/A; cat /docs/A /docs/B"),
            "4751 2 0:0\n4751 2 0:0\ne/f\ny\n"
            "640 1000:50 /new\n640 1000:50 /new/owned\n755 0:0 /tight\n700 0:0 /tight/e\n600 0:0 /tight/e/f\n"
            "/linked/f\n/matched/file\n/parents/d/e/f\n/without/file\n/without/same\n"
            "644\n text\n$HOME\n");
}

TEST_F(BuildTest, ManyFilesAreCopiedIntoNewAndExistingFolders) {
  for (int folder = 0; folder < 6; ++folder) {
    for (int file = 0; file < 60; ++file) {
      WriteFile("many/d" + std::to_string(folder) + "/f" + std::to_string(file),
                std::to_string(folder * 60 + file) + "\n");
    }
  }
  Build(
      "FROM busybox\nWORKDIR /app\nRUN mkdir d0 && echo old > d0/old\nCOPY many .\n"
      "COPY many /new\n");
  EXPECT_EQ(Run("cat /app/d*/f* | sort -n | tail -n 1; cat /new/d*/f* | wc -l; cat /app/d0/old;"
                "cd /new; for f in `find . -type f`; do cmp $f /app/$f || echo differ; done"),
            "359\n360\nold\n");
}

TEST_F(BuildTest, ArchivesAreUnpackedByAdd) {
  fs::create_directories(project_directory() + "/tree/etc/new");
  WriteFile("tree/etc/new/f", "packed\n");
  ASSERT_THAT(RunCommand({"tar", "-C", project_directory() + "/tree", "-czf",
                          project_directory() + "/t.tar.gz", "etc/new/f"}),
              Succeeds());
  WriteFile("fake.gz", "\x1f\x8b\x08 not really");
  Build(
      "FROM busybox\nRUN chmod 700 /etc\nADD t.tar.gz /\nADD --unpack=false t.tar.gz /kept/\n"
      "COPY t.tar.gz /copied\n");
  EXPECT_EQ(Run("cat /etc/new/f; ls /kept; test -s /copied && echo file; stat -c %a /etc"),
            "packed\nt.tar.gz\nfile\n700\n");
}

TEST_F(BuildTest, AFailingStepTellsItsPlaceStatusAndOutput) {
  const Outcome outcome =
      TryBuild("FROM busybox\nRUN echo first\nRUN echo to out; echo to err >&2; exit 42\n");
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("Dockerfile:3:1: error: process \"/bin/sh -c echo to out; "
                                     "echo to err >&2; exit 42\" did not complete successfully: "
                                     "exit code: 42\n  3 | RUN echo to out"));
  EXPECT_THAT(outcome.err, HasSubstr(" > [3/3] RUN echo to out; echo to err >&2; exit 42:\n"));
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
  // What was done before stays done.
  WriteFile("Dockerfile", "FROM busybox\nRUN echo first\n");
  EXPECT_EQ(CachedSteps(), 1U);
}

TEST_F(BuildTest, AMissingFileNamesTheRuleThatHidItOrTheNearestName) {
  WriteFile("settings.ini", "x");
  WriteFile("secret.key", "x");
  WriteFile(".dockerignore", "# none\n*.key\n");
  Outcome outcome = TryBuild("FROM busybox\nCOPY setings.ini /\n");
  EXPECT_THAT(outcome, ExitsWith(1));
  EXPECT_THAT(outcome.err, HasSubstr("\"/setings.ini\": not found\n  2 | COPY setings.ini /\n"));
  EXPECT_THAT(outcome.err, HasSubstr("did you mean 'settings.ini'?"));
  outcome = TryBuild("FROM busybox\nCOPY secret.key /\n");
  EXPECT_THAT(outcome.err, HasSubstr("it is hidden by the rule '*.key' of the ignore file"));
  EXPECT_THAT(outcome.err, HasSubstr(".dockerignore:2:1"));
}

TEST_F(BuildTest, NothingOutsideIsReadOrWritten) {
  const std::string outside = directory() + "/outside";
  fs::create_directories(outside);
  WriteFile("../outside/secret", "secret\n");
  fs::create_symlink(outside, project_directory() + "/away");
  fs::create_symlink(outside + "/secret", project_directory() + "/file");
  fs::create_symlink("../../../../../.." + outside, project_directory() + "/up");
  for (const char* source : {"away/secret", "file", "up/secret"}) {
    const Outcome outcome = TryBuild(std::string("FROM busybox\nCOPY ") + source + " /x\n");
    EXPECT_THAT(outcome, ExitsWith(1)) << source;
    EXPECT_THAT(outcome.err, HasSubstr("not found")) << source;
  }
  // Links are copied as links, and those of a root lead around in it.
  Build("FROM busybox AS evil\nRUN ln -s " + outside + " /l && mkdir -p " + outside +
        " && echo inside > " + outside +
        "/secret\n"
        "FROM evil\nCOPY . /a/\nCOPY Dockerfile /l/written\nCOPY --from=evil /l/secret /s\n");
  EXPECT_EQ(Run("cat /s; ls " + outside + "; readlink /a/away"),
            "inside\nsecret\nwritten\n" + outside + "\n");
  EXPECT_FALSE(fs::exists(outside + "/written"));
}

TEST_F(BuildTest, MountsLeaveNothingButWhatTheCommandWrote) {
  WriteFile("input", "in\n");
  WriteFile("../token", "s3cret");
  const std::string file =
      "FROM busybox AS tools\nRUN echo tool > /tool\n"
      "FROM busybox\n"
      "RUN --mount=type=bind,target=/src,source=. cat /src/input > /bound\n"
      "RUN --mount=type=bind,from=tools,target=/t,rw cat /t/tool > /tooled; echo x > /t/new\n"
      "RUN --mount=type=cache,target=/c echo x >> /c/n; grep -c x /c/n > /count\n"
      "RUN --mount=type=tmpfs,target=/m,size=1m df /m | grep -q tmpfs && echo x > /m/f\n"
      "RUN --mount=type=secret,id=token,env=T,target=/run/secrets/token cat /run/secrets/token > "
      "/dev/null; "
      "test ${#T} = 6 && test `stat -c %a /run/secrets/token` = 400 && echo ok > /secret\n"
      "RUN test ! -e /run/secrets/token\n";
  Build(file, {"--secret", "id=token,src=../token"});
  EXPECT_EQ(
      Run("cat /bound /tooled /count /secret; ls -a / | tr '\\n' ' '"),
      "in\ntool\n1\nok\n. .. bin bound count dev etc home proc root secret sys tmp tooled var ");
  // The cache mount outlives the build; the secret is nowhere.
  Build(file, {"--secret", "id=token,src=../token", "--no-cache"});
  EXPECT_EQ(Run("cat /count"), "2\n");
  const Outcome found = RunCommand({"grep", "-rl", "s3cret", directory() + "/root"});
  EXPECT_EQ(found.out, "");
  const Outcome missing = TryBuild("FROM busybox\nRUN --mount=type=secret,id=none,required true\n");
  EXPECT_THAT(missing.err, HasSubstr("secret none: not found"));
}

// Each step does what it may, with links that lead to this machine's folders where it could be led.
TEST_F(BuildTest, MountsStayInsideWhateverLinksSay) {
  const std::string outside = directory() + "/outside";
  fs::create_directories(outside + "/stub");
  WriteFile("../outside/secret", "secret\n");
  WriteFile("input", "in\n");
  const std::string file =
      // An image whose links lead to its root, and to a folder of this machine.
      "FROM busybox AS evil\n"
      "RUN mkdir /dir && ln -s / /root-link && ln -s " + outside + " /out && echo mine > /dir/f\n"
      "FROM evil\n"
      // The source of a mount.
      "RUN --mount=type=bind,from=evil,source=/root-link,target=/m ls /m/dir > /sources\n"
      "RUN --mount=type=cache,id=a,from=evil,source=/root-link/dir,target=/m cat /m/f >> /sources\n"
      // Its target.
      "RUN --mount=type=bind,target=/out/deep cat /out/deep/input > /targets\n"
      "RUN --mount=type=cache,id=b,target=/out/stub echo x > /out/stub/written\n"
      // A place of a mount that the step puts elsewhere before it is taken away.
      "RUN --mount=type=tmpfs,target=/place/stub mv /place /moved && ln -s " + outside +
      " /place\n"
      // What is planted in a cache for the next step.
      "RUN --mount=type=cache,id=c,target=/c ln -s " + outside + " /c/sub; echo x > /c/kept\n"
      "RUN --mount=type=cache,id=c,target=/c cat /c/sub/secret; cat /c/kept > /caches\n"
      // Writes to the context.
      "RUN --mount=type=bind,target=/w,rw echo changed > /w/input; echo new > /w/new; "
      "cat /w/input > /context\n";
  Build(file);
  EXPECT_EQ(Run("cat /sources /targets /caches /context"), "f\nmine\nin\nx\nchanged\n");
  EXPECT_EQ(ReadProjectFile("input"), "in\n");
  EXPECT_FALSE(fs::exists(project_directory() + "/new"));
  std::set<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(outside)) {
    names.insert(entry.path().string().substr(outside.size()));
  }
  EXPECT_EQ(names, (std::set<std::string>{"/secret", "/stub"}));
}

TEST_F(BuildTest, ContextsComeOnStandardInput) {
  WriteFile("c/Dockerfile", "FROM busybox\nCOPY f /f\n");
  WriteFile("c/Other", "FROM busybox\nCOPY f /g\n");
  WriteFile("c/f", "packed\n");
  WriteFile("c/.dockerignore", "f\n");
  ASSERT_THAT(RunCommand({"tar", "-C", project_directory() + "/c", "-czf",
                          project_directory() + "/c.tgz", "."}),
              Succeeds());
  ProcessOptions options;
  options.input = ReadProjectFile("c.tgz");
  Succeed({"docker", "build", "-t", "x", "-"}, options);
  EXPECT_EQ(Run("cat /f"), "packed\n");
  Succeed({"docker", "build", "-t", "x", "-f", "Other", "-"}, options);
  EXPECT_EQ(Run("cat /g"), "packed\n");
  options.input = "FROM busybox\nRUN echo alone > /h\n";
  Succeed({"docker", "build", "-t", "x", "-"}, options);
  EXPECT_EQ(Run("cat /h"), "alone\n");
  EXPECT_TRUE(fs::is_empty(directory() + "/root/tmp"));
}

TEST_F(BuildTest, FilesAreGivenOutWithoutAnImage) {
  WriteFile("Dockerfile", "FROM scratch\nCOPY --chown=7:8 a /sub/a\n");
  WriteFile("a", "out\n");
  Succeed({"docker", "build", "-t", "x", "-o", "result", "."});
  EXPECT_EQ(ReadProjectFile("result/sub/a"), "out\n");
  EXPECT_THAT(Skiff({"docker", "image", "inspect", "x"}), ExitsWith(1));
}

TEST_F(BuildTest, NamedContextsReplaceStagesAndImages) {
  WriteFile("other/f", "other\n");
  WriteFile("other/no", "hidden\n");
  WriteFile("other/.dockerignore", "no\n");
  Build(
      "FROM nowhere/to/be/found AS base\nFROM base\nCOPY --from=files . /o/\n"
      "RUN --mount=from=files,target=/m cat /m/f > /m.txt\n",
      {"--build-context", "files=other", "--build-context", "base=docker-image://busybox"});
  EXPECT_EQ(Run("ls -A /o; cat /m.txt"), ".dockerignore\nf\nother\n");
}

TEST_F(BuildTest, WithoutTheCacheOnlyWhatHasChangedIsWrittenAgain) {
  WriteFile("src/a", "one\n");
  const std::string file = "FROM busybox\nCOPY src /s/\nRUN head -c 8 /dev/urandom > /r\n";
  const auto layers = [this, &file] {
    Build(file, {"--no-cache"});
    return Lines(Succeed({"image", "inspect", "x", "-f", "{{range .RootFS.Layers}}{{println .}}{{end}}"}));
  };
  const auto first = layers();
  const auto again = layers();
  EXPECT_EQ(again[1], first[1]);
  EXPECT_NE(again[2], first[2]);
  // A touch is a change here, and no change for the cache.
  Succeed({"docker", "tag", "x", "y"});
  fs::last_write_time(project_directory() + "/src/a", fs::file_time_type::clock::now() + 5s);
  EXPECT_EQ(CachedSteps(), 2U);
  const auto touched = layers();
  EXPECT_NE(touched[1], first[1]);
  EXPECT_EQ(CachedSteps({"--no-cache"}), 0U);
}

TEST_F(BuildTest, EpochsMakeBuildsReproducible) {
  const std::string file = "FROM busybox\nWORKDIR /w\nRUN echo x > y\n";
  const Words flags = {"--build-arg", "SOURCE_DATE_EPOCH=1700000000", "--no-cache"};
  const std::string first = Build(file, flags);
  EXPECT_EQ(Build(file, flags), first);
  EXPECT_EQ(Run("stat -c %Y /w/y"), "1700000000\n");
}

TEST_F(BuildTest, ResultFilesAndNames) {
  WriteFile("Dockerfile", "FROM busybox\nRUN true\n");
  Succeed({"docker", "build", "-t", "one:1", "-t", "two", "--iidfile", "id", "--metadata-file",
           "meta", "--progress=rawjson", "."});
  const std::string id = ReadProjectFile("id");
  EXPECT_EQ(Succeed({"docker", "image", "inspect", "one:1", "--format", "{{.Id}}"}), id + "\n");
  EXPECT_EQ(Succeed({"docker", "image", "inspect", "two:latest", "--format", "{{.Id}}"}),
            id + "\n");
  EXPECT_THAT(
      ReadProjectFile("meta"),
      HasSubstr("\"image.name\": \"docker.io/library/one:1,docker.io/library/two:latest\""));
}

TEST_F(BuildTest, TheCacheIsGivenBackByPruning) {
  WriteFile("Dockerfile",
            "FROM busybox\nRUN --mount=type=cache,target=/c head -c 100000 /dev/zero > /c/f; "
            "head -c 200000 /dev/zero > /f\n");
  Succeed({"docker", "build", "-t", "x", "."});
  // What an image uses stays unless all is meant; the contents of cache mounts go.
  EXPECT_EQ(Succeed({"builder", "prune", "-f", "--filter", "until=1h"}), "Total:\t0B\n");
  EXPECT_EQ(Succeed({"builder", "prune", "-f"}), "Total:\t100kB\n");
  EXPECT_EQ(CachedSteps(), 1U);
  EXPECT_THAT(Succeed({"builder", "prune", "-af", "--keep-storage", "1mb"}),
              HasSubstr("Total:\t0B\n"));
  EXPECT_EQ(CachedSteps(), 1U);
  Succeed({"image", "rm", "x"});
  EXPECT_THAT(Succeed({"builder", "prune", "-f"}), HasSubstr("Total:\t200kB\n"));
  EXPECT_EQ(CachedSteps(), 0U);
  EXPECT_THAT(Skiff({"system", "check"}), Succeeds());
}

TEST_F(BuildTest, AnInterruptedBuildLeavesNothing) {
  WriteFile("Dockerfile", "FROM busybox\nRUN echo begun; sleep 1000\n");
  Process build = StartSkiff({"docker", "build", "--progress=plain", "."});
  ASSERT_TRUE(build.AwaitOutput("begun")) << build.err();
  build.Signal(SIGINT);
  const Outcome outcome = build.Finish();
  EXPECT_NE(outcome.exit_code, 0);
  EXPECT_THAT(outcome.err, HasSubstr("CANCELED"));
  EXPECT_EQ(Succeed({"docker", "ps", "-aq"}), "");
  EXPECT_TRUE(fs::is_empty(directory() + "/root/tmp"));
}

class BuildOutputTest : public BuildTest {
 protected:
  void SetUp() override {
    BuildTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    WriteFile("context/Dockerfile", "FROM scratch\nCOPY a /x/a\nENV A=b\n");
    WriteFile("context/a", "hello\n");
  }
  Outcome BuildTo(const Words& outputs, const Words& flags = {}) {
    Words words = {"docker", "build", "--progress=plain"};
    for (const std::string& output : outputs) words.insert(words.end(), {"-o", output});
    words.insert(words.end(), flags.begin(), flags.end());
    words.push_back("context");
    return Skiff(words);
  }
  std::string Tar(const std::string& flags, const std::string& archive, const std::string& input = "") {
    ProcessOptions options;
    options.directory = project_directory();
    options.environment = CleanEnvironment();
    options.input = input;
    const Outcome outcome = RunCommand({"tar", flags, archive}, options);
    EXPECT_THAT(outcome, Succeeds()) << outcome;
    return outcome.out;
  }
  std::string Images() { return Succeed({"docker", "images", "--format", "{{.Repository}}"}); }
};

TEST_F(BuildOutputTest, FilesAsATar) {
  ASSERT_THAT(BuildTo({"type=tar,dest=files.tar"}), Succeeds());
  EXPECT_EQ(Tar("-tf", "files.tar"), "x/\nx/a\n");
  const Outcome stream = BuildTo({"-"});
  ASSERT_THAT(stream, Succeeds());
  EXPECT_EQ(Tar("-xOf", "-", stream.out), "hello\n");
  // A device stays what it is.
  ASSERT_THAT(BuildTo({"type=tar,dest=/dev/null"}), Succeeds());
  EXPECT_TRUE(fs::is_character_file("/dev/null"));
  EXPECT_EQ(Images(), "busybox\n");
}

TEST_F(BuildOutputTest, ImagesAsArchivesThatAreReadAgain) {
  ASSERT_THAT(BuildTo({"type=docker,dest=docker.tar", "type=oci,dest=oci.tar"}, {"-t", "out:1"}),
              Succeeds());
  EXPECT_EQ(Images(), "busybox\n");
  EXPECT_EQ(Succeed({"image", "ls", "-aq"}), Succeed({"image", "ls", "-q"}));
  EXPECT_THAT(Tar("-tf", "docker.tar"), HasSubstr("manifest.json\n"));
  EXPECT_THAT(Tar("-tf", "oci.tar"), Not(HasSubstr("manifest.json\n")));
  std::string id;
  for (const std::string archive : {"docker.tar", "oci.tar"}) {
    Succeed({"docker", "load", "-i", archive});
    const std::string loaded = Succeed({"image", "inspect", "-f", "{{.Id}} {{.Config.Env}}", "out:1"});
    EXPECT_THAT(loaded, HasSubstr("A=b"));
    if (id.empty()) id = loaded;
    EXPECT_EQ(loaded, id) << archive;
    Succeed({"image", "rm", "out:1"});
  }
}

TEST_F(BuildOutputTest, WhatWasThereStays) {
  ASSERT_THAT(BuildTo({}, {"-t", "kept"}), Succeeds());
  ASSERT_THAT(BuildTo({"type=oci,dest=a.tar"}, {"-t", "other"}), Succeeds());
  EXPECT_EQ(LineSet(Images()), LineSet("busybox\nkept\n"));
  ASSERT_THAT(BuildTo({"type=oci,dest=a.tar", "type=image,name=third"}, {"-t", "other"}), Succeeds());
  EXPECT_EQ(LineSet(Images()), LineSet("busybox\nkept\nother\nthird\n"));
}

TEST_F(BuildOutputTest, WrongOnesAreSaidBeforeAnythingIsBuilt) {
  const std::pair<std::string, std::string> rows[] = {
      {"type=foo", "exporter \"foo\" could not be found"},
      {"dest=x", "type is required for output"},
      {"type=local", "dest is required for local output"},
      {"type=local,dest=-", "dest cannot be stdout for local exporter"},
      {"type=registry", "tag is needed when pushing to registry"},
      {"type=oci,dest=x,compression=best", "unsupported layer compression type best"},
      {"type=oci,dest=x,what=ever", "the option 'what' of an output is not supported"},
  };
  for (const auto& [output, text] : rows) {
    const Outcome outcome = BuildTo({output});
    EXPECT_THAT(outcome, ExitsWith(1)) << output;
    EXPECT_THAT(outcome.err, HasSubstr(text));
    EXPECT_THAT(outcome.err, Not(HasSubstr("#1")));
  }
  EXPECT_THAT(BuildTo({"-", "type=oci"}).err, HasSubstr("only one output can go to standard output"));
  const Outcome nowhere = BuildTo({"type=oci,dest=/nonexistent/x"});
  EXPECT_THAT(nowhere, ExitsWith(1));
  EXPECT_EQ(Images(), "busybox\n");
  EXPECT_FALSE(fs::exists(project_directory() + "/x"));
}

TEST_F(BuildTest, AnOciLayoutInAFolderIsAnOutputAndABase) {
  Build("FROM busybox\nRUN echo one > /made\n",
        {"-t", "some/app:one", "-o", "type=oci,tar=false,dest=layout"});
  Build("FROM busybox\nRUN echo two > /made\n",
        {"-t", "some/app:two", "-o", "type=oci,tar=false,dest=layout"});
  EXPECT_THAT(Skiff({"image", "inspect", "some/app:one"}), ExitsWith(1));
  const std::multiset<std::string> images = LineSet(Succeed({"image", "ls", "-aq"}));
  const std::string file = "FROM base\nRUN cat /made > /seen\n";
  for (const std::string tag : {"one", "two"}) {
    Build(file, {"--build-context", "base=oci-layout://layout:" + tag});
    EXPECT_EQ(Run("cat /seen"), tag + "\n");
    Succeed({"image", "rm", "x"});
  }
  // The layout's images were here for the builds alone.
  EXPECT_EQ(LineSet(Succeed({"image", "ls", "-aq"})), images);
  const Outcome wrong = TryBuild(file, {"--build-context", "base=oci-layout://layout:three"});
  EXPECT_THAT(wrong, ExitsWith(1));
  EXPECT_THAT(wrong.err, HasSubstr("the context 'base': the OCI layout has no image 'three'"));
  EXPECT_THAT(wrong.err, HasSubstr("it has one, latest, two"));
  EXPECT_THAT(TryBuild(file, {"--build-context", "base=oci-layout://nowhere"}).err,
              HasSubstr("cannot open the OCI layout"));
}

TEST_F(BuildTest, TheCacheKeepsToItsLimit) {
  environment()["SKIFF_BUILD_CACHE_LIMIT"] = "5MB";
  const auto build = [&](const std::string& name) {
    Build("FROM busybox\nRUN : " + name + "; head -c 2000000 /dev/urandom > /x\n");
    Succeed({"image", "rm", "x"});
  };
  for (const char* name : {"one", "two", "three", "four"}) build(name);
  EXPECT_EQ(CachedSteps(), 1u) << "the latest";
  WriteFile("Dockerfile", "FROM busybox\nRUN : one; head -c 2000000 /dev/urandom > /x\n");
  EXPECT_EQ(CachedSteps(), 0u) << "the oldest has gone";
  environment()["SKIFF_BUILD_CACHE_LIMIT"] = "a lot";
  EXPECT_THAT(TryBuild("FROM busybox\n").err, HasSubstr("SKIFF_BUILD_CACHE_LIMIT is neither"));
}

}  // namespace
}  // namespace skiff::e2e
