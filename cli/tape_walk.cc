// Follows the connections of a tape. The records of many connections are interleaved; here each is
// led to its own Live, which counts, hashes, and parses where the tape has no exchange records.
//
//   chunk(7, offset 100..) -> Live 7: bytes 90..100 missing -> ten zeros into the hash,
//                                                              a gap for the parser
//                                     then the chunk itself -> hash, parser
//
// Offsets tell what is missing, whether a gap record says it or a damaged block swallowed it, so
// both are handled by the same few lines (advance_to). A tape is input: a hole may claim any
// length, so once a tape's holes come to more than hole_bytes_max, hashes over further ones are
// left out.
#include "cli/tape_walk.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <vector>

#include "base/log.h"

namespace wiretape {
namespace {

constexpr std::array<std::byte, 64 * 1024> zeros{};

}  // namespace

class TapeWalk::Live : public ExchangeObserver {
 public:
  Live(TapeWalk& walk, ConnectionId id) : walk_(walk) {
    summary.part = walk.part_;
    summary.id = id;
    for (Stream& stream : streams_) {
      if (walk.digests_ == Digests::sha256) stream.hash.emplace();
    }
    if (!walk.indexed_) tracker_.emplace(id, *this);
  }

  void chunk(const Chunk& chunk) {
    advance_to(chunk.direction, chunk.offset);
    Stream& stream = streams_[index_of(chunk.direction)];
    if (stream.hash) stream.hash->update(chunk.bytes);
    if (tracker_) tracker_->chunk(chunk.direction, walk_.now_ns_, chunk.bytes);
    length(chunk.direction) += chunk.bytes.size();
  }

  void gap(const Gap& gap) {
    advance_to(gap.direction, gap.offset);
    hole(gap.direction, gap.length);
    summary.streams[index_of(gap.direction)].gap_bytes += gap.length;
  }

  void half_closed(const HalfClosed& end) {
    advance_to(end.direction, end.offset);
    if (tracker_) tracker_->half_closed(end.direction, walk_.now_ns_);
  }

  void closed(const Closed& closed) {
    for (Direction d : {Direction::client_to_server, Direction::server_to_client}) {
      advance_to(d, closed.length[index_of(d)]);
    }
    summary.closed_ns = walk_.now_ns_;
    summary.how = closed.how;
    summary.by = closed.by;
    summary.error = closed.error;
    if (closed.protocol != Protocol::unknown) summary.protocol = closed.protocol;
  }

  // No more of it is on the tape.
  void finish() {
    if (tracker_) {
      tracker_->closed(walk_.now_ns_);
      if (summary.protocol == Protocol::unknown) summary.protocol = tracker_->protocol();
    }
    for (size_t d = 0; d < 2; ++d) {
      if (streams_[d].hash) summary.streams[d].sha256 = streams_[d].hash->hex();
    }
  }

  void on_exchange(const Exchange& exchange) override {
    ++summary.exchanges;
    summary.requests += exchange.has_request;
    summary.responses += exchange.has_response;
    if (summary.protocol == Protocol::unknown) summary.protocol = Protocol::http1;
    walk_.visitor_.on_exchange(summary, exchange);
  }

  void on_protocol(const ProtocolFound& found) override {
    summary.protocol = found.protocol;
    if (!found.server_name.empty()) summary.server_name = found.server_name;
  }

  ConnectionSummary summary;

 private:
  struct Stream {
    std::optional<Sha256> hash;
  };

  uint64_t& length(Direction d) { return summary.streams[index_of(d)].length; }

  // Records speak of `offset`, so what is between it and the known length is missing.
  void advance_to(Direction d, uint64_t offset) {
    if (offset > length(d)) hole(d, offset - length(d));
  }

  void hole(Direction d, uint64_t bytes) {
    Stream& stream = streams_[index_of(d)];
    if (stream.hash && !walk_.may_hash_hole(bytes)) stream.hash.reset();
    for (uint64_t left = bytes; stream.hash && left > 0;) {
      const size_t n = std::min<uint64_t>(left, zeros.size());
      stream.hash->update(std::span(zeros).first(n));
      left -= n;
    }
    if (tracker_ && bytes > 0) tracker_->gap(d, walk_.now_ns_, bytes);
    length(d) += bytes;
  }

