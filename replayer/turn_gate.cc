// An opaque protocol does not say where its messages end, but a recording shows how many bytes had
// come back before the client went on. That number opens the gate. Servers answer with other
// lengths, so a turn is also over after some bytes and then quiet.
//
//   recorded   client ->  [turn]                [turn]
//              server            [120 bytes]
//   target     server            [ 90 bytes]....quiet -> over
//   target     server            [120][ 35] -> the 35 count for the next turn
//
// When more came than recorded, it may be the beginning of the next turn (we are late) or a longer
// answer. As long as the surplus is smaller than the next turn, it counts for that one. Were it to
// fill it wholly, our own turn would have been answered before it was sent, so then only what comes
// afterwards counts, or quiet.
#include "replayer/turn_gate.h"

#include <algorithm>
#include <cassert>

namespace wiretape {

void TurnGate::turn_begins(const Seen& seen, int64_t now_ns) {
  length_at_turn_ = seen.length;
  turn_began_ns_ = now_ns;
}

uint64_t TurnGate::received(const Seen& seen) const {
  const uint64_t before = std::max(consumed_, seen.http_length);
  return seen.length - std::min(seen.length, before);
}

int64_t TurnGate::quiet_at_ns(const Action& action, const Seen& seen) const {
  if (received(seen) == 0) return INT64_MAX;
  return std::max(seen.last_ns, turn_began_ns_) + action.gate.quiet_ns;
}

TurnGate::State TurnGate::check(const Action& action, const Seen& seen, int64_t due_ns,
                                int64_t now_ns) {
  assert(consumed_ <= seen.length && length_at_turn_ <= seen.length);
  const uint64_t expected = action.gate.turn_bytes;
  if (expected == 0) return State::open;
  const uint64_t came = received(seen);
  const uint64_t afterwards = seen.length - length_at_turn_;
  const bool surplus_fills_it = came - std::min(came, afterwards) >= expected;
  const uint64_t counted = surplus_fills_it ? afterwards : came;
  const bool lingers = action.kind == Action::Kind::close && action.server_ended;
  if (counted >= expected && !lingers) {
    consumed_ = seen.length - (counted - expected);
    return State::open;
  }
  if (came == 0 || now_ns < std::max(quiet_at_ns(action, seen), due_ns)) return State::closed;
  consumed_ = seen.length;
  return counted < expected ? State::open_by_quiet : State::open;
}

}  // namespace wiretape
