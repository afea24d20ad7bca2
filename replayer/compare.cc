// The tape is read ahead of the run, and the target may answer before the tape's own answer has
// been read. So neither side is first, and each half waits for the other:
//
//   tape -> Schedule   -> recorded_*  -+
//                                      +-> ExchangePair -> same | different | errors | not_compared
//   run  -> Connection -> replayed_*  -+
//
// What waits of an exchange is its headers and what one side's body is ahead of the other's. Opaque
// streams are compared while they grow (stream_compare). When all of it together takes too much,
// the one that grows gives up its bytes for digests.
//
// A unit that the tape itself does not know (a gap, TLS that was passed through, cut off before it
// was answered) is never an error of the target: it is counted as not compared, with the reason. An
// answer that was cut off on the tape, such as a stream of events that its client left, is compared
// by its head: a target that does not even begin it has failed.
#include "replayer/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

namespace wiretape {

bool is_tape_reason(const std::string& reason) {
  return reason == "gap" || reason == "tls" || reason == "damaged_tape" || reason == "stopped" ||
         reason == "begun_before";
}

// --- Exchanges ---

// None when the request is over, and what comes of it comes too late.
Compare::Pair* Compare::pair_of(Join& join, uint64_t request) {
  auto found = join.pairs.find(request);
  if (found == join.pairs.end()) {
    if (request < join.judged) return nullptr;
    found = new_pair(join, request);
  }
  return &found->second;
}

Compare::Pairs::iterator Compare::new_pair(Join& join, uint64_t request) {
  if (spare_pairs_.empty()) return join.pairs.try_emplace(request).first;
  Pairs::node_type node = std::move(spare_pairs_.back());
  spare_pairs_.pop_back();
  node.key() = request;
  return join.pairs.insert(std::move(node)).position;
}

void Compare::release(Join& join, Pairs::iterator pair) {
  pending_bytes_ -= pair->second.counted_bytes;
  join.judged = std::max(join.judged, pair->first + 1);
  Pairs::node_type node = join.pairs.extract(pair);
  if (spare_pairs_.size() >= spare_pairs_max) return;
  node.mapped().exchange.reset();
  node.mapped().counted_bytes = 0;
  spare_pairs_.push_back(std::move(node));
}

// Counts what a unit takes now; `held_bytes` of it can be given up.
template <typename Unit>
void Compare::bound(Unit& unit, size_t bytes, size_t held_bytes) {
  pending_bytes_ += bytes - unit.counted_bytes;
  unit.counted_bytes = bytes;
  if (pending_bytes_ <= held_bytes_max || held_bytes == 0) return;
  pending_bytes_ -= held_bytes;
  unit.counted_bytes -= held_bytes;
  if constexpr (std::is_same_v<Unit, Pair>) {
    unit.exchange.give_up_bytes();
  } else {
    unit.compare.give_up_bytes();
  }
}

void Compare::head(Side side, ConnectionId id, uint64_t request, const HttpHead& head) {
  if (!options_.enabled) return;
  if (Pair* pair = pair_of(joins_[id], request)) pair->exchange.head(side, head);
}

void Compare::body(Side side, ConnectionId id, uint64_t request, Bytes bytes) {
  if (!options_.enabled) return;
  Pair* pair = pair_of(joins_[id], request);
  if (pair == nullptr) return;
  ExchangePair& exchange = pair->exchange;
  exchange.body(side, bytes);
  bound(*pair, pair_bytes + exchange.memory_bytes(), exchange.held_bytes());
}

void Compare::recorded_head(ConnectionId id, uint64_t request, const HttpHead& response) {
  head(Side::recorded, id, request, response);
}

void Compare::replayed_head(ConnectionId id, uint64_t request, const HttpHead& response) {
  head(Side::replayed, id, request, response);
}

void Compare::recorded_body(ConnectionId id, uint64_t request, Bytes bytes) {
  body(Side::recorded, id, request, bytes);
}

void Compare::replayed_body(ConnectionId id, uint64_t request, Bytes bytes) {
  body(Side::replayed, id, request, bytes);
}

void Compare::recorded_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) {
  if (exchange.request.complete && exchange.response.complete) {
    latency_recorded_ns_.add(exchange.response.last_ns - exchange.request.last_ns);
  }
  set_outcome(Side::recorded, id, request, [&](ExchangePair& pair) { pair.recorded(exchange); });
}

