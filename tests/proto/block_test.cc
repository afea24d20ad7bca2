// Heads and frames of blocks: what is written is read, and nothing else is.
#include "proto/block.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

namespace wiretape {
namespace {

BlockHead sample_head() {
  return {7, 1000, 900, 12, 0xABCD, 5, 99, 0x123456789ABCDEF0};
}

BlockBuffer block_with(std::string_view records) {
  BlockBuffer block;
  std::memcpy(block.end(), records.data(), records.size());
  block.set_end(block.end() + records.size());
  return block;
}

std::string joined(const BlockPacker::Frame& frame) {
  std::string out;
  for (Bytes piece : frame.pieces) out += as_text(piece);
  return out;
}

std::string random_text(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::string out(count, '\0');
  for (char& c : out) c = static_cast<char>(random());
  return out;
}

BlockHead head_of(const BlockPacker::Frame& frame) {
  BlockHead head = sample_head();
  head.raw_bytes = static_cast<uint32_t>(frame.raw_bytes);
  head.stored_bytes = static_cast<uint32_t>(frame.stored_bytes());
  head.stored_checksum = frame.checksum();
  return head;
}

TEST(BlockHead, IsReadAsItWasWritten) {
  EXPECT_EQ(decode_head(encode_head(sample_head())), sample_head());
}

TEST(BlockHead, WithAnyBitFlippedIsRefused) {
  for (size_t bit = 0; bit < 8 * tape_format::block_head_bytes; ++bit) {
    BlockHeadBytes bytes = encode_head(sample_head());
    bytes[bit / 8] ^= static_cast<std::byte>(1 << bit % 8);
    EXPECT_EQ(decode_head(bytes), std::nullopt) << bit;
  }
}

TEST(BlockHead, CutShortIsRefused) {
  BlockHeadBytes bytes = encode_head(sample_head());
  for (size_t count = 0; count < bytes.size(); ++count) {
    EXPECT_EQ(decode_head(Bytes(bytes).first(count)), std::nullopt) << count;
  }
}

TEST(Magic, IsReadAsItWasWritten) {
  std::optional<Magic> magic = decode_magic(encode_magic({1, 0x12345678}));
  ASSERT_TRUE(magic);
  EXPECT_EQ(magic->version, 1u);
  EXPECT_EQ(magic->part_tag, 0x12345678u);
}

class Level : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Block, Level, testing::Values(0, 1, 3, -5, 9, 10, 19));

TEST_P(Level, OfAnySizeComesBack) {
  BlockPacker packer;
  BlockUnpacker unpacker;
  for (size_t size : {size_t{1}, size_t{2}, size_t{100}, size_t{70'000}, block_records_bytes_max}) {
    std::string noise = random_text(size, 3);
    for (const std::string& records : {noise, std::string(size, 'x')}) {
      BlockBuffer block = block_with(records);
      BlockPacker::Frame frame = packer.pack(block, GetParam());
      std::string stored = joined(frame);
      ASSERT_LE(stored.size(), tape_format::block_readable_bytes_max);
      ASSERT_LE(frame.raw_bytes, tape_format::block_raw_bytes_max);
      Result<Bytes> raw = unpacker.unpack(as_bytes(stored), head_of(frame));
      ASSERT_TRUE(raw.ok()) << raw.error().message;
      ASSERT_TRUE(as_text(*raw).ends_with(records));
      EXPECT_EQ(frame_bytes(as_bytes(stored)), stored.size());
    }
  }
}

// Stock zstd hands out what it has of a torn raw block, but nothing of a torn compressed one.
TEST_P(Level, FramesHoldOneCompressedBlock) {
  BlockPacker packer;
  std::string half_noise = random_text(60'000, 4) + std::string(60'000, 'x');
  for (const std::string& records : {random_text(100'000, 5), half_noise, std::string("one")}) {
    BlockBuffer block = block_with(records);
    std::string stored = joined(packer.pack(block, GetParam()));
    size_t size_bytes = size_t{1} << (static_cast<uint8_t>(stored[4]) >> 6);
    ASSERT_TRUE(stored[4] & 0x20) << "a single segment";
    EXPECT_EQ(stored[5 + size_bytes] & 7, 1 | 2 << 1) << "last, and compressed";
  }
}

TEST_P(Level, WithAnyBitFlippedIsRefused) {
  BlockPacker packer;
  BlockUnpacker unpacker;
  std::string records = random_text(150, 6) + std::string(150, 'y');
  BlockBuffer block = block_with(records);
  BlockPacker::Frame frame = packer.pack(block, GetParam());
  std::string stored = joined(frame);
  for (size_t bit = 0; bit < 8 * stored.size(); ++bit) {
    std::string flipped = stored;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    Result<Bytes> raw = unpacker.unpack(as_bytes(flipped), head_of(frame));
    EXPECT_FALSE(raw.ok()) << bit;
  }
}

TEST(Block, IncompressibleRecordsGrowByLessThanAHundredBytes) {
  BlockPacker packer;
  BlockBuffer block = block_with(random_text(100'000, 8));
  EXPECT_LT(packer.pack(block, 1).stored_bytes(), 100'100u);
}

}  // namespace
}  // namespace wiretape
