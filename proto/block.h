// One block: its head, and its zstd frame. docs/tape_format.md has the layout.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "proto/event.h"
#include "proto/tape_format.h"

namespace wiretape {

struct BlockHead {
  uint64_t sequence = 0;  // counts from 0 in its part
  uint32_t raw_bytes = 0;
  uint32_t stored_bytes = 0;
  uint32_t records = 0;
  uint32_t part_tag = 0;  // the same in all heads of a part, and most likely in no other part's
  int64_t first_ns = 0;
  int64_t last_ns = 0;
  uint64_t stored_checksum = 0;  // XXH3-64 of the zstd frame, as it stands in the file

  bool operator==(const BlockHead&) const = default;
};

using BlockHeadBytes = std::array<std::byte, tape_format::block_head_bytes>;
using MagicBytes = std::array<std::byte, tape_format::magic_frame_bytes>;

BlockHeadBytes encode_head(const BlockHead& head);
// Nothing unless all of it is right: frame, marker, checksum and bounds.
std::optional<BlockHead> decode_head(Bytes bytes);

struct Magic {
  uint32_t version = 0;
  uint32_t part_tag = 0;
};
MagicBytes encode_magic(const Magic& magic);
std::optional<Magic> decode_magic(Bytes bytes);

uint32_t load_u32(Bytes bytes, size_t at);
uint64_t load_u64(Bytes bytes, size_t at);
void store_u32(std::byte* out, uint32_t value);
void store_u64(std::byte* out, uint64_t value);

// What a stored block begins with: the field Tape.padding. See block.cc.
inline constexpr size_t padding_zeros = 16;
inline constexpr size_t padding_bytes = 2 + padding_zeros;

// The most that a block's records can take.
inline constexpr size_t block_records_bytes_max = tape_format::block_raw_bytes_max - padding_bytes;

// Where records gather. The padding stands before them, so that storing them needs no copy.
class BlockBuffer {
 public:
  BlockBuffer();

  std::byte* end() { return bytes_.data() + padding_bytes + size_; }
  void set_end(const std::byte* end);
  size_t size() const { return size_; }  // of the records
  size_t room() const { return block_records_bytes_max - size_; }
  void resize(size_t size);  // smaller
  Bytes records() const { return Bytes(bytes_).subspan(padding_bytes, size_); }
  Bytes padded() const { return Bytes(bytes_).first(padding_bytes + size_); }

 private:
  std::vector<std::byte> bytes_;
  size_t size_ = 0;
};

// Makes zstd frames of exactly one compressed block. Level 0 stores, which costs checksums (zstd's
// of the content, ours of the frame) and no copy; so does what can't be compressed.
class BlockPacker {
 public:
  BlockPacker();
  ~BlockPacker();
  BlockPacker(const BlockPacker&) = delete;
  BlockPacker& operator=(const BlockPacker&) = delete;

  // A frame, in pieces; valid until the next call and as long as the records are.
  struct Frame {
    std::array<Bytes, 3> pieces;
    size_t raw_bytes = 0;
    size_t stored_bytes() const { return pieces[0].size() + pieces[1].size() + pieces[2].size(); }
    uint64_t checksum() const;  // for the head
  };
  Frame pack(const BlockBuffer& block, int level);

 private:
  struct Context;
  Frame store(const BlockBuffer& block);
  // False when zstd did not make one compressed block of it.
  bool compress(Bytes raw, int level, Frame& frame);

  std::unique_ptr<Context> context_;
  std::vector<std::byte> compressed_;
  std::array<std::byte, 18> prefix_{};
  std::array<std::byte, 10> suffix_{};
};

// Takes zstd frames apart, and believes none of them.
class BlockUnpacker {
 public:
  BlockUnpacker();
  ~BlockUnpacker();
  BlockUnpacker(const BlockUnpacker&) = delete;
  BlockUnpacker& operator=(const BlockUnpacker&) = delete;

  // The records; valid until the next call. The error's message says what is wrong with the frame.
  Result<Bytes> unpack(Bytes frame, const BlockHead& head);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  std::vector<std::byte> raw_;
};

// The length of the zstd frame at the beginning of `bytes`; 0 when there is no whole one.
size_t frame_bytes(Bytes bytes);

}  // namespace wiretape
