// The sink has two states. Healthy: events go straight to the writer. Failing: chunks become
// stretches of missing bytes, one per connection and direction; openings and endings are kept as
// they are, so that the tape, when it goes on, still knows every connection.
//
//   healthy --write fails--> failing --each second: flush ok--> kept events, gaps --> healthy
//                               |
//                               +--finish: block given up, gaps and trailer into the reserve
//
// Gap records follow in order of time: before the end of their connection, or at the moment the
// disk was back.
#include "recorder/tape_sink.h"

#include <fmt/core.h>

#include <algorithm>
#include <cassert>

#include "base/log.h"
#include "proto/tape_format.h"

namespace wiretape {
namespace {

// How hard to compress, by how full the queue is. A recorder that keeps up finds next to nothing in
// its queue, and the asked-for level is right. In bulk, the time spent on a better ratio would be
// taken from the traffic: so the level falls early, and at a quarter blocks are only stored, long
// before the queue could fill and hold the relays.
int level_for(double full, int asked) {
  if (asked == 0 || full > 1.0 / 4) return 0;
  if (full > 1.0 / 8) return std::min(asked, -20);
  if (full > 1.0 / 32) return std::min(asked, -5);
  return asked;
}

}  // namespace

TapeSink::TapeSink(std::unique_ptr<TapeWriter> writer, int level)
    : writer_(std::move(writer)), level_(level) {}

void TapeSink::chunk(int64_t time_ns, ConnectionId connection, Direction direction, uint64_t offset,
                     Bytes bytes) {
  last_ns_ = time_ns;
  if (!failing_) {
    const auto written = writer_->write_chunk(time_ns, connection, direction, offset, bytes);
    if (written) return;
    fails(written.error(), time_ns);
  }
  bytes_not_recorded_ += bytes.size();
  miss(connection, direction, offset, bytes.size());
}

void TapeSink::event(int64_t time_ns, const Event& event) {
  last_ns_ = time_ns;
  if (const auto* gap = std::get_if<Gap>(&event)) bytes_not_recorded_ += gap->length;
  if (!failing_) {
    const auto written = write(time_ns, event);
    if (written) return;
    fails(written.error(), time_ns);
  }
  put_aside(time_ns, event);
}

Result<void> TapeSink::write(int64_t time_ns, const Event& event) {
  auto written = writer_->write(time_ns, event);
  if (written && std::holds_alternative<Gap>(event)) ++gaps_;
  return written;
}

int64_t TapeSink::next_tick_ns() const {
  if (failing_) return retry_at_ns_;
  const int64_t oldest_ns = writer_->oldest_unstored_ns();
  return oldest_ns < 0 ? -1 : oldest_ns + tape_format::block_age_ns_max;
}

void TapeSink::tick(int64_t now_ns) {
  if (failing_) {
    if (now_ns >= retry_at_ns_) try_again(now_ns);
    return;
  }
  if (next_tick_ns() < 0 || now_ns < next_tick_ns()) return;
  if (const auto flushed = writer_->flush(); !flushed) fails(flushed.error(), now_ns);
}

void TapeSink::set_queue_level(double full) {
  writer_->set_level(level_for(full, level_));
}

// ---------------------------------------------------------------------------------- failing

void TapeSink::fails(const Error& error, int64_t now_ns) {
  failing_ = true;
  retry_at_ns_ = now_ns + retry_ns;
  failure_ = error.message;
  warn("{}; traffic goes on unrecorded, trying again each second", error.message);
}

void TapeSink::try_again(int64_t now_ns) {
  retry_at_ns_ = now_ns + retry_ns;
  if (!writer_->flush()) return;
  keep_all_gaps(last_ns_);
  if (!write_kept()) return;
  failing_ = false;
  warn("recording to {} again; {} bytes were not recorded", writer_->path(), bytes_not_recorded_);
}

void TapeSink::miss(ConnectionId connection, Direction direction, uint64_t offset,
                    uint64_t length) {
  if (length == 0) return;
  Missing& missing = missing_[connection].by_direction[index_of(direction)];
  if (missing.length == 0) missing.offset = offset;
  assert(missing.offset + missing.length == offset);
  missing.length += length;
}

void TapeSink::put_aside(int64_t time_ns, const Event& event) {
  if (const auto* gap = std::get_if<Gap>(&event); gap != nullptr && gap->connection != 0) {
    return miss(gap->connection, gap->direction, gap->offset, gap->length);
  }
  // What is missing of a stream is told before its end is.
  if (const auto* end = std::get_if<HalfClosed>(&event)) keep_gaps_of(end->connection, time_ns);
  if (const auto* closed = std::get_if<Closed>(&event)) keep_gaps_of(closed->connection, time_ns);
  if (std::holds_alternative<Exchange>(event)) return;  // an index over bytes that are not there
  if (std::holds_alternative<Send>(event)) return miss_sends(1);
  keep(time_ns, event);
}

void TapeSink::keep(int64_t time_ns, const Event& event) {
  if (kept_.size() < kept_events_max) {
    kept_.emplace_back(time_ns, event);
  } else {
    add_to_sum(event);
  }
}

// What is not kept one by one is summed up: connections, and missing bytes by direction.
void TapeSink::add_to_sum(const Event& event) {
  if (std::holds_alternative<Opened>(event)) ++summed_.connections;
  if (const auto* gap = std::get_if<Gap>(&event)) {
    summed_.bytes[index_of(gap->direction)] += gap->length;
    summed_.connections += gap->connections;
  }
}

void TapeSink::keep_gaps_of(ConnectionId connection, int64_t time_ns) {
  const auto found = missing_.find(connection);
  if (found == missing_.end()) return;
  for (const Direction d : {Direction::client_to_server, Direction::server_to_client}) {
    const Missing& missing = found->second.by_direction[index_of(d)];
    if (missing.length == 0) continue;
    keep(time_ns, Gap{connection, d, missing.offset, missing.length, GapReason::disk, 0});
  }
  missing_.erase(found);
}

void TapeSink::keep_all_gaps(int64_t time_ns) {
  while (!missing_.empty()) keep_gaps_of(missing_.begin()->first, time_ns);
  keep_sum(time_ns);
}

void TapeSink::keep_sum(int64_t time_ns) {
  Sum sum = std::exchange(summed_, {});
  for (const Direction d : {Direction::client_to_server, Direction::server_to_client}) {
    const uint64_t bytes = sum.bytes[index_of(d)];
    const uint64_t connections = std::exchange(sum.connections, 0);
    if (bytes == 0 && connections == 0) continue;
    kept_.emplace_back(time_ns, Gap{0, d, 0, bytes, GapReason::disk, connections});
  }
}

// True when all of it was taken; what was not is kept.
bool TapeSink::write_kept() {
  size_t written = 0;
  while (written < kept_.size() && write(kept_[written].first, kept_[written].second)) {
    ++written;
  }
  kept_.erase(kept_.begin(), kept_.begin() + static_cast<ptrdiff_t>(written));
  return kept_.empty();
}

// ---------------------------------------------------------------------------------- the end

// On a disk that is still full only the reserve is left: room for some hundred records. When there
// are more, they become one that gives the sum.
void TapeSink::make_kept_fit() {
  constexpr size_t records_max = 300;
  if (kept_.size() <= records_max) return;
  const int64_t last_ns = kept_.back().first;
  for (const auto& [time_ns, event] : std::exchange(kept_, {})) add_to_sum(event);
  keep_sum(last_ns);
}

// The block that the disk does not take comes before everything that was put aside since: it goes
// the same way, and then the rest follows it once more.
void TapeSink::give_up_block() {
  const auto kept = std::exchange(kept_, {});
  const auto missing = std::exchange(missing_, {});
  writer_->discard_block([this](int64_t time_ns, const Event& event) {
    if (const auto* chunk = std::get_if<Chunk>(&event)) {
      bytes_not_recorded_ += chunk->bytes.size();
      return miss(chunk->connection, chunk->direction, chunk->offset, chunk->bytes.size());
    }
    if (std::holds_alternative<Gap>(event)) --gaps_;  // its bytes stay counted
    put_aside(time_ns, event);
  });
  for (const auto& [time_ns, event] : kept) put_aside(time_ns, event);
  for (const auto& [connection, pair] : missing) {
    for (const Direction d : {Direction::client_to_server, Direction::server_to_client}) {
      const Missing& m = pair.by_direction[index_of(d)];
      miss(connection, d, m.offset, m.length);
    }
  }
}

bool TapeSink::finish(int64_t now_ns, Trailer trailer) {
  if (failing_) try_again(now_ns);
  if (failing_ && !writer_->flush(TapeWriter::Reserve::use)) give_up_block();
  if (failing_) {
    keep_all_gaps(last_ns_);
    make_kept_fit();
    write_kept();
  }
  trailer.bytes_not_recorded = bytes_not_recorded_;
  trailer.gaps = gaps_;
  trailer.clean = bytes_not_recorded_ == 0 && gaps_ == 0 && sends_not_recorded_ == 0;
  const auto finished = writer_->finish(now_ns, trailer);
  if (!finished) {
    failure_ = finished.error().message;
    warn("{}; the end of the tape is not all there", failure_);
  }
  return finished.ok() && trailer.clean;
}

}  // namespace wiretape
