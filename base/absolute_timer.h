// A timer that fires at an absolute moment of CLOCK_MONOTONIC, to the microsecond: what a replay's
// due times are served from. (libuv's own timers are whole milliseconds.)
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>

#include "base/loop.h"
#include "base/result.h"

namespace wiretape {

class AbsoluteTimer {
 public:
  // Fails when the process has no descriptor left.
  static Result<AbsoluteTimer> create(Loop& loop, std::function<void()> on_time);
  ~AbsoluteTimer();  // not from within on_time
  AbsoluteTimer(AbsoluteTimer&& other) noexcept;
  AbsoluteTimer(const AbsoluteTimer&) = delete;
  AbsoluteTimer& operator=(const AbsoluteTimer&) = delete;

  // Replaces an earlier moment; one that has passed fires at once. Keeps the loop running until
  // destroyed.
  void start_at(int64_t monotonic_ns);
  void stop();

 private:
  struct State {
    uv_poll_t poll;
    int fd;
    std::function<void()> on_time;
  };
  explicit AbsoluteTimer(State* state) : state_(state) {}
  static void on_readable(uv_poll_t* poll, int status, int events);
  void set(int64_t monotonic_ns);

  State* state_;  // outlives the timer until libuv has let go of the handle
};

}  // namespace wiretape
