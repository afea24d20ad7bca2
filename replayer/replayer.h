// Replays a tape against a target: the whole of `wiretape replay` behind its command line.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "replayer/compare.h"
#include "replayer/excerpt.h"
#include "replayer/guard.h"
#include "replayer/pacer.h"
#include "replayer/report.h"
#include "replayer/rewrite_rules.h"
#include "replayer/run_tape.h"

namespace wiretape {

// How far a run has come.
struct Progress {
  uint64_t sent = 0;   // requests, and turns when there are any: then no total is known
  uint64_t total = 0;  // requests of the whole tape; 0: not known
  int64_t running_ns = 0;
  int64_t left_ns = -1;  // -1: not known
  int64_t lateness_p99_ns = 0;
  uint64_t differences = 0;
  uint64_t errors = 0;
};

struct ReplayOptions {
  std::string tape;  // "-" is standard input
  Endpoint target;
  Speed speed = Speed::times(1);
  std::string speed_text = "1";  // as the user wrote it
  Stretch stretch;               // of the tape, from its first record
  Pace pace = Pace::recorded;
  bool precise = false;                       // spin before due times instead of sleeping
  size_t connections_max = 0;                 // open at a time; 0: as many as descriptors allow
  uint64_t loops = 1;                         // how often the tape is gone through
  int64_t timeout_ns = 30 * 1'000'000'000LL;  // without progress
  CompareOptions compare;
  GuardOptions guard;
  std::function<void(const Progress&)> on_progress;  // some times a second; may be empty
  RunTapeOptions run_tape;
  RewriteOptions rewrite;
};

// The target's addresses, in the order in which a run would dial them. Connects to none. Errors:
// the name is not known (target).
Result<std::vector<Address>> resolve_target(const Endpoint& target);

// Runs until every connection on the tape has been replayed or accounted for. Errors: the target is
// not allowed (usage), the tape can't be read (tape), the
// run's own tape exists or can't be written (usage, disk), the first connection attempt failed
// (target).
Result<RunReport> replay(const ReplayOptions& options);

}  // namespace wiretape
