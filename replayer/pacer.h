// When things are due. Every recorded time has one absolute due time on CLOCK_MONOTONIC, fixed
// before the first byte is sent, so that lateness never accumulates; and every connection that
// waits has one wake-up.
#pragma once

#include <cstdint>
#include <optional>
#include <queue>
#include <unordered_map>
#include <vector>

#include "proto/event.h"

namespace wiretape {

// How much faster than recorded. At `max` everything is due at once.
class Speed {
 public:
  static Speed times(double factor);
  static Speed max() { return Speed(0); }
  bool is_max() const { return factor_ == 0; }
  int64_t scale(int64_t recorded_ns) const;

 private:
  explicit Speed(double factor) : factor_(factor) {}
  double factor_;  // 0: max
};

// What a send follows: the clock, or the answer before it and the client's think time.
enum class Pace : uint8_t { recorded, think };

class Pacer {
 public:
  // Recorded time `origin_ns` is due at `t0_ns`.
  Pacer(Speed speed, int64_t origin_ns, int64_t t0_ns)
      : speed_(speed), origin_ns_(origin_ns), t0_ns_(t0_ns) {}

  const Speed& speed() const { return speed_; }
  int64_t t0_ns() const { return t0_ns_; }
  int64_t due_ns(int64_t recorded_ns) const {
    return t0_ns_ + speed_.scale(recorded_ns - origin_ns_);
  }

  // Replaces the connection's earlier wake-up.
  void wake(ConnectionId connection, int64_t at_ns);
  void forget(ConnectionId connection) { wakes_.erase(connection); }
  std::optional<int64_t> next_wake_ns();
  // A connection whose wake-up has come, the most overdue first.
  std::optional<ConnectionId> take_due(int64_t now_ns);

 private:
  struct Entry {
    int64_t at_ns;
    uint64_t sequence;  // first come, first served
    ConnectionId connection;
    bool operator>(const Entry& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : sequence > other.sequence;
    }
  };
  bool is_stale(const Entry& entry) const;
  void drop_stale();

  // Invariant: each connection in wakes_ has exactly one entry in queue_ with its sequence; all
  // other entries are stale.
  Speed speed_;
  int64_t origin_ns_;
  int64_t t0_ns_;
  uint64_t next_sequence_ = 0;
  std::unordered_map<ConnectionId, uint64_t> wakes_;  // to the sequence of its entry
  std::priority_queue<Entry, std::vector<Entry>, std::greater<>> queue_;
};

}  // namespace wiretape
