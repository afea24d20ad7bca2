// Compares two streams of bytes while both of them grow, each at its own pace: what the tape says
// the server sent, and what the target sends. Knows the first offset at which they differ.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "proto/event.h"

namespace wiretape {

class StreamCompare {
 public:
  enum class Side : uint8_t { recorded = 0, replayed = 1 };

  void feed(Side side, Bytes bytes);
  uint64_t length(Side side) const { return length_[static_cast<size_t>(side)]; }

  // Of the bytes that both sides have. Where bytes were given up it is the beginning of the
  // stretch that holds the difference, and difference_is_exact() is false.
  std::optional<uint64_t> first_difference() const { return difference_; }
  bool difference_is_exact() const { return exact_; }
  bool equal() const { return !difference_ && length_[0] == length_[1]; }

  // Bytes of the side that is ahead, waiting for the other.
  size_t held_bytes() const { return held_bytes_; }
  // Keeps digests in place of the bytes held.
  void give_up_bytes();

 private:
  // A stretch that only one side has so far: its bytes, or their digest.
  struct Stretch {
    std::vector<std::byte> bytes;
    uint64_t length = 0;  // still to be compared
    bool digested = false;
    Xxh3_128::Value digest;
  };

  void hold(Bytes bytes);
  size_t compare_with_front(Bytes bytes);
  void compare_bytes(Stretch& front, Bytes bytes);
  void compare_digest(Stretch& front, Bytes bytes);
  void found(uint64_t offset, bool exact);

  // Invariant: compared_ is the length of the shorter side, ahead_ holds the rest of the longer
  // one, and nothing is held once a difference was found.
  uint64_t length_[2] = {0, 0};
  uint64_t compared_ = 0;
  std::deque<Stretch> ahead_;
  size_t held_bytes_ = 0;
  Xxh3_128 behind_;  // digest of the other side's bytes in the front stretch
  uint64_t behind_bytes_ = 0;
  std::optional<uint64_t> difference_;
  bool exact_ = true;
};

}  // namespace wiretape
