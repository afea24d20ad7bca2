// The schedule needs to know what had been answered when the recorded client sent something; the
// run needs to know what has been answered now. Both are this class, fed by different bytes, so
// that the two can only agree or differ on the traffic itself, never on how it is read.
//
//   tape's chunks  -> Conversation -> gates of the schedule
//   run's sends and answers -> Conversation -> are the gates open?
//
// HTTP/1 is found by ExchangeTracker. What it gives up on (another protocol, an upgrade, a gap) is
// opaque from the offset it names, and counts by turns instead of by responses.
#include "replayer/conversation.h"

#include <algorithm>
#include <cassert>

namespace wiretape {

Conversation::Conversation(ConnectionId id, ConversationListener& listener)
    : listener_(listener), tracker_(id, *this) {}

void Conversation::chunk(Direction direction, int64_t time_ns, Bytes bytes) {
  if (direction == Direction::client_to_server) {
    begun_.clear();
    heads_ended_.clear();
  }
  length_[index_of(direction)] += bytes.size();
  tracker_.chunk(direction, time_ns, bytes);
  drop_opaque_requests();
  assert(exchanges_ <= requests_);
}

// What looked like a request and turned out to be none.
void Conversation::drop_opaque_requests() {
  const uint64_t from = opaque_from_[index_of(Direction::client_to_server)];
  while (!begun_.empty() && begun_.back() >= from && exchanges_ < requests_) {
    begun_.pop_back();
    --requests_;
  }
}

void Conversation::gap(Direction direction, int64_t time_ns, uint64_t length) {
  length_[index_of(direction)] += length;
  tracker_.gap(direction, time_ns, length);
}

void Conversation::half_closed(Direction direction, int64_t time_ns) {
  tracker_.half_closed(direction, time_ns);
}

void Conversation::closed(int64_t time_ns) {
  tracker_.closed(time_ns);
}

uint64_t Conversation::opaque_length(Direction d) const {
  const uint64_t from = opaque_from_[index_of(d)];
  return length(d) > from ? length(d) - from : 0;
}

Bytes Conversation::opaque_part(Direction d, Bytes last_chunk) const {
  return last_chunk.last(std::min<uint64_t>(opaque_length(d), last_chunk.size()));
}

void Conversation::on_exchange(const Exchange& exchange) {
  if (exchange.has_request && exchanges_ < requests_) listener_.on_exchange(exchanges_++, exchange);
}

void Conversation::on_protocol(const ProtocolFound& found) {
  if (found.protocol == Protocol::tls) tls_ = true;
  if (found.reason == "upgrade" || found.reason == "connect") upgraded_ = true;
  note_opaque(found.direction, found.offset);
}

void Conversation::note_opaque(Direction direction, uint64_t offset) {
  uint64_t& from = opaque_from_[index_of(direction)];
  from = std::min(from, offset);
}

void Conversation::on_request_begin(uint64_t, uint64_t offset) {
  ++requests_;
  begun_.push_back(offset);
}

void Conversation::on_request_head_end(uint64_t, uint64_t offset) {
  heads_ended_.push_back(offset);
}

void Conversation::on_request_end(uint64_t, uint64_t) {
  listener_.on_request_end(requests_ended_++);
}

// Responses come in order, so one that is under way answers the first request not answered yet.
void Conversation::on_response_head(uint64_t, const HttpHead& head) {
  if (responses_ < requests_) listener_.on_response_head(responses_, head);
}

void Conversation::on_response_begin(uint64_t, uint32_t status, bool persistent) {
  if (responses_ < requests_) listener_.on_response_begin(responses_, status, persistent);
}

void Conversation::on_body(uint64_t, Direction direction, Bytes body) {
  if (direction == Direction::server_to_client && responses_ < requests_) {
    listener_.on_response_body(responses_, body);
  }
}

void Conversation::on_response_end(uint64_t, uint64_t offset) {
  last_response_end_ = offset;
  if (responses_ < requests_) listener_.on_response_end(responses_++);
}

}  // namespace wiretape
