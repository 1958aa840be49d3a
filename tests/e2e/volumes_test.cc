// Named, anonymous, bind and tmpfs mounts, and what a new volume begins with.

#include <filesystem>

#include "tests/e2e/support/skiff_test.h"

namespace skiff::e2e {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class VolumesTest : public SkiffTest {
 protected:
  std::string Sh(const std::string& service, const std::string& script) {
    return Succeed({"exec", "-T", service, "sh", "-c", script});
  }
};

TEST_F(VolumesTest, NamedVolumeIsSharedAndSurvivesDown) {
  WriteProject(R"(name: vol
services:
  a: {image: "busybox:latest", command: sleep 1000, init: true, volumes: ["data:/one"]}
  b: {image: "busybox:latest", command: sleep 1000, init: true, volumes: ["data:/two:ro"]}
volumes: {data: {}}
)");
  Succeed({"up", "-d"});
  Sh("a", "echo text > /one/file");
  EXPECT_EQ(Sh("b", "cat /two/file"), "text\n");
  EXPECT_NE(Skiff({"exec", "-T", "b", "touch", "/two/other"}).exit_code, 0);
  EXPECT_THAT(LineSet(Succeed({"volume", "ls", "-q"})), ElementsAre("vol_data"));
  Succeed({"down"});
  Succeed({"up", "-d"});
  EXPECT_EQ(Sh("a", "cat /one/file"), "text\n");
  Succeed({"down", "-v"});
  EXPECT_EQ(Succeed({"volume", "ls", "-q"}), "");
  ExpectNothingLeft();
}

// Who writes to the whole volume must not choose what the other container sees of the machine
// (CVE-2021-25741).
TEST_F(VolumesTest, APartOfAVolumeIsNeverALinkOutOfIt) {
  const std::string outside = directory() + "/outside";
  std::filesystem::create_directories(outside);
  WriteProject(R"(name: part
services:
  whole: {image: "busybox:latest", command: sleep 1000, init: true, volumes: ["data:/all"]}
  part:
    image: busybox:latest
    command: sleep 1000
    init: true
    volumes: [{type: volume, source: data, target: /part, volume: {subpath: sub}}]
volumes: {data: {}}
)");
  Succeed({"up", "-d", "whole"});
  Sh("whole", "mkdir /all/sub; echo inside > /all/sub/file");
  Succeed({"up", "-d"});
  EXPECT_EQ(Sh("part", "cat /part/file"), "inside\n");
  Succeed({"stop", "-t", "0", "part"});
  Succeed({"cp", "part:/part/file", "copied"});
  EXPECT_EQ(ReadProjectFile("copied"), "inside\n");
  Sh("whole", "mv /all/sub /all/kept; ln -s " + outside + " /all/sub");
  const Outcome started = Skiff({"start", "part"});
  EXPECT_NE(started.exit_code, 0);
  EXPECT_THAT(started.err, HasSubstr("cannot open the bind source"));
  const Outcome copied = Skiff({"cp", "compose.yaml", "part:/part/"});
  EXPECT_NE(copied.exit_code, 0);
  EXPECT_THAT(copied.err, HasSubstr("a link has been put in its place"));
  EXPECT_TRUE(std::filesystem::is_empty(outside));
  Sh("whole", "rm /all/sub; mv /all/kept /all/sub");
  Succeed({"start", "part"});
  EXPECT_EQ(Sh("part", "cat /part/file"), "inside\n");
}

TEST_F(VolumesTest, NewVolumeBeginsWithTheImagesContent) {
  WriteProject(R"(name: vol
services:
  a: {image: "busybox:latest", command: sleep 1000, init: true, volumes: ["config:/etc"]}
  b:
    image: busybox:latest
    command: sleep 1000
    init: true
    volumes: [{type: volume, source: empty, target: /etc, volume: {nocopy: true}}]
volumes: {config: {}, empty: {}}
)");
  Succeed({"up", "-d"});
  EXPECT_THAT(Sh("a", "cat /etc/passwd"), HasSubstr("root:x:0:0"));
  EXPECT_EQ(Sh("b", "test -e /etc/passwd || echo none"), "none\n");
}

TEST_F(VolumesTest, AnonymousVolumeFollowsARecreateAndGoesWithIt) {
  WriteProject(R"(name: vol
services:
  a: {image: "busybox:latest", command: sleep 1000, init: true, volumes: [/data]}
)");
  Succeed({"up", "-d"});
  Sh("a", "echo kept > /data/file");
  Succeed({"up", "-d", "--force-recreate"});
  EXPECT_EQ(Sh("a", "cat /data/file"), "kept\n");
  Succeed({"up", "-d", "--force-recreate", "-V"});
  EXPECT_EQ(Sh("a", "ls /data"), "");
  Succeed({"down", "-v"});
}

TEST_F(VolumesTest, RunRmRemovesAnonymousVolumes) {
  UseDefaultBridge();
  EXPECT_EQ(Succeed({"docker", "run", "--rm", "-v", "/data", "busybox:latest", "sh", "-c",
                     "echo x > /data/x && cat /data/x"}),
            "x\n");
  EXPECT_TRUE(Eventually([&] { return Succeed({"volume", "ls", "-q"}).empty(); }));
}

TEST_F(VolumesTest, BindMountsFilesAndFolders) {
  WriteFile("folder/file", "inside\n");
  WriteFile("single", "alone\n");
  WriteProject(R"(name: vol
services:
  a:
    image: busybox:latest
    command: sleep 1000
    init: true
    volumes:
      - ./folder:/folder
      - ./single:/etc/single:ro
      - ./made:/made
)");
  Succeed({"up", "-d"});
  EXPECT_EQ(Sh("a", "cat /folder/file /etc/single"), "inside\nalone\n");
  Sh("a", "echo back > /folder/back");
  EXPECT_EQ(ReadProjectFile("folder/back"), "back\n");
  EXPECT_TRUE(std::filesystem::is_directory(project_directory() + "/made"));
  EXPECT_NE(Skiff({"exec", "-T", "a", "sh", "-c", "echo x > /etc/single"}).exit_code, 0);
}

TEST_F(VolumesTest, TmpfsAndReadOnlyRoot) {
  WriteProject(R"(name: vol
services:
  a:
    image: busybox:latest
    command: sleep 1000
    init: true
    read_only: true
    tmpfs: ["/scratch:size=1m,mode=700"]
)");
  Succeed({"up", "-d"});
  EXPECT_NE(Skiff({"exec", "-T", "a", "touch", "/file"}).exit_code, 0);
  Sh("a", "touch /scratch/file");
  EXPECT_EQ(Sh("a", "stat -c %a /scratch; stat -f -c %T /scratch"), "700\ntmpfs\n");
  EXPECT_NE(
      Skiff({"exec", "-T", "a", "sh", "-c", "head -c 2000000 /dev/zero > /scratch/big"}).exit_code,
      0);
}

}  // namespace
}  // namespace skiff::e2e