void Compare::replayed_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) {
  ++verdicts_.status[exchange.status];
  set_outcome(Side::replayed, id, request, [&](ExchangePair& pair) { pair.replayed(exchange); });
}

void Compare::exchange_failed(ConnectionId id, uint64_t request, const std::string& failure,
                              uint32_t status) {
  replayed_not(id, request, failure, true, status);
}

void Compare::exchange_not_sent(ConnectionId id, uint64_t request, const std::string& reason) {
  replayed_not(id, request, reason, false, 0);
}

void Compare::replayed_not(ConnectionId id, uint64_t request, const std::string& reason, bool sent,
                           uint32_t status) {
  set_outcome(Side::replayed, id, request,
              [&](ExchangePair& pair) { pair.replayed_not(reason, sent, status); });
}

template <typename Set>
void Compare::set_outcome([[maybe_unused]] Side side, ConnectionId id, uint64_t request, Set set) {
  Join& join = joins_[id];
  auto found = join.pairs.find(request);
  if (found == join.pairs.end()) found = new_pair(join, request);
  Pair& pair = found->second;
  assert(!pair.exchange.is_known(side));
  set(pair.exchange);
  if (!pair.exchange.both_known()) {
    bound(pair, pair_bytes + pair.exchange.memory_bytes(), pair.exchange.held_bytes());
    return;
  }
  judge(id, request, join, pair.exchange);
  release(join, found);
  close_if_done(id);
}

// An answer that is incomplete on the tape can only be compared by its head, and of the run's no
// more is asked either.
bool Compare::same_as_far(ExchangePair& exchange, Difference& difference) const {
  if (exchange.recorded_complete()) return exchange.same(options_, difference);
  return exchange.same_head(options_, difference, false);
}

void Compare::judge(ConnectionId id, uint64_t request, const Join& join, ExchangePair& exchange) {
  if (is_tape_reason(exchange.failure())) return not_compared(exchange.failure());
  const bool cut = exchange.sent() && !exchange.recorded_complete();  // on the tape
  if (cut && !exchange.has_head(Side::recorded)) return not_compared("recorded_incomplete");
  const std::string failure = cut && exchange.has_head(Side::replayed) ? "" : exchange.failure();
  if (failure.empty() && !options_.enabled) {
    return not_compared(cut ? "recorded_incomplete" : "switched_off");
  }
  Difference difference;
  if (failure.empty() && same_as_far(exchange, difference)) {
    if (cut) return not_compared("recorded_incomplete");
    ++verdicts_.same;
    return;
  }
  difference.connection = id;
  difference.part = join.part;
  difference.request = request;
  exchange.name_request(difference);
  if (failure.empty()) return different(std::move(difference));
  if (exchange.has_head(Side::recorded)) {
    difference.recorded = fmt::format("status {}", exchange.recorded_status());
  }
  error(std::move(difference), failure);
}

// Both sides are closed and only one of them knows this request: the other read it as something
// else, such as the bytes behind an upgrade.
void Compare::judge_alone(ConnectionId id, uint64_t request, const Join& join,
                          const ExchangePair& exchange) {
  if (!exchange.is_known(Side::recorded)) {
    if (exchange.is_known(Side::replayed)) not_compared("recorded_incomplete");
    return;
  }
  Difference difference;
  difference.connection = id;
  difference.part = join.part;
  difference.request = request;
  exchange.name_request(difference);
  error(std::move(difference), "protocol_changed");
}

// --- Opaque streams ---

Compare::Stream& Compare::stream(ConnectionId id) {
  auto& stream = joins_[id].stream;
  if (!stream) stream = std::make_unique<Stream>();
  return *stream;
}

