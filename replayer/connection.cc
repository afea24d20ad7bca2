// A replayed connection is a queue of actions and a loop that carries out the one at the front as
// soon as nothing holds it: not the clock, not its gate, not a socket that is still connecting or
// has not taken the last bytes. Whatever happens (a wake-up, an answer, an end) runs that loop.
//
//   Schedule -> push() -> [queue] -> step(): due? gate? -> Wire -> target
//                                      ^                     |
//                                      +---- on_read() <-----+-> Conversation, Compare
//
// A gate opens when the target has completed as many final responses as the recorded server had,
// or its turn has the recorded length. Servers answer with other lengths, so a turn is also over
// after some bytes and then quiet. When more came than recorded, it may be the beginning of the
// next turn (we are late) or a longer answer; as long as the surplus is smaller than the next
// turn, it counts for that one. Were it to fill it wholly, our own turn would have been answered
// before it was sent, so then only what comes afterwards counts, or quiet.
//
// Nothing hangs: whoever waits for the target is woken after timeout_ns without progress and ends.
// A connection that ended goes on taking actions, only to account for them, until its last one.
#include "replayer/connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace wiretape {

Connection::Connection(ConnectionId id, RunContext& run, const MakeWire& make_wire)
    : id_(id), run_(run), wire_(make_wire(*this)), conversation_(id, *this) {}

Connection::~Connection() {
  run_.pacer.forget(id_);
}

void Connection::push(Action action) {
  assert(!finished_);
  if (!stop_reason_.empty()) action.bytes = {};
  run_.tally.requests_scheduled += action.units();
  run_.queued_bytes += sizeof(Action) + action.bytes.size();
  queue_.push_back(std::move(action));
}

void Connection::run() {
  if (running_ || finished_) return;
  running_ = true;
  while (!queue_.empty() && step()) {
  }
  running_ = false;
  assert(outcomes_ <= requests_sent_);
  if (finished_ && on_finished_) on_finished_();
}

void Connection::stop_sending(const std::string& reason) {
  if (state_ == State::ended) return;
  stop_reason_ = reason;
  if (state_ == State::connecting) return cut_off(reason);
  if (state_ == State::waiting) end(reason);
  run();
}

void Connection::cut_off(const std::string& reason) {
  if (state_ == State::connecting || state_ == State::open) {
    wire_->gives_up(reason);
    wire_->close();
  }
  end(reason);
  run();
}

// Deals with the action at the front; false when it has to wait.
bool Connection::step() {
  Action& action = queue_.front();
  if (state_ == State::ended) {
    discard(action);
    return true;
  }
  if (!may_go(action)) return state_ == State::ended;
  perform(action);
  return true;
}

bool Connection::may_go(const Action& action) {
  if (!stop_reason_.empty()) return wind_up(action);
  const int64_t now_ns = run_.now_ns();
  const int64_t due_ns = run_.pacer.due_ns(action.time_ns);
  if (state_ == State::connecting || flushing_) {
    wait_for_target(0, INT64_MAX);
    return false;
  }
  if (cannot_follow(action)) {
    give_up(target_ended_ ? "closed_by_target" : "upgrade_refused");
    return false;
  }
  if (action.begins_unit && !gate_passed_ && !gate_opens(action)) {
    gate_held_ = true;
    return false;
  }
  const int64_t paced_ns = std::max(due_ns, paced_due_ns(action));
  if (now_ns < paced_ns) {
    run_.pacer.wake(id_, paced_ns);
    return false;
  }
  send_due_ns_ = run_.pacer.speed().is_max() ? run_.now_ns() : due_ns;
  send_paced_ = paced_ns > due_ns;
  return true;
}

// Ends when what was asked is answered: the gate of what would be next says so of a turn. Half a
// request will never be answered.
bool Connection::wind_up(const Action& action) {
  const bool half_sent = action.kind == Action::Kind::send && !action.begins_unit;
  const bool answered = action.ends_connection() || outcomes_ == requests_sent_;
  if (flushing_ || (!half_sent && !answered)) {
    wait_for_target(0, INT64_MAX);
  } else if (half_sent || gate_opens(action)) {
    give_up(stop_reason_);
  }
  return false;
}

int64_t Connection::due_of(const Action& action) const {
  return stop_reason_.empty() ? run_.pacer.due_ns(action.time_ns) : 0;
}

// Inside a request or a turn, gaps are kept from its actual beginning: catching up happens only
// between them, so that a paced upload never becomes a burst.
int64_t Connection::paced_due_ns(const Action& action) const {
  if (action.begins_unit || action.kind != Action::Kind::send) return 0;
  return unit_began_ns_ + run_.pacer.speed().scale(action.time_ns - unit_recorded_ns_);
}

