// When the disk, the memory or the process numbers run out: an error that says so, and afterwards
// all is as before.

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/fd.h"
#include "tests/e2e/support/chance.h"
#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kKiB = 1024;
constexpr int64_t kMiB = 1024 * kKiB;

using ScarcityTest = SkiffTest;

// Both roots on a small file system of their own.
class FullDiskTest : public SkiffTest {
 protected:
  void SetUp() override {
    SkiffTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) return;
    // The file system goes with this program, whatever becomes of it.
    static const bool entered = unshare(CLONE_NEWNS) == 0 &&
                                mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    ASSERT_TRUE(entered);
    const std::string image = directory() + "/disk";
    small_ = directory() + "/small";
    std::filesystem::create_directory(small_);
    ASSERT_TRUE(OpenFile(image, O_RDWR | O_CREAT, 0600));
    ASSERT_EQ(truncate(image.c_str(), 48 * kMiB), 0);
    ASSERT_THAT(RunCommand({"mke2fs", "-q", "-t", "ext4", "-m", "0", image}), Succeeds());
    const Outcome mounted = RunCommand({"mount", "-o", "loop", image, small_});
    if (!mounted.ok()) GTEST_SKIP() << "no loop device: " << mounted.err;
    mounted_ = true;
    environment().merge(MakeRoots("small/"));
    const std::string root = small_ + "/root", run = small_ + "/run";
    environment()["SKIFF_ROOT"] = root;
    environment()["SKIFF_RUN"] = run;
    WriteProject(kProject);
    Succeed({"up", "-d"});
    Succeed({"down", "-v", "-t", "0"});
  }
  void TearDown() override {
    if (mounted_) {
      Fill(-1);
      Succeed({"down", "-v", "-t", "0"});
      EXPECT_THAT(Skiff({"system", "check"}), Succeeds());
      EXPECT_THAT(RunCommand({"umount", small_}), Succeeds());
      ForgetRoots("small/");
      environment()["SKIFF_ROOT"] = directory() + "/root";
      environment()["SKIFF_RUN"] = directory() + "/run";
    }
    SkiffTest::TearDown();
  }

  // Leaves `free` bytes; -1: all of them.
  void Fill(int64_t free) {
    const std::string filler = small_ + "/filler";
    unlink(filler.c_str());
    if (free < 0) return;
    const auto file = OpenFile(filler, O_WRONLY | O_CREAT | O_APPEND, 0600);
    ASSERT_TRUE(file);
    // To the last block, metadata included; then as much back as is wanted.
    const std::string block(64 << 10, 'x');
    for (size_t size = block.size(); size > 0;) {
      const ssize_t written = write(file->get(), block.data(), size);
      if (written < 0) size = size == 1 ? 0 : size / 2;
    }
    ASSERT_EQ(fsync(file->get()), 0);
    struct stat info = {};
    ASSERT_EQ(fstat(file->get(), &info), 0);
    ASSERT_EQ(ftruncate(file->get(), std::max<int64_t>(0, info.st_size - free)), 0);
    ASSERT_EQ(fsync(file->get()), 0);
  }

  // With so much room it succeeds, or says what is missing. True when it succeeded.
  bool SucceedsOrSaysWhy(const Words& words) {
    const Outcome outcome = Skiff(words, {}, 30s);
    if (outcome.ok()) return true;
    const bool told = outcome.err.find("No space left on device") != std::string::npos ||
                      outcome.err.find("database or disk is full") != std::string::npos;
    EXPECT_TRUE(told) << outcome;
    return false;
  }
  void ExpectClean() {
    const Outcome check = Skiff({"system", "check"});
    EXPECT_THAT(check, Succeeds()) << check;
  }

  static constexpr const char* kProject = R"(name: full
services:
  web:
    image: busybox:latest
    init: true
    command: sleep 1000
    ports: ["127.0.0.1::80"]
    volumes: ["data:/etc"]
    networks: [inner]
  job:
    image: busybox:latest
    command: sh -c "trap exit TERM; sleep 1000 & wait"
    networks: [inner]
volumes: {data: {}}
networks: {inner: {}}
)";
  std::string small_;
  bool mounted_ = false;
};

