// Time. Everywhere in Wiretape a time is a count of nanoseconds in an int64_t whose name ends in
// _ns; 292 years fit. Moments come from CLOCK_MONOTONIC, which no one can set back.
#pragma once

#include <ctime>

#include <cstdint>

namespace wiretape {

inline constexpr int64_t ns_per_us = 1'000;
inline constexpr int64_t ns_per_ms = 1'000'000;
inline constexpr int64_t ns_per_s = 1'000'000'000;

inline int64_t monotonic_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * ns_per_s + t.tv_nsec;
}

// Nanoseconds since 1970; for people, never for schedules.
inline int64_t wall_ns() {
  timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec * ns_per_s + t.tv_nsec;
}

}  // namespace wiretape
