// The tape that a run makes of itself: `wiretape replay -o RUN.tape`.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "recorder/recorder.h"
#include "replayer/taped_wire.h"

namespace wiretape {

struct RunTapeOptions {
  std::string path;  // empty: no tape; "-" is standard output
  bool overwrite = false;
};

// What became of it.
struct RunTapeEnd {
  std::string path;
  uint64_t connections = 0;
  uint64_t bytes_not_recorded = 0;
  uint64_t sends_not_recorded = 0;  // times of sends; their bytes may be there
  uint64_t exchanges_with_credentials = 0;
  Recorder::Outcome outcome = Recorder::Outcome::whole;
};

// One thread, the run's, except for what the recorder does on its own. A run never waits for its
// tape: what the disk is too slow for becomes gaps.
class RunTape {
 public:
  // Creates the tape, with its header on disk. `tape` and `target` are what is replayed to where,
  // as the user named them. Errors: it exists (usage), it cannot be written (disk).
  static Result<std::unique_ptr<RunTape>> start(const RunTapeOptions& options,
                                                const std::string& tape, const std::string& target);

  // A wire for the connection `recorded`, or for its replacement, that is on this tape.
  std::unique_ptr<Wire> wire(ConnectionId recorded, WireListener& listener,
                             const TapedWire::MakeWire& make_inner);
  // The loop is about to sleep.
  void before_wait();
  // All wires are gone. Writes what is left, and the trailer. When the disk hangs the recorder's
  // thread is left behind, and the process should end.
  RunTapeEnd finish();

 private:
  RunTape(std::string path, std::unique_ptr<Recorder> recorder)
      : path_(std::move(path)), recorder_(std::move(recorder)) {}

  // Invariant: every wire made taps into the recorder's only queue.
  std::string path_;
  std::unique_ptr<Recorder> recorder_;
};

}  // namespace wiretape
