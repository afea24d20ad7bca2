// Tapes and the world around them: modes, locks, files that exist, and disks that are full.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>

#include "proto/tape_format.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::bytes_of;
using test::read_file;
using test::read_tape;
using test::Readout;
using test::TempDir;
using test::write_file;
using testing::HasSubstr;

using IfExists = TapeWriter::IfExists;

std::string refusal(const std::string& path, IfExists if_exists) {
  auto writer = TapeWriter::create(path, if_exists, 1, test::sample_header());
  return writer.ok() ? "" : writer.error().message;
}

TEST(TapeFile, IsForItsOwnerOnly) {
  TempDir dir;
  mode_t before = umask(0);
  test::create(dir / "new.tape");
  write_file(dir / "old.tape", "something that all may read");
  EXPECT_EQ(refusal(dir / "old.tape", IfExists::overwrite), "");
  umask(before);
  for (const char* name : {"new.tape", "old.tape"}) {
    struct stat info = {};
    ASSERT_EQ(stat((dir / name).c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << name;
  }
}

TEST(TapeFile, ThatExistsIsNotTouched) {
  TempDir dir;
  write_file(dir / "t.tape", "precious");
  EXPECT_THAT(refusal(dir / "t.tape", IfExists::refuse), HasSubstr("use -f to overwrite"));
  EXPECT_EQ(read_file(dir / "t.tape"), "precious");
  EXPECT_EQ(refusal(dir / "t.tape", IfExists::overwrite), "");
  EXPECT_EQ(read_tape(dir / "t.tape").records.size(), 1u);
}

TEST(TapeFile, ThatIsBeingWrittenIsNotOverwritten) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape");
  ASSERT_TRUE(writer->write(1, Mark{"kept"}).ok());
  ASSERT_TRUE(writer->flush().ok());
  EXPECT_THAT(refusal(dir / "t.tape", IfExists::overwrite), HasSubstr("being written by another"));
  Readout read = read_tape(dir / "t.tape");
  EXPECT_EQ(read.records.size(), 2u);
  EXPECT_EQ(read.end, TapeEnd::being_written);
  writer.reset();
  EXPECT_EQ(read_tape(dir / "t.tape").end, TapeEnd::torn);
  EXPECT_EQ(refusal(dir / "t.tape", IfExists::overwrite), "");
}

TEST(TapeFile, ThatCanNotBeMadeIsNamed) {
  TempDir dir;
  std::string nowhere = dir / "no/such/folder/t.tape";
  EXPECT_THAT(refusal(nowhere, IfExists::refuse), HasSubstr(nowhere));
  EXPECT_THAT(refusal(dir.path(), IfExists::overwrite), HasSubstr("directory"));
}

TEST(TapeFile, OnADeviceThatIsFullIsAnError) {
  EXPECT_THAT(refusal("/dev/full", IfExists::overwrite), HasSubstr("No space left"));
}

TEST(TapeFile, TakesNoMoreRoomThanItNeedsWhenFinished) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape");
  ASSERT_TRUE(writer->finish(1, Trailer()).ok());
  struct stat info = {};
  ASSERT_EQ(stat((dir / "t.tape").c_str(), &info), 0);
  EXPECT_EQ(static_cast<uint64_t>(info.st_size), writer->stored_bytes());
  EXPECT_LE(info.st_blocks * 512, 8192);
}

// Disks that fill up.

