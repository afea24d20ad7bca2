// What stat says of a run's tape besides what it says of any: which connections were replayed, and
// how true to time the sends were.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "proto/event.h"
#include "proto/json.h"
#include "replayer/latency.h"
#include "replayer/tally.h"

namespace wiretape {

class RunCounter {
 public:
  // Recorded connections that are told apart: a bit each, so that memory stays bounded whatever a
  // tape claims. Those with larger ids are not counted as recorded ones.
  static constexpr ConnectionId recorded_max = ConnectionId{1} << 26;

  void take(const Opened& opened);
  void take(const Send& send);

  // Whether there was anything of a run on the tape.
  bool is_run() const { return replaying_ > 0 || lateness_ns_.count() > 0; }
  // "12 recorded connections, on 13"
  std::string connections_text() const;
  // Fields of the object that is open.
  void write(JsonWriter& json) const;
  // A line for each cause of lateness there was, and first one for all sends: name and figures.
  std::vector<std::pair<std::string, std::string>> rows() const;

 private:
  // Invariant: the histograms by cause, other_ns_ among them, add up to lateness_ns_.
  uint64_t replaying_ = 0;  // connections that name a recorded one
  uint64_t recorded_ = 0;   // ... which they name: a replacement names it again
  std::vector<bool> seen_;  // by the id of the recorded connection
  Histogram lateness_ns_;
  std::array<Histogram, causes> by_cause_ns_;
  Histogram other_ns_;  // causes that this version does not know
};

}  // namespace wiretape
