// Due times come from one line through the recorded times, and wake-ups in their order.
#include "replayer/pacer.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

TEST(Pacer, RecordedTimesAreDueRelativeToTheOrigin) {
  const Pacer pacer(Speed::times(1), 1'000, 50'000);
  EXPECT_EQ(pacer.due_ns(1'000), 50'000);
  EXPECT_EQ(pacer.due_ns(4'000), 53'000);
}

TEST(Pacer, SpeedDividesTimes) {
  const Pacer twice(Speed::times(2), 0, 0);
  EXPECT_EQ(twice.due_ns(10'000), 5'000);
  const Pacer slow(Speed::times(0.5), 0, 0);
  EXPECT_EQ(slow.due_ns(10'000), 20'000);
}

TEST(Pacer, AtMaxEverythingIsDueAtOnce) {
  const Pacer pacer(Speed::max(), 0, 77);
  EXPECT_EQ(pacer.due_ns(1'000'000'000), 77);
}

TEST(Pacer, ExtremeTimesDoNotOverflow) {
  EXPECT_GT(Speed::times(0.001).scale(INT64_MAX / 2), 0);
}

TEST(Pacer, TheMostOverdueIsFirst) {
  Pacer pacer(Speed::times(1), 0, 0);
  pacer.wake(1, 300);
  pacer.wake(2, 100);
  pacer.wake(3, 200);
  EXPECT_EQ(pacer.next_wake_ns(), 100);
  EXPECT_EQ(pacer.take_due(250), 2U);
  EXPECT_EQ(pacer.take_due(250), 3U);
  EXPECT_EQ(pacer.take_due(250), std::nullopt);
  EXPECT_EQ(pacer.take_due(300), 1U);
  EXPECT_EQ(pacer.next_wake_ns(), std::nullopt);
}

TEST(Pacer, OfTheSameMomentTheFirstToAskIsFirst) {
  Pacer pacer(Speed::times(1), 0, 0);
  for (ConnectionId id = 9; id > 0; --id) pacer.wake(id, 5);
  for (ConnectionId id = 9; id > 0; --id) EXPECT_EQ(pacer.take_due(5), id);
}

TEST(Pacer, ANewWakeUpReplacesTheOld) {
  Pacer pacer(Speed::times(1), 0, 0);
  pacer.wake(1, 100);
  pacer.wake(1, 900);
  EXPECT_EQ(pacer.take_due(500), std::nullopt);
  EXPECT_EQ(pacer.take_due(900), 1U);
  EXPECT_EQ(pacer.take_due(2'000), std::nullopt);
}

TEST(Pacer, AForgottenConnectionIsNotWoken) {
  Pacer pacer(Speed::times(1), 0, 0);
  pacer.wake(1, 100);
  pacer.forget(1);
  EXPECT_EQ(pacer.next_wake_ns(), std::nullopt);
}

}  // namespace
}  // namespace wiretape
