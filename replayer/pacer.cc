// A replay that waits a recorded gap after each send drifts: every wake-up is a little late, and
// the next gap starts from there. So nothing here counts from the send before. Recorded times map
// to absolute ones by one line,
//
//   due = t0 + (recorded - origin) / speed
//
// and a wake-up that came late leaves all later ones where they were.
//
// Wake-ups are a heap. Replacing one leaves the old entry where it is; it is dropped when it comes
// up, so that a change costs a push and no search. The clock is not read here: whoever calls
// passes the time in, a timerfd's owner in a run and a test in a test.
#include "replayer/pacer.h"

#include <cassert>
#include <cmath>

namespace wiretape {

Speed Speed::times(double factor) {
  assert(factor > 0 && std::isfinite(factor));
  return Speed(factor);
}

int64_t Speed::scale(int64_t recorded_ns) const {
  if (is_max()) return 0;
  if (factor_ == 1) return recorded_ns;
  const double scaled = static_cast<double>(recorded_ns) / factor_;
  constexpr double limit = 9.0e18;  // a clock of 64 bits ends behind it
  return std::llround(std::fmin(std::fmax(scaled, -limit), limit));
}

void Pacer::wake(ConnectionId connection, int64_t at_ns) {
  wakes_[connection] = next_sequence_;
  queue_.push({at_ns, next_sequence_, connection});
  ++next_sequence_;
  assert(queue_.size() >= wakes_.size());
}

bool Pacer::is_stale(const Entry& entry) const {
  const auto found = wakes_.find(entry.connection);
  return found == wakes_.end() || found->second != entry.sequence;
}

void Pacer::drop_stale() {
  while (!queue_.empty() && is_stale(queue_.top())) queue_.pop();
}

std::optional<int64_t> Pacer::next_wake_ns() {
  drop_stale();
  if (queue_.empty()) return std::nullopt;
  return queue_.top().at_ns;
}

std::optional<ConnectionId> Pacer::take_due(int64_t now_ns) {
  drop_stale();
  if (queue_.empty() || queue_.top().at_ns > now_ns) return std::nullopt;
  const ConnectionId connection = queue_.top().connection;
  queue_.pop();
  wakes_.erase(connection);
  return connection;
}

}  // namespace wiretape
