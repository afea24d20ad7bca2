// A histogram of times with three significant digits, whatever their size: a value is found again
// within 0.1 %. Two of them add up to one, so that runs and threads can be merged.
#pragma once

#include <cstdint>
#include <vector>

namespace wiretape {

struct Percentiles {
  int64_t p50 = 0;
  int64_t p90 = 0;
  int64_t p99 = 0;
  int64_t max = 0;
};

class Histogram {
 public:
  void add(int64_t value_ns);  // negative values count as 0
  void merge(const Histogram& other);

  uint64_t count() const { return count_; }
  int64_t max() const { return max_; }
  // The least value that `fraction` of all values do not exceed; 0 when there is none.
  int64_t percentile(double fraction) const;
  Percentiles percentiles() const;

 private:
  // Invariant: count_ is the sum of buckets_, and no value added was greater than max_.
  std::vector<uint64_t> buckets_;  // grows to the largest value seen
  uint64_t count_ = 0;
  int64_t max_ = 0;
};

}  // namespace wiretape
