// A timer of a loop, in whole milliseconds (libuv's own resolution). For time-outs and sweeps; due
// times of a replay are served from base/absolute_timer.h.
#pragma once

#include <uv.h>

#include <cstdint>
#include <functional>

#include "base/loop.h"

namespace wiretape {

class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_time);
  ~Timer();  // may be called from within on_time
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void start_once(int64_t delay_ns);  // rounded up to milliseconds; replaces an earlier start
  void start_every(int64_t period_ns);
  void stop();
  // An unreferenced timer does not keep the loop running.
  void unref();

 private:
  struct State {
    uv_timer_t handle;
    std::function<void()> on_time;
  };
  State* state_;  // outlives the Timer until libuv has let go of the handle
};

}  // namespace wiretape
