// The guard follows the wake-ups it is told of.
#include "replayer/precise_guard.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

void wake_ups(PreciseGuard& guard, int count, int64_t late_ns) {
  for (int i = 0; i < count; ++i) guard.woke_late(late_ns);
}

TEST(PreciseGuard, FollowsTheMachine) {
  PreciseGuard guard;
  wake_ups(guard, 64, 120 * ns_per_us);
  EXPECT_EQ(guard.guard_ns(), 120 * ns_per_us);
  wake_ups(guard, 256, 200 * ns_per_us);
  EXPECT_EQ(guard.guard_ns(), 200 * ns_per_us);
  wake_ups(guard, 256, 70 * ns_per_us);
  EXPECT_EQ(guard.guard_ns(), 70 * ns_per_us);
}

TEST(PreciseGuard, StaysWithinItsBounds) {
  PreciseGuard guard;
  wake_ups(guard, 256, 5 * ns_per_ms);
  EXPECT_EQ(guard.guard_ns(), PreciseGuard::guard_ns_max);
  wake_ups(guard, 256, 0);
  EXPECT_EQ(guard.guard_ns(), PreciseGuard::guard_ns_min);
}

TEST(PreciseGuard, OneOutlierInAHundredDoesNotCount) {
  PreciseGuard guard;
  for (int i = 0; i < 256; ++i) guard.woke_late(i % 128 == 0 ? 10 * ns_per_ms : 60 * ns_per_us);
  EXPECT_EQ(guard.guard_ns(), 60 * ns_per_us);
}

}  // namespace
}  // namespace wiretape
