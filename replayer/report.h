// What a run has to say when it is over: a summary for people, JSON for programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "replayer/compare.h"
#include "replayer/run_tape.h"
#include "replayer/tally.h"

namespace wiretape {

struct RunReport {
  std::string tape;
  std::string target;
  std::string speed;  // "1", "2.5", "max"
  bool compared = true;
  // When the tape's first request or turn begins; only when --from and --to leave out all of them.
  std::optional<int64_t> first_unit_ns;
  int64_t duration_ns = 0;  // from the first due time to the last connection's end
  Tally tally;
  Verdicts verdicts;
  uint64_t blocks_lost = 0;  // of a damaged tape
  uint64_t damages = 0;
  uint32_t parts = 1;       // of the tape; several have connections of the same name
  bool torn = false;        // the tape ends without a trailer
  bool read_to_end = true;  // of the tape, all that was asked for; false: a second signal came
  uint64_t connections_not_recorded = 0;
  std::optional<RunTapeEnd> run_tape;  // when the run made one
};

// No unit was judged, though comparing was on.
bool nothing_compared(const RunReport& report);
// Something that was due was not sent, and it is not that the tape lacks it.
bool left_unsent(const RunReport& report);

std::string summary_of(const RunReport& report);
std::string json_of(const RunReport& report);

}  // namespace wiretape
