// One loop thread's share of the proxy: its relays, its tap, its resolver, its timers. The first
// worker runs on the main thread's loop, others bring a thread of their own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/loop.h"
#include "base/resolver.h"
#include "base/timer.h"
#include "proxy/options.h"
#include "proxy/relay.h"
#include "recorder/recorder.h"

namespace wiretape {

class WorkerOwner {
 public:
  virtual ~WorkerOwner() = default;
  // On the worker's thread.
  virtual void on_connection_gone() = 0;
  virtual void on_upstream_failed(uint32_t pair, const std::string& error) = 0;
  virtual void on_hanging_disk() = 0;
  // The recorder has room again: accepting may go on.
  virtual void on_room() = 0;
};

class Worker : public RelayOwner {
 public:
  // `loop` must outlive the worker; nullptr: the worker makes its own and a thread for it.
  Worker(Loop* loop, const ProxyOptions& options, Recorder& recorder, size_t index,
         WorkerOwner& owner);
  ~Worker() override;

  Loop& loop() { return *loop_; }
  Tap& tap() { return tap_; }

  // From any thread: makes a relay for an accepted connection.
  void take(const Listener::Accepted& accepted, uint32_t pair);
  // From any thread: ends those relays that have not moved since the recorder saw them idle.
  void end_idle(std::vector<IdleConnection> idle, CloseHow how);
  // From any thread: ends all relays.
  void end_all(CloseHow how);
  // Stops the thread, when all relays are gone.
  void stop();

 private:
  void on_upstream_failed(const Relay& relay, const DialOutcome& outcome) override;
  void on_relay_gone(Relay& relay) override;

  void on_this_thread(std::function<void()> task);
  void add(const Listener::Accepted& accepted, uint32_t pair);
  void room_again();
  void sweep();
  void resume_all();

  static constexpr int64_t sweep_ns = 100'000'000;

  const ProxyOptions& options_;
  WorkerOwner& owner_;
  std::unique_ptr<Loop> own_loop_;
  Loop* loop_;
  Tap& tap_;
  Resolver resolver_;
  RelayContext context_;
  std::vector<std::unique_ptr<Relay>> relays_;
  std::unique_ptr<Timer> sweep_timer_;
  std::thread thread_;
};

}  // namespace wiretape