// What the recorded server would still have listened to, and this target does not.
bool Connection::cannot_follow(const Action& action) {
  if (action.kind != Action::Kind::send) return false;
  if (target_ended_ && !action.server_ended) return true;
  return action.upgraded && action.begins_unit &&
         conversation_.responses() >= action.gate.responses && !conversation_.upgraded();
}

bool Connection::gate_opens(const Action& action) {
  const int64_t due_ns = due_of(action);
  const bool answered = conversation_.responses() >= action.gate.responses;
  if (!target_ended_ && !answered) {
    wait_for_target(due_ns, INT64_MAX);
    return false;
  }
  if (!target_ended_ && !turn_is_over(action)) {
    const bool quiet_counts = turn_received() > 0;
    wait_for_target(due_ns, quiet_counts ? quiet_since_ns() + action.gate.quiet_ns : INT64_MAX);
    return false;
  }
  turn_answered();
  gate_passed_ = true;
  if (gate_held_) held_back();
  return true;
}

uint64_t Connection::turn_received() const {
  const uint64_t before =
      conversation_.upgraded() ? std::max(consumed_, conversation_.last_response_end()) : consumed_;
  const uint64_t length = conversation_.length(Direction::server_to_client);
  return length - std::min(length, before);
}

int64_t Connection::quiet_since_ns() const {
  return std::max(last_received_ns_, unit_began_ns_);
}

bool Connection::turn_is_over(const Action& action) {
  const uint64_t expected = action.gate.turn_bytes;
  const uint64_t length = conversation_.length(Direction::server_to_client);
  if (expected == 0) return true;
  const uint64_t received = turn_received();
  const uint64_t afterwards = length - received_at_send_;
  const bool surplus_fills_it = received - std::min(received, afterwards) >= expected;
  const uint64_t counted = surplus_fills_it ? afterwards : received;
  const bool lingers = action.kind == Action::Kind::close && action.server_ended;
  if (counted >= expected && !lingers) {
    consumed_ = length - (counted - expected);
    return true;
  }
  const int64_t over_ns = std::max(quiet_since_ns() + action.gate.quiet_ns, due_of(action));
  if (received == 0 || run_.now_ns() < over_ns) return false;
  if (counted < expected) ++run_.tally.gates_by_quiet;
  consumed_ = length;
  return true;
}

// Asks to be woken at `or_until_ns`, but not before it is due, and when the target's time is up.
void Connection::wait_for_target(int64_t due_ns, int64_t or_until_ns) {
  const int64_t now_ns = run_.now_ns();
  const int64_t give_up_ns = std::max(progress_ns_, due_ns) + run_.timeout_ns;
  if (now_ns >= give_up_ns) {
    stream_failure_ = "timeout";
    give_up("timeout");
    return;
  }
  run_.pacer.wake(id_, std::min(give_up_ns, std::max(or_until_ns, due_ns)));
}

void Connection::held_back() {
  held_until_ns_ = run_.now_ns();
}

void Connection::perform(Action& action) {
  progress_ns_ = run_.now_ns();
  switch (action.kind) {
    case Action::Kind::open:
      state_ = State::connecting;
      ++run_.tally.connections;
      pop();
      wire_->connect();
      return;
    case Action::Kind::send:
      send(action);
      return;
    case Action::Kind::half_close:
      conversation_.half_closed(Direction::client_to_server, progress_ns_);
      wire_->half_close();
      break;
    case Action::Kind::abandon:
      give_up(action.reason);
      return;
    case Action::Kind::close:
    case Action::Kind::reset:
      action.kind == Action::Kind::reset ? wire_->reset() : wire_->close();
      end("");
      return;
  }
  pop();
}

void Connection::send(const Action& action) {
  if (action.begins_unit) {
    unit_recorded_ns_ = action.time_ns;
    unit_began_ns_ = progress_ns_;
    received_at_send_ = conversation_.length(Direction::server_to_client);
  }
  requests_sent_ += action.requests;
  run_.tally.requests_sent += action.units();
  run_.tally.bytes_sent += action.bytes.size();
  turn_open_ = action.opaque;
  turn_ = {0, send_due_ns_, -1};
  conversation_.chunk(Direction::client_to_server, progress_ns_, action.bytes);
  send_bytes_ = action.bytes.size();
  flushing_ = !wire_->write(action.bytes);
  if (!flushing_) sent();
  pop();
}

// The kernel has taken the last byte.
void Connection::sent() {
  const int64_t now_ns = run_.now_ns();
  const int64_t lateness_ns = std::max<int64_t>(now_ns - send_due_ns_, 0);
  const Cause cause = cause_of(lateness_ns);
  run_.tally.add_lateness(lateness_ns, cause);
  wire_->sent({send_bytes_, send_due_ns_, now_ns, cause});
  lateness_before_ns_ = lateness_ns;
  turn_.sent_ns = now_ns;
  for (Asked& asked : asked_) {
    if (asked.sent_ns < 0) asked.sent_ns = now_ns;
  }
}

