// How long before a due time to stop sleeping (--precise): as long as this machine's wake-ups have
// lately been late, and no longer, because what is not slept is spun.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"

namespace wiretape {

class PreciseGuard {
 public:
  static constexpr int64_t guard_ns_min = 50 * ns_per_us;
  static constexpr int64_t guard_ns_max = 300 * ns_per_us;

  // A sleep ended so long after it should have.
  void woke_late(int64_t late_ns);
  // The p99 of the wake-ups seen lately, within the bounds.
  int64_t guard_ns() const { return guard_ns_; }

 private:
  static constexpr size_t samples_max = 256;
  static constexpr size_t samples_a_look = 32;  // between two looks at the p99

  // Invariant: guard_ns_min <= guard_ns_ <= guard_ns_max.
  std::array<int64_t, samples_max> samples_{};  // a ring
  uint64_t seen_ = 0;
  int64_t guard_ns_ = 100 * ns_per_us;
};

}  // namespace wiretape
