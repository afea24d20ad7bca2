// A listening socket on a loop. One socket per address and no SO_REUSEPORT: a second process could
// bind it too, and traffic would split in silence.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <string>

#include "base/address.h"
#include "base/loop.h"
#include "base/result.h"

namespace wiretape {

class Listener {
 public:
  // A connected, non-blocking socket that the receiver now owns.
  struct Accepted {
    int fd;
    Address client;
    Address local;  // the address that the client reached
  };
  using OnAccept = std::function<void(Accepted)>;
  using OnTrouble = std::function<void(const std::string&)>;

  // Binds and listens, but accepts nothing before resume(). Port 0 picks a free one. A unix socket
  // file that nobody listens on any more is replaced. `source` is downstream.
  static Result<std::unique_ptr<Listener>> create(Loop& loop, const Address& address);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void on_accept(OnAccept callback) { on_accept_ = std::move(callback); }
  // One line about what keeps us from accepting (no descriptors, no memory); accepting is tried
  // again after a pause.
  void on_trouble(OnTrouble callback) { on_trouble_ = std::move(callback); }

  // While paused, clients wait in the kernel's queue; none is accepted and none is lost.
  void pause();
  void resume();

  const Address& address() const { return address_; }  // with the port that was picked

 private:
  Listener(Loop& loop, int fd, const Address& address);
  void accept_ready();
  bool accept_one();
  void hold_off(int error);

  struct Watch {
    uv_poll_t poll;
    uv_timer_t retry;
    Listener* listener;
    int handles_open;
  };
  Watch* watch_;  // outlives the Listener until libuv has let go of its handles
  int fd_;
  Address address_;
  bool wildcard_ = false;  // then each connection is asked which of our addresses it reached
  bool paused_ = true;
  int64_t told_ns_ = 0;  // when on_trouble was called last
  OnAccept on_accept_;
  OnTrouble on_trouble_;
};

}  // namespace wiretape