Cause Connection::cause_of(int64_t lateness_ns) const {
  if (send_paced_) return Cause::dependency;
  if (held_until_ns_ <= send_due_ns_) return Cause::us;
  return lateness_before_ns_ > lateness_ns / 2 ? Cause::dependency : Cause::target;
}

void Connection::pop() {
  run_.queued_bytes -= sizeof(Action) + queue_.front().bytes.size();
  queue_.pop_front();
  gate_passed_ = false;
  gate_held_ = false;
}

void Connection::on_connected() {
  state_ = State::open;
  progress_ns_ = run_.now_ns();
  held_back();
  run();
}

void Connection::on_connect_failed(const std::string& why) {
  connect_error_ = why;
  ++run_.tally.connections_failed;
  stream_failure_ = "connect_failed";
  end("connect_failed");
  run();
}

void Connection::on_read(Bytes bytes, int64_t) {
  if (state_ != State::open) return;
  progress_ns_ = last_received_ns_ = run_.now_ns();
  run_.tally.bytes_received += bytes.size();
  conversation_.chunk(Direction::server_to_client, progress_ns_, bytes);
  const Bytes opaque = conversation_.opaque_part(Direction::server_to_client, bytes);
  if (!opaque.empty()) run_.compare.replayed_server(id_, opaque);
  run();
}

void Connection::on_end() {
  if (state_ != State::open) return;
  progress_ns_ = run_.now_ns();
  target_ended_ = true;
  conversation_.half_closed(Direction::server_to_client, progress_ns_);
  run();
}

void Connection::on_broken(const std::string&) {
  give_up("closed_by_target");
  run();
}

void Connection::on_flushed() {
  if (!flushing_) return;
  flushing_ = false;
  progress_ns_ = run_.now_ns();
  sent();
  held_back();
  run();
}

void Connection::on_exchange(uint64_t request, const Exchange& exchange) {
  if (request >= requests_sent_ || request < outcomes_) return;
  outcomes_ = request + 1;
  if (exchange.has_response && exchange.response.complete) {
    run_.compare.replayed_exchange(id_, request, exchange);
  } else {
    run_.compare.exchange_failed(id_, request, reason_.empty() ? "no_answer" : reason_);
  }
}

void Connection::on_request_end(uint64_t request) {
  asked_.push_back({request, send_due_ns_, -1});
}

void Connection::on_response_end(uint64_t request) {
  ++run_.tally.responses;
  while (!asked_.empty() && asked_.front().request < request) asked_.pop_front();
  if (asked_.empty() || asked_.front().request != request) return;  // answered before it was asked
  const Asked asked = asked_.front();
  asked_.pop_front();
  run_.tally.latency_due_ns.add(last_received_ns_ - asked.due_ns);
  run_.tally.latency_sent_ns.add(asked.sent_ns < 0 ? 0 : last_received_ns_ - asked.sent_ns);
}

// The server's turn is over, and with it our own.
void Connection::turn_answered() {
  if (!turn_open_ || last_received_ns_ < unit_began_ns_) return;
  turn_open_ = false;
  ++run_.tally.responses;
  run_.tally.latency_due_ns.add(last_received_ns_ - turn_.due_ns);
  run_.tally.latency_sent_ns.add(turn_.sent_ns < 0 ? 0 : last_received_ns_ - turn_.sent_ns);
}

void Connection::give_up(const std::string& reason) {
  wire_->gives_up(reason);
  wire_->close();
  end(reason);
}

// No more bytes go either way; what is still queued will be accounted for.
void Connection::end(const std::string& reason) {
  if (state_ == State::ended) return;
  state_ = State::ended;
  reason_ = reason;
  conversation_.closed(run_.now_ns());
  for (; outcomes_ < requests_sent_; ++outcomes_) {
    run_.compare.exchange_failed(id_, outcomes_, reason_.empty() ? "no_answer" : reason_);
  }
}

void Connection::discard(const Action& action) {
  const std::string& early = stop_reason_.empty() ? reason_ : stop_reason_;
  const std::string reason = action.kind == Action::Kind::abandon ? action.reason : early;
  if (is_tape_reason(reason)) stream_failure_ = reason;
  if (action.units() > 0) run_.tally.not_sent[reason] += action.units();
  if (action.turns > 0 && stream_failure_.empty()) stream_failure_ = reason;
  for (uint64_t i = 0; i < action.requests; ++i) {
    run_.compare.exchange_not_sent(id_, requests_sent_ + requests_unsent_++, reason);
  }
  const bool last = action.ends_connection();
  pop();
  if (last) finish();
}

void Connection::finish() {
  assert(queue_.empty());
  finished_ = true;
  run_.pacer.forget(id_);
  run_.compare.replayed_closed(id_, stream_failure_);
}

}  // namespace wiretape
