#include "engine-core/transfer/unpack.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>

#include "base/atomic_file.h"
#include "base/identity.h"
#include "tests/unit/engine-core/tar_builder.h"

namespace skiff::engine::transfer {
namespace {

using skiff::testing::TarBuilder;

std::string Gzip(const std::string& data) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, data.size()) + 64, '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(data.data()));
  stream.avail_in = static_cast<uInt>(data.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

// The archive is unpacked into <folder>/root; <folder>/canary must never change.
class UnpackTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "owners and nodes need root";
    ASSERT_TRUE(MakeDirectories(root_, 0755));
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/canary", "safe", 0600, Durability::kVolatile));
    fd_ = std::move(*OpenFile(root_, O_RDONLY | O_DIRECTORY));
  }
  void TearDown() override {
    if (!fd_.valid()) return;
    EXPECT_EQ(ReadFile(folder_ + "/canary").value_or("gone"), "safe");
    struct stat info {};
    ASSERT_EQ(::stat((folder_ + "/canary").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0600u);
    EXPECT_EQ(info.st_nlink, 1u);
    EXPECT_TRUE(RemoveTree(folder_));
  }
  Result<UnpackAnswer> Run(const std::string& bytes, const UnpackLimits& limits = {}) {
    const Fd tar = TarBuilder::OpenBytes(bytes);
    return Unpack(tar.get(), fd_.get(), -1, limits);
  }
  Result<UnpackAnswer> Run(const TarBuilder& tar) { return Run(tar.Finished()); }
  struct stat StatOf(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::lstat((root_ + "/" + path).c_str(), &info), 0) << path;
    return info;
  }

  std::string folder_ = ::testing::TempDir() + "skiff-unpack-" + RandomHex(6);
  std::string root_ = folder_ + "/root";
  Fd fd_;
};

