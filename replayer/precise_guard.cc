// A timer wakes a processor that has gone to sleep, and that takes 50 us or 300, by the machine and
// its load. Spinning the last stretch takes that away, at the price of a processor that does
// nothing else meanwhile.
//
//   sleep ........................ wake-up . spin . due
//                                  |<--- guard ---->|
//
// A guard that is too short sleeps through due times; one that is too long burns time. So it
// follows the p99 of the last 256 wake-ups: one in a hundred sends may still be late.
#include "replayer/precise_guard.h"

#include <algorithm>
#include <cassert>

namespace wiretape {

void PreciseGuard::woke_late(int64_t late_ns) {
  samples_[seen_ % samples_max] = late_ns;
  ++seen_;
  if (seen_ % samples_a_look != 0) return;
  auto sorted = samples_;
  const size_t count = std::min<uint64_t>(seen_, samples_max);
  const auto p99 = sorted.begin() + static_cast<ptrdiff_t>(count * 99 / 100);
  std::nth_element(sorted.begin(), p99, sorted.begin() + static_cast<ptrdiff_t>(count));
  guard_ns_ = std::clamp(*p99, guard_ns_min, guard_ns_max);
  assert(guard_ns_ >= guard_ns_min && guard_ns_ <= guard_ns_max);
}

}  // namespace wiretape
