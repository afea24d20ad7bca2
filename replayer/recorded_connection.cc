// The tape says what happened when; the replay needs to know what happened *because of* what. A
// proxy cannot see reasons, but it sees an order, and that is enough: whatever the client sent
// after something had reached it may depend on it.
//
//   HTTP     request k waits for as many final responses as were complete before it. Pipelined
//            requests therefore stay pipelined, and a response never gates its own request.
//   opaque   a turn of the client waits for the server's turn before it: its number of bytes, or
//            some bytes and then quiet (servers answer with other lengths).
//
//   client   [req 0][req 1]             [req 2]                   FIN
//   server                [res 0][res 1]       [res 2]
//   gates       0      0                   2                       3
//
// A chunk becomes one send; it is cut only where a request begins in its middle, because the
// bytes before belong to a request under way, which no gate may hold.
//
// Bytes that are not on the tape, and TLS that was only passed through, cannot be sent again: the
// connection is abandoned there, and what would have followed is still counted.
#include "replayer/recorded_connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace wiretape {

RecordedConnection::RecordedConnection(ConnectionId id, RecordedListener& listener,
                                       std::deque<Action>& out, std::unique_ptr<Rewriter> rewriter)
    : id_(id),
      listener_(listener),
      out_(out),
      conversation_(id, *this),
      rewriter_(std::move(rewriter)) {}

void RecordedConnection::opened(int64_t time_ns, uint64_t closed_before, uint32_t client) {
  answered_ns_ = time_ns;
  Action& action = add(Action::Kind::open, time_ns);
  action.closed_before = closed_before;
  action.client = client;
}

void RecordedConnection::chunk(int64_t time_ns, const Chunk& chunk) {
  const uint64_t expected = conversation_.length(chunk.direction);
  if (chunk.offset < expected) return;  // a damaged tape: these bytes were there before
  if (chunk.offset > expected) {
    missing(time_ns, chunk.direction, chunk.offset - expected, "damaged_tape");
  }
  if (chunk.direction == Direction::client_to_server) {
    client_chunk(time_ns, chunk.bytes);
  } else {
    server_chunk(time_ns, chunk.bytes);
  }
}

void RecordedConnection::gap(int64_t time_ns, const Gap& gap) {
  const uint64_t expected = conversation_.length(gap.direction);
  if (gap.offset + gap.length <= expected) return;
  missing(time_ns, gap.direction, gap.offset + gap.length - expected, "gap");
}

void RecordedConnection::missing(int64_t time_ns, Direction direction, uint64_t length,
                                 const char* reason) {
  conversation_.gap(direction, time_ns, length);
  decide(time_ns);
  if (direction == Direction::client_to_server) {
    abandon(time_ns, reason, 1);
  } else {
    listener_.recorded_gap(id_);
  }
}

void RecordedConnection::client_chunk(int64_t time_ns, Bytes bytes) {
  const uint64_t begin = conversation_.length(Direction::client_to_server);
  const uint64_t responses = conversation_.responses();
  conversation_.chunk(Direction::client_to_server, time_ns, bytes);
  if (conversation_.is_undecided()) {
    undecided_.insert(undecided_.end(), bytes.begin(), bytes.end());
    return;
  }
  decide(time_ns);
  const Bytes opaque = conversation_.opaque_part(Direction::client_to_server, bytes);
  const Bytes requests = bytes.first(bytes.size() - opaque.size());
  if (!requests.empty()) send_requests(time_ns, begin, requests, responses);
  if (!opaque.empty()) send_turn(time_ns, opaque);
}

// What the first bytes were, if they had to wait for more: TLS, which can't be sent again, or
// something else that began like it.
void RecordedConnection::decide(int64_t time_ns) {
  if (conversation_.is_undecided()) return;
  const std::vector<std::byte> waited = std::exchange(undecided_, {});
  if (conversation_.is_tls() && !abandoned_) abandon(time_ns, "tls", 0);
  if (!waited.empty()) send_turn(time_ns, waited);  // no method begins so: it is not HTTP
}

void RecordedConnection::send_requests(int64_t time_ns, uint64_t begin, Bytes bytes,
                                       uint64_t responses) {
  const auto& begun = conversation_.begun();
  const size_t rest = begun.empty() ? bytes.size() : begun.front() - begin;
  assert(rest <= bytes.size());
  if (rest > 0) add_rest(time_ns, bytes.first(rest));
  told_to_continue_ = false;
  if (begun.empty()) return;
  Action& send = add_send(time_ns, bytes.subspan(rest));
  send.begins_unit = true;
  send.requests = begun.size();
  send.gate.responses = responses;
}

void RecordedConnection::send_turn(int64_t time_ns, Bytes bytes) {
  flush_rewriter(time_ns);
  tell_server_turn();
  listener_.recorded_client(id_, bytes);
  const bool begins = server_spoke_last_ || turns_ == 0;
  Action& send = add_send(time_ns, bytes);
  send.opaque = true;
  send.upgraded = conversation_.upgraded();
  send.begins_unit = begins;
  send.turns = begins ? 1 : 0;
  add_turn_gate(send);
  server_spoke_last_ = false;
  last_client_ns_ = time_ns;
  ++turns_;
}

