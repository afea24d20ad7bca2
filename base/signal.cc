// uv_signal_t with an owner; the State deletes itself when libuv has let go of the handle, as in
// base/timer.cc.
#include "base/signal.h"

namespace wiretape {

Signal::Signal(Loop& loop, int number, std::function<void()> on_signal) : state_(new State) {
  state_->on_signal = std::move(on_signal);
  uv_signal_init(loop.raw(), &state_->handle);
  state_->handle.data = state_;
  uv_signal_start(
      &state_->handle,
      [](uv_signal_t* handle, int) {
        const auto callback = static_cast<State*>(handle->data)->on_signal;
        callback();
      },
      number);
  uv_unref(reinterpret_cast<uv_handle_t*>(&state_->handle));
}

Signal::~Signal() {
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

}  // namespace wiretape
