// The histogram keeps three digits of any time, and two of them add up.
#include "replayer/latency.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace wiretape {
namespace {

TEST(Histogram, AnEmptyOneIsAllZeros) {
  const Percentiles p = Histogram().percentiles();
  EXPECT_EQ(p.p50, 0);
  EXPECT_EQ(p.max, 0);
}

TEST(Histogram, OneValueIsEveryPercentile) {
  Histogram h;
  h.add(123'456'789);
  EXPECT_EQ(h.percentile(0), 123'456'789);
  EXPECT_EQ(h.percentiles().p50, 123'456'789);
  EXPECT_EQ(h.percentiles().max, 123'456'789);
}

TEST(Histogram, NegativeTimesCountAsZero) {
  Histogram h;
  h.add(-5);
  EXPECT_EQ(h.count(), 1U);
  EXPECT_EQ(h.max(), 0);
}

TEST(Histogram, TheLargestTimeFits) {
  Histogram h;
  h.add(INT64_MAX);
  EXPECT_EQ(h.percentile(0.99), INT64_MAX);
}

TEST(Histogram, PercentilesAreWithinAThousandthOfTheTruth) {
  std::mt19937_64 random(7);
  for (const double scale : {1e2, 1e5, 1e9, 1e12}) {
    Histogram h;
    std::vector<int64_t> values;
    std::lognormal_distribution<double> distribution(std::log(scale), 1.5);
    for (int i = 0; i < 20'000; ++i) {
      values.push_back(static_cast<int64_t>(distribution(random)));
      h.add(values.back());
    }
    std::sort(values.begin(), values.end());
    for (const double fraction : {0.01, 0.5, 0.9, 0.99, 0.999}) {
      const auto rank = static_cast<size_t>(std::ceil(fraction * 20'000)) - 1;
      const auto truth = static_cast<double>(values[rank]);
      EXPECT_NEAR(static_cast<double>(h.percentile(fraction)), truth, truth / 1000 + 1);
    }
    EXPECT_EQ(h.percentile(1), values.back());
  }
}

TEST(Histogram, MergingIsAddingAllOfTheOther) {
  std::mt19937_64 random(8);
  Histogram one, other, all;
  for (int i = 0; i < 5'000; ++i) {
    const auto value = static_cast<int64_t>(random() % 1'000'000'000);
    (i % 3 == 0 ? one : other).add(value);
    all.add(value);
  }
  one.merge(other);
  EXPECT_EQ(one.count(), all.count());
  for (const double fraction : {0.1, 0.5, 0.9, 0.99, 1.0}) {
    EXPECT_EQ(one.percentile(fraction), all.percentile(fraction));
  }
}

}  // namespace
}  // namespace wiretape
