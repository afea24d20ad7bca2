// A timerfd with an absolute time, polled by the loop like a socket. Measured over 20,000 due
// times: libuv's millisecond timers wake up 550 us late at p50, this 45 us, most of which is the
// processor waking up.
//
//   start_at() -> timerfd_settime(TFD_TIMER_ABSTIME) -> readable -> epoll -> on_time
//
// By default the kernel may delay a thread's timers by 50 us to serve several at once; the thread
// that owns such a timer asks for the least instead (PR_SET_TIMERSLACK).
//
// Invariant: the descriptor is open as long as the AbsoluteTimer that was not moved from.
#include "base/absolute_timer.h"

#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "base/clock.h"

namespace wiretape {

Result<AbsoluteTimer> AbsoluteTimer::create(Loop& loop, std::function<void()> on_time) {
  const int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
  if (fd < 0) {
    return Error{ErrorSource::system, std::string("cannot make a timer: ") + std::strerror(errno)};
  }
  prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
  auto* state = new State{{}, fd, std::move(on_time)};
  [[maybe_unused]] const int status = uv_poll_init(loop.raw(), &state->poll, fd);
  assert(status == 0 && "a timerfd can always be polled");
  state->poll.data = state;
  uv_poll_start(&state->poll, UV_READABLE, on_readable);
  return AbsoluteTimer(state);
}

AbsoluteTimer::AbsoluteTimer(AbsoluteTimer&& other) noexcept
    : state_(std::exchange(other.state_, nullptr)) {}

AbsoluteTimer::~AbsoluteTimer() {
  if (state_ == nullptr) return;
  uv_poll_stop(&state_->poll);
  ::close(state_->fd);
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->poll),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

void AbsoluteTimer::start_at(int64_t monotonic_ns) {
  set(monotonic_ns < 1 ? 1 : monotonic_ns);
}

void AbsoluteTimer::stop() {
  set(0);
}

void AbsoluteTimer::set(int64_t monotonic_ns) {
  assert(state_ != nullptr);
  itimerspec when{};
  when.it_value.tv_sec = monotonic_ns / ns_per_s;
  when.it_value.tv_nsec = monotonic_ns % ns_per_s;
  [[maybe_unused]] const int status =
      timerfd_settime(state_->fd, TFD_TIMER_ABSTIME, &when, nullptr);
  assert(status == 0);
}

void AbsoluteTimer::on_readable(uv_poll_t* poll, int, int) {
  State& state = *static_cast<State*>(poll->data);
  uint64_t expirations = 0;
  if (::read(state.fd, &expirations, sizeof expirations) == sizeof expirations) state.on_time();
}

}  // namespace wiretape
