// Where nothing waits for the clock (speed max, think time), all of a tape's connections could open
// at once, 50,000 of them. But their number was never that high, and servers have limits: so one
// opens only when as many have ended as had ended before it on the tape.
//
//   tape   A----------A              at most two at a time
//             B---B  C----C
//   run    A---A                     C waits for one end, whichever comes first
//          B------B
//              C---C
//
// With think time, a connection waits for its own client, too: for as many answers and ends as the
// client had had before it opened this one.
//
// The limit on open connections is the other reason to wait. Who was read first opens first, so a
// connection is never passed by a later one, and ends never wait for opens: no two can wait for
// each other.
#include "replayer/admission.h"

#include <cassert>

namespace wiretape {

Admission::Admission(Order order, size_t open_max) : order_(order), open_max_(open_max) {
  assert(open_max_ > 0);
}

bool Admission::may_admit() const {
  if (waiting_.empty() || open_ >= open_max_) return false;
  const Waiting& next = waiting_.front();
  if (order_ != Order::by_due_time && ended_ < next.ended_before) return false;
  return order_ != Order::by_clients || clients_.count(next.client) >= next.client_done;
}

std::optional<ConnectionId> Admission::admit() {
  if (!may_admit()) return std::nullopt;
  const ConnectionId id = waiting_.front().id;
  waiting_.pop_front();
  ++open_;
  assert(open_ <= open_max_);
  return id;
}

void Admission::ended() {
  assert(open_ > 0);
  --open_;
  ++ended_;
}

}  // namespace wiretape
