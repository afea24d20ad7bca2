// uv_timer_t with an owner. libuv lets go of a closed handle only in a later iteration, so the
// handle lives in a State of its own, which deletes itself when that has come. A timer may be
// destroyed from within its own callback: the callback runs from a copy.
#include "base/timer.h"

namespace wiretape {
namespace {

uint64_t whole_ms(int64_t ns) {
  return ns <= 0 ? 0 : static_cast<uint64_t>((ns + 999'999) / 1'000'000);
}

}  // namespace

Timer::Timer(Loop& loop, std::function<void()> on_time) : state_(new State) {
  state_->on_time = std::move(on_time);
  uv_timer_init(loop.raw(), &state_->handle);
  state_->handle.data = state_;
}

Timer::~Timer() {
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void Timer::start_once(int64_t delay_ns) {
  uv_update_time(state_->handle.loop);
  uv_timer_start(
      &state_->handle,
      [](uv_timer_t* handle) {
        const auto on_time = static_cast<State*>(handle->data)->on_time;
        on_time();
      },
      whole_ms(delay_ns), 0);
}

void Timer::start_every(int64_t period_ns) {
  start_once(period_ns);
  uv_timer_set_repeat(&state_->handle, whole_ms(period_ns));
}

void Timer::stop() {
  uv_timer_stop(&state_->handle);
}

void Timer::unref() {
  uv_unref(reinterpret_cast<uv_handle_t*>(&state_->handle));
}

}  // namespace wiretape
