// A replay that counts a request twice, or not at all, proves nothing. So a number is given to each
// request when its turn comes, and from then on it can only leave the ledger by one of three doors:
//
//   send()  -> exchange()   answered: Compare joins it with the recorded answer
//           -> fail_rest()  its link is gone: an error, and never sent again
//   skip()                  not sent: an error or not compared, by its reason
//
// Two things are told apart. A request is *done* when its final response is complete, which is
// what later requests wait for; it is *settled* when its exchange is over, which may be later, when
// the response came before the request had ended.
//
// Latency is taken from the due time (what a user of the recorded client would have felt) and from
// the acceptance of the last byte (what the target took), to the arrival of the response's last
// byte.
#include "replayer/ledger.h"

#include <algorithm>
#include <cassert>

#include "replayer/run_context.h"

namespace wiretape {

void Ledger::skip(uint64_t requests, const std::string& reason) {
  assert(settled_ == next_ && done_ == next_);
  for (uint64_t i = 0; i < requests; ++i) {
    run_.compare.exchange_not_sent(id_, next_++, reason);
    settled_ = next_;
    done_through(next_ - 1);
  }
}

void Ledger::request_ended(uint64_t request, int64_t due_ns) {
  asked_.push_back({request, due_ns, -1, Cause::us});
}

void Ledger::accepted(int64_t now_ns, Cause cause) {
  const auto accept = [&](Asked& asked) {
    if (asked.accepted_ns >= 0) return;
    asked.accepted_ns = now_ns;
    asked.cause = cause;
  };
  std::for_each(asked_.begin(), asked_.end(), accept);
  accept(turn_);
}

void Ledger::answered(uint64_t request, int64_t arrived_ns) {
  if (request >= next_ || request < done_) return;  // nobody asked for it
  ++run_.tally.responses;
  while (!asked_.empty() && asked_.front().request < request) asked_.pop_front();
  if (!asked_.empty() && asked_.front().request == request) {
    measure(asked_.front(), arrived_ns);
    asked_.pop_front();
  }
  done_through(request);
}

void Ledger::measure(const Asked& asked, int64_t arrived_ns) {
  // A response may be complete before the kernel has taken all of its request.
  const int64_t sent_ns = asked.accepted_ns < 0 ? arrived_ns : asked.accepted_ns;
  const auto cause = static_cast<size_t>(asked.cause);
  run_.tally.latency_due_ns.add(arrived_ns - asked.due_ns);
  run_.tally.latency_sent_ns.add(arrived_ns - sent_ns);
  run_.tally.latency_due_by_cause[cause].add(arrived_ns - asked.due_ns);
  run_.tally.latency_sent_by_cause[cause].add(arrived_ns - sent_ns);
}

void Ledger::exchange(uint64_t request, const Exchange& exchange, const std::string& failure) {
  if (request >= next_ || request < settled_) return;
  settled_ = request + 1;
  if (exchange.has_response && exchange.response.complete) {
    run_.compare.replayed_exchange(id_, request, exchange);
  } else {
    run_.compare.exchange_failed(id_, request, failure, exchange.status);
  }
  done_through(request);
}

void Ledger::fail_rest(const std::string& reason) {
  for (; settled_ < next_; ++settled_) run_.compare.exchange_failed(id_, settled_, reason);
  if (next_ > 0) done_through(next_ - 1);
  asked_.clear();
  turn_open_ = false;
  assert(settled_ == next_ && done_ == next_);
}

void Ledger::done_through(uint64_t request) {
  for (; done_ <= request; ++done_) {
    if (run_.on_settled) run_.on_settled(id_);
  }
}

void Ledger::turn_sent(int64_t due_ns) {
  turn_open_ = true;
  turn_ = {0, due_ns, -1, Cause::us};
}

void Ledger::turn_answered(int64_t arrived_ns) {
  if (!turn_open_) return;
  turn_open_ = false;
  ++run_.tally.responses;
  measure(turn_, arrived_ns);
}

}  // namespace wiretape
