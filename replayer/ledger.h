// Accounts for every request of a replayed connection exactly once (answered, failed, or not sent),
// and measures how long the answers took.
//
// Requests are numbered from 0 in their connection, in recorded order, whether they are sent or not
// and whichever link they go out on. Times are CLOCK_MONOTONIC nanoseconds. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <string>

#include "proto/event.h"
#include "replayer/tally.h"

namespace wiretape {

struct RunContext;

class Ledger {
 public:
  // The context must outlive the ledger.
  Ledger(ConnectionId id, RunContext& run) : id_(id), run_(run) {}

  uint64_t next() const { return next_; }  // the number of the next request
  // Requests, counted from the first, for which nobody waits any more: their final response is
  // complete, or they have failed, or were not sent.
  uint64_t done() const { return done_; }
  bool waits() const { return done_ < next_ || turn_open_; }

  // ---- requests
  void send(uint64_t requests) { next_ += requests; }
  // Nothing may be waited for.
  void skip(uint64_t requests, const std::string& reason);
  // Its last byte was given to the socket.
  void request_ended(uint64_t request, int64_t due_ns);
  // Its final response is complete.
  void answered(uint64_t request, int64_t arrived_ns);
  // Its exchange is over; `failure` says why if there was no whole answer.
  void exchange(uint64_t request, const Exchange& exchange, const std::string& failure);
  // The link is gone: what was sent and not answered fails.
  void fail_rest(const std::string& reason);

  // ---- turns of an opaque connection
  void turn_sent(int64_t due_ns);
  void turn_answered(int64_t arrived_ns);

  // The kernel has taken the last byte of what was given to the socket.
  void accepted(int64_t now_ns, Cause cause);

 private:
  // A request's last send, until its response is complete.
  struct Asked {
    uint64_t request = 0;
    int64_t due_ns = 0;
    int64_t accepted_ns = -1;  // not yet
    Cause cause = Cause::us;
  };
  void measure(const Asked& asked, int64_t arrived_ns);
  void done_through(uint64_t request);

  // Invariant: settled_ <= next_ and done_ <= next_; both are next_ when nothing is waited for.
  ConnectionId id_;
  RunContext& run_;
  uint64_t next_ = 0;
  uint64_t settled_ = 0;  // told to Compare
  uint64_t done_ = 0;
  std::deque<Asked> asked_;
  Asked turn_;
  bool turn_open_ = false;
};

}  // namespace wiretape
