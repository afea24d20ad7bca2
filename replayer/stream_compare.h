// Compares two streams of bytes while both of them grow, each at its own pace: what the tape says
// the server sent, and what the target sends. Knows the first offset at which they differ, and what
// stands there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "proto/event.h"

namespace wiretape {

class StreamCompare {
 public:
  enum class Side : uint8_t { recorded = 0, replayed = 1 };

  void feed(Side side, Bytes bytes);
  uint64_t length(Side side) const { return length_[index(side)]; }

  // Of the bytes that both sides have. Where bytes were given up it is the beginning of the
  // stretch that holds the difference, and difference_is_exact() is false.
  std::optional<uint64_t> first_difference() const { return difference_; }
  bool difference_is_exact() const;
  bool equal() const { return !difference_ && length_[0] == length_[1]; }
  // The first difference, or where the shorter side ends, as exact as above.
  uint64_t differs_from() const;
  // Some bytes before it and of the side behind it, in quotes or in hex; empty when they were
  // given up.
  std::string around_difference(Side side) const;

  // What the bytes of the side that is ahead take while they wait for the other.
  size_t held_bytes() const { return ahead_.empty() ? 0 : ahead_.capacity(); }
  // Keeps digests in place of the bytes held.
  void give_up_bytes();
  // As new, but for some memory that is used again.
  void reset();

 private:
  struct Digests;
  struct FreeDigests {
    void operator()(Digests* digests) const;
  };

  static constexpr size_t index(Side side) { return static_cast<size_t>(side); }
  static Side other(Side side) { return side == Side::recorded ? Side::replayed : Side::recorded; }
  Bytes waiting() const { return Bytes(ahead_).subspan(taken_); }
  size_t compare_with_front(Side side, Bytes bytes);
  size_t compare_bytes(Side side, Bytes bytes);
  size_t compare_digest(Bytes bytes);
  void take(size_t n);
  void remember(Bytes equal);
  void quote(Side side, Bytes bytes);
  void found(uint64_t offset, bool exact);
  uint64_t digested_behind() const;

  // Invariant: compared_ is the length of the shorter side, what digests_ and then ahead_ from
  // taken_ on stand for is the rest of the longer one, and neither is there once a difference was
  // found.
  uint64_t length_[2] = {0, 0};
  uint64_t compared_ = 0;
  std::vector<std::byte> ahead_;
  size_t taken_ = 0;                               // of ahead_, compared already
  std::unique_ptr<Digests, FreeDigests> digests_;  // what was given up, before ahead_
  std::optional<uint64_t> difference_;
  bool exact_ = true;
  std::string before_;     // the last bytes that were equal
  std::string behind_[2];  // each side's first bytes from the difference on
};

}  // namespace wiretape
