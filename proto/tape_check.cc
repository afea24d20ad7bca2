// The offsets in chunks and gaps say what a connection lost, even where the records that would say
// so are lost themselves:
//
//   chunk at 0, 500 bytes | ... a block is lost ... | chunk at 900   ->  400 bytes lost
//
// The lengths in a closed record say it for the end of each stream, and the trailer's totals say it
// for connections of which nothing at all is left. A connection is forgotten when it closes, and
// remembered only if it lost something, and only as long as there are few such; so memory follows
// what is open, not the tape's length, nor how bad it is.
//
// Invariant: length_ counts every byte of the part that was there, lost or a gap, exactly once.
#include "proto/tape_check.h"

#include <algorithm>
#include <cassert>

namespace wiretape {

namespace {

// Totals may come from hostile files.
uint64_t minus(uint64_t a, uint64_t b) {
  return a > b ? a - b : 0;
}

uint64_t plus(uint64_t a, uint64_t b) {
  return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

bool lost_something(const ConnectionLoss& loss) {
  return loss.lost[0] + loss.lost[1] + loss.gaps[0] + loss.gaps[1] > 0 || loss.opened_lost ||
         loss.end_unknown;
}

// A tape can have as many faults as it has bytes.
template <typename Found>
void keep(std::vector<Found>& list, const Found& found, size_t count_max, uint64_t& omitted) {
  assert(list.size() <= count_max);
  list.size() < count_max ? list.push_back(found) : void(++omitted);
}

}  // namespace

bool TapeFindings::whole() const {
  return end == TapeEnd::whole && torn_bytes == 0 && clean_trailer && damage.empty() &&
         losses.empty() && blocks_lost == 0 && connections_lost == 0 && bytes_lost == 0 &&
         gap_bytes == 0 && records_out_of_order == 0;
}

void TapeCheck::feed(const TapeReader::Item& item) {
  if (const auto* damage = std::get_if<TapeDamage>(&item)) {
    on_damage(*damage);
  } else {
    on_record(std::get<TapeRecord>(item));
  }
}

void TapeCheck::on_damage(const TapeDamage& damage) {
  damaged_ = true;
  findings_.blocks_lost = plus(findings_.blocks_lost, damage.blocks_lost);
  keep(findings_.damage, damage, TapeFindings::damage_max, findings_.damage_omitted);
}

void TapeCheck::on_record(const TapeRecord& record) {
  if (record.part != part_) begin_part(record.part);
  ++findings_.records;
  if (record.time_ns < last_ns_) ++findings_.records_out_of_order;
  last_ns_ = std::max(last_ns_, record.time_ns);
  std::visit([this](const auto& event) { on_event(event); }, record.event);
}

void TapeCheck::on_event(const Opened& opened) {
  open_[opened.connection].loss = {part_, opened.connection, {}, {}, false, false};
  ++connections_;
}

void TapeCheck::on_event(const Chunk& chunk) {
  advance(connection(chunk.connection), chunk.direction, chunk.offset, chunk.bytes.size());
}

void TapeCheck::on_event(const Gap& gap) {
  findings_.gap_bytes = plus(findings_.gap_bytes, gap.length);
  if (gap.connection == 0) {
    connections_ = plus(connections_, gap.connections);
    uint64_t& length = length_[index_of(gap.direction)];
    length = plus(length, gap.length);
    return;
  }
  Connection& connection = this->connection(gap.connection);
  uint64_t& gaps = connection.loss.gaps[index_of(gap.direction)];
  gaps = plus(gaps, gap.length);
  advance(connection, gap.direction, gap.offset, gap.length);
}

void TapeCheck::on_event(const HalfClosed& half_closed) {
  advance(connection(half_closed.connection), half_closed.direction, half_closed.offset, 0);
}

void TapeCheck::on_event(const Closed& closed) {
  Connection& connection = this->connection(closed.connection);
  for (Direction d : {Direction::client_to_server, Direction::server_to_client}) {
    advance(connection, d, closed.length[index_of(d)], 0);
  }
  settle(connection);
  open_.erase(closed.connection);
}

void TapeCheck::on_event(const Trailer& trailer) {
  has_trailer_ = true;
  trailer_ = trailer;
}

// One that is not open: the record that opened it is lost.
TapeCheck::Connection& TapeCheck::connection(ConnectionId id) {
  auto [place, is_new] = open_.try_emplace(id);
  if (is_new) {
    place->second.loss = {part_, id, {}, {}, true, false};
    ++connections_;
  }
  return place->second;
}

// The stream is known from `offset` to `offset` + `length`; what lies before and did not come is
// lost.
void TapeCheck::advance(Connection& connection, Direction direction, uint64_t offset,
                        uint64_t length) {
  uint64_t& next = connection.next[index_of(direction)];
  uint64_t lost = minus(offset, next);
  uint64_t end = std::max(next, plus(offset, length));
  connection.loss.lost[index_of(direction)] += lost;
  findings_.bytes_lost = plus(findings_.bytes_lost, lost);
  length_[index_of(direction)] = plus(length_[index_of(direction)], end - next);
  assert(lost <= end - next);
  next = end;
}

void TapeCheck::settle(const Connection& connection) {
  if (!lost_something(connection.loss)) return;
  keep(findings_.losses, connection.loss, TapeFindings::losses_max, findings_.losses_omitted);
}

void TapeCheck::begin_part(uint32_t part) {
  end_part();
  part_ = part;
  last_ns_ = 0;
  damaged_ = false;
  has_trailer_ = false;
  trailer_ = {};
  connections_ = 0;
  length_[0] = length_[1] = 0;
}

uint64_t TapeCheck::missing_by_trailer() const {
  return plus(minus(trailer_.length[0], length_[0]), minus(trailer_.length[1], length_[1]));
}

// A connection that is still open where the trailer stands was open when recording stopped; without
// a trailer, or with blocks missing, it may have gone on.
void TapeCheck::end_part() {
  bool end_known = has_trailer_ && !damaged_;
  for (auto& [id, connection] : open_) {
    connection.loss.end_unknown = !end_known;
    settle(connection);
  }
  open_.clear();
  all_clean_ = all_clean_ && has_trailer_ && trailer_.clean;
  if (!has_trailer_) return;
  findings_.connections_lost =
      plus(findings_.connections_lost, minus(trailer_.connections, connections_));
  findings_.bytes_lost = plus(findings_.bytes_lost, missing_by_trailer());
}

TapeFindings TapeCheck::finish(const TapeReader& reader) {
  end_part();
  findings_.end = reader.end();
  findings_.torn_bytes = reader.torn_bytes();
  findings_.clean_trailer = all_clean_;
  return std::move(findings_);
}

}  // namespace wiretape