TEST_F(FullDiskTest, AnImportSucceedsOrLeavesNothing) {
  // Ten MiB that cannot be compressed.
  std::filesystem::create_directory(project_directory() + "/layer");
  ASSERT_THAT(RunCommand({"dd", "if=/dev/urandom", "of=" + project_directory() + "/layer/file",
                          "bs=1M", "count=10", "status=none"}),
              Succeeds());
  const std::string tar = directory() + "/large.tar";
  ASSERT_THAT(RunCommand({"tar", "-C", project_directory() + "/layer", "-cf", tar, "file"}),
              Succeeds());
  const Words import = {"image", "import", tar, "large:latest"};
  const std::string images = Succeed({"image", "ls", "-q"});
  int failures = 0, successes = 0;
  for (int free = 0; free <= 24; ++free) {
    SCOPED_TRACE(std::to_string(free) + " MiB free");
    Fill(free * kMiB);
    if (SucceedsOrSaysWhy(import)) {
      ++successes;
      Fill(-1);
      Succeed({"image", "rm", "large:latest"});
    } else {
      ++failures;
      Fill(-1);
      EXPECT_EQ(Succeed({"image", "ls", "-q"}), images);
      EXPECT_EQ(std::distance(std::filesystem::directory_iterator(small_ + "/root/tmp"), {}), 0);
    }
    ExpectClean();
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(failures, 5);
  EXPECT_GT(successes, 0);
}

TEST_F(FullDiskTest, UpAndDownSucceedOrSayWhyAndTheNextRepairs) {
  const Words up = {"up", "-d"}, down = {"down", "-v", "-t", "0"};
  Census before;
  ASSERT_TRUE(Eventually([&] {
    before = Count();
    return before.counts.at("process") == 0;
  }));
  int failures = 0;
  // The rows and folders of two containers take less than a MiB: every block counts.
  const int64_t step = IsLongRun() ? 4 * kKiB : 64 * kKiB;
  for (int64_t free = 0; free <= 640 * kKiB; free += step) {
    SCOPED_TRACE(std::to_string(free / kKiB) + " KiB free");
    Fill(free);
    if (!SucceedsOrSaysWhy(up)) ++failures;
    Fill(-1);
    Succeed(up);
    EXPECT_EQ(Lines(Succeed({"ps", "-q"})).size(), 2u);
    ExpectClean();
    Fill(free);
    if (!SucceedsOrSaysWhy(down)) ++failures;
    Fill(-1);
    Succeed(down);
    ExpectClean();
    EXPECT_EQ(DifferenceTo(before), "");
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GT(failures, 0);
}

TEST_F(FullDiskTest, OutputGoesOnWhenTheLogCannot) {
  for (const int64_t free : {int64_t{0}, 64 * kKiB, kMiB, 2 * kMiB}) {
    SCOPED_TRACE(std::to_string(free / kKiB) + " KiB free");
    Fill(-1);
    Succeed({"up", "-d", "job"});
    Fill(free);
    // Each line is longer in the log: more than there is room for.
    const Outcome written = Skiff({"exec", "-T", "job", "sh", "-c", "seq 60000 > /proc/1/fd/1"});
    EXPECT_THAT(written, Succeeds()) << written;
    EXPECT_EQ(Inspect("full-job-1", "{{.State.Status}}"), "running");
    Fill(-1);
    EXPECT_THAT(Skiff({"exec", "-T", "job", "sh", "-c", "echo after > /proc/1/fd/1"}), Succeeds());
    EXPECT_TRUE(Eventually([&] {
      return Succeed({"logs", "--no-log-prefix", "job"}).find("after\n") != std::string::npos;
    }));
    Succeed({"down", "-t", "0"});
    ExpectClean();
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(ScarcityTest, OutOfMemoryIsToldApart) {
  WriteProject(R"(name: oom
services:
  whole:
    image: busybox:latest
    command: tail /dev/zero
    network_mode: none
    mem_limit: 16m
    memswap_limit: 16m
  part:
    image: busybox:latest
    init: true
    command: sh -c "tail /dev/zero; echo survived $$?; exec sleep 1000"
    network_mode: none
    mem_limit: 16m
    memswap_limit: 16m
  other:
    image: busybox:latest
    init: true
    command: sleep 1000
    network_mode: none
)");
  Succeed({"up", "-d"});
  EXPECT_TRUE(Eventually(
      [&] {
        return Inspect("oom-whole-1",
                       "{{.State.Status}} {{.State.OOMKilled}} "
                       "{{.State.ExitCode}}") == "exited true 137";
      },
      20s))
      << Inspect("oom-whole-1", "{{json .State}}");
  // One process of the group was killed; the container and its monitor go on, and it is told.
  EXPECT_TRUE(Eventually(
      [&] {
        return Succeed({"logs", "--no-log-prefix", "part"}).find("survived 137") !=
               std::string::npos;
      },
      20s));
  EXPECT_TRUE(Eventually([&] {
    return Inspect("oom-part-1", "{{.State.Status}} {{.State.OOMKilled}}") == "running true";
  })) << Inspect("oom-part-1", "{{json .State}}");
  EXPECT_THAT(Skiff({"exec", "-T", "part", "true"}), Succeeds());
  EXPECT_EQ(Inspect("oom-other-1", "{{.State.Status}} {{.State.OOMKilled}}"), "running false");
  Succeed({"down", "-t", "0"});
}

TEST_F(ScarcityTest, AContainerWithoutProcessNumbersStopsNobodyElse) {
  WriteProject(R"(name: pids
services:
  fork:
    image: busybox:latest
    command: sh -c "while :; do sleep 1000 & done"
    network_mode: none
    pids_limit: 12
  other:
    image: busybox:latest
    init: true
    command: sleep 1000
    network_mode: none
)");
  Succeed({"up", "-d"});
  // The shell ends when it can fork no more, or goes on trying: neither is anybody else's concern.
  const Outcome exec = Skiff({"exec", "-T", "fork", "true"});
  // 137: the container ended, and the process with it. The last text: before it was executed.
  if (!exec.ok() && exec.exit_code != 137) {
    EXPECT_THAT(exec.err, ::testing::AnyOf(HasSubstr("Resource temporarily unavailable"),
                                           HasSubstr("is not running"),
                                           HasSubstr("killed before its program was executed")));
  }
  EXPECT_THAT(Skiff({"exec", "-T", "other", "true"}), Succeeds());
  EXPECT_EQ(Inspect("pids-other-1", "{{.State.Status}}"), "running");
  Succeed({"down", "-t", "0"});
}

}  // namespace
}  // namespace skiff::e2e
