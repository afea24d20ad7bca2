#include "replayer/blame.h"

#include <gtest/gtest.h>

#include "base/clock.h"

namespace wiretape {
namespace {

constexpr int64_t ms = ns_per_ms;

TEST(Blame, IsOursWhenNothingHeldTheSend) {
  Blame blame;
  EXPECT_EQ(blame.judge(100 * ms, 5 * ms, false), Cause::us);
  blame.held_by_target(200 * ms);
  EXPECT_EQ(blame.judge(200 * ms, 5 * ms, false), Cause::us) << "it was free when it was due";
}

TEST(Blame, IsTheTargetsWhenItsAnswerCameLate) {
  Blame blame;
  blame.held_by_target(150 * ms);
  EXPECT_EQ(blame.judge(100 * ms, 51 * ms, false), Cause::target);
}

TEST(Blame, GoesToTheGreaterPart) {
  Blame blame;
  blame.held_by_target(110 * ms);
  EXPECT_EQ(blame.judge(100 * ms, 30 * ms, false), Cause::us) << "10 of 30 ms were the target's";
}

TEST(Blame, IsADependencysWhenTheTargetHeldTheOneBefore) {
  Blame blame;
  blame.held_by_target(140 * ms);
  EXPECT_EQ(blame.judge(100 * ms, 40 * ms, false), Cause::target);
  blame.held_by_target(141 * ms);
  EXPECT_EQ(blame.judge(110 * ms, 32 * ms, false), Cause::dependency);
  EXPECT_EQ(blame.judge(112 * ms, 31 * ms, true), Cause::dependency);
}

TEST(Blame, StaysOursInWhatOurLatenessMadeLate) {
  Blame blame;
  EXPECT_EQ(blame.judge(100 * ms, 40 * ms, false), Cause::us);
  blame.held_by_target(141 * ms);  // the answer to what we had sent late
  EXPECT_EQ(blame.judge(110 * ms, 32 * ms, false), Cause::us);
  EXPECT_EQ(blame.judge(112 * ms, 31 * ms, true), Cause::us);
}

TEST(Blame, ALimitStaysTheCauseUntilASendIsOnTime) {
  Blame blame;
  blame.held_by_limit(500 * ms, 400 * ms);
  EXPECT_EQ(blame.judge(100 * ms, 400 * ms, false), Cause::limit);
  blame.held_by_target(501 * ms);
  EXPECT_EQ(blame.judge(150 * ms, 352 * ms, false), Cause::limit);
  EXPECT_EQ(blame.judge(600 * ms, 0, false), Cause::us);
  blame.held_by_target(700 * ms);
  EXPECT_EQ(blame.judge(650 * ms, 50 * ms, false), Cause::target);
}

}  // namespace
}  // namespace wiretape
