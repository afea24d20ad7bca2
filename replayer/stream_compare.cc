// What a server sends is one unit of comparison: an opaque connection's stream, or a body. Neither
// side can be held whole, and neither is always the first: the tape is read ahead of the run, and
// the target may answer faster than the tape is read.
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
// After the first difference only lengths are counted, and a few bytes kept to be shown.
#include "replayer/stream_compare.h"

#include <algorithm>
#include <cassert>

#include "replayer/quote.h"

namespace wiretape {
namespace {

constexpr size_t stretch_bytes_max = 64 * 1024;
constexpr size_t retained_bytes_max = 16 * 1024;  // from use to use
constexpr size_t quoted_before_max = 8;
constexpr size_t quoted_behind_max = 16;

}  // namespace

struct StreamCompare::Digests {
  struct Stretch {
    uint64_t length = 0;
    Xxh3_128::Value digest;
  };
  std::vector<Stretch> stretches;
  size_t front = 0;  // those before it are compared
  Xxh3_128 behind;   // of the other side's bytes in the front stretch
  uint64_t behind_bytes = 0;

  // False when it was the last.
  bool pop_front() {
    behind.reset();
    behind_bytes = 0;
    if (++front > stretches.size() / 2) {
      stretches.erase(stretches.begin(), stretches.begin() + static_cast<ptrdiff_t>(front));
      front = 0;
    }
    return !stretches.empty();
  }
};

void StreamCompare::FreeDigests::operator()(Digests* digests) const {
  delete digests;
}

uint64_t StreamCompare::digested_behind() const {
  return digests_ ? digests_->behind_bytes : 0;
}

void StreamCompare::feed(Side side, Bytes bytes) {
  uint64_t& mine = length_[index(side)];
  const uint64_t theirs = length_[index(other(side))];
  while (!bytes.empty() && !difference_ && mine < theirs) {
    const size_t n = compare_with_front(side, bytes);
    mine += n;
    bytes = bytes.subspan(n);
  }
  mine += bytes.size();
  difference_ ? quote(side, bytes) : void(ahead_.insert(ahead_.end(), bytes.begin(), bytes.end()));
  assert(difference_ || compared_ + digested_behind() == std::min(length_[0], length_[1]));
}

// Returns how many bytes of the side that is behind were compared; none when the first of them is
// the difference.
size_t StreamCompare::compare_with_front(Side side, Bytes bytes) {
  return digests_ ? compare_digest(bytes) : compare_bytes(side, bytes);
}

size_t StreamCompare::compare_bytes(Side side, Bytes bytes) {
  const size_t n = std::min(bytes.size(), waiting().size());
  assert(n > 0);
  const Bytes part = bytes.first(n);
  const auto [mine, theirs] = std::mismatch(part.begin(), part.end(), waiting().begin());
  const auto same = static_cast<size_t>(mine - part.begin());
  remember(part.first(same));
  take(same);
  if (same < n) {
    quote(other(side), waiting());
    found(compared_, true);
  }
  return same;
}

void StreamCompare::take(size_t n) {
  compared_ += n;
  taken_ += n;
  if (taken_ == ahead_.size()) {
    ahead_.clear();
    if (ahead_.capacity() > stretch_bytes_max) ahead_ = {};
    taken_ = 0;
  } else if (taken_ > stretch_bytes_max && taken_ > ahead_.size() / 2) {
    ahead_.erase(ahead_.begin(), ahead_.begin() + static_cast<ptrdiff_t>(taken_));
    taken_ = 0;
  }
}

size_t StreamCompare::compare_digest(Bytes bytes) {
  const Digests::Stretch front = digests_->stretches[digests_->front];
  const size_t n = std::min<uint64_t>(bytes.size(), front.length - digests_->behind_bytes);
  digests_->behind.update(bytes.first(n));
  digests_->behind_bytes += n;
  remember(bytes.first(n));
  if (digests_->behind_bytes < front.length) return n;
  if (digests_->behind.digest() != front.digest) {
    found(compared_, false);
    return n;
  }
  compared_ += front.length;
  if (!digests_->pop_front()) digests_.reset();
  return n;
}

void StreamCompare::remember(Bytes equal) {
  const Bytes last = equal.last(std::min(equal.size(), quoted_before_max));
  const size_t kept = std::min(before_.size(), quoted_before_max - last.size());
  before_.erase(0, before_.size() - kept).append(as_text(last));
}

void StreamCompare::quote(Side side, Bytes bytes) {
  std::string& text = behind_[index(side)];
  const size_t room = quoted_behind_max - std::min(quoted_behind_max, text.size());
  text.append(as_text(bytes.first(std::min(bytes.size(), room))));
}

void StreamCompare::found(uint64_t offset, bool exact) {
  difference_ = offset;
  exact_ = exact;
  ahead_ = {};
  taken_ = 0;
  digests_.reset();
}

uint64_t StreamCompare::differs_from() const {
  return difference_.value_or(compared_);
}

bool StreamCompare::difference_is_exact() const {
  return exact_ && !digests_;
}

std::string StreamCompare::around_difference(Side side) const {
  if (!difference_is_exact()) return "";
  std::string text = before_ + behind_[index(side)];
  const bool is_ahead = length(side) > length(other(side));
  if (!difference_ && is_ahead) {
    text += as_text(waiting().first(std::min(waiting().size(), quoted_behind_max)));
  }
  return quoted(as_bytes(text));
}

void StreamCompare::give_up_bytes() {
  for (Bytes rest = waiting(); !rest.empty();) {
    const Bytes part = rest.first(std::min(rest.size(), stretch_bytes_max));
    if (!digests_) digests_.reset(new Digests);
    digests_->stretches.push_back({part.size(), xxh3_128(part)});
    rest = rest.subspan(part.size());
  }
  ahead_ = {};
  taken_ = 0;
}

void StreamCompare::reset() {
  length_[0] = length_[1] = compared_ = 0;
  if (ahead_.capacity() > retained_bytes_max) ahead_ = {};
  ahead_.clear();
  taken_ = 0;
  digests_.reset();
  difference_.reset();
  exact_ = true;
  before_.clear();
  for (std::string& text : behind_) text.clear();
}

}  // namespace wiretape
