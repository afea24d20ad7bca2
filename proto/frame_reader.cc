// Everything that a reader needs to survive is here, so that what is above sees whole frames only.
//
//   file or pipe -> InputWindow -> FrameReader -> block | magic | skipped | bad bytes | end
//
// A frame that is right is handed out. Where none is right there are three ways on, from the surest
// to the least sure:
//   1. the head is bad, but a whole zstd frame follows and a frame follows that: one block is lost;
//      or a magic or index frame is bad, and a frame stands where it ends;
//   2. search for the next head whose checksum holds, or for a magic frame with such a head behind;
//   3. nothing until the end of the file: the tail is torn, which is normal.
// A block whose head is right is never searched, even when the file ends inside it: a recorded tape
// may lie in there, byte for byte.
//
// Invariant: begin_ <= end_ <= window_bytes_max, and offset_ is the file's offset of begin_.
#include "proto/frame_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "base/digest.h"

namespace wiretape {

namespace format = tape_format;

namespace {

constexpr size_t search_step_bytes = 64 * 1024;
constexpr size_t index_prefix_bytes = format::frame_head_bytes + format::marker_bytes + 8;
constexpr size_t foreign_bytes_max = 256 * 1024;

static_assert(InputWindow::window_bytes_max >
              2 * (format::block_head_bytes + format::block_readable_bytes_max));
static_assert(InputWindow::window_bytes_max >
              index_prefix_bytes + format::index_readable_bytes_max);

bool has_marker(Bytes bytes, const format::Marker& marker) {
  return bytes.size() >= format::frame_head_bytes + marker.size() &&
         std::memcmp(bytes.data() + format::frame_head_bytes, marker.data(), marker.size()) == 0;
}

// zstd has sixteen magic numbers for skippable frames. One is ours, the others are anybody's.
bool is_skippable(Bytes bytes) {
  return bytes.size() >= format::frame_head_bytes && load_u32(bytes, 0) >> 4 == 0x184D2A5;
}

bool starts_frame(Bytes bytes) {
  if (bytes.empty()) return true;  // the end is as good
  if (has_marker(bytes, format::head_marker)) return decode_head(bytes).has_value();
  return is_skippable(bytes);
}

bool starts_part(Bytes bytes) {
  std::optional<Magic> magic = decode_magic(bytes);
  if (!magic) return false;
  std::optional<BlockHead> head = decode_head(bytes.subspan(format::magic_frame_bytes));
  return head && head->part_tag == magic->part_tag && head->sequence == 0;
}

Bytes behind(Bytes bytes, size_t count) {
  return bytes.subspan(std::min(count, bytes.size()));
}

// Where the next possible frame of ours begins, from `from` on; bytes.size() when nowhere.
size_t find_skippable_magic(Bytes bytes, size_t from) {
  std::byte magic[4];
  store_u32(magic, format::skippable_magic);
  if (from >= bytes.size()) return bytes.size();
  const void* found = memmem(bytes.data() + from, bytes.size() - from, magic, sizeof(magic));
  if (found == nullptr) return bytes.size();
  return static_cast<size_t>(static_cast<const std::byte*>(found) - bytes.data());
}

}  // namespace

InputWindow::~InputWindow() {
  if (fd_ > STDERR_FILENO) close(fd_);
}

Bytes InputWindow::peek(size_t count) {
  assert(count <= window_bytes_max);
  if (end_ - begin_ < count && !at_end_) fill(count);
  return {buffer_.get() + begin_, end_ - begin_};
}

void InputWindow::drop(size_t count) {
  assert(count <= end_ - begin_);
  begin_ += count;
  offset_ += count;
}

void InputWindow::fill(size_t count) {
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<std::byte[]>(window_bytes_max);
  if (begin_ + count > window_bytes_max) {
    std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  while (end_ - begin_ < count) {
    ssize_t got = read(fd_, buffer_.get() + end_, window_bytes_max - end_);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      at_end_ = true;
      read_errno_ = got < 0 ? errno : 0;
      return;
    }
    end_ += static_cast<size_t>(got);
    assert(begin_ <= end_ && end_ <= window_bytes_max);
  }
}

Frame FrameReader::next() {
  input_.drop(pending_);
  pending_ = 0;
  if (input_.peek(1).empty()) return EndOfFrames{};
  if (std::optional<Frame> frame = frame_here()) return *std::move(frame);
  if (std::optional<Frame> block = step_over_bad()) return *std::move(block);
  return search();
}

void FrameReader::distrust_block() {
  Bytes at_hand = input_.peek(pending_ + format::block_head_bytes);
  if (!starts_frame(behind(at_hand, pending_))) pending_ = format::block_head_bytes;
}

std::optional<Frame> FrameReader::frame_here() {
  complaint_ = "this is no frame of a tape";
  Bytes at_hand = input_.peek(format::block_head_bytes);
  if (std::optional<BlockHead> head = decode_head(at_hand)) return block_here(*head);
  if (std::optional<Magic> magic = decode_magic(at_hand)) {
    pending_ = format::magic_frame_bytes;
    return MagicFrame{input_.offset(), *magic};
  }
  if (has_marker(at_hand, format::head_marker)) {
    complaint_ = "a block head is bad";
    return std::nullopt;
  }
  if (!is_skippable(at_hand)) return std::nullopt;
  bool our_magic = load_u32(at_hand, 0) == format::skippable_magic;
  bool is_index = has_marker(at_hand, format::index_marker);
  size_t length = load_u32(at_hand, 4);
  if (our_magic && is_index) return index_here(length);
  // One flipped bit must not make a frame of ours a foreign one, which is skipped in silence.
  if (our_magic || is_index || has_marker(at_hand, format::magic_marker)) return std::nullopt;
  return foreign_here(length);
}

std::optional<Frame> FrameReader::block_here(const BlockHead& head) {
  size_t whole = format::block_head_bytes + head.stored_bytes;
  Bytes at_hand = input_.peek(whole);
  if (at_hand.size() < whole) {
    pending_ = at_hand.size();
    return EndOfFrames{at_hand.size()};
  }
  pending_ = whole;
  return BlockFrame{head, input_.offset(),
                    at_hand.subspan(format::block_head_bytes, head.stored_bytes)};
}

std::optional<Frame> FrameReader::index_here(size_t length) {
  complaint_ = "an index is bad";
  size_t payload_begin = format::marker_bytes + 8;
  if (length < payload_begin || length > format::index_readable_bytes_max) return std::nullopt;
  Bytes at_hand = input_.peek(format::frame_head_bytes + length);
  if (at_hand.size() < format::frame_head_bytes + length) return std::nullopt;
  Bytes payload = at_hand.subspan(index_prefix_bytes, length - payload_begin);
  if (load_u64(at_hand, index_prefix_bytes - 8) != xxh3_64(payload)) return std::nullopt;
  pending_ = format::frame_head_bytes + length;
  return SkippedFrame{input_.offset()};
}

std::optional<Frame> FrameReader::foreign_here(size_t length) {
  if (length > foreign_bytes_max) return std::nullopt;
  size_t whole = format::frame_head_bytes + length;
  if (input_.peek(whole).size() < whole) return std::nullopt;
  pending_ = whole;
  return SkippedFrame{input_.offset()};
}

// A bad frame of ours with the right length, or a bad head (or none) with its block; and a frame
// behind that.
std::optional<Frame> FrameReader::step_over_bad() {
  size_t most = 2 * format::block_head_bytes + format::block_readable_bytes_max;
  Bytes at_hand = input_.peek(most);
  for (size_t head : {size_t{0}, format::block_head_bytes}) {
    Bytes block = behind(at_hand, head);
    size_t length = block.empty() ? 0 : frame_bytes(block);
    if (length == 0 || !starts_frame(behind(block, length))) continue;
    pending_ = head + length;
    bool one_block = !is_skippable(block);
    return BadBytes{input_.offset(), pending_, one_block, complaint_};
  }
  return std::nullopt;
}

Frame FrameReader::search() {
  uint64_t begin = input_.offset();
  size_t from = 1;  // not here
  constexpr size_t need = format::magic_frame_bytes + format::block_head_bytes;
  while (true) {
    Bytes at_hand = input_.peek(search_step_bytes);
    size_t found = find_skippable_magic(at_hand, from);
    bool at_end = at_hand.size() < search_step_bytes;
    if (found == at_hand.size() && at_end) {
      input_.drop(at_hand.size());
      return EndOfFrames{input_.offset() - begin};
    }
    input_.drop(found == at_hand.size() ? found - 3 : found);
    from = 0;
    if (found == at_hand.size()) continue;
    Bytes candidate = input_.peek(need);
    if (decode_head(candidate) || starts_part(candidate)) {
      return BadBytes{begin, input_.offset() - begin, false, complaint_};
    }
    from = 1;
  }
}

}  // namespace wiretape
