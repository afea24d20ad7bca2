// Signals, delivered on a loop's thread.
#pragma once

#include <uv.h>

#include <functional>

#include "base/loop.h"

namespace wiretape {

class Signal {
 public:
  // Calls on_signal on the loop's thread each time `number` (SIGINT, ...) arrives, until destroyed.
  // Does not keep the loop running.
  Signal(Loop& loop, int number, std::function<void()> on_signal);
  ~Signal();
  Signal(const Signal&) = delete;
  Signal& operator=(const Signal&) = delete;

 private:
  struct State {
    uv_signal_t handle;
    std::function<void()> on_signal;
  };
  State* state_;  // outlives the Signal until libuv has let go of the handle
};

}  // namespace wiretape
