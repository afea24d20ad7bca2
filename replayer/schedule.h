// The plan of a run: the tape's records in, actions in order of time out. Holds only connections
// that are open on the tape, so that a tape of any length fits; how far it reads ahead is up to
// whoever feeds it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "proto/tape_reader.h"
#include "replayer/action.h"
#include "replayer/recorded_connection.h"
#include "replayer/rewrite.h"

namespace wiretape {

// A run's ids are its own: damaged tapes use one twice, and every part begins at 1 again. The lower
// half is what the tape calls the connection, for people.
inline ConnectionId recorded_id(ConnectionId run_id) {
  return run_id & UINT32_MAX;
}

class Schedule {
 public:
  // The listener must outlive the schedule.
  explicit Schedule(RecordedListener& listener, RewriteRules rules = {})
      : listener_(listener), rules_(std::move(rules)) {}
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

  // Of the tape, as far as it was read.
  uint32_t parts() const { return part_ + 1; }
  // Connections of which only the fact that they were there is known.
  uint64_t connections_not_recorded() const { return connections_not_recorded_; }
  uint64_t blocks_lost() const { return blocks_lost_; }
  uint64_t damages() const { return damages_; }
  // What the rules changed so far.
  const RewriteTally& rewritten() const { return rewritten_; }
  // From then on only requests that begin in [from_ns, to_ns) count as rewritten.
  void count_rewriting(int64_t from_ns, int64_t to_ns) {
    rewritten_.from_ns = from_ns;
    rewritten_.to_ns = to_ns;
  }

 private:
  void record(const TapeRecord& read);
  void begin_part(uint32_t part);
  void on(int64_t time_ns, const Header& header);
  void on(int64_t time_ns, const Opened& opened);
  void on(int64_t time_ns, const Chunk& chunk);
  void on(int64_t time_ns, const HalfClosed& half_closed);
  void on(int64_t time_ns, const Closed& closed);
  void on(int64_t time_ns, const Gap& gap);
  template <typename Other>
  void on(int64_t, const Other&) {}  // nothing to do for a replay

  void close_all();
  uint32_t number_of(const std::string& client);
  ConnectionId fresh_id(ConnectionId recorded);
  RecordedConnection* find(ConnectionId recorded);

  // Invariant: no two connections of the run have the same id, and last_ns_ never decreases.
  RecordedListener& listener_;
  const RewriteRules rules_;
  RewriteTally rewritten_;
  std::deque<Action> actions_;
  std::map<ConnectionId, std::unique_ptr<RecordedConnection>> open_;  // by the part's own ids
  uint32_t part_ = 0;
  int64_t part_begin_ns_ = 0;  // on the one clock
  std::string tape_set_;       // of the last header, like the next two
  int64_t wall_start_ns_ = 0;
  int64_t header_ns_ = 0;  // wall_start_ns_ on the one clock
  int64_t last_ns_ = 0;
  std::unordered_map<std::string, uint32_t> clients_;  // by address without port, numbered
  uint64_t lap_ = 0;  // ids grow with each connection of a lap; when one doesn't, the next begins
  ConnectionId greatest_of_lap_ = 0;
  uint64_t closed_ = 0;
  uint64_t connections_not_recorded_ = 0;
  uint64_t blocks_lost_ = 0;
  uint64_t damages_ = 0;
};

}  // namespace wiretape