// Writes chunks, each a block of its own, until one is refused; gives how many were stored.
int fill(TapeWriter& writer, std::vector<std::string>& stored, uint64_t& offset) {
  std::mt19937 random(1);
  for (int i = 1; i < 10'000; ++i) {
    std::string text = test::sample_text(random, 50'000);
    Chunk chunk = {1, Direction::client_to_server, offset, as_bytes(text)};
    EXPECT_TRUE(writer.write(i, chunk).ok()) << "the block is empty: there is room";
    if (!writer.flush().ok()) return i;
    offset += text.size();
    stored.push_back(bytes_of(i, chunk));
  }
  ADD_FAILURE() << "the disk never filled up";
  return 0;
}

// Lets files grow to this size only, as long as it lives.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before_);
    rlimit limit = {bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { lift(); }
  void lift() { setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

TEST(FullDisk, KeepsWhatIsStoredAndTriesTheSameBlockAgain) {
  TempDir dir;
  FileSizeLimit limit(1'000'000);
  auto writer = test::create(dir / "t.tape", 0);
  std::vector<std::string> stored = {bytes_of(0, test::sample_header())};
  uint64_t offset = 0;
  int refused = fill(*writer, stored, offset);
  uint64_t size = writer->stored_bytes();
  EXPECT_EQ(std::filesystem::file_size(dir / "t.tape"), size) << "cut back to whole blocks";
  EXPECT_TRUE(read_tape(dir / "t.tape").records == stored);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(writer->flush().ok());
  std::string large(60'000, 'x');
  Bytes bytes = as_bytes(large);
  uint64_t next = offset + 50'000;
  EXPECT_TRUE(writer->write_chunk(refused, 1, Direction::client_to_server, next, bytes).ok());
  EXPECT_FALSE(
      writer->write_chunk(refused, 1, Direction::client_to_server, next + 60'000, bytes).ok())
      << "no room in the block, and it can not be stored";
  EXPECT_EQ(std::filesystem::file_size(dir / "t.tape"), size);

  limit.lift();
  EXPECT_TRUE(writer->flush().ok());
  EXPECT_TRUE(writer->finish(refused, Trailer()).ok());
  Readout read = read_tape(dir / "t.tape");
  EXPECT_EQ(read.records.size(), stored.size() + 3);
  EXPECT_TRUE(read.damage.empty());
  EXPECT_EQ(read.end, TapeEnd::whole);
  EXPECT_FALSE(list_blocks(dir / "t.tape")->rebuilt);
}

TEST(FullDisk, DiscardedBlockIsTold) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape");
  std::string text(100, 'x');
  const Direction requests = Direction::client_to_server;
  ASSERT_TRUE(writer->write_chunk(1, 1, requests, 500, as_bytes(text)).ok());
  ASSERT_TRUE(writer->write(2, Gap{1, requests, 600, 11, GapReason::overload, 0}).ok());
  std::vector<std::pair<int64_t, Event>> told;
  writer->discard_block([&](int64_t time_ns, const Event& event) {
    if (const auto* chunk = std::get_if<Chunk>(&event)) {
      EXPECT_EQ(as_text(chunk->bytes), text);
    }
    told.emplace_back(time_ns, event);
  });
  ASSERT_EQ(told.size(), 2u);
  EXPECT_EQ(told[0].first, 1);
  EXPECT_EQ(std::get<Chunk>(told[0].second).offset, 500u);
  EXPECT_EQ(told[1].first, 2);
  EXPECT_EQ(std::get<Gap>(told[1].second).length, 11u);
  EXPECT_EQ(writer->oldest_unstored_ns(), -1);
  EXPECT_TRUE(writer->write(1, told[1].second).ok()) << "what was told may be written again";
  EXPECT_TRUE(writer->finish(2, Trailer()).ok());
  EXPECT_EQ(read_tape(dir / "t.tape").records.size(), 3u);
}

TEST(FullDisk, FinishMayBeTriedAgain) {
  TempDir dir;
  FileSizeLimit limit(1'000'000);
  auto writer = test::create(dir / "t.tape", 0);
  std::vector<std::string> stored = {bytes_of(0, test::sample_header())};
  uint64_t offset = 0;
  int refused = fill(*writer, stored, offset);
  EXPECT_FALSE(writer->finish(refused, Trailer()).ok());
  EXPECT_FALSE(writer->finish(refused, Trailer()).ok());
  limit.lift();
  EXPECT_TRUE(writer->finish(refused, Trailer()).ok());
  Readout read = read_tape(dir / "t.tape");
  EXPECT_EQ(read.records.size(), stored.size() + 2) << "one trailer, and the block before it";
  EXPECT_EQ(read.end, TapeEnd::whole);
}

// A file system of its own, where the tests may mount one.
class SmallDisk {
 public:
  explicit SmallDisk(const std::string& size) {
    mounted_ = mount("tmpfs", dir_.path().c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(dir_.path().c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  std::string operator/(const std::string& name) const { return dir_ / name; }

 private:
  TempDir dir_;
  bool mounted_ = false;
};

TEST(FullDisk, TheReserveHoldsGapsTrailerAndIndex) {
  SmallDisk disk("2m");
  if (!disk.mounted()) GTEST_SKIP() << "only root may mount a small disk";
  auto writer = test::create(disk / "t.tape", 0);
  std::vector<std::string> stored = {bytes_of(0, test::sample_header())};
  uint64_t offset = 0;
  int refused = fill(*writer, stored, offset);
  EXPECT_GT(refused, 20);
  // Somebody else takes all that is left.
  write_file(disk / "other", std::string(4'000'000, 'x'));
  uint64_t discarded = 0;
  writer->discard_block([&](int64_t, const Event& event) {
    const Chunk& chunk = std::get<Chunk>(event);
    EXPECT_EQ(chunk.offset, offset + discarded);
    discarded += chunk.bytes.size();
  });
  EXPECT_GT(discarded, 0u);
  const Gap gap{1, Direction::client_to_server, offset, discarded, GapReason::disk, 0};
  ASSERT_TRUE(writer->write(refused, gap).ok());
  Result<void> finished = writer->finish(refused, Trailer());
  ASSERT_TRUE(finished.ok()) << finished.error().message;
  Readout read = read_tape(disk / "t.tape");
  EXPECT_EQ(read.records.size(), stored.size() + 2);
  EXPECT_TRUE(std::equal(stored.begin(), stored.end(), read.records.begin()));
  EXPECT_EQ(read.end, TapeEnd::whole);
  EXPECT_EQ(read.findings.gap_bytes, discarded);
  EXPECT_FALSE(list_blocks(disk / "t.tape")->rebuilt);
}

TEST(FullDisk, ATapeThatCanNotEvenBeginLeavesNothingBehind) {
  SmallDisk disk("32k");
  if (!disk.mounted()) GTEST_SKIP() << "only root may mount a small disk";
  EXPECT_THAT(refusal(disk / "t.tape", IfExists::refuse), HasSubstr("No space left"));
  EXPECT_FALSE(std::filesystem::exists(disk / "t.tape"));
}

}  // namespace
}  // namespace wiretape
