// A replay that blames its target for its own lateness, or the other way round, is worse than none.
// The rule looks at what a send had to wait for, in this order:
//
//   its own late beginning            what made that late
//   nothing, or nothing after due     us
//   mostly what made the one before   what made that late
//   late, too
//   else                              target
//
//   due            held until   accepted
//    |---- target's ---|-- ours --|        the greater part takes the blame of a send
//
// What was made late by a send before keeps its root: ours stays ours, a limit's a limit's, and
// what the target had held is a dependency from then on.
#include "replayer/blame.h"

#include <algorithm>
#include <cassert>

namespace wiretape {

void Blame::held_by_limit(int64_t until_ns, int64_t late_ns) {
  held_until_ns_ = until_ns;
  late_before_ns_ = std::max<int64_t>(late_ns, 0);
  cause_before_ = Cause::limit;
}

Cause Blame::judge(int64_t due_ns, int64_t late_ns, bool paced) {
  assert(late_ns >= 0);
  cause_before_ = cause(due_ns, late_ns, paced);
  late_before_ns_ = late_ns;
  return cause_before_;
}

Cause Blame::cause(int64_t due_ns, int64_t late_ns, bool paced) const {
  const Cause inherited = cause_before_ == Cause::target ? Cause::dependency : cause_before_;
  if (paced) return inherited;
  const int64_t held_ns = held_until_ns_ - due_ns;
  if (held_ns <= late_ns / 2) return Cause::us;
  return late_before_ns_ > late_ns / 2 ? inherited : Cause::target;
}

}  // namespace wiretape
