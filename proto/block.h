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

// Makes zstd frames. Level 0 stores: a frame of one raw block, which costs a checksum and no copy.
class BlockPacker {
 public:
  BlockPacker();
  ~BlockPacker();
  BlockPacker(const BlockPacker&) = delete;
  BlockPacker& operator=(const BlockPacker&) = delete;

  // The frame, in pieces; valid until the next call and as long as `raw` is.
  using Frame = std::array<Bytes, 3>;
  Frame pack(Bytes raw, int level);

 private:
  struct Context;
  Frame store(Bytes raw);
  Frame compress(Bytes raw, int level);

  std::unique_ptr<Context> context_;
  std::vector<std::byte> compressed_;
  std::array<std::byte, 12> prefix_{};
  std::array<std::byte, 4> suffix_{};
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
