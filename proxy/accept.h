// The listening side: one socket per pair, and the limit on how many connections are let in.
//
// On the main loop's thread, except connection_gone().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/listener.h"
#include "base/loop.h"
#include "base/result.h"
#include "proxy/options.h"

namespace wiretape {

class Acceptor {
 public:
  // Binds all listening addresses, or says which it could not. Accepts nothing yet.
  static Result<std::unique_ptr<Acceptor>> create(Loop& loop, const ProxyOptions& options);

  using OnAccepted = std::function<void(const Listener::Accepted&, uint32_t pair)>;
  // Asked before accepting goes on: false keeps clients in the kernel's queue until resume().
  using MayAccept = std::function<bool()>;

  void start(OnAccepted on_accepted, MayAccept may_accept);
  void stop();  // for good: the sockets are closed
  void resume();

  // From any thread, once for every accepted connection that is over.
  void connection_gone();
  size_t open_connections() const { return open_.load(); }

  // Whether a connection to this endpoint would come back to us, as far as its text tells.
  bool listens_on(const Endpoint& endpoint) const;

  // "127.0.0.1:8080", with the port that was picked, one a pair.
  std::vector<std::string> addresses() const;

 private:
  Acceptor(Loop& loop, size_t connections_max) : loop_(loop), connections_max_(connections_max) {}
  void accepted(const Listener::Accepted& accepted, uint32_t pair);
  void pause();

  Loop& loop_;
  const size_t connections_max_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  std::vector<std::string> addresses_;
  OnAccepted on_accepted_;
  MayAccept may_accept_;
  bool paused_ = true;
  std::atomic<size_t> open_{0};
  std::atomic<bool> full_{false};
  bool limit_told_ = false;
};

}  // namespace wiretape
