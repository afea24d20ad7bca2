// Finds the frames of a tape in a stream of bytes that may be damaged anywhere: blocks, magic
// frames, index frames, and what lies between. Reads ahead at most one frame.
//
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "proto/block.h"

namespace wiretape {

// A window over a file or pipe: what was read and not yet let go.
class InputWindow {
 public:
  static constexpr size_t window_bytes_max = 768 * 1024;

  // Takes the descriptor over.
  explicit InputWindow(int fd) : fd_(fd) {}
  ~InputWindow();
  InputWindow(const InputWindow&) = delete;
  InputWindow& operator=(const InputWindow&) = delete;

  // Everything at hand: at least `count` bytes, or all there are before the end.
  Bytes peek(size_t count);
  // Lets go of bytes that were seen.
  void drop(size_t count);
  uint64_t offset() const { return offset_; }  // of the window's first byte
  int fd() const { return fd_; }
  int read_errno() const { return read_errno_; }  // why reading ended; 0: end of file

 private:
  void fill(size_t count);

  int fd_;
  std::unique_ptr<std::byte[]> buffer_;  // not cleared: most tapes are shorter
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t offset_ = 0;
  bool at_end_ = false;
  int read_errno_ = 0;
};

// A block; the bytes of its zstd frame are valid until the next next().
struct BlockFrame {
  BlockHead head;
  uint64_t file_offset = 0;  // of its head
  Bytes frame;
};

struct MagicFrame {
  uint64_t file_offset = 0;
  Magic magic;
};

// An index frame whose checksum holds, or a frame of somebody else's: nothing to be read here.
struct SkippedFrame {
  uint64_t file_offset = 0;
};

// Bytes that are no part of a tape, up to something that is.
struct BadBytes {
  uint64_t file_offset = 0;
  uint64_t count = 0;
  bool one_block = false;  // it is exactly one block, whose head is bad or missing
  std::string what;
};

// The end: whatever was left could not be a frame.
struct EndOfFrames {
  uint64_t torn_bytes = 0;
};

using Frame = std::variant<BlockFrame, MagicFrame, SkippedFrame, BadBytes, EndOfFrames>;

class FrameReader {
 public:
  // Takes the descriptor over.
  explicit FrameReader(int fd) : input_(fd) {}

  Frame next();
  // The block that was just handed out is bad: if no frame stands behind it either, the next one is
  // looked for inside it.
  void distrust_block();
  InputWindow& input() { return input_; }
  const InputWindow& input() const { return input_; }

 private:
  std::optional<Frame> frame_here();
  std::optional<Frame> block_here(const BlockHead& head);
  std::optional<Frame> index_here(size_t length);
  std::optional<Frame> foreign_here(size_t length);
  std::optional<Frame> step_over_bad();
  Frame search();

  InputWindow input_;
  size_t pending_ = 0;          // bytes handed out, to be let go by the next call
  const char* complaint_ = "";  // why there is no frame here
};

}  // namespace wiretape
