// Tapes that something happened to: torn anywhere, bits flipped anywhere, blocks gone. What is
// whole is read, what is missing is said exactly, and nothing that was not written is ever read.
#include <gmock/gmock.h>

#include <cstring>
#include <map>

#include "proto/block.h"
#include "proto/tape_format.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::bytes_of;
using test::is_subsequence;
using test::read_file;
using test::read_tape;
using test::Readout;
using test::Sample;
using test::TempDir;
using test::write_file;
using test::write_sample;

class Damage : public testing::Test {
 protected:
  void make(const Sample& sample) {
    std::filesystem::remove(path_);
    records_ = write_sample(path_, sample);
    tape_ = read_file(path_);
    blocks_ = list_blocks(path_)->blocks;
  }
  Readout read(std::string_view tape) {
    write_file(path_, tape);
    return read_tape(path_);
  }
  uint64_t end_of(size_t block) const {
    return blocks_[block].file_offset + tape_format::block_head_bytes + blocks_[block].stored_bytes;
  }
  // The tape without these blocks.
  std::string without(size_t begin, size_t end) const {
    return tape_.substr(0, blocks_[begin].file_offset) + tape_.substr(end_of(end - 1));
  }

  TempDir dir_;
  std::string path_ = dir_ / "t.tape";
  std::string tape_;
  std::vector<std::string> records_;
  std::vector<BlockPlace> blocks_;
};

class TornTape : public Damage, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Levels, TornTape, testing::Values(0, 1));

TEST_P(TornTape, GivesEveryRecordOfItsWholeBlocks) {
  Sample sample;
  sample.chunk_bytes_max = 600;
  sample.level = GetParam();
  make(sample);
  std::vector<size_t> records_until = {0};  // by the number of whole blocks
  for (size_t b = 0; b < blocks_.size(); ++b) {
    Readout whole = read(tape_.substr(0, end_of(b)));
    EXPECT_TRUE(whole.damage.empty());
    EXPECT_EQ(whole.torn_bytes, 0u);
    records_until.push_back(whole.records.size());
  }
  EXPECT_EQ(records_until.back(), records_.size());
  std::mt19937 random(4);
  for (int i = 0; i < 400 && !HasFailure(); ++i) {
    size_t cut = i < 200 ? static_cast<size_t>(i) + 1 : 1 + random() % (tape_.size() - 1);
    size_t whole = 0;
    while (whole < blocks_.size() && end_of(whole) <= cut) ++whole;
    Readout torn = read(std::string_view(tape_).substr(0, cut));
    SCOPED_TRACE(cut);
    ASSERT_EQ(torn.records.size(), records_until[whole]);
    EXPECT_TRUE(std::equal(torn.records.begin(), torn.records.end(), records_.begin()));
    EXPECT_TRUE(torn.damage.empty()) << "a torn tail is a normal end";
    EXPECT_EQ(torn.end, whole == blocks_.size() ? TapeEnd::whole : TapeEnd::torn);
    EXPECT_FALSE(torn.findings.whole());
  }
}

