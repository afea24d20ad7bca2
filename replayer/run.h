// A run from its first due time to its last connection's end: the loop that reads the tape ahead,
// wakes connections when they are due, and ends when all of them have.
//
// One thread; everything given to it outlives it.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/absolute_timer.h"
#include "base/loop.h"
#include "base/result.h"
#include "base/signal.h"
#include "replayer/admission.h"
#include "replayer/connection.h"
#include "replayer/excerpt.h"
#include "replayer/precise_guard.h"
#include "replayer/replayer.h"
#include "replayer/tape_source.h"
#include "replayer/target_wire.h"

namespace wiretape {

class Run {
 public:
  // `run_tape`: what the run is recorded on; nullptr: it is not.
  Run(const ReplayOptions& options, Loop& loop, TapeSource& tape, Target& target,
      RunTape* run_tape);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  // Once. Runs the loop until every connection is accounted for. From the first SIGINT or SIGTERM
  // on nothing more is sent, answers under way are collected and the rest of the tape (of the lap,
  // with several) is counted; a second ends the run at once.
  // Errors: no timer could be made, the first connection attempt failed (target).
  Result<RunReport> go();

 private:
  struct Slot {
    std::unique_ptr<Connection> connection;
    bool held = false;     // may not open yet
    uint32_t client = 0;   // its number
    int64_t think_ns = 0;  // recorded, from the client's last completion to the opening
  };
  Result<void> load();
  void tick();
  void wake_due();
  void read_slice();
  bool wants_records();
  bool may_read_now();
  void read_record();
  void dispatch();
  void dispatch(Action action);
  void open_slot(const Action& action);
  std::unique_ptr<Wire> make_wire(ConnectionId id, WireListener& listener);
  void admit();
  bool is_stuck();
  bool follows_clock() const;
  uint64_t read_ahead_bytes() const;
  void sleep_until(int64_t at_ns);
  void woke();
  void show_progress();
  Progress progress() const;
  void bury();
  void finished(ConnectionId id);
  void arm();
  void check_first_connection();
  void on_signal();
  void stop_sending();
  void cut_off();
  bool is_over();
  void let_go();
  RunReport report() const;
  void add_begun_before(RunReport& report) const;

  const ReplayOptions& options_;
  Loop& loop_;
  TapeSource& tape_;
  Target& target_;
  RunTape* const run_tape_;
  Compare compare_;
  Excerpt excerpt_;
  Admission admission_;
  PreciseGuard guard_;
  Tally tally_;
  std::optional<Pacer> pacer_;
  std::optional<RunContext> context_;
  std::optional<AbsoluteTimer> timer_;
  std::optional<Signal> interrupt_;
  std::optional<Signal> terminate_;
  // Invariant: every connection whose open action was read and whose last action was not carried
  // out is in slots_; a held one waits in admission_ as well.
  std::unordered_map<ConnectionId, Slot> slots_;
  std::vector<ConnectionId> finished_;  // to be destroyed in the next tick
  ConnectionId first_id_ = 0;           // of the first to open
  bool tape_ended_ = false;             // nothing more of it is to be played
  bool torn_ = false;
  bool any_turns_ = false;       // of which the tape's totals know nothing
  int signals_ = 0;              // seen: 1 stops sending, 2 ends the run
  int64_t sleeps_until_ns_ = 0;  // 0: it does not sleep
  int64_t shown_ns_ = 0;         // when the progress was
  int64_t end_ns_ = 0;
  std::optional<Error> failed_;
};

}  // namespace wiretape
