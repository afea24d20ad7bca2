// Of the queues' first events the earliest goes next, provided that no empty queue can still bring
// an earlier one. What an empty queue can bring is bounded by its tap's watermark, or, when its
// loop sleeps, by the present as it was before the watermark was read (recorder/tap.cc has the
// argument why these two are enough).
//
// A queue that is alone needs no bound: its events are in order.
#include "recorder/event_merge.h"

#include <algorithm>

#include "base/clock.h"

namespace wiretape {

void EventMerge::begin_round() {
  const int64_t present_ns = monotonic_ns();  // before any watermark is read
  bounds_ns_.resize(taps_.size());
  for (size_t i = 0; i < taps_.size(); ++i) {
    const bool alone = taps_.size() == 1;
    bounds_ns_[i] = alone ? Tap::asleep : std::min(taps_[i]->watermark(), present_ns);
  }
}

EventQueue* EventMerge::earliest() {
  EventQueue* best = nullptr;
  int64_t best_ns = Tap::asleep;
  int64_t bound_ns = Tap::asleep;
  for (size_t i = 0; i < taps_.size(); ++i) {
    EventQueue& queue = taps_[i]->queue();
    const QueuedEvent* event = queue.peek();
    if (event == nullptr) {
      bound_ns = std::min(bound_ns, bounds_ns_[i]);
    } else if (event->time_ns < best_ns) {
      best_ns = event->time_ns;
      best = &queue;
    }
  }
  return best_ns < bound_ns ? best : nullptr;
}

}  // namespace wiretape
