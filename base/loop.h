// An event loop: one uv_loop_t, owned by one thread. All that lives on a loop (streams, timers,
// listeners) is used on its thread only; post() is the one door for other threads.
#pragma once

#include <uv.h>

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

namespace wiretape {

class Loop {
 public:
  Loop();
  // All handles must have been closed and the loop run until their callbacks were called.
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until no handle is left alive, or stop() is called.
  void run();
  // Serves what is ready and returns at once.
  void run_once_without_waiting();
  void stop();  // on the loop's thread; from others: post([&]{ loop.stop(); })

  // Runs `task` on the loop's thread, in the next iteration. From any thread. Tasks posted after
  // the last iteration are dropped.
  void post(std::function<void()> task);

  // While spinning, the loop serves what is ready and comes round again without waiting: for the
  // last microseconds before a moment that must not be missed. It takes a whole processor.
  void spin(bool spinning);

  // Called once per iteration, right before the loop waits for sockets and timers.
  void before_wait(std::function<void()> hook) { before_wait_ = std::move(hook); }

  // One buffer for all reads of the loop: what is read is copied or written on before the next
  // read. A buffer per stream costs 10 KiB a connection (docs/architecture.md).
  std::span<char> read_buffer() { return {read_buffer_.get(), read_buffer_bytes}; }
  static constexpr size_t read_buffer_bytes = 64 * 1024;

  uv_loop_t* raw() { return &loop_; }
  static Loop& of(const uv_handle_t* handle) { return *static_cast<Loop*>(handle->loop->data); }

 private:
  static void on_prepare(uv_prepare_t* handle);
  static void on_async(uv_async_t* handle);
  void run_posted();

  uv_loop_t loop_;
  uv_prepare_t prepare_;
  uv_async_t async_;
  uv_idle_t idle_;  // active while spinning: libuv does not wait then
  std::function<void()> before_wait_;
  std::unique_ptr<char[]> read_buffer_;
  std::mutex mutex_;
  std::vector<std::function<void()>> posted_;  // guarded by mutex_
};

}  // namespace wiretape
