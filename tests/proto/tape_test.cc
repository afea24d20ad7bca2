// A tape that nothing happened to: what was written is read, the file is as docs/tape_format.md
// says, and what is no tape is named.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <array>

#include "proto/frame_reader.h"
#include "proto/tape_format.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::bytes_of;
using test::read_file;
using test::read_tape;
using test::Readout;
using test::Sample;
using test::TempDir;
using test::write_file;
using test::write_sample;
using testing::HasSubstr;

class TapeLevel : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Tape, TapeLevel, testing::Values(0, 1, 3, -3, 12));

TEST_P(TapeLevel, GivesBackWhatWasWritten) {
  TempDir dir;
  Sample sample;
  sample.level = GetParam();
  sample.records = 2000;
  sample.records_a_block = 1'000'000;
  std::vector<std::string> written = write_sample(dir / "t.tape", sample);
  Readout read = read_tape(dir / "t.tape");
  EXPECT_TRUE(read.records == written);
  EXPECT_EQ(read.end, TapeEnd::whole);
  EXPECT_EQ(read.torn_bytes, 0u);
  EXPECT_TRUE(read.findings.whole());
  EXPECT_EQ(read.findings.records, written.size());
}

TEST_P(TapeLevel, BlocksStayBelow128KiB) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape", GetParam());
  std::mt19937 random(3);
  std::string text(tape_format::chunk_bytes_max, 'x');
  uint64_t offset = 0;
  for (int i = 0; i < 300; ++i) {
    size_t count = i % 3 == 0 ? text.size() : random() % text.size();
    Bytes bytes = as_bytes(text).first(count);
    ASSERT_TRUE(writer->write_chunk(i, 1, Direction::client_to_server, offset, bytes).ok());
    offset += count;
  }
  ASSERT_TRUE(writer->finish(300, Trailer()).ok());
  Result<BlockList> list = list_blocks(dir / "t.tape");
  ASSERT_TRUE(list.ok());
  EXPECT_GT(list->blocks.size(), 50u);
  for (const BlockPlace& block : list->blocks) EXPECT_LT(block.raw_bytes, 128u * 1024);
}

TEST(Tape, HeaderIsOnDiskBeforeAnythingElse) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape");
  Readout read = read_tape(dir / "t.tape");
  EXPECT_EQ(read.records, std::vector{bytes_of(0, test::sample_header())});
  EXPECT_EQ(read.end, TapeEnd::being_written);
}

TEST(Tape, OldestUnstoredIsTheBlocksFirst) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape");
  EXPECT_EQ(writer->oldest_unstored_ns(), -1);
  ASSERT_TRUE(writer->write(5, Mark{"a"}).ok());
  ASSERT_TRUE(writer->write(9, Mark{"b"}).ok());
  EXPECT_EQ(writer->oldest_unstored_ns(), 5);
  ASSERT_TRUE(writer->flush().ok());
  EXPECT_EQ(writer->oldest_unstored_ns(), -1);
  EXPECT_EQ(read_tape(dir / "t.tape").records.size(), 3u);
  EXPECT_EQ(std::filesystem::file_size(dir / "t.tape"), writer->stored_bytes());
}

TEST(Tape, LevelMayChangeFromBlockToBlock) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape");
  std::string text(5000, 'x');
  for (int i = 0; i < 10; ++i) {
    writer->set_level(i % 2);
    ASSERT_TRUE(writer
                    ->write_chunk(i, 1, Direction::client_to_server,
                                  5000u * static_cast<unsigned>(i), as_bytes(text))
                    .ok());
    ASSERT_TRUE(writer->flush().ok());
  }
  ASSERT_TRUE(writer->finish(10, Trailer()).ok());
  Readout read = read_tape(dir / "t.tape");
  EXPECT_EQ(read.records.size(), 12u);
  EXPECT_TRUE(read.damage.empty());
}

