// What all connections of a run share.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "replayer/compare.h"
#include "replayer/pacer.h"
#include "replayer/tally.h"
#include "replayer/wire.h"

namespace wiretape {

// Everything it refers to outlives the connections.
struct RunContext {
  Pacer& pacer;
  Compare& compare;
  Tally& tally;
  int64_t timeout_ns;  // without progress
  std::function<int64_t()> now_ns;
  Pace pace = Pace::recorded;
  // A request needs no more waiting: answered, failed or not sent. May be empty.
  std::function<void(ConnectionId)> on_settled;
  uint64_t queued_bytes = 0;  // what actions not carried out yet take
  // Closed; destroyed by whoever runs the connections, when none of them is at work.
  std::vector<std::unique_ptr<Wire>> old_wires;
};

}  // namespace wiretape
