// A block is what a crash or a flipped bit can cost: a head that says what is in it, and a zstd
// frame of its own, so that it can be read without any other block.
//
//   +--- head, 72 bytes ------------------------------------+--- zstd frame ---------------+
//   | skippable magic, 64 | marker | numbers ... | checksum  | compressed or stored records |
//   +-------------------------------------------------------+------------------------------+
//                           \____ XXH3-64 ______/       \____ XXH3-64, among the numbers ___/
//
// zstd frames carry no length, so without the head nothing could step over a bad one. zstd's own
// checksum is of the content, and some bits of a frame can flip without changing that; so the head
// has one of the frame, and nothing is decompressed before it holds.
//
// Storing. A zstd block of type "raw" would be the obvious way, but stock zstd hands out what is
// there of a torn raw block, and half a record makes protoc refuse the whole tape. Of a torn
// *compressed* block it hands out nothing. So a stored block is a compressed one, written by hand:
// its literals are the records as they are, and its one sequence repeats a zero, because the format
// wants a compressed block to be smaller than its content (RFC 8878, 3.1.1.2). The zeros are the
// field Tape.padding, which the reader skips:
//
//   content    12 10 00 | 00 x 15 | records ...        12 10: padding, 16 bytes
//   literals   12 10 00           | records ...        as they are, never copied
//   sequence   after 3 literals repeat the last byte 15 times
//
// For the same reason what zstd itself would leave raw, or split, is stored.
//
// Invariant: a packer's and an unpacker's context lives as long as it; making one costs more than
// packing a block. A BlockBuffer's records never take more than block_records_bytes_max.
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

// The frame's descriptor: single segment, content checksum, content size of four bytes.
constexpr uint8_t stored_descriptor = 0xA4;
constexpr uint32_t last_block = 1;
constexpr uint32_t compressed_block = 2 << 1;
// Raw literals with a size of 20 bits.
constexpr uint32_t raw_literals = 3 << 2;
constexpr size_t literals_head_bytes = 3;
constexpr size_t padding_literals = 3;  // tag, length, the first zero
// One sequence; all three codes are constants; 3 literals; offset code 2, extra bits 0: one byte
// back; match length code 12: 15 bytes; the bit stream holds the two extra bits.
constexpr std::array<uint8_t, 6> one_sequence = {1, 0x54, 3, 2, padding_zeros - 1 - 3, 0x04};
static_assert(padding_zeros - 1 > literals_head_bytes + one_sequence.size());

// Splitting into several zstd blocks begins with the strategies above this one.
constexpr int strategy_max = ZSTD_btlazy2;
constexpr int level_of_free_strategy_max = 9;

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

void store_u24(std::byte* out, uint32_t value) {
  for (int i = 0; i < 3; ++i) out[i] = static_cast<std::byte>(value >> (8 * i));
}

// Of a frame that zstd made for us: without dictionary, with content size.
bool is_one_compressed_block(Bytes frame) {
  auto descriptor = std::to_integer<uint32_t>(frame[4]);
  bool single_segment = (descriptor & 0x20) != 0;
  size_t content_size_bytes = size_t{1} << (descriptor >> 6);
  if (!single_segment && content_size_bytes == 1) content_size_bytes = 0;
  auto block = std::to_integer<uint32_t>(frame[5 + content_size_bytes + (single_segment ? 0 : 1)]);
  return (block & 7) == (last_block | compressed_block);
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
  store_u64(numbers + 40, head.stored_checksum);
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
  head.stored_checksum = load_u64(bytes, at_numbers + 40);
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

BlockBuffer::BlockBuffer() : bytes_(tape_format::block_raw_bytes_max) {
  bytes_[0] = std::byte{0x12};
  bytes_[1] = std::byte{padding_zeros};
}

void BlockBuffer::set_end(const std::byte* new_end) {
  assert(new_end >= bytes_.data() + padding_bytes && new_end <= bytes_.data() + bytes_.size());
  size_ = static_cast<size_t>(new_end - bytes_.data()) - padding_bytes;
}

void BlockBuffer::resize(size_t size) {
  assert(size <= size_);
  size_ = size;
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

BlockPacker::Frame BlockPacker::pack(const BlockBuffer& block, int level) {
  assert(block.size() > 0);
  Frame frame;
  if (level != 0 && compress(block.records(), level, frame)) return frame;
  return store(block);
}

uint64_t BlockPacker::Frame::checksum() const {
  return xxh3_64_of_pieces(pieces);
}

BlockPacker::Frame BlockPacker::store(const BlockBuffer& block) {
  Bytes content = block.padded();
  auto literals = static_cast<uint32_t>(padding_literals + block.size());
  auto block_size = static_cast<uint32_t>(literals_head_bytes + literals + one_sequence.size());
  assert(block_size < content.size());
  std::byte* out = prefix_.data();
  store_u32(out, zstd_magic);
  out[4] = std::byte{stored_descriptor};
  store_u32(out + 5, static_cast<uint32_t>(content.size()));
  store_u24(out + 9, last_block | compressed_block | block_size << 3);
  store_u24(out + 12, raw_literals | literals << 4);
  std::memcpy(out + 15, content.data(), padding_literals);
  static_assert(sizeof(prefix_) == 15 + padding_literals);
  std::memcpy(suffix_.data(), one_sequence.data(), one_sequence.size());
  store_u32(suffix_.data() + one_sequence.size(), static_cast<uint32_t>(xxh64(content)));
  return {{Bytes(prefix_), block.records(), Bytes(suffix_)}, content.size()};
}

bool BlockPacker::compress(Bytes raw, int level, Frame& frame) {
  ZSTD_CCtx* zstd = context_->zstd;
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(zstd, ZSTD_c_strategy,
                         level > level_of_free_strategy_max ? strategy_max : 0);
  size_t size =
      ZSTD_compress2(zstd, compressed_.data(), compressed_.size(), raw.data(), raw.size());
  assert(!ZSTD_isError(size) && "the output is as large as zstd can need");
  frame = {{Bytes(compressed_).first(size), Bytes(), Bytes()}, raw.size()};
  return is_one_compressed_block(frame.pieces[0]);
}

struct BlockUnpacker::Context {
  ZSTD_DCtx* zstd = or_bad_alloc(ZSTD_createDCtx());
  ~Context() { ZSTD_freeDCtx(zstd); }
};

BlockUnpacker::BlockUnpacker() : context_(std::make_unique<Context>()) {}
BlockUnpacker::~BlockUnpacker() = default;

Result<Bytes> BlockUnpacker::unpack(Bytes frame, const BlockHead& head) {
  assert(head.raw_bytes <= format::block_readable_bytes_max);
  if (xxh3_64(frame) != head.stored_checksum) return bad_block("its checksum is wrong");
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
