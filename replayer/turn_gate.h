// Tells when the server's turn on an opaque connection is over, so that the client's next one may
// go. Pure arithmetic over the lengths and times it is given; times are CLOCK_MONOTONIC
// nanoseconds.
#pragma once

#include <cstdint>

#include "replayer/action.h"

namespace wiretape {

class TurnGate {
 public:
  // What has come from the target.
  struct Seen {
    uint64_t length = 0;       // of its stream
    uint64_t http_length = 0;  // of that, what belonged to HTTP before the connection was upgraded
    int64_t last_ns = 0;       // when its last byte came
  };
  enum class State : uint8_t { closed, open, open_by_quiet };

  // Our own turn begins.
  void turn_begins(const Seen& seen, int64_t now_ns);

  // Whether the turn before `action` is over. By quiet not before `due_ns`: until then there is no
  // reason to call it over.
  State check(const Action& action, const Seen& seen, int64_t due_ns, int64_t now_ns);
  // When a turn that has begun will be over by quiet; INT64_MAX when nothing has come yet.
  int64_t quiet_at_ns(const Action& action, const Seen& seen) const;

 private:
  uint64_t received(const Seen& seen) const;

  // Invariant: consumed_ <= what was seen, and so is length_at_turn_.
  uint64_t consumed_ = 0;        // bytes that belong to turns that are over
  uint64_t length_at_turn_ = 0;  // when our last turn began
  int64_t turn_began_ns_ = 0;
};

}  // namespace wiretape