TEST(Tape, RecordTooLargeForABlockIsRefused) {
  TempDir dir;
  auto writer = test::create(dir / "t.tape");
  Header header;
  header.listeners.assign(20, std::string(10'000, 'x'));
  Result<void> refused = writer->write(1, header);
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("does not fit"));
  EXPECT_TRUE(writer->write(1, Mark{"after"}).ok());
}

TEST(Tape, TwoJoinedByCatAreATapeOfTwoParts) {
  TempDir dir;
  Sample a, b;
  b.seed = 2;
  std::vector<std::string> records = write_sample(dir / "a.tape", a);
  size_t of_a = records.size();
  for (std::string& record : write_sample(dir / "b.tape", b)) records.push_back(std::move(record));
  write_file(dir / "ab.tape", read_file(dir / "a.tape") + read_file(dir / "b.tape"));
  Readout read = read_tape(dir / "ab.tape");
  EXPECT_TRUE(read.records == records);
  EXPECT_TRUE(read.findings.whole());
  for (size_t i = 0; i < read.parts.size(); ++i) EXPECT_EQ(read.parts[i], i < of_a ? 0u : 1u);

  Result<BlockList> list = list_blocks(dir / "ab.tape");
  ASSERT_TRUE(list.ok());
  EXPECT_FALSE(list->rebuilt);
  EXPECT_EQ(list->blocks.size(), list_blocks(dir / "a.tape")->blocks.size() +
                                     list_blocks(dir / "b.tape")->blocks.size());
}

TEST(Tape, FramesOfOthersAreSkipped) {
  TempDir dir;
  std::vector<std::string> written = write_sample(dir / "t.tape", {});
  std::string foreign("\x50\x2A\x4D\x18\x05\x00\x00\x00hello", 13);
  std::string tape = read_file(dir / "t.tape");
  uint64_t second = list_blocks(dir / "t.tape")->blocks[1].file_offset;
  write_file(dir / "t.tape", tape.substr(0, second) + foreign + tape.substr(second) + foreign);
  Readout read = read_tape(dir / "t.tape");
  EXPECT_TRUE(read.records == written);
  EXPECT_TRUE(read.findings.whole());
}

TEST(Tape, FramesWithOurMagicNumberThatAreNoneOfOursAreDamage) {
  TempDir dir;
  std::vector<std::string> written = write_sample(dir / "t.tape", {});
  std::string unknown("\x57\x2A\x4D\x18\x0B\x00\x00\x00hello world", 19);
  std::string tape = read_file(dir / "t.tape");
  uint64_t second = list_blocks(dir / "t.tape")->blocks[1].file_offset;
  write_file(dir / "t.tape", tape.substr(0, second) + unknown + tape.substr(second));
  Readout read = read_tape(dir / "t.tape");
  EXPECT_TRUE(read.records == written);
  ASSERT_EQ(read.damage.size(), 1u);
  EXPECT_EQ(read.damage[0].file_offset, second);
  EXPECT_EQ(read.damage[0].file_bytes, unknown.size());
  EXPECT_EQ(read.damage[0].blocks_lost, 0u);
}

TEST(Tape, IsReadFromAPipe) {
  TempDir dir;
  std::vector<std::string> written = write_sample(dir / "t.tape", {});
  ASSERT_EQ(mkfifo((dir / "pipe").c_str(), 0600), 0);
  std::string command = "cat '" + dir / "t.tape" + "' > '" + dir / "pipe" + "' &";
  ASSERT_EQ(std::system(command.c_str()), 0);
  Readout read = read_tape(dir / "pipe");
  EXPECT_TRUE(read.records == written);
  EXPECT_EQ(read.end, TapeEnd::whole);
}

// The index.

void expect_same_places(const BlockList& a, const BlockList& b) {
  ASSERT_EQ(a.blocks.size(), b.blocks.size());
  for (size_t i = 0; i < a.blocks.size(); ++i) {
    EXPECT_EQ(a.blocks[i].file_offset, b.blocks[i].file_offset);
    EXPECT_EQ(a.blocks[i].sequence, b.blocks[i].sequence);
    EXPECT_EQ(a.blocks[i].first_ns, b.blocks[i].first_ns);
    EXPECT_EQ(a.blocks[i].last_ns, b.blocks[i].last_ns);
    EXPECT_EQ(a.blocks[i].raw_bytes, b.blocks[i].raw_bytes);
    EXPECT_EQ(a.blocks[i].stored_bytes, b.blocks[i].stored_bytes);
  }
}

size_t count_of(const std::string& text, std::string_view what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

void write_many_blocks(const std::string& path, int blocks) {
  auto writer = test::create(path);
  for (int i = 0; i < blocks; ++i) {
    ASSERT_TRUE(writer->write(i, Mark{"block " + std::to_string(i)}).ok());
    ASSERT_TRUE(writer->flush().ok());
  }
  ASSERT_TRUE(writer->finish(blocks, Trailer()).ok());
}

TEST(TapeIndex, StandsAfterEveryThousandBlocksAndAtTheEnd) {
  std::string_view marker(reinterpret_cast<const char*>(tape_format::index_marker.data()), 8);
  TempDir dir;
  for (auto [blocks, indexes] : {std::pair{10, 1}, {998, 1}, {999, 2}, {2500, 3}}) {
    std::string path = dir / std::to_string(blocks);
    write_many_blocks(path, blocks);
    EXPECT_EQ(count_of(read_file(path), marker), static_cast<size_t>(indexes)) << blocks;
    Result<BlockList> list = list_blocks(path);
    ASSERT_TRUE(list.ok());
    EXPECT_FALSE(list->rebuilt) << blocks;
    EXPECT_EQ(list->blocks.size(), static_cast<size_t>(blocks) + 2) << "header and trailer";
  }
}

TEST(TapeIndex, NamesTheBlocksThatTheHeadsName) {
  TempDir dir;
  write_many_blocks(dir / "t.tape", 2100);
  BlockList by_index = *list_blocks(dir / "t.tape");
  std::string tape = read_file(dir / "t.tape");
  tape.back() = static_cast<char>(tape.back() ^ 1);
  write_file(dir / "t.tape", tape);
  BlockList by_heads = *list_blocks(dir / "t.tape");
  EXPECT_FALSE(by_index.rebuilt);
  EXPECT_TRUE(by_heads.rebuilt);
  expect_same_places(by_index, by_heads);
}

TEST(TapeIndex, MissingIsRebuiltFromTheHeads) {
  TempDir dir;
  Sample sample;
  sample.finished = false;
  write_sample(dir / "t.tape", sample);
  Result<BlockList> list = list_blocks(dir / "t.tape");
  ASSERT_TRUE(list.ok());
  EXPECT_TRUE(list->rebuilt);
  EXPECT_GT(list->blocks.size(), 5u);
}

// What is no tape.

std::string complaint(const std::string& path) {
  auto reader = TapeReader::open(path);
  return reader.ok() ? "" : reader.error().message;
}

TEST(NoTape, IsNamedForWhatItLooksLike) {
  TempDir dir;
  const std::pair<std::string, const char*> cases[] = {
      {"", "empty"},
      {"{\"log\": {\"version\": \"1.2\"}}", "HAR"},
      {"\xEF\xBB\xBF {\"log\": {}}", "HAR"},
      {"[1, 2]", "JSON"},
      {std::string("\xD4\xC3\xB2\xA1\x02\x00\x04\x00", 8), "pcap file"},
      {std::string("\x4D\x3C\xB2\xA1\x02\x00\x04\x00", 8), "pcap file"},
      {"\x0A\x0D\x0D\x0A....", "pcapng"},
      {"\x1F\x8B\x08....", "gzip"},
      {"\x28\xB5\x2F\xFD....", "plain zstd"},
      {"GET / HTTP/1.1\r\n", "does not begin as a tape"},
      {std::string(100'000, '\0'), "does not begin as a tape"},
  };
  for (const auto& [content, words] : cases) {
    write_file(dir / "x", content);
    EXPECT_THAT(complaint(dir / "x"), HasSubstr(words)) << content.substr(0, 20);
    EXPECT_THAT(complaint(dir / "x"), HasSubstr(dir / "x"));
    EXPECT_FALSE(list_blocks(dir / "x").ok());
  }
  EXPECT_THAT(complaint(dir.path()), testing::AnyOf(HasSubstr("directory")));
  EXPECT_THAT(complaint(dir / "none"), HasSubstr("No such file"));
}

TEST(NoTape, OfANewerVersionIsSaid) {
  TempDir dir;
  write_sample(dir / "t.tape", {});
  std::string tape = read_file(dir / "t.tape");
  tape[16] = 2;
  write_file(dir / "t.tape", tape);
  EXPECT_THAT(complaint(dir / "t.tape"), HasSubstr("version 2"));
}

}  // namespace
}  // namespace wiretape
