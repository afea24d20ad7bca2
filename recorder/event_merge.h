// The events of several queues in order of time: a tape is in that order, whatever loops there are.
//
// One thread, the recorder's.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "recorder/tap.h"

namespace wiretape {

class EventMerge {
 public:
  // The taps must outlive the merge.
  explicit EventMerge(const std::vector<std::unique_ptr<Tap>>& taps) : taps_(taps) {}

  // Looks at the clock and the watermarks; what is in the queues later may wait for the next round.
  void begin_round();
  // The queue whose first event is the next; nullptr: none is for certain.
  EventQueue* earliest();

 private:
  const std::vector<std::unique_ptr<Tap>>& taps_;
  std::vector<int64_t> bounds_ns_;  // no event that is not in its queue yet is earlier
};

}  // namespace wiretape
