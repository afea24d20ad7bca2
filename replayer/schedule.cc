// A tape may have parts (rotation, appending, `cat a.tape b.tape`), each with its own clock and its
// own connection ids. A run has one clock and one set of ids, so this is where they are joined:
//
//   part 0  ids 1..40         0 s ---- 60 s
//   part 1  ids 1..25                        0 s ---- 60 s
//   run     ids 1..40, +1..25 0 s ---- 60 s 60 s --- 120 s
//
// Parts made by one process (the same tape set) keep the distance that their wall clocks had;
// tapes put together by hand follow each other at once, because nobody wants to wait through the
// days between two recordings.
//
// Connections still open where a part or the tape ends (a crash, a tape that was cut) are closed
// there, and so is one whose id is opened again: every connection of a run has an end, so that
// every run has one. A part begins where its first record is, for its header may be lost.
#include "replayer/schedule.h"

#include <algorithm>
#include <cassert>

namespace wiretape {
namespace {

// Times come from files, and may be any; no sum of a few of these runs over.
constexpr int64_t time_ns_max = INT64_MAX / 4;

int64_t bounded(int64_t time_ns) {
  return std::clamp<int64_t>(time_ns, 0, time_ns_max);
}
int64_t later(int64_t time_ns, int64_t by_ns) {
  return bounded(bounded(time_ns) + bounded(by_ns));
}
int64_t between(int64_t from_ns, int64_t to_ns) {
  return std::max<int64_t>(to_ns, 0) - std::max<int64_t>(from_ns, 0);
}

}  // namespace

void Schedule::feed(const TapeReader::Item& item) {
  if (const auto* damage = std::get_if<TapeDamage>(&item)) {
    blocks_lost_ += damage->blocks_lost;
    ++damages_;
    return;
  }
  record(std::get<TapeRecord>(item));
}

void Schedule::record(const TapeRecord& read) {
  if (read.part != part_) begin_part(read.part);
  const bool counts = !std::holds_alternative<Header>(read.event);
  if (counts) last_ns_ = std::max(last_ns_, later(part_begin_ns_, read.time_ns));
  rewritten_.now_ns = last_ns_;
  std::visit([&](const auto& kind) { on(last_ns_, kind); }, read.event);
}

void Schedule::begin_part(uint32_t part) {
  close_all();
  part_ = part;
  part_begin_ns_ = last_ns_;
  ++lap_;
  greatest_of_lap_ = 0;
}

// Says where the part stands on the one clock.
void Schedule::on(int64_t, const Header& header) {
  part_begin_ns_ = last_ns_;
  if (!tape_set_.empty() && header.tape_set == tape_set_) {
    const int64_t apart_ns = between(wall_start_ns_, header.wall_start_ns);
    part_begin_ns_ = std::max(last_ns_, later(header_ns_, apart_ns));
  }
  tape_set_ = header.tape_set;
  wall_start_ns_ = header.wall_start_ns;
  header_ns_ = part_begin_ns_;
}

void Schedule::on(int64_t time_ns, const Opened& opened) {
  Closed before;  // a damaged tape may have it open
  before.connection = opened.connection;
  on(time_ns, before);
  const ConnectionId id = fresh_id(opened.connection);
  listener_.recorded_opened(id, part_);
  auto rewriter = rules_.empty() ? nullptr : std::make_unique<Rewriter>(rules_, rewritten_);
  auto connection =
      std::make_unique<RecordedConnection>(id, listener_, actions_, std::move(rewriter));
  connection->opened(time_ns, closed_, number_of(opened.client));
  [[maybe_unused]] const bool is_new =
      open_.emplace(opened.connection, std::move(connection)).second;
  assert(is_new);
}

// A client has one address and a new port for each of its connections.
uint32_t Schedule::number_of(const std::string& client) {
  const std::string host = client.substr(0, client.rfind(':'));
  return clients_.emplace(host, static_cast<uint32_t>(clients_.size())).first->second;
}

// What a recorder writes needs one lap a part, or a few where connections came at the same moment.
ConnectionId Schedule::fresh_id(ConnectionId recorded) {
  const ConnectionId name = recorded_id(recorded);
  if (name <= greatest_of_lap_) ++lap_;
  greatest_of_lap_ = name;
  assert(lap_ <= UINT32_MAX);
  return lap_ << 32 | name;
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
  open_.erase(closed.connection);
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
  const auto found = open_.find(recorded);
  return found == open_.end() ? nullptr : found->second.get();
}

}  // namespace wiretape