void Compare::recorded_client(ConnectionId id, Bytes bytes) {
  Stream& unit = stream(id);
  unit.recorded_mask.client(bytes);
  unit.replayed_mask.client(bytes);
}

void Compare::recorded_server(ConnectionId id, Bytes bytes) {
  Stream& unit = stream(id);
  feed(unit, Side::recorded, unit.recorded_mask, bytes);
}

void Compare::replayed_server(ConnectionId id, Bytes bytes) {
  Stream& unit = stream(id);
  feed(unit, Side::replayed, unit.replayed_mask, bytes);
}

void Compare::feed(Stream& unit, Side side, PostgresqlMask& mask, Bytes bytes) {
  if (!options_.enabled) return;
  if (mask.watching()) {
    masked_.assign(bytes.begin(), bytes.end());
    mask.server(masked_);
    bytes = masked_;
  }
  unit.compare.feed(side, bytes);
  bound(unit, sizeof(Stream) + unit.compare.held_bytes(), unit.compare.held_bytes());
}

void Compare::recorded_gap(ConnectionId id) {
  stream(id).gap = true;
}

void Compare::judge_stream(ConnectionId id, const Join& join) {
  const StreamCompare empty;
  const StreamCompare& streams = join.stream ? join.stream->compare : empty;
  if (is_tape_reason(join.failure)) return not_compared(join.failure);
  if (join.stream && join.stream->gap) return not_compared("gap");
  if (join.failure.empty() && !options_.enabled) return not_compared("switched_off");
  Difference difference;
  difference.connection = id;
  difference.part = join.part;
  if (!join.failure.empty()) {
    difference.recorded = fmt::format("{} bytes", streams.length(Side::recorded));
    return error(std::move(difference), join.failure);
  }
  if (streams.equal()) {
    ++verdicts_.same;
    return;
  }
  difference.what = "bytes";
  describe(streams, difference);
  different(std::move(difference));
}

// --- Connections ---

void Compare::recorded_opened(ConnectionId id, uint32_t part) {
  joins_[id].part = part;
}

void Compare::recorded_closed(ConnectionId id, bool opaque) {
  joins_[id].recorded_closed = true;
  joins_[id].opaque = opaque;
  close_if_done(id);
}

void Compare::replayed_closed(ConnectionId id, const std::string& failure) {
  joins_[id].replayed_closed = true;
  joins_[id].failure = failure;
  close_if_done(id);
}

void Compare::close_if_done(ConnectionId id) {
  const auto found = joins_.find(id);
  const Join& join = found->second;
  if (!join.recorded_closed || !join.replayed_closed) return;
  for (const auto& [request, pair] : join.pairs) {
    judge_alone(id, request, join, pair.exchange);
    pending_bytes_ -= pair.counted_bytes;
  }
  if (join.opaque) judge_stream(id, join);
  if (join.stream) pending_bytes_ -= join.stream->counted_bytes;
  joins_.erase(found);
  assert(!joins_.empty() || pending_bytes_ == 0);
}

void Compare::stop(const std::string& reason) {
  for (const auto& [id, join] : joins_) {
    for (const auto& [request, pair] : join.pairs) {
      const ExchangePair& exchange = pair.exchange;
      if (exchange.is_known(Side::recorded) || exchange.is_known(Side::replayed)) {
        not_compared(reason);
      }
    }
    if (join.opaque || join.stream) not_compared(reason);
  }
  joins_.clear();
  pending_bytes_ = 0;
}

void Compare::error(Difference&& difference, const std::string& reason) {
  ++verdicts_.errors;
  ++verdicts_.error_reasons[reason];
  difference.what = "error";
  difference.replayed = reason;
  list(std::move(difference));
}

void Compare::different(Difference&& difference) {
  ++verdicts_.different;
  list(std::move(difference));
}

void Compare::list(Difference&& difference) {
  if (verdicts_.differences.size() < Verdicts::differences_max) {
    verdicts_.differences.push_back(std::move(difference));
  } else {
    ++verdicts_.differences_omitted;
  }
}

}  // namespace wiretape
