// Whose fault it is when a send of a replayed connection is late. Times are CLOCK_MONOTONIC
// nanoseconds.
#pragma once

#include <cstdint>

#include "replayer/tally.h"

namespace wiretape {

class Blame {
 public:
  // What was waited for (an answer, the connection, room in the target's window) came then.
  void held_by_target(int64_t until_ns) { held_until_ns_ = until_ns; }
  // A limit on connections kept this one from opening, by `late_ns`.
  void held_by_limit(int64_t until_ns, int64_t late_ns);

  // Of a send that the kernel took `late_ns` after it was due. `paced`: it waited for no more than
  // the late beginning of its own request or turn.
  Cause judge(int64_t due_ns, int64_t late_ns, bool paced);

 private:
  Cause cause(int64_t due_ns, int64_t late_ns, bool paced) const;

  // Invariant: late_before_ns_ >= 0, and is what cause_before_ was judged of.
  int64_t held_until_ns_ = 0;
  int64_t late_before_ns_ = 0;  // the send before, or the opening that a limit held
  Cause cause_before_ = Cause::us;
};

}  // namespace wiretape
