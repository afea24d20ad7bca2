// The live path, put together: accepts clients, gives each a relay on one of the workers' loops,
// and brings all of it to an end.
//
//   accept -> worker -> relay (2 x half_relay) -> tap -> [recorder]
//
// On the main loop's thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/loop.h"
#include "base/result.h"
#include "base/timer.h"
#include "proxy/accept.h"
#include "proxy/options.h"
#include "proxy/worker.h"
#include "recorder/recorder.h"

namespace wiretape {

class Proxy : public WorkerOwner {
 public:
  // Binds the listening addresses. Accepts nothing before start().
  static Result<std::unique_ptr<Proxy>> create(Loop& loop, ProxyOptions options);
  ~Proxy() override;  // after on_ended

  // Where clients connect, one a pair.
  std::vector<std::string> addresses() const { return acceptor_->addresses(); }
  const ProxyOptions& options() const { return options_; }

  // The recorder must have as many taps as options().threads and outlive the proxy.
  void start(Recorder& recorder);

  // Stops accepting. HTTP connections between two exchanges are ended at once and as they become
  // so, others when `patience_ns` is over. `on_ended` is called when none is left.
  void drain(int64_t patience_ns, std::function<void()> on_ended);
  // Does not wait any longer.
  void end_now();

  size_t open_connections() const { return acceptor_->open_connections(); }
  // Clients that were closed because their upstream could not be reached.
  uint64_t upstream_failures() const { return upstream_failures_; }

 private:
  Proxy(Loop& loop, ProxyOptions options, std::unique_ptr<Acceptor> acceptor);

  // On any worker's thread.
  void on_connection_gone() override;
  void on_upstream_failed(uint32_t pair, const std::string& error) override;
  void on_hanging_disk() override;
  void on_room() override;

  bool may_accept();
  void tell_upstream_failure(uint32_t pair, const std::string& error);
  void drain_round();
  void end_when_empty();

  struct UpstreamTrouble {
    int64_t told_ns = 0;
    uint64_t untold = 0;
  };

  Loop& loop_;
  const ProxyOptions options_;
  std::unique_ptr<Acceptor> acceptor_;
  Recorder* recorder_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  size_t next_worker_ = 0;
  std::vector<UpstreamTrouble> trouble_;
  std::atomic<uint64_t> upstream_failures_{0};
  std::unique_ptr<Timer> drain_timer_;
  int64_t drain_deadline_ns_ = 0;
  std::atomic<bool> draining_{false};
  std::function<void()> on_ended_;
};

}  // namespace wiretape