void RecordedConnection::server_chunk(int64_t time_ns, Bytes bytes) {
  const uint64_t responses = conversation_.responses();
  conversation_.chunk(Direction::server_to_client, time_ns, bytes);
  decide(time_ns);
  if (conversation_.responses() > responses) answered_ns_ = time_ns;
  const Bytes opaque = conversation_.opaque_part(Direction::server_to_client, bytes);
  if (opaque.empty()) return;
  if (server_spoke_last_) {
    longest_gap_ns_ = std::max(longest_gap_ns_, time_ns - last_server_ns_);
  } else {
    turn_bytes_ = 0;
    longest_gap_ns_ = 0;
  }
  turn_bytes_ += opaque.size();
  answered_ns_ = time_ns;
  last_server_ns_ = time_ns;
  server_spoke_last_ = true;
  listener_.recorded_server(id_, opaque);
}

void RecordedConnection::half_closed(int64_t time_ns, Direction direction) {
  conversation_.half_closed(direction, time_ns);
  decide(time_ns);
  if (direction == Direction::server_to_client) {
    server_ended_ = true;
    answered_ns_ = time_ns;  // it may have been what ended a response
    return;
  }
  flush_rewriter(time_ns);
  Action& action = add(Action::Kind::half_close, time_ns);
  action.begins_unit = true;
  add_turn_gate(action);
  tell_server_turn();
  server_spoke_last_ = false;
}

void RecordedConnection::closed(int64_t time_ns, CloseHow how, ClosedBy by) {
  flush_rewriter(time_ns);
  conversation_.half_closed(Direction::client_to_server, time_ns);  // no more of it can come
  decide(time_ns);
  const bool reset = how == CloseHow::rst && by == ClosedBy::client;
  Action& action = add(reset ? Action::Kind::reset : Action::Kind::close, time_ns);
  action.begins_unit = true;
  add_turn_gate(action);
  const uint64_t answered = conversation_.length(Direction::server_to_client);
  if (reset && !action.opaque && answered > conversation_.last_response_end()) {
    action.gate.turn_bytes = answered - conversation_.last_response_end();
    action.gate.quiet_ns = quiet_ns_min;
  }
  conversation_.closed(time_ns);
  tell_server_turn();
  listener_.recorded_closed(id_, conversation_.is_opaque(Direction::client_to_server) ||
                                     conversation_.is_opaque(Direction::server_to_client));
}

void RecordedConnection::on_response_begin(uint64_t request, uint32_t status, bool) {
  if (status == 100 && request + 1 == conversation_.requests()) told_to_continue_ = true;
}

void RecordedConnection::on_exchange(uint64_t request, const Exchange& exchange) {
  listener_.recorded_exchange(id_, request, exchange);
}

void RecordedConnection::on_response_head(uint64_t request, const HttpHead& head) {
  listener_.recorded_head(id_, request, head);
}

void RecordedConnection::on_response_body(uint64_t request, Bytes body) {
  listener_.recorded_body(id_, request, body);
}

// A greeting answers nothing.
void RecordedConnection::tell_server_turn() {
  if (server_spoke_last_ && turns_ > 0) {
    listener_.recorded_turn(id_, last_server_ns_ - last_client_ns_);
  }
}

void RecordedConnection::abandon(int64_t time_ns, const char* reason, uint64_t turns) {
  flush_rewriter(time_ns);
  Action& action = add(Action::Kind::abandon, time_ns);
  action.reason = reason;
  action.turns = turns;
  action.begins_unit = true;  // what was asked before is answered first
  add_turn_gate(action);
  abandoned_ = true;
}

// Ends wait for what had been answered, too: FIN and RST are sends.
void RecordedConnection::add_turn_gate(Action& action) {
  action.gate.responses = conversation_.responses();
  action.opaque = conversation_.is_opaque(Direction::client_to_server) ||
                  conversation_.is_opaque(Direction::server_to_client);
  if (!server_spoke_last_ || !action.begins_unit) return;
  action.gate.turn_bytes = turn_bytes_;
  action.gate.quiet_ns = std::max(quiet_ns_min, 2 * longest_gap_ns_);
}

Action& RecordedConnection::add(Action::Kind kind, int64_t time_ns) {
  Action& action = out_.emplace_back();
  action.kind = kind;
  action.connection = id_;
  action.time_ns = time_ns;
  action.after_ns = answered_ns_;
  action.server_ended = server_ended_;
  return action;
}

Action& RecordedConnection::add_send(int64_t time_ns, Bytes bytes) {
  Action& action = add(Action::Kind::send, time_ns);
  if (!abandoned_) action.bytes = as_sent(bytes);
  assert(!abandoned_ || action.bytes.empty());
  return action;
}

// Bytes of a request under way; all of them may be held back by the rewriter.
void RecordedConnection::add_rest(int64_t time_ns, Bytes bytes) {
  Action& send = add_send(time_ns, bytes);
  send.after_continue = told_to_continue_ && !(rewriter_ && rewriter_->removes_expect());
  if (send.bytes.empty() && !abandoned_) out_.pop_back();
}

std::vector<std::byte> RecordedConnection::as_sent(Bytes bytes) {
  if (!rewriter_) return {bytes.begin(), bytes.end()};
  return rewriter_->next(bytes, {conversation_.begun(), conversation_.heads_ended()});
}

// What is held back is sent as it was: the head it is of does not go on.
void RecordedConnection::flush_rewriter(int64_t time_ns) {
  if (!rewriter_ || abandoned_) return;
  std::vector<std::byte> held = rewriter_->flush();
  if (!held.empty()) add(Action::Kind::send, time_ns).bytes = std::move(held);
}

}  // namespace wiretape
