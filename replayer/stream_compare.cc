// An opaque connection is one unit of comparison: all that the server sent. Neither side can be
// held whole, and neither is always the first: the tape is read ahead of the run, and the target
// may answer faster than the tape is read.
//
//   recorded  ===================>            only what the one side has more than the
//   replayed  ===========>                    other is held: `ahead_`
//                         [ahead_]
//
// That is little while a run goes well. When the target falls far behind (a long download over a
// slower link), give_up_bytes() turns what is held into one digest for each stretch of at most
// 64 KiB: 16 bytes instead of 65,536. A difference is then known to its stretch instead of to its
// byte, which is all it costs.
//
// After the first difference only lengths are counted.
#include "replayer/stream_compare.h"

#include <algorithm>
#include <cassert>

namespace wiretape {
namespace {
constexpr size_t stretch_bytes_max = 64 * 1024;
}

void StreamCompare::feed(Side side, Bytes bytes) {
  uint64_t& mine = length_[static_cast<size_t>(side)];
  const uint64_t theirs = length_[1 - static_cast<size_t>(side)];
  while (!bytes.empty() && !difference_ && mine < theirs) {
    const size_t n = compare_with_front(bytes);
    mine += n;
    bytes = bytes.subspan(n);
  }
  mine += bytes.size();
  if (!difference_) hold(bytes);
  assert(difference_ || compared_ + behind_bytes_ == std::min(length_[0], length_[1]));
}

void StreamCompare::hold(Bytes bytes) {
  while (!bytes.empty()) {
    const Bytes part = bytes.first(std::min(bytes.size(), stretch_bytes_max));
    Stretch* last = ahead_.empty() ? nullptr : &ahead_.back();
    if (last == nullptr || last->digested || last->bytes.size() + part.size() > stretch_bytes_max) {
      last = &ahead_.emplace_back();
    }
    last->bytes.insert(last->bytes.end(), part.begin(), part.end());
    last->length += part.size();
    held_bytes_ += part.size();
    bytes = bytes.subspan(part.size());
  }
}

// Returns how many bytes of the side that is behind were compared.
size_t StreamCompare::compare_with_front(Bytes bytes) {
  assert(!ahead_.empty());
  Stretch& front = ahead_.front();
  const size_t n = std::min<uint64_t>(bytes.size(), front.length - behind_bytes_);
  if (front.digested) {
    compare_digest(front, bytes.first(n));
  } else {
    compare_bytes(front, bytes.first(n));
  }
  if (!ahead_.empty() && ahead_.front().length == 0) ahead_.pop_front();
  return n;
}

void StreamCompare::compare_bytes(Stretch& front, Bytes bytes) {
  const auto begin = front.bytes.end() - static_cast<ptrdiff_t>(front.length);
  const auto [mine, theirs] = std::mismatch(bytes.begin(), bytes.end(), begin);
  if (mine != bytes.end()) {
    return found(compared_ + static_cast<uint64_t>(mine - bytes.begin()), true);
  }
  front.length -= bytes.size();
  held_bytes_ -= bytes.size();
  compared_ += bytes.size();
}

void StreamCompare::compare_digest(Stretch& front, Bytes bytes) {
  behind_.update(bytes);
  behind_bytes_ += bytes.size();
  if (behind_bytes_ < front.length) return;
  if (behind_.digest() != front.digest) return found(compared_, false);
  compared_ += front.length;
  front.length = 0;
  behind_.reset();
  behind_bytes_ = 0;
}

void StreamCompare::found(uint64_t offset, bool exact) {
  difference_ = offset;
  exact_ = exact;
  ahead_.clear();
  held_bytes_ = 0;
  behind_bytes_ = 0;
}

void StreamCompare::give_up_bytes() {
  for (Stretch& stretch : ahead_) {
    if (stretch.digested) continue;
    Xxh3_128 digest;
    digest.update(Bytes(stretch.bytes).last(stretch.length));
    stretch.digest = digest.digest();
    stretch.digested = true;
    stretch.bytes = {};
  }
  held_bytes_ = 0;
}

}  // namespace wiretape
