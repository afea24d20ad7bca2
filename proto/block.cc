// A block is what a crash or a flipped bit can cost: a head that says what is in it, and a zstd
// frame of its own, so that it can be read without any other block.
//
//   +--- head, 64 bytes ------------------------------------+--- zstd frame ---------------+
//   | skippable magic, 56 | marker | numbers ... | checksum  | compressed or stored records |
//   +-------------------------------------------------------+------------------------------+
//                           \____ XXH3-64 ______/
//
// zstd frames carry no length, so without the head nothing could step over a bad one. Stored frames
// are written by hand: magic, a descriptor that says single segment with checksum and a four-byte
// content size, one raw block, and the low half of the content's XXH64. Stock zstd reads them, and
// the records go from the block's buffer to the kernel without being copied.
//
// Invariant: a packer's and an unpacker's context lives as long as it; making one costs more than
// packing a block.
#include "proto/block.h"

#include <fmt/core.h>
#include <zstd.h>

#include <cassert>
#include <cstring>
#include <new>

#include "base/digest.h"

namespace wiretape {

namespace format = tape_format;

namespace {

// Where things are in a head.
constexpr size_t at_marker = format::frame_head_bytes;
constexpr size_t at_numbers = at_marker + format::marker_bytes;
constexpr size_t at_checksum = format::block_head_bytes - 8;

constexpr uint32_t zstd_magic = 0xFD2FB528;
constexpr auto single_segment_checksum_size4 = std::byte{0xA4};
constexpr size_t stored_prefix_bytes = 4 + 1 + 4 + 3;
constexpr size_t block_maximum_bytes = 128 * 1024;  // zstd's own

void put_skippable(std::byte* out, size_t frame_bytes, const format::Marker& marker) {
  store_u32(out, format::skippable_magic);
  store_u32(out + 4, static_cast<uint32_t>(frame_bytes - format::frame_head_bytes));
  std::memcpy(out + at_marker, marker.data(), marker.size());
}

bool is_skippable(Bytes bytes, size_t frame_bytes, const format::Marker& marker) {
  return bytes.size() >= frame_bytes && load_u32(bytes, 0) == format::skippable_magic &&
         load_u32(bytes, 4) == frame_bytes - format::frame_head_bytes &&
         std::memcmp(bytes.data() + at_marker, marker.data(), marker.size()) == 0;
}

bool in_bounds(const BlockHead& head) {
  return head.raw_bytes > 0 && head.raw_bytes <= format::block_readable_bytes_max &&
         head.stored_bytes > 0 && head.stored_bytes <= format::block_readable_bytes_max &&
         head.first_ns >= 0 && head.first_ns <= head.last_ns;
}

template <typename T>
T* or_bad_alloc(T* p) {
  if (p == nullptr) throw std::bad_alloc();
  return p;
}

Error bad_block(std::string_view what) {
  return {ErrorSource::tape, fmt::format("a block is bad: {}", what)};
}

}  // namespace

uint32_t load_u32(Bytes bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | std::to_integer<uint32_t>(bytes[at + i]);
  return value;
}

uint64_t load_u64(Bytes bytes, size_t at) {
  return load_u32(bytes, at) | static_cast<uint64_t>(load_u32(bytes, at + 4)) << 32;
}

void store_u32(std::byte* out, uint32_t value) {
  for (int i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(value >> (8 * i));
}

void store_u64(std::byte* out, uint64_t value) {
  store_u32(out, static_cast<uint32_t>(value));
  store_u32(out + 4, static_cast<uint32_t>(value >> 32));
}

BlockHeadBytes encode_head(const BlockHead& head) {
  assert(in_bounds(head));
  BlockHeadBytes out{};
  put_skippable(out.data(), out.size(), format::head_marker);
  std::byte* numbers = out.data() + at_numbers;
  store_u64(numbers, head.sequence);
  store_u32(numbers + 8, head.raw_bytes);
  store_u32(numbers + 12, head.stored_bytes);
  store_u32(numbers + 16, head.records);
  store_u32(numbers + 20, head.part_tag);
  store_u64(numbers + 24, static_cast<uint64_t>(head.first_ns));
  store_u64(numbers + 32, static_cast<uint64_t>(head.last_ns));
  store_u64(out.data() + at_checksum,
            xxh3_64(Bytes(out).subspan(at_marker, at_checksum - at_marker)));
  return out;
}

std::optional<BlockHead> decode_head(Bytes bytes) {
  if (!is_skippable(bytes, format::block_head_bytes, format::head_marker)) return std::nullopt;
  uint64_t checksum = xxh3_64(bytes.subspan(at_marker, at_checksum - at_marker));
  if (load_u64(bytes, at_checksum) != checksum) return std::nullopt;
  BlockHead head;
  head.sequence = load_u64(bytes, at_numbers);
  head.raw_bytes = load_u32(bytes, at_numbers + 8);
  head.stored_bytes = load_u32(bytes, at_numbers + 12);
  head.records = load_u32(bytes, at_numbers + 16);
  head.part_tag = load_u32(bytes, at_numbers + 20);
  head.first_ns = static_cast<int64_t>(load_u64(bytes, at_numbers + 24));
  head.last_ns = static_cast<int64_t>(load_u64(bytes, at_numbers + 32));
  if (!in_bounds(head)) return std::nullopt;
  return head;
}

MagicBytes encode_magic(const Magic& magic) {
  MagicBytes out{};
  put_skippable(out.data(), out.size(), format::magic_marker);
  store_u32(out.data() + at_numbers, magic.version);
  store_u32(out.data() + at_numbers + 4, magic.part_tag);
  return out;
}

std::optional<Magic> decode_magic(Bytes bytes) {
  if (!is_skippable(bytes, format::magic_frame_bytes, format::magic_marker)) return std::nullopt;
  return Magic{load_u32(bytes, at_numbers), load_u32(bytes, at_numbers + 4)};
}

struct BlockPacker::Context {
  ZSTD_CCtx* zstd = or_bad_alloc(ZSTD_createCCtx());
  ~Context() { ZSTD_freeCCtx(zstd); }
};

BlockPacker::BlockPacker() : context_(std::make_unique<Context>()) {
  compressed_.resize(ZSTD_compressBound(format::block_raw_bytes_max));
  ZSTD_CCtx_setParameter(context_->zstd, ZSTD_c_checksumFlag, 1);
}

BlockPacker::~BlockPacker() = default;

BlockPacker::Frame BlockPacker::pack(Bytes raw, int level) {
  assert(!raw.empty() && raw.size() <= format::block_raw_bytes_max);
  return level == 0 ? store(raw) : compress(raw, level);
}

BlockPacker::Frame BlockPacker::store(Bytes raw) {
  static_assert(format::block_raw_bytes_max <= block_maximum_bytes);
  auto size = static_cast<uint32_t>(raw.size());
  uint32_t last_raw_block = 1 | size << 3;
  store_u32(prefix_.data(), zstd_magic);
  prefix_[4] = single_segment_checksum_size4;
  store_u32(prefix_.data() + 5, size);
  for (size_t i = 0; i < 3; ++i) {
    prefix_[9 + i] = static_cast<std::byte>(last_raw_block >> (8 * i));
  }
  static_assert(sizeof(prefix_) == stored_prefix_bytes);
  store_u32(suffix_.data(), static_cast<uint32_t>(xxh64(raw)));
  return {Bytes(prefix_), raw, Bytes(suffix_)};
}

BlockPacker::Frame BlockPacker::compress(Bytes raw, int level) {
  ZSTD_CCtx_setParameter(context_->zstd, ZSTD_c_compressionLevel, level);
  size_t size = ZSTD_compress2(context_->zstd, compressed_.data(), compressed_.size(), raw.data(),
                               raw.size());
  assert(!ZSTD_isError(size) && "the output is as large as zstd can need");
  return {Bytes(compressed_).first(size), Bytes(), Bytes()};
}

struct BlockUnpacker::Context {
  ZSTD_DCtx* zstd = or_bad_alloc(ZSTD_createDCtx());
  ~Context() { ZSTD_freeDCtx(zstd); }
};

BlockUnpacker::BlockUnpacker() : context_(std::make_unique<Context>()) {}
BlockUnpacker::~BlockUnpacker() = default;

Result<Bytes> BlockUnpacker::unpack(Bytes frame, const BlockHead& head) {
  assert(head.raw_bytes <= format::block_readable_bytes_max);
  // The descriptor's third bit says that there is a checksum; without it nothing would be proven.
  constexpr auto checksum_flag = std::byte{0x04};
  if (frame.size() < 5 || load_u32(frame, 0) != zstd_magic) return bad_block("no zstd frame");
  if ((frame[4] & checksum_flag) == std::byte{0}) return bad_block("it has no checksum");
  if (raw_.size() < head.raw_bytes) raw_.resize(head.raw_bytes);
  size_t size =
      ZSTD_decompressDCtx(context_->zstd, raw_.data(), head.raw_bytes, frame.data(), frame.size());
  if (ZSTD_isError(size)) return bad_block(ZSTD_getErrorName(size));
  if (size != head.raw_bytes) return bad_block("its size is not what its head says");
  return Bytes(raw_).first(size);
}

size_t frame_bytes(Bytes bytes) {
  size_t size = ZSTD_findFrameCompressedSize(bytes.data(), bytes.size());
  return ZSTD_isError(size) ? 0 : size;
}

}  // namespace wiretape
