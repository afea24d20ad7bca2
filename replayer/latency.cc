// Times in a replay reach from microseconds to minutes, and their tail is what matters. Fixed
// buckets would be too coarse at one end or too many at the other, so they are log-linear, as in
// the HDR histogram: every power of two is divided into 1,024 equal steps.
//
//   value      0 .. 2047       2048 .. 4095     4096 .. 8191    ...
//   step           1               2                4
//   buckets    0 .. 2047       2048 .. 3071     3072 .. 4095    ...
//
// A bucket is thus never wider than 1/1024 of its value: three digits. 64-bit values need at most
// 55,296 buckets; those above the largest value seen are not allocated, so a run whose slowest
// answer took a second keeps 168 KiB a histogram.
#include "replayer/latency.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>

namespace wiretape {
namespace {

constexpr uint64_t steps = 1024;  // in a power of two
constexpr int steps_log2 = 10;

size_t bucket_of(uint64_t value) {
  if (value < 2 * steps) return value;
  const int shift = std::bit_width(value) - 1 - steps_log2;
  return static_cast<size_t>(shift) * steps + (value >> shift);
}

// The greatest value of a bucket.
uint64_t highest_of(size_t bucket) {
  if (bucket < 2 * steps) return bucket;
  const size_t shift = bucket / steps - 1;
  const uint64_t step = bucket % steps + steps;
  return ((step + 1) << shift) - 1;
}

}  // namespace

void Histogram::add(int64_t value_ns) {
  const int64_t value = std::max<int64_t>(value_ns, 0);
  const size_t bucket = bucket_of(static_cast<uint64_t>(value));
  if (bucket >= buckets_.size()) buckets_.resize(bucket + 1);
  ++buckets_[bucket];
  ++count_;
  max_ = std::max(max_, value);
}

void Histogram::merge(const Histogram& other) {
  if (other.buckets_.size() > buckets_.size()) buckets_.resize(other.buckets_.size());
  for (size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

int64_t Histogram::percentile(double fraction) const {
  assert(fraction >= 0 && fraction <= 1);
  if (count_ == 0) return 0;
  const auto wanted = static_cast<uint64_t>(std::ceil(fraction * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    seen += buckets_[i];
    if (seen >= wanted && seen > 0) {
      return std::min(static_cast<int64_t>(highest_of(i)), max_);
    }
  }
  return max_;
}

Percentiles Histogram::percentiles() const {
  return {percentile(0.50), percentile(0.90), percentile(0.99), max_};
}

}  // namespace wiretape
