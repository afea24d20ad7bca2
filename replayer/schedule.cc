// A tape may have parts (rotation, appending, `cat a.tape b.tape`), each with its own clock and its
// own connection ids. A run has one clock and one set of ids, so this is where they are joined:
//
//   part 0  ids 1..40    0 s ---- 60 s
//   part 1  ids 1..25                   0 s ---- 60 s
//   run     ids 1..65    0 s ---- 60 s 60 s --- 120 s
//
// Parts made by one process (the same tape set) keep the distance that their wall clocks had;
// tapes put together by hand follow each other at once, because nobody wants to wait through the
// days between two recordings.
//
// Connections still open where a part or the tape ends (a crash, a tape that was cut) are closed
// there: every connection of a run has an end, so that every run has one.
#include "replayer/schedule.h"

#include <algorithm>
#include <cassert>

namespace wiretape {

void Schedule::feed(const TapeReader::Item& item) {
  if (const auto* damage = std::get_if<TapeDamage>(&item)) {
    blocks_lost_ += damage->blocks_lost;
    ++damages_;
    return;
  }
  const auto& record_read = std::get<TapeRecord>(item);
  record(record_read.time_ns, record_read.event);
}

void Schedule::record(int64_t time_ns, const Event& event) {
  const bool new_part = std::holds_alternative<Header>(event);
  const int64_t joined_ns = new_part ? last_ns_ : part_begin_ns_ + time_ns;
  last_ns_ = std::max(last_ns_, joined_ns);
  std::visit([&](const auto& kind) { on(last_ns_, kind); }, event);
}

void Schedule::on(int64_t, const Header& header) {
  close_all();
  const int64_t apart_ns = header.wall_start_ns - wall_start_ns_;
  if (any_header_ && header.tape_set == tape_set_ && apart_ns > 0) {
    part_begin_ns_ = std::max(last_ns_, part_begin_ns_ + apart_ns);
  } else {
    part_begin_ns_ = last_ns_;
  }
  any_header_ = true;
  tape_set_ = header.tape_set;
  wall_start_ns_ = header.wall_start_ns;
  first_id_ = greatest_id_;
}

void Schedule::on(int64_t time_ns, const Opened& opened) {
  const ConnectionId id = id_of(opened.connection);
  auto& connection = open_[id];
  if (connection) return;  // a damaged tape
  greatest_id_ = std::max(greatest_id_, id);
  connection = std::make_unique<RecordedConnection>(id, listener_, actions_);
  connection->opened(time_ns, closed_);
}

void Schedule::on(int64_t time_ns, const Chunk& chunk) {
  if (auto* connection = find(chunk.connection)) connection->chunk(time_ns, chunk);
}

void Schedule::on(int64_t time_ns, const HalfClosed& half_closed) {
  if (auto* connection = find(half_closed.connection)) {
    connection->half_closed(time_ns, half_closed.direction);
  }
}

void Schedule::on(int64_t time_ns, const Closed& closed) {
  auto* connection = find(closed.connection);
  if (connection == nullptr) return;
  connection->closed(time_ns, closed.how, closed.by);
  open_.erase(id_of(closed.connection));
  ++closed_;
}

void Schedule::on(int64_t time_ns, const Gap& gap) {
  if (gap.connection == 0) {
    connections_not_recorded_ += gap.connections;
  } else if (auto* connection = find(gap.connection)) {
    connection->gap(time_ns, gap);
  }
}

void Schedule::finish() {
  close_all();
}

void Schedule::close_all() {
  for (auto& [id, connection] : open_)
    connection->closed(last_ns_, CloseHow::open, ClosedBy::nobody);
  closed_ += open_.size();
  open_.clear();
}

RecordedConnection* Schedule::find(ConnectionId recorded) {
  const auto found = open_.find(id_of(recorded));
  return found == open_.end() ? nullptr : found->second.get();
}

}  // namespace wiretape
