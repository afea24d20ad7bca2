// The plan of a run: the tape's records in, actions in order of time out. Holds only connections
// that are open on the tape, so that a tape of any length fits; how far it reads ahead is up to
// whoever feeds it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "proto/tape_reader.h"
#include "replayer/action.h"
#include "replayer/recorded_connection.h"

namespace wiretape {

class Schedule {
 public:
  explicit Schedule(RecordedListener& listener) : listener_(listener) {}
  Schedule(const Schedule&) = delete;
  Schedule& operator=(const Schedule&) = delete;

  void feed(const TapeReader::Item& item);
  // After the last item: whatever is still open is closed.
  void finish();

  // What came out so far; the caller takes from the front. Times are on one clock, whatever the
  // tape's parts have.
  std::deque<Action>& actions() { return actions_; }

  // How far the tape was read, on the same clock.
  int64_t time_ns() const { return last_ns_; }

  // Connections of which only the fact that they were there is known.
  uint64_t connections_not_recorded() const { return connections_not_recorded_; }
  uint64_t blocks_lost() const { return blocks_lost_; }
  uint64_t damages() const { return damages_; }

 private:
  void record(int64_t time_ns, const Event& event);
  void on(int64_t time_ns, const Header& header);
  void on(int64_t time_ns, const Opened& opened);
  void on(int64_t time_ns, const Chunk& chunk);
  void on(int64_t time_ns, const HalfClosed& half_closed);
  void on(int64_t time_ns, const Closed& closed);
  void on(int64_t time_ns, const Gap& gap);
  template <typename Other>
  void on(int64_t, const Other&) {}  // nothing to do for a replay

  void close_all();
  ConnectionId id_of(ConnectionId recorded) const { return first_id_ + recorded; }
  RecordedConnection* find(ConnectionId recorded);

  // Invariant: ids of a part's connections are greater than those of all parts before, and
  // last_ns_ never decreases.
  RecordedListener& listener_;
  std::deque<Action> actions_;
  std::map<ConnectionId, std::unique_ptr<RecordedConnection>> open_;
  bool any_header_ = false;
  std::string tape_set_;
  int64_t wall_start_ns_ = 0;  // of the part
  int64_t part_begin_ns_ = 0;  // of the part, on the one clock
  int64_t last_ns_ = 0;
  ConnectionId first_id_ = 0;  // added to the part's ids
  ConnectionId greatest_id_ = 0;
  uint64_t closed_ = 0;
  uint64_t connections_not_recorded_ = 0;
  uint64_t blocks_lost_ = 0;
  uint64_t damages_ = 0;
};

}  // namespace wiretape