TEST_F(Damage, ZerosBehindTheEndAreATornTail) {
  make({});
  uint64_t cut = end_of(3);
  Readout read_back = read(tape_.substr(0, cut) + std::string(200'000, '\0'));
  EXPECT_TRUE(read_back.damage.empty());
  EXPECT_EQ(read_back.end, TapeEnd::torn);
  EXPECT_EQ(read_back.torn_bytes, 200'000u);
}

class FlippedBit : public Damage, public testing::WithParamInterface<int> {};
INSTANTIATE_TEST_SUITE_P(Levels, FlippedBit, testing::Values(0, 1));

TEST_P(FlippedBit, NeverGivesARecordThatWasNotWritten) {
  Sample sample;
  sample.chunk_bytes_max = 600;
  sample.level = GetParam();
  make(sample);
  std::mt19937 random(5);
  for (int i = 0; i < 1500 && !HasFailure(); ++i) {
    size_t at = tape_format::magic_frame_bytes + random() % (tape_.size() - 24);
    std::string flipped = tape_;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << random() % 8));
    SCOPED_TRACE(at);
    Readout read_back = read(flipped);
    EXPECT_TRUE(is_subsequence(read_back.records, records_));
    bool all = read_back.records.size() == records_.size();
    EXPECT_TRUE(all || !read_back.findings.whole()) << "lost in silence";
    EXPECT_LE(read_back.findings.blocks_lost, 1u);
    bool in_index = at >= end_of(blocks_.size() - 1);
    bool said = !read_back.damage.empty() || read_back.torn_bytes > 0;
    EXPECT_TRUE(said || in_index || all);
  }
}

TEST_P(FlippedBit, CostsOneBlock) {
  Sample sample;
  sample.level = GetParam();
  make(sample);
  for (size_t b = 0; b + 1 < blocks_.size(); ++b) {
    size_t expected =
        records_.size() - (read(tape_.substr(0, end_of(b))).records.size() -
                           (b == 0 ? 0 : read(tape_.substr(0, end_of(b - 1))).records.size()));
    for (uint64_t within : {8u, 20u, 60u, 90u}) {
      std::string flipped = tape_;
      char& byte = flipped[blocks_[b].file_offset + within];
      byte = static_cast<char>(byte ^ 4);
      Readout read_back = read(flipped);
      SCOPED_TRACE(testing::Message() << "block " << b << ", byte " << within);
      EXPECT_EQ(read_back.records.size(), expected);
      ASSERT_EQ(read_back.damage.size(), 1u);
      EXPECT_EQ(read_back.damage[0].blocks_lost, 1u);
      EXPECT_EQ(read_back.findings.blocks_lost, 1u);
      if (within < tape_format::block_head_bytes) continue;
      EXPECT_EQ(read_back.damage[0].first_ns, blocks_[b].first_ns);
      EXPECT_EQ(read_back.damage[0].last_ns, blocks_[b].last_ns);
      EXPECT_EQ(read_back.damage[0].file_offset, blocks_[b].file_offset);
    }
  }
}

TEST_F(Damage, InTheMagicFrameCostsNothingButIsSaid) {
  make({});
  for (size_t at = 0; at < tape_format::magic_frame_bytes; ++at) {
    if (at >= 16 && at < 20) continue;  // the version
    std::string flipped = tape_;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    Readout read_back = read(flipped);
    SCOPED_TRACE(at);
    EXPECT_TRUE(read_back.records == records_);
    EXPECT_EQ(read_back.parts.back(), 0u);
    EXPECT_FALSE(read_back.findings.whole());
  }
}

TEST_F(Damage, RandomBytesInTheMiddleAreSteppedOver) {
  make({});
  std::mt19937 random(6);
  for (int i = 0; i < 300 && !HasFailure(); ++i) {
    std::string bad = tape_;
    size_t begin = 24 + random() % (bad.size() - 24);
    size_t end = std::min<size_t>(bad.size(), begin + random() % 20'000);
    for (size_t at = begin; at < end; ++at) bad[at] = static_cast<char>(random());
    EXPECT_TRUE(is_subsequence(read(bad).records, records_)) << begin << " to " << end;
  }
}

TEST_F(Damage, BytesTakenOutOrPutInCostTheBlocksTheyTouch) {
  make({});
  for (size_t b = 1; b + 2 < blocks_.size(); ++b) {
    uint64_t middle = blocks_[b].file_offset + tape_format::block_head_bytes + 50;
    for (const std::string& bad : {tape_.substr(0, middle) + tape_.substr(middle + 9),
                                   tape_.substr(0, middle) + "123456789" + tape_.substr(middle)}) {
      Readout read_back = read(bad);
      EXPECT_TRUE(is_subsequence(read_back.records, records_));
      EXPECT_EQ(read_back.findings.blocks_lost, 1u) << b;
      EXPECT_EQ(read_back.end, TapeEnd::whole);
    }
  }
}

// A tape of a tape: what is inside a stored block looks exactly like blocks.
TEST_F(Damage, ATapeInsideATapeIsNeverTakenForIt) {
  write_sample(dir_ / "inner.tape", {});
  std::string inner = read_file(dir_ / "inner.tape").substr(0, 60'000);
  auto writer = test::create(path_, 0);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(writer->write_chunk(i, 1, Direction::client_to_server, 0, as_bytes(inner)).ok());
    ASSERT_TRUE(writer->flush().ok());
  }
  writer.reset();
  tape_ = read_file(path_);
  blocks_ = list_blocks(path_)->blocks;
  ASSERT_EQ(blocks_.size(), 6u);
  EXPECT_EQ(read(tape_.substr(0, end_of(4) - 1)).records.size(), 4u) << "torn";
  std::string bad = tape_;
  bad[blocks_[2].file_offset + 30] ^= 1;
  EXPECT_EQ(read(bad).records.size(), 5u) << "a bad head";
  bad = tape_;
  bad[end_of(2) - 1] ^= 1;
  EXPECT_EQ(read(bad).records.size(), 5u) << "a bad block";
}

TEST_F(Damage, APartWithoutTrailerInTheMiddleIsSaid) {
  Sample open_end;
  open_end.finished = false;
  make(open_end);
  std::string first = tape_;
  make({});
  Readout read_back = read(first + tape_);
  ASSERT_EQ(read_back.damage.size(), 1u);
  EXPECT_THAT(read_back.damage[0].what, testing::HasSubstr("without a trailer"));
  EXPECT_EQ(read_back.end, TapeEnd::whole);
  EXPECT_FALSE(read_back.findings.whole());
}

// `blocks` blocks of `records` records each that do not parse.
std::string tape_of_bad_records(uint64_t blocks, size_t records) {
  BlockPacker packer;
  BlockBuffer block;
  for (size_t i = 0; i < records; ++i) {
    std::memcpy(block.end(), "\x0A\x01\xFF", 3);
    block.set_end(block.end() + 3);
  }
  BlockPacker::Frame frame = packer.pack(block, 1);
  std::string out(as_text(encode_magic({tape_format::version, 0})));
  for (BlockHead head; head.sequence < blocks; ++head.sequence) {
    head.raw_bytes = static_cast<uint32_t>(frame.raw_bytes);
    head.stored_bytes = static_cast<uint32_t>(frame.stored_bytes());
    head.stored_checksum = frame.checksum();
    out += as_text(encode_head(head));
    for (Bytes piece : frame.pieces) out += as_text(piece);
  }
  return out;
}

TEST_F(Damage, BadRecordsAreOneReportABlock) {
  Readout read_back = read(tape_of_bad_records(2, 40'000));
  ASSERT_EQ(read_back.damage.size(), 2u);
  EXPECT_EQ(read_back.damage[0].bad_records, 40'000u);
  EXPECT_EQ(read_back.damage[0].what, "40000 records do not parse");
  EXPECT_EQ(read_back.findings.damage_omitted, 0u);
}

TEST_F(Damage, FindingsAreBounded) {
  const uint64_t over = 100;
  TapeFindings findings = read(tape_of_bad_records(TapeFindings::damage_max + over, 1)).findings;
  EXPECT_EQ(findings.damage.size(), TapeFindings::damage_max);
  EXPECT_EQ(findings.damage_omitted, over);
  std::filesystem::remove(path_);
  auto writer = test::create(path_);
  for (ConnectionId id = 1; id <= TapeFindings::losses_max + over; ++id) {
    ASSERT_TRUE(writer->write_chunk(1, id, Direction::client_to_server, 0, as_bytes("x")).ok());
  }
  ASSERT_TRUE(writer->finish(1, {}).ok());
  findings = read_tape(path_).findings;
  EXPECT_EQ(findings.losses.size(), TapeFindings::losses_max);
  EXPECT_EQ(findings.losses_omitted, over);
}

// What each connection lost.

using Lost = std::map<ConnectionId, std::array<uint64_t, 2>>;

Lost lost_of(const TapeFindings& findings) {
  Lost out;
  for (const ConnectionLoss& loss : findings.losses) {
    out[loss.connection] = {loss.lost[0], loss.lost[1]};
  }
  return out;
}

// By the records themselves, without any offsets.
Lost missing(const std::string& whole, const std::string& damaged) {
  Lost out;
  for (const auto& [path, sign] : {std::pair(whole, 1), {damaged, -1}}) {
    auto reader = TapeReader::open(path);
    while (const TapeReader::Item* item = (*reader)->next()) {
      const auto* record = std::get_if<TapeRecord>(item);
      const auto* chunk = record ? std::get_if<Chunk>(&record->event) : nullptr;
      if (!chunk) continue;
      uint64_t& count = out[chunk->connection][index_of(chunk->direction)];
      count += static_cast<uint64_t>(sign) * chunk->bytes.size();
    }
  }
  std::erase_if(out, [](const auto& entry) { return entry.second == Lost::mapped_type{0, 0}; });
  return out;
}

TEST_F(Damage, BytesLostAreExactForEveryConnection) {
  Sample sample;
  sample.records_a_block = 25;
  make(sample);
  write_file(dir_ / "whole.tape", tape_);
  std::mt19937 random(7);
  for (int i = 0; i < 30; ++i) {
    size_t begin = 2 + random() % (blocks_.size() - 4);
    size_t end = begin + 1 + random() % (blocks_.size() - 2 - begin);
    TapeFindings findings = read(without(begin, end)).findings;
    SCOPED_TRACE(testing::Message() << "blocks " << begin << " to " << end);
    Lost expected = missing(dir_ / "whole.tape", path_);
    EXPECT_EQ(lost_of(findings), expected);
    EXPECT_EQ(findings.blocks_lost, end - begin);
    uint64_t sum = 0;
    for (const auto& [id, bytes] : expected) sum += bytes[0] + bytes[1];
    EXPECT_EQ(findings.bytes_lost, sum);
    EXPECT_FALSE(findings.whole());
  }
}

TEST_F(Damage, ConnectionsOfWhichNothingIsLeftAreCountedByTheTrailer) {
  auto writer = test::create(path_);
  Trailer trailer;
  for (ConnectionId id = 1; id <= 10; ++id) {
    auto now_ns = static_cast<int64_t>(id);
    ASSERT_TRUE(writer->write(now_ns, Opened{id, "a", "b", "c", "", 0}).ok());
    ASSERT_TRUE(
        writer->write_chunk(now_ns, id, Direction::client_to_server, 0, as_bytes("12345")).ok());
    Closed closed;
    closed.connection = id;
    closed.length[0] = 5;
    ASSERT_TRUE(writer->write(now_ns, closed).ok());
    ASSERT_TRUE(writer->flush().ok());
  }
  trailer.connections = 10;
  trailer.length[0] = 50;
  trailer.clean = true;
  ASSERT_TRUE(writer->finish(11, trailer).ok());
  tape_ = read_file(path_);
  blocks_ = list_blocks(path_)->blocks;
  TapeFindings findings = read(without(3, 6)).findings;
  EXPECT_EQ(findings.connections_lost, 3u);
  EXPECT_EQ(findings.bytes_lost, 15u);
  EXPECT_TRUE(findings.losses.empty());
  EXPECT_FALSE(findings.whole());
}

TEST_F(Damage, OpenedAndClosedRecordsThatAreMissingAreNamed) {
  auto writer = test::create(path_);
  for (const Event& event : {Event(Opened{1, "a", "b", "c", "", 0}),
                             Event(Chunk{1, Direction::client_to_server, 0, as_bytes("1234")}),
                             Event(Chunk{1, Direction::client_to_server, 4, as_bytes("5678")}),
                             Event(Closed{1, CloseHow::fin, ClosedBy::client, "", {8, 0}, {}})}) {
    ASSERT_TRUE(writer->write(1, event).ok());
    ASSERT_TRUE(writer->flush().ok());
  }
  Trailer trailer;
  trailer.connections = 1;
  trailer.length[0] = 8;
  ASSERT_TRUE(writer->finish(1, trailer).ok());
  tape_ = read_file(path_);
  blocks_ = list_blocks(path_)->blocks;
  TapeFindings no_opened = read(without(1, 3)).findings;
  ASSERT_EQ(no_opened.losses.size(), 1u);
  EXPECT_TRUE(no_opened.losses[0].opened_lost);
  EXPECT_FALSE(no_opened.losses[0].end_unknown);
  EXPECT_EQ(no_opened.losses[0].lost[0], 4u);
  EXPECT_EQ(no_opened.connections_lost, 0u);
  TapeFindings no_closed = read(without(3, 5)).findings;
  ASSERT_EQ(no_closed.losses.size(), 1u);
  EXPECT_TRUE(no_closed.losses[0].end_unknown);
  EXPECT_EQ(no_closed.bytes_lost, 4u) << "by the trailer";
}

TEST_F(Damage, GapsAreNotDamageButTheTapeIsNotWhole) {
  auto writer = test::create(path_);
  Gap of_one = {1, Direction::server_to_client, 10, 90, GapReason::overload, 0};
  Gap of_many = {0, Direction::client_to_server, 0, 500, GapReason::disk, 3};
  ASSERT_TRUE(writer->write(1, Opened{1, "a", "b", "c", "", 0}).ok());
  ASSERT_TRUE(
      writer->write_chunk(2, 1, Direction::server_to_client, 0, as_bytes("0123456789")).ok());
  ASSERT_TRUE(writer->write(3, of_one).ok());
  ASSERT_TRUE(writer->write(3, of_many).ok());
  ASSERT_TRUE(writer->write(4, Closed{1, CloseHow::rst, ClosedBy::server, "", {0, 100}, {}}).ok());
  Trailer trailer;
  trailer.connections = 4;
  trailer.length[0] = 500;
  trailer.length[1] = 100;
  ASSERT_TRUE(writer->finish(5, trailer).ok());
  TapeFindings findings = read_tape(path_).findings;
  EXPECT_TRUE(findings.damage.empty());
  EXPECT_EQ(findings.bytes_lost, 0u);
  EXPECT_EQ(findings.connections_lost, 0u);
  EXPECT_EQ(findings.gap_bytes, 590u);
  ASSERT_EQ(findings.losses.size(), 1u);
  EXPECT_EQ(findings.losses[0].gaps[1], 90u);
  EXPECT_FALSE(findings.whole());
}

}  // namespace
}  // namespace wiretape
