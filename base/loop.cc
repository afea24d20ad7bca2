// A thin owner of uv_loop_t. Its own three handles never keep run() going: they are unreferenced.
//
//   one iteration:  timers -> before_wait hook -> wait in epoll -> sockets and posted tasks
//
// post() is a locked vector and a uv_async_t: it is for rare messages between threads (an accepted
// connection handed over, "go on reading"), never for data; data goes through recorder's
// event_queue.
#include "base/loop.h"

#include <cassert>

namespace wiretape {

Loop::Loop() : read_buffer_(new char[read_buffer_bytes]) {
  [[maybe_unused]] int status = uv_loop_init(&loop_);
  assert(status == 0);
  loop_.data = this;
  status = uv_prepare_init(&loop_, &prepare_);
  assert(status == 0);
  uv_prepare_start(&prepare_, on_prepare);
  uv_unref(reinterpret_cast<uv_handle_t*>(&prepare_));
  status = uv_async_init(&loop_, &async_, on_async);
  assert(status == 0);
  uv_unref(reinterpret_cast<uv_handle_t*>(&async_));
  uv_idle_init(&loop_, &idle_);
  uv_unref(reinterpret_cast<uv_handle_t*>(&idle_));
}

Loop::~Loop() {
  uv_close(reinterpret_cast<uv_handle_t*>(&prepare_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
  uv_close(reinterpret_cast<uv_handle_t*>(&idle_), nullptr);
  uv_run(&loop_, UV_RUN_DEFAULT);
  [[maybe_unused]] const int status = uv_loop_close(&loop_);
  assert(status == 0 && "a handle outlived its loop");
}

void Loop::run() {
  run_posted();
  uv_run(&loop_, UV_RUN_DEFAULT);
}

void Loop::run_once_without_waiting() {
  uv_run(&loop_, UV_RUN_NOWAIT);
}

void Loop::spin(bool spinning) {
  if (spinning) {
    uv_idle_start(&idle_, [](uv_idle_t*) {});
  } else {
    uv_idle_stop(&idle_);
  }
}

void Loop::stop() {
  uv_stop(&loop_);
}

void Loop::post(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  uv_async_send(&async_);
}

void Loop::run_posted() {
  std::vector<std::function<void()>> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
}

void Loop::on_prepare(uv_prepare_t* handle) {
  Loop& self = of(reinterpret_cast<uv_handle_t*>(handle));
  if (self.before_wait_) self.before_wait_();
}

void Loop::on_async(uv_async_t* handle) {
  of(reinterpret_cast<uv_handle_t*>(handle)).run_posted();
}

}  // namespace wiretape
