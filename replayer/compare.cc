// The tape is read ahead of the run, and the target may answer before the tape's own answer has
// been read. So neither side is first, and each half waits in a map for the other:
//
//   tape -> Schedule   -> recorded_*  -+
//                                      +-> Pair -> same | different | errors | not_compared
//   run  -> Connection -> replayed_*  -+
//
// Only digests of bodies wait, some 200 bytes an exchange, and only for exchanges under way.
// Opaque streams are compared while they grow (stream_compare); when they hold too much together,
// the one that grows gives up its bytes for digests.
//
// A unit that the tape itself does not know (cut off, a gap, TLS that was passed through) is never
// an error of the target: it is counted as not compared, with the reason.
#include "replayer/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace wiretape {

bool is_tape_reason(const std::string& reason) {
  return reason == "gap" || reason == "tls" || reason == "damaged_tape" || reason == "stopped" ||
         reason == "begun_before";
}

Compare::Answer Compare::answer_of(const Exchange& exchange) {
  Answer answer;
  answer.method = exchange.method;
  const bool is_path = exchange.target.starts_with('/');
  answer.url = is_path && !exchange.authority.empty()
                   ? "http://" + exchange.authority + exchange.target
                   : exchange.target;
  answer.status = exchange.status;
  answer.body_bytes = exchange.response.body_bytes;
  answer.digest[0] = exchange.response.body_digest[0];
  answer.digest[1] = exchange.response.body_digest[1];
  answer.complete = exchange.has_response && exchange.response.complete;
  return answer;
}

void Compare::recorded_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) {
  joins_[id].pairs[request].recorded = answer_of(exchange);
  join(id, request);
}

void Compare::replayed_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) {
  ++verdicts_.status[exchange.status];
  set_replayed(id, request, answer_of(exchange));
}

void Compare::exchange_failed(ConnectionId id, uint64_t request, const std::string& failure) {
  Answer answer;
  answer.failure = failure;
  set_replayed(id, request, std::move(answer));
}

void Compare::exchange_not_sent(ConnectionId id, uint64_t request, const std::string& reason) {
  Answer answer;
  answer.failure = reason;
  answer.sent = false;
  set_replayed(id, request, std::move(answer));
}

void Compare::set_replayed(ConnectionId id, uint64_t request, Answer answer) {
  joins_[id].pairs[request].replayed = std::move(answer);
  join(id, request);
}

void Compare::join(ConnectionId id, uint64_t request) {
  Join& connection = joins_[id];
  const auto found = connection.pairs.find(request);
  if (!found->second.recorded || !found->second.replayed) return;
  judge(id, request, found->second);
  connection.pairs.erase(found);
  close_if_done(id);
}

void Compare::judge(ConnectionId id, uint64_t request, const Pair& pair) {
  const Answer& recorded = *pair.recorded;
  const Answer& replayed = *pair.replayed;
  Difference difference{id, request, recorded.method, recorded.url, "error", "", ""};
  if (recorded.complete) difference.recorded = fmt::format("status {}", recorded.status);
  if (is_tape_reason(replayed.failure)) return not_compared(replayed.failure);
  if (!replayed.sent) return error(std::move(difference), replayed.failure);
  if (!recorded.complete) return not_compared("recorded_incomplete");
  if (!replayed.failure.empty()) return error(std::move(difference), replayed.failure);
  if (!options_.enabled) return not_compared("switched_off");
  judge_answers(std::move(difference), recorded, replayed);
}

// Both sides are closed and only one of them knows this request: the other read it as something
// else, such as the bytes behind an upgrade.
void Compare::judge_alone(ConnectionId id, uint64_t request, const Pair& pair) {
  if (!pair.recorded) return not_compared("recorded_incomplete");
  error({id, request, pair.recorded->method, pair.recorded->url, "error", "", ""},
        "protocol_changed");
}

void Compare::judge_answers(Difference&& difference, const Answer& recorded,
                            const Answer& replayed) {
  const bool same_body = recorded.body_bytes == replayed.body_bytes &&
                         recorded.digest[0] == replayed.digest[0] &&
                         recorded.digest[1] == replayed.digest[1];
  if (recorded.status != replayed.status && !options_.ignore_status) {
    difference.what = "status";
    difference.recorded = std::to_string(recorded.status);
    difference.replayed = std::to_string(replayed.status);
    different(std::move(difference));
  } else if (!same_body) {
    difference.what = "body";
    difference.recorded = fmt::format("{} bytes", recorded.body_bytes);
    difference.replayed = recorded.body_bytes == replayed.body_bytes
                              ? fmt::format("{} other bytes", replayed.body_bytes)
                              : fmt::format("{} bytes", replayed.body_bytes);
    different(std::move(difference));
  } else {
    ++verdicts_.same;
  }
}

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
  feed(unit, StreamCompare::Side::recorded, unit.recorded_mask, bytes);
}

void Compare::replayed_server(ConnectionId id, Bytes bytes) {
  Stream& unit = stream(id);
  feed(unit, StreamCompare::Side::replayed, unit.replayed_mask, bytes);
}

void Compare::feed(Stream& unit, StreamCompare::Side side, PostgresqlMask& mask, Bytes bytes) {
  if (!options_.enabled) return;
  if (mask.watching()) {
    masked_.assign(bytes.begin(), bytes.end());
    mask.server(masked_);
    bytes = masked_;
  }
  held_bytes_ -= unit.compare.held_bytes();
  unit.compare.feed(side, bytes);
  if (held_bytes_ + unit.compare.held_bytes() > held_bytes_max) unit.compare.give_up_bytes();
  held_bytes_ += unit.compare.held_bytes();
}

void Compare::recorded_gap(ConnectionId id) {
  stream(id).gap = true;
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
  const Join& connection = found->second;
  if (!connection.recorded_closed || !connection.replayed_closed) return;
  for (const auto& [request, pair] : connection.pairs) judge_alone(id, request, pair);
  if (connection.opaque) judge_stream(id, connection);
  if (connection.stream) held_bytes_ -= connection.stream->compare.held_bytes();
  joins_.erase(found);
}

void Compare::judge_stream(ConnectionId id, const Join& connection) {
  const StreamCompare empty;
  const StreamCompare& streams = connection.stream ? connection.stream->compare : empty;
  const uint64_t recorded = streams.length(StreamCompare::Side::recorded);
  const uint64_t replayed = streams.length(StreamCompare::Side::replayed);
  Difference difference{id,
                        std::nullopt,
                        "",
                        "",
                        "bytes",
                        fmt::format("{} bytes", recorded),
                        fmt::format("{} bytes", replayed)};
  if (is_tape_reason(connection.failure)) return not_compared(connection.failure);
  if (connection.stream && connection.stream->gap) return not_compared("gap");
  if (!connection.failure.empty()) return error(std::move(difference), connection.failure);
  if (!options_.enabled) return not_compared("switched_off");
  if (streams.equal()) {
    ++verdicts_.same;
    return;
  }
  const uint64_t first = streams.first_difference().value_or(std::min(recorded, replayed));
  difference.replayed += fmt::format(", first difference {} {}",
                                     streams.difference_is_exact() ? "at" : "behind", first);
  different(std::move(difference));
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
