// Who may open when: recorded order, and the limit.
#include "replayer/admission.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

using Order = Admission::Order;
constexpr size_t many = 1'000'000;

TEST(Admission, ByDueTimeNobodyWaits) {
  Admission admission(Order::by_due_time, many);
  admission.add({1, 0});
  admission.add({2, 1});
  EXPECT_EQ(admission.admit(), 1U);
  EXPECT_EQ(admission.admit(), 2U);
  EXPECT_EQ(admission.admit(), std::nullopt);
}

TEST(Admission, ByEndsAConnectionWaitsForAsManyEndsAsOnTheTape) {
  Admission admission(Order::by_ends, many);
  for (const auto& [id, before] : {std::pair{1UL, 0UL}, {2, 0}, {3, 1}, {4, 1}, {5, 2}}) {
    admission.add({id, before});
  }
  EXPECT_EQ(admission.admit(), 1U);
  EXPECT_EQ(admission.admit(), 2U);
  EXPECT_FALSE(admission.may_admit());
  admission.ended();
  EXPECT_EQ(admission.admit(), 3U);
  EXPECT_EQ(admission.admit(), 4U);
  EXPECT_EQ(admission.admit(), std::nullopt);
  admission.ended();
  EXPECT_EQ(admission.admit(), 5U);
}

TEST(Admission, TheLimitHoldsWhoeverComesNext) {
  Admission admission(Order::by_due_time, 2);
  for (ConnectionId id = 1; id <= 4; ++id) admission.add({id, 0});
  EXPECT_EQ(admission.admit(), 1U);
  EXPECT_EQ(admission.admit(), 2U);
  EXPECT_EQ(admission.admit(), std::nullopt);
  EXPECT_EQ(admission.waiting(), 2U);
  admission.ended();
  EXPECT_EQ(admission.admit(), 3U);
  EXPECT_EQ(admission.admit(), std::nullopt);
}

}  // namespace
}  // namespace wiretape