  TapeWalk& walk_;
  Stream streams_[2];
  std::optional<ExchangeTracker> tracker_;  // when the tape has no exchange records
};

TapeWalk::TapeWalk(TapeVisitor& visitor, Digests digests) : visitor_(visitor), digests_(digests) {}
TapeWalk::~TapeWalk() = default;

// Takes it from what all holes may have.
bool TapeWalk::may_hash_hole(uint64_t bytes) {
  if (bytes > hole_bytes_left_) return false;
  hole_bytes_left_ -= bytes;
  return true;
}

TapeWalk::Live& TapeWalk::live(ConnectionId id) {
  std::unique_ptr<Live>& entry = live_[id];
  if (!entry) entry = std::make_unique<Live>(*this, id);
  return *entry;
}

void TapeWalk::end_connection(ConnectionId id) {
  const auto found = live_.find(id);
  assert(found != live_.end());
  found->second->finish();
  visitor_.on_connection(found->second->summary);
  live_.erase(found);
}

// Connections do not outlive their part; those left are handed out in order of their ids.
void TapeWalk::end_part() {
  std::vector<ConnectionId> left;
  for (const auto& [id, connection] : live_) left.push_back(id);
  std::sort(left.begin(), left.end());
  for (ConnectionId id : left) end_connection(id);
}

// Its header may be lost; without one nothing says that exchange records will not come.
void TapeWalk::begin_part(uint32_t part) {
  end_part();
  part_ = part;
  indexed_ = true;
}

void TapeWalk::take(const Header& header) {
  indexed_ = header.indexed;
}

void TapeWalk::take(const Opened& opened) {
  ConnectionSummary& summary = live(opened.connection).summary;
  summary.client = opened.client;
  summary.upstream = opened.upstream;
  summary.recorded_connection = opened.recorded_connection;
  summary.opened_ns = now_ns_;
}

void TapeWalk::take(const Connected& connected) {
  live(connected.connection).summary.server = connected.server;
}

void TapeWalk::take(const Chunk& chunk) {
  live(chunk.connection).chunk(chunk);
}

void TapeWalk::take(const HalfClosed& end) {
  live(end.connection).half_closed(end);
}

void TapeWalk::take(const Gap& gap) {
  if (gap.connection != 0) live(gap.connection).gap(gap);
}

void TapeWalk::take(const ProtocolFound& found) {
  live(found.connection).on_protocol(found);
}

void TapeWalk::take(const Exchange& exchange) {
  if (indexed_) live(exchange.connection).on_exchange(exchange);  // else ours have come already
}

void TapeWalk::take(const Closed& closed) {
  live(closed.connection).closed(closed);
  end_connection(closed.connection);
}

void TapeWalk::feed(const TapeReader::Item& item) {
  check_.feed(item);
  const auto* record = std::get_if<TapeRecord>(&item);
  if (record == nullptr) return;
  if (record->part != part_) begin_part(record->part);
  now_ns_ = record->time_ns;
  visitor_.on_record(*record);
  std::visit([this](const auto& event) { take(event); }, record->event);
}

TapeFindings TapeWalk::finish(const TapeReader& reader) {
  end_part();
  return check_.finish(reader);
}

Result<TapeFindings> walk_tape(const std::string& path, TapeVisitor& visitor,
                               TapeWalk::Digests digests) {
  auto reader = TapeReader::open(path);
  if (!reader) return reader.error();
  TapeWalk walk(visitor, digests);
  while (const TapeReader::Item* item = (*reader)->next()) {
    walk.feed(*item);
    if (visitor.enough()) return TapeFindings{};
  }
  return walk.finish(**reader);
}

void warn_of_findings(const std::string& path, const TapeFindings& findings) {
  if (const uint64_t places = findings.damage.size() + findings.damage_omitted; places > 0) {
    warn("{} is damaged at {} place{}; what is whole is shown (wiretape verify says what is lost)",
         path, places, places == 1 ? "" : "s");
  }
  if (findings.end == TapeEnd::being_written) warn("{} is still being written", path);
  if (findings.end == TapeEnd::torn) {
    warn("{} ends without its trailer: the recording was cut off, or the copy is not all there",
         path);
  }
  if (findings.end == TapeEnd::whole && findings.torn_bytes > 0) {
    warn("{} has {} bytes behind its end that are no tape", path, findings.torn_bytes);
  }
  if (findings.gap_bytes > 0) {
    warn("{} lacks {} bytes that were seen but not recorded", path, findings.gap_bytes);
  }
}

}  // namespace wiretape