TEST_F(UnpackTest, OrdinaryTreeIsReproduced) {
  TarBuilder::Options options;
  options.mode = 04751;
  options.uid = 12;
  options.gid = 34;
  TarBuilder tar;
  tar.Folder("./", 0711).Folder("d/", 0700).File("d/f", "content", options).Symlink("l", "/d/f");
  tar.Hardlink("h", "d/f", options).Node('3', "null", 1, 3).Node('6', "fifo", 0, 0);
  const auto answer = Run(tar);
  ASSERT_TRUE(answer) << answer.error().Text();
  EXPECT_EQ(answer->layer.entries, 7);
  EXPECT_EQ(answer->layer.content_size, 7);
  EXPECT_EQ(answer->layer.diff_id, Sha256Hex(tar.Finished()));
  EXPECT_EQ(answer->layer.blob_digest, answer->layer.diff_id);
  EXPECT_EQ(answer->layer.compression, "");
  const struct stat file = StatOf("d/f");
  EXPECT_EQ(file.st_mode & 07777, 04751u);
  EXPECT_EQ(file.st_uid, 12u);
  EXPECT_EQ(file.st_gid, 34u);
  EXPECT_EQ(file.st_mtime, 1'600'000'000);
  EXPECT_EQ(file.st_nlink, 2u);
  EXPECT_EQ(StatOf("d").st_mtime, 1'600'000'000);
  EXPECT_TRUE(S_ISLNK(StatOf("l").st_mode));
  EXPECT_EQ(StatOf("null").st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISFIFO(StatOf("fifo").st_mode));
}

// An archive of a temporary folder says that "/" is for its owner alone: nobody else could start.
TEST_F(UnpackTest, TheRootStaysAsItWasMade) {
  const struct stat before = StatOf(".");
  TarBuilder tar;
  tar.Folder("./", 0700).Folder("/", 01).File("f", "");
  ASSERT_TRUE(Run(tar));
  EXPECT_EQ(StatOf(".").st_mode, before.st_mode);
  EXPECT_EQ(StatOf(".").st_uid, before.st_uid);
  TarBuilder file;
  EXPECT_FALSE(Run(file.File("./", "no folder")));
}

// As containerd has it: the entry of a hard link is the last word on owner, mode and time.
TEST_F(UnpackTest, HardLinksBringTheirMetadata) {
  TarBuilder::Options options;
  options.mode = 04750;
  options.uid = 7;
  options.gid = 8;
  TarBuilder tar;
  tar.File("f", "x").Hardlink("h", "f", options);
  tar.File("same", "y", options).Hardlink("again", "same", options);
  tar.Symlink("s", "nowhere").Hardlink("t", "s", options);
  const auto answer = Run(tar);
  ASSERT_TRUE(answer) << answer.error().Text();
  for (const char* name : {"f", "h", "same", "again"}) {
    const struct stat file = StatOf(name);
    EXPECT_EQ(file.st_nlink, 2u) << name;
    EXPECT_EQ(file.st_mode & 07777, 04750u) << name;
    EXPECT_EQ(file.st_uid, 7u) << name;
    EXPECT_EQ(file.st_gid, 8u) << name;
  }
  EXPECT_TRUE(S_ISLNK(StatOf("t").st_mode));
  EXPECT_EQ(StatOf("s").st_uid, 7u);
}

TEST_F(UnpackTest, CompressedStreamHasTheSameIdentity) {
  TarBuilder tar;
  tar.File("f", std::string(100'000, 'x'));
  const std::string packed = Gzip(tar.Finished());
  const auto answer = Run(packed);
  ASSERT_TRUE(answer) << answer.error().Text();
  EXPECT_EQ(answer->layer.compression, "gzip");
  EXPECT_EQ(answer->layer.diff_id, Sha256Hex(tar.Finished()));
  EXPECT_EQ(answer->layer.blob_digest, Sha256Hex(packed));
  EXPECT_EQ(answer->layer.blob_size, static_cast<int64_t>(packed.size()));
}

TEST_F(UnpackTest, BytesAfterTheEndOfTheArchiveBelongToTheDigest) {
  TarBuilder tar;
  tar.File("f", "x");
  const std::string padded = tar.Finished() + std::string(1 << 20, '\0');
  const auto answer = Run(padded);
  ASSERT_TRUE(answer) << answer.error().Text();
  EXPECT_EQ(answer->layer.diff_id, Sha256Hex(padded));
}

TEST_F(UnpackTest, PathsNeverLeaveTheRoot) {
  const std::string outside = folder_ + "/canary";
  TarBuilder corpus[11];
  corpus[0].File("../canary", "evil");
  corpus[1].File("a/../../canary", "evil");
  corpus[2].Symlink("up", "..").File("up/canary", "evil");
  corpus[3].Symlink("out", folder_).File("out/canary", "evil");
  corpus[4].Symlink("a", "b").Symlink("b", folder_).File("a/canary", "evil");
  corpus[5].Hardlink("link", "../canary");
  corpus[6].Hardlink("link", outside);
  corpus[7].Symlink("s", outside).Hardlink("h", "s").File("h", "evil");
  corpus[8].Symlink("canary", outside).File("canary", "evil");
  corpus[9].Symlink("d", folder_).Folder("d/", 0777);
  TarBuilder::Options open;
  open.mode = 0777;
  corpus[10].Symlink("w", folder_).File("w/.wh.canary", "");
  for (size_t i = 0; i < std::size(corpus); ++i) {
    SCOPED_TRACE(i);
    // Refused or kept inside; the canary is checked each time.
    [[maybe_unused]] const auto answer = Run(corpus[i]);
    EXPECT_EQ(ReadFile(outside).value_or("gone"), "safe");
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      EXPECT_TRUE(entry.path().filename() == "root" || entry.path().filename() == "canary")
          << entry.path();
    }
  }
}

TEST_F(UnpackTest, AbsoluteNamesAndLinksStayInside) {
  TarBuilder tar;
  tar.Folder("/run/").Symlink("var", "/run").File("/var/pid", "1").Hardlink("/copy", "/var/pid");
  const auto answer = Run(tar);
  ASSERT_TRUE(answer) << answer.error().Text();
  EXPECT_EQ(ReadFile(root_ + "/run/pid").value_or(""), "1");
  EXPECT_EQ(StatOf("copy").st_nlink, 2u);
}

TEST_F(UnpackTest, LaterEntriesReplaceEarlierOnes) {
  TarBuilder tar;
  tar.Folder("x/").File("x/inside", "1").File("x", "file now");
  tar.File("y", "1").Folder("y/").File("y/inside", "2");
  tar.Symlink("z", "nowhere").File("z", "real");
  tar.Folder("below/").File("below/f", "1").File("below/f", "2");
  const auto answer = Run(tar);
  ASSERT_TRUE(answer) << answer.error().Text();
  EXPECT_EQ(ReadFile(root_ + "/x").value_or(""), "file now");
  EXPECT_EQ(ReadFile(root_ + "/y/inside").value_or(""), "2");
  EXPECT_EQ(ReadFile(root_ + "/z").value_or(""), "real");
  EXPECT_EQ(ReadFile(root_ + "/below/f").value_or(""), "2");
}

TEST_F(UnpackTest, IntoATreeInUseWhatIsThereStays) {
  ASSERT_TRUE(MakeDirectories(root_ + "/srv/app/old", 0755));
  ASSERT_TRUE(WriteFileAtomically(root_ + "/srv/app/kept", "1", 0600, Durability::kVolatile));
  ASSERT_TRUE(WriteFileAtomically(root_ + "/srv/app/new", "1", 0600, Durability::kVolatile));
  ASSERT_EQ(::symlink("/srv", (root_ + "/link").c_str()), 0);
  UnpackTarget target;
  target.folder = "/link/app";
  target.owner = Owner{7, 8};
  TarBuilder tar;
  tar.File("new", "2").File(".wh.kept", "no whiteout").File("sub/x", "3").Hardlink("y", "sub/x");
  tar.Symlink("out", "/canary").File("../canary-not", "");
  const auto run = [&](const TarBuilder& archive) {
    const Fd bytes = TarBuilder::OpenBytes(archive.Finished());
    return Unpack(bytes.get(), fd_.get(), -1, {}, target);
  };
  EXPECT_FALSE(run(tar)) << "a path that leaves the folder";
  EXPECT_EQ(ReadFile(root_ + "/srv/app/new").value_or(""), "2");
  EXPECT_EQ(ReadFile(root_ + "/srv/app/kept").value_or(""), "1");
  EXPECT_EQ(ReadFile(root_ + "/srv/app/.wh.kept").value_or(""), "no whiteout");
  EXPECT_EQ(StatOf("srv/app/y").st_nlink, 2u);
  EXPECT_EQ(StatOf("srv/app/new").st_uid, 7u);
  EXPECT_EQ(StatOf("srv/app/new").st_gid, 8u);
}

TEST_F(UnpackTest, IntoATreeInUseNoFolderIsReplaced) {
  ASSERT_TRUE(MakeDirectories(root_ + "/folder/inside", 0755));
  ASSERT_TRUE(WriteFileAtomically(root_ + "/file", "1", 0600, Durability::kVolatile));
  const auto run = [&](const TarBuilder& archive) {
    const Fd bytes = TarBuilder::OpenBytes(archive.Finished());
    return Unpack(bytes.get(), fd_.get(), -1, {}, UnpackTarget());
  };
  TarBuilder file;
  file.File("folder", "2");
  const auto onto_folder = run(file);
  ASSERT_FALSE(onto_folder);
  EXPECT_EQ(onto_folder.error().message,
            "cannot overwrite directory 'folder' with non-directory");
  TarBuilder folder;
  folder.Folder("file/");
  const auto onto_file = run(folder);
  ASSERT_FALSE(onto_file);
  EXPECT_EQ(onto_file.error().message, "cannot overwrite non-directory 'file' with directory");
  EXPECT_EQ(ReadFile(root_ + "/file").value_or(""), "1");
  EXPECT_TRUE(S_ISDIR(StatOf("folder/inside").st_mode));
}

TEST_F(UnpackTest, WhiteoutsBecomeOverlayfsOnes) {
  TarBuilder tar;
  tar.Folder("d/").File("d/.wh.gone", "").File("e/.wh..wh..opq", "").File(".wh..wh.plnk", "");
  const auto answer = Run(tar);
  ASSERT_TRUE(answer) << answer.error().Text();
  const struct stat gone = StatOf("d/gone");
  EXPECT_TRUE(S_ISCHR(gone.st_mode));
  EXPECT_EQ(gone.st_rdev, makedev(0, 0));
  EXPECT_EQ(answer->opaque, std::vector<std::string>{"e"});
  EXPECT_NE(::access((root_ + "/.wh..wh.plnk").c_str(), F_OK), 0);
}

TEST_F(UnpackTest, WhiteoutsWithoutANameAreRefused) {
  for (const char* name : {".wh.", ".wh..", ".wh...", "d/.wh.x/y"}) {
    TarBuilder tar;
    tar.File(name, "");
    EXPECT_FALSE(Run(tar)) << name;
  }
  TarBuilder device;
  device.Node('3', "fake-whiteout", 0, 0);
  EXPECT_FALSE(Run(device));
}

TEST_F(UnpackTest, AttributesThatSteerOverlayfsAreLeftOut) {
  TarBuilder tar;
  tar.Pax({{"SCHILY.xattr.user.kept", "yes"},
           {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
           {"SCHILY.xattr.trusted.other", "x"},
           {"SCHILY.xattr.user.overlay.opaque", "y"}});
  tar.File("f", "x");
  const auto answer = Run(tar);
  ASSERT_TRUE(answer) << answer.error().Text();
  const std::string path = root_ + "/f";
  char list[4096];
  const ssize_t size = ::listxattr(path.c_str(), list, sizeof list);
  ASSERT_GE(size, 0);
  const std::string names(list, static_cast<size_t>(size));
  EXPECT_EQ(names.find("overlay"), std::string::npos);
  EXPECT_EQ(names.find("trusted"), std::string::npos);
}

TEST_F(UnpackTest, LimitsEndInClearErrors) {
  TarBuilder many;
  for (int i = 0; i < 20; ++i) many.File("f" + std::to_string(i), "");
  UnpackLimits limits;
  limits.entries = 10;
  const auto too_many = Run(many.Finished(), limits);
  ASSERT_FALSE(too_many);
  EXPECT_EQ(too_many.error().message, "the archive has more than 10 entries");
  TarBuilder bomb;
  bomb.File("zeros", std::string(8 << 20, '\0'));
  limits = {};
  limits.bytes = 1 << 20;
  const auto grown = Run(Gzip(bomb.Finished()), limits);
  ASSERT_FALSE(grown);
  EXPECT_EQ(grown.error().code, Code::kExhausted);
  EXPECT_EQ(grown.error().message, "the archive grows to more than 64 times its size");
}

TEST_F(UnpackTest, WhatIsNoArchiveIsSaidSo) {
  EXPECT_FALSE(Run(std::string()));
  EXPECT_FALSE(Run(std::string("this is no tar archive at all")));
  TarBuilder tar;
  tar.File("f", std::string(5000, 'x'));
  EXPECT_FALSE(Run(tar.Finished().substr(0, 2000))) << "cut short";
  EXPECT_FALSE(Run(Gzip(tar.Finished()).substr(0, 30))) << "cut short";
}

// Names of pax records are the same bytes on disk, composed or not, and also when they are no
// UTF-8: Go writes such records too.
TEST_F(UnpackTest, NamesOfPaxRecordsStayAsTheyAre) {
  const std::string composed = "g\xc3\xbcltig";
  const std::string decomposed = "gu\xcc\x88ltig";
  const std::string latin = "g\xfcltig";
  TarBuilder tar;
  for (const std::string& name : {composed, decomposed, latin}) {
    tar.Pax({{"path", "f-" + name}}).File("short", name);
    tar.Pax({{"path", "s-" + name}, {"linkpath", "f-" + name}}).Symlink("short", "short");
    tar.Pax({{"path", "h-" + name}, {"linkpath", "f-" + name}}).Hardlink("short", "short");
    tar.Pax({{"uname", name}, {"gname", name}}).File("owned-" + name, "");
  }
  const auto answer = Run(tar);
  ASSERT_TRUE(answer) << answer.error().Text();
  EXPECT_EQ(answer->layer.entries, 12);
  for (const std::string& name : {composed, decomposed, latin}) {
    EXPECT_EQ(ReadFile(root_ + "/f-" + name).value_or("none"), name);
    EXPECT_EQ(std::filesystem::read_symlink(root_ + "/s-" + name), "f-" + name);
    EXPECT_EQ(StatOf("h-" + name).st_ino, StatOf("f-" + name).st_ino);
  }
}

TEST_F(UnpackTest, MalformedPaxRecordsAreRefused) {
  TarBuilder tar;
  tar.Entry('x', "pax", "", "99999 path=other\n", {}).File("f", "");
  const auto answer = Run(tar);
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("malformed pax"), std::string::npos)
      << answer.error().Text();
}

}  // namespace
}  // namespace skiff::engine::transfer
