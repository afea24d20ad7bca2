// A replayed connection is a queue of actions and a loop that carries out the one at the front as
// soon as nothing holds it: not the clock, not its gate, not a link that is still connecting or
// has not taken the last bytes. Whatever happens (a wake-up, an answer, an end) runs that loop.
//
//   Schedule -> push() -> [queue] -> step(): gate? due? -> Link: Wire -> target
//                                      ^                           |
//                                      +---- on_read() <-----------+-> Conversation, Compare
//
// A gate opens when as many requests are done as the recorded server had answered, or when the
// server's turn is over (turn_gate). The numbers count over all links, so a request that failed
// opens the gates that waited for it.
//
// Links come and go. A target may close one that the recorded server kept open; HTTP requests that
// were not sent yet go out on another, which is made when the first of them is due. Opaque bytes
// can't: their meaning depends on what went before. Nothing is sent twice.
//
// Nothing hangs: whoever waits for the target is woken after timeout_ns without progress, and the
// link is given up.
#include "replayer/connection.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace wiretape {
namespace {

constexpr int64_t continue_wait_ns_max = ns_per_s;
constexpr int64_t timeouts_beyond_end_max = 10;  // for an answer that makes progress

}  // namespace

Connection::Connection(ConnectionId id, RunContext& run, MakeWire make_wire)
    : id_(id), run_(run), make_wire_(std::move(make_wire)), ledger_(id, run) {}

Connection::~Connection() {
  run_.pacer.forget(id_);
}

void Connection::push(Action action) {
  assert(!finished_);
  if (stopping()) action.bytes = {};
  run_.tally.requests_scheduled += action.units();
  run_.queued_bytes += sizeof(Action) + action.bytes.size();
  queue_.push_back(std::move(action));
}

void Connection::limit_lifted() {
  const int64_t now_ns = run_.now_ns();
  assert(!queue_.empty() && queue_.front().kind == Action::Kind::open);
  blame_.held_by_limit(now_ns, now_ns - due_ns(queue_.front()));
}

void Connection::stop_sending(const std::string& reason) {
  assert(!reason.empty());
  if (finished_ || stopping()) return;
  stop_reason_ = reason;
  stopped_ns_ = run_.now_ns();
  run();
}

void Connection::run() {
  if (running_ || finished_) return;
  running_ = true;
  while ((!queue_.empty() || (stopping() && link_)) && step()) {
  }
  running_ = false;
  if (finished_ && on_finished_) on_finished_();
}

void Connection::cut_off(const std::string& reason) {
  stop_sending(reason);
  lose(reason);
  run();
}

// Deals with the action at the front; false when it has to wait.
bool Connection::step() {
  if (stopping() && link_) return wind_up() != Next::wait;
  Action& action = queue_.front();
  if (is_moot(action)) {
    discard(action);
    return true;
  }
  const Next next = link_ ? on_link(action) : without_link(action);
  if (next == Next::go) perform(action);
  return next != Next::wait;
}

// Whether it can't, or need not, be carried out any more.
bool Connection::is_moot(const Action& action) const {
  if (dropping_body_ && action.kind == Action::Kind::send && !action.begins_unit) return true;
  if (link_) return false;
  if (dead_ || stopping()) return true;
  if (action.kind == Action::Kind::open) return false;
  const bool is_request = action.requests > 0 && !action.opaque;
  return !is_request || failed_with_connect_ || due_ns(action) <= failed_connect_ns_;
}

// A connection that was opened and has lost its link, or was not opened yet.
Connection::Next Connection::without_link(const Action& action) {
  const int64_t due = due_ns(action);
  if (run_.now_ns() < due) {
    run_.pacer.wake(id_, due);
    return Next::wait;
  }
  if (action.kind == Action::Kind::open) return Next::go;
  ++run_.tally.reconnects;
  connect();
  return Next::again;
}

Connection::Next Connection::on_link(const Action& action) {
  if (!link_->connected || link_->flushing) return wait_for_target(0, INT64_MAX);
  if (link_->is_deaf_to(action)) {
    lose("closed_by_target");
    return Next::again;
  }
  if (!gate_passed_) {
    const Next next = pass_gate(action);
    if (next != Next::go) return next;
  }
  const int64_t due = due_ns(action);
  const int64_t paced = std::max(due, paced_due_ns(action));
  if (run_.now_ns() < paced) {
    run_.pacer.wake(id_, paced);
    return Next::wait;
  }
  if (link_->is_closed_to(action)) {
    lose("closed_by_target");
    return Next::again;
  }
  send_due_ns_ = run_.pacer.speed().is_max() ? run_.now_ns() : due;
  send_paced_ = paced > due;
  return Next::go;
}

// Answers under way are collected, then the link goes. Half a request will never be answered; a
// turn is over when the gate of what would be next says so.
Connection::Next Connection::wind_up() {
  const Action* next = queue_.empty() ? nullptr : &queue_.front();
  const bool half_sent = next && next->kind == Action::Kind::send && !next->begins_unit;
  if (!link_->connected || link_->target_ended || half_sent || !ledger_.waits()) {
    lose(stop_reason_);
    return Next::again;
  }
  if (ledger_.done() < ledger_.next() || link_->flushing || !next) {
    return wait_for_target(0, INT64_MAX);
  }
  const auto state = link_->turns.check(*next, link_->seen(), 0, run_.now_ns());
  if (state == TurnGate::State::closed) {
    return wait_for_target(0, link_->turns.quiet_at_ns(*next, link_->seen()));
  }
  ledger_.turn_answered(link_->last_received_ns);
  return Next::again;
}

// ---------------------------------------------------------------------------------- gates

Connection::Next Connection::pass_gate(const Action& action) {
  const Next next = action.after_continue                        ? wait_for_continue()
                    : action.begins_unit && !link_->target_ended ? wait_for_answers(action)
                                                                 : Next::go;
  if (next != Next::go) {
    gate_held_ = link_ != nullptr;
    return next;
  }
  if (link_->refused_upgrade(action)) {
    die("upgrade_refused");
    return Next::again;
  }
  if (action.begins_unit && link_->last_received_ns >= unit_began_ns_) {
    ledger_.turn_answered(link_->last_received_ns);
  }
  gate_passed_ = true;
  return Next::go;
}

Connection::Next Connection::wait_for_answers(const Action& action) {
  const int64_t due = run_.pace == Pace::think ? 0 : due_ns(action);
  // Where no request is under way there is nothing to wait for, whatever the tape counted.
  if (responses() < action.gate.responses && ledger_.done() < ledger_.next()) {
    return wait_for_target(due, INT64_MAX);
  }
  // The recorded client reset amid a response that is whole here.
  if (!action.opaque && responses() > action.gate.responses) return Next::go;
  const int64_t now_ns = run_.now_ns();
  const auto state = link_->turns.check(action, link_->seen(), due, now_ns);
  if (state == TurnGate::State::closed) {
    return wait_for_target(due, link_->turns.quiet_at_ns(action, link_->seen()));
  }
  const bool by_quiet = state == TurnGate::State::open_by_quiet;
  if (by_quiet && action.opaque) ++run_.tally.gates_by_quiet;
  if (gate_held_) blame_.held_by_target(by_quiet ? now_ns : link_->last_received_ns);
  return Next::go;
}

// A body that was held back until the recorded server said 100 (Continue). When this one says
// something final instead, the body is not sent (RFC 9110 section 10.1.1).
Connection::Next Connection::wait_for_continue() {
  assert(ledger_.next() > 0);
  const uint64_t request = ledger_.next() - 1;
  if (link_->finals_begun > request) {
    dropping_body_ = true;
    link_->retired = true;
    return Next::again;
  }
  const int64_t patience_ends_ns = last_accepted_ns_ + continue_wait_ns_max;
  const int64_t now_ns = run_.now_ns();
  if (link_->told_to_go_on <= request && now_ns < patience_ends_ns) {
    return wait_for_target(0, patience_ends_ns);
  }
  if (gate_held_) blame_.held_by_target(now_ns);
  return Next::go;
}

// Final responses that nobody waits for any more, over all links.
uint64_t Connection::responses() const {
  return std::max(ledger_.done(), link_->responses());
}

// ---------------------------------------------------------------------------------- times

int64_t Connection::due_ns(const Action& action) const {
  const Speed& speed = run_.pacer.speed();
  if (action.kind == Action::Kind::open && open_due_ns_ >= 0) return open_due_ns_;
  const bool follows = run_.pace == Pace::think && action.kind != Action::Kind::open;
  if (!follows) return run_.pacer.due_ns(action.time_ns);
  if (!action.begins_unit) return paced_due_ns(action);
  return answered_ns_ + speed.scale(action.time_ns - action.after_ns);
}

// Inside a request or a turn, gaps are kept from its actual beginning: catching up happens only
// between them, so that a paced upload never becomes a burst.
int64_t Connection::paced_due_ns(const Action& action) const {
  if (action.begins_unit || action.kind != Action::Kind::send) return 0;
  return unit_began_ns_ + run_.pacer.speed().scale(action.time_ns - unit_recorded_ns_);
}

// What comes next in this request or turn keeps its recorded distance to here.
void Connection::pace_from(int64_t recorded_ns) {
  unit_recorded_ns_ = recorded_ns;
  unit_began_ns_ = run_.now_ns();
}

// Asks to be woken at `or_until_ns`, but not before it is due, and when the target's time is up.
Connection::Next Connection::wait_for_target(int64_t due_ns, int64_t or_until_ns) {
  if (wait_began_ns_ < 0) wait_began_ns_ = std::max(run_.now_ns(), due_ns);
  const int64_t idle_until_ns = std::max(progress_ns_, due_ns) + run_.timeout_ns;
  const int64_t give_up_ns = std::min(idle_until_ns, patience_ends_ns());
  if (run_.now_ns() >= give_up_ns && !link_->connected) {
    fail_connect("timed out");
    return Next::again;
  }
  if (run_.now_ns() >= give_up_ns) {
    const bool opaque = !queue_.empty() && queue_.front().opaque;
    lose("timeout");
    if (opaque) stream_failure_ = "timeout";
    return Next::again;
  }
  run_.pacer.wake(id_, std::min(give_up_ns, std::max(or_until_ns, due_ns)));
  return Next::wait;
}

// A target that makes progress may take its time, but not for ever: the recorded client would have
// closed long ago. When stopping, one timeout is all there is.
int64_t Connection::patience_ends_ns() const {
  if (stopping()) return stopped_ns_ + run_.timeout_ns;
  if (queue_.empty() || !queue_.back().ends_connection()) return INT64_MAX;
  const int64_t recorded_ns = queue_.back().time_ns - queue_.front().time_ns;
  const Speed& speed = run_.pacer.speed();
  return wait_began_ns_ + (speed.is_max() ? recorded_ns : speed.scale(recorded_ns)) +
         timeouts_beyond_end_max * run_.timeout_ns;
}

// ---------------------------------------------------------------------------------- actions

void Connection::perform(Action& action) {
  progress_ns_ = run_.now_ns();
  switch (action.kind) {
    case Action::Kind::open:
      return open(due_ns(action));
    case Action::Kind::send:
      return send(action);
    case Action::Kind::half_close:
      link_->conversation.half_closed(Direction::client_to_server, progress_ns_);
      link_->wire->half_close();
      return pop();
    case Action::Kind::abandon:
      return die(action.reason);
    case Action::Kind::close:
    case Action::Kind::reset:
      return hang_up(action.kind == Action::Kind::reset);
  }
}

// What is late because we opened late is not the target's.
void Connection::open(int64_t due_ns) {
  ++run_.tally.connections;
  pop();
  connect();
  const int64_t late_ns = run_.pacer.speed().is_max() ? 0 : run_.now_ns() - due_ns;
  blame_.judge(due_ns, std::max<int64_t>(late_ns, 0), false);
}

void Connection::connect() {
  assert(!link_ && !dead_);
  progress_ns_ = run_.now_ns();
  ConversationListener& told = *this;
  link_ = std::make_unique<Link>(id_, told, ledger_.next());
  link_->wire = make_wire_(*this);
  link_->wire->connect();
}

void Connection::send(const Action& action) {
  if (action.begins_unit || (action.after_continue && gate_held_)) pace_from(action.time_ns);
  if (action.begins_unit) link_->turns.turn_begins(link_->seen(), progress_ns_);
  dropping_body_ = false;
  ledger_.send(action.requests);
  if (action.opaque) ledger_.turn_sent(send_due_ns_);
  run_.tally.requests_sent += action.units();
  run_.tally.bytes_sent += action.bytes.size();
  send_bytes_ = action.bytes.size();
  send_recorded_ns_ = action.time_ns;
  link_->conversation.chunk(Direction::client_to_server, progress_ns_, action.bytes);
  link_->flushing = !link_->wire->write(action.bytes);
  if (!link_->flushing) sent();
  pop();
}

// The kernel has taken the last byte.
void Connection::sent() {
  const int64_t now_ns = run_.now_ns();
  const int64_t lateness_ns = std::max<int64_t>(now_ns - send_due_ns_, 0);
  const Cause cause = blame_.judge(send_due_ns_, lateness_ns, send_paced_);
  run_.tally.add_lateness(lateness_ns, cause);
  link_->wire->sent({send_bytes_, send_due_ns_, now_ns, cause});
  ledger_.accepted(progress_ns_, cause);  // before the call: the answer may overtake its return
  last_accepted_ns_ = now_ns;
}

void Connection::pop() {
  run_.queued_bytes -= sizeof(Action) + queue_.front().bytes.size();
  queue_.pop_front();
  gate_passed_ = gate_held_ = failed_with_connect_ = false;
  wait_began_ns_ = -1;
}

// ---------------------------------------------------------------------------------- the target

void Connection::on_connected() {
  link_->connected = true;
  stream_failure_.clear();
  progress_ns_ = answered_ns_ = run_.now_ns();
  blame_.held_by_target(progress_ns_);
  run();
}

void Connection::on_connect_failed(const std::string& why) {
  fail_connect(why);
  run();
}

void Connection::fail_connect(const std::string& why) {
  if (ledger_.next() == 0 && failed_connect_ns_ < 0) connect_error_ = why;
  ++run_.tally.connections_failed;
  failed_with_connect_ = !queue_.empty() && due_ns(queue_.front()) <= run_.now_ns();
  lose("connect_failed");
  stream_failure_ = "connect_failed";
  failed_connect_ns_ = run_.now_ns();
  dead_ = run_.pacer.speed().is_max();
}

void Connection::on_read(Bytes bytes, int64_t arrived_ns) {
  if (!link_) return;
  progress_ns_ = run_.now_ns();
  link_->last_received_ns = arrived_ns;
  run_.tally.bytes_received += bytes.size();
  link_->conversation.chunk(Direction::server_to_client, arrived_ns, bytes);
  const Bytes opaque = link_->conversation.opaque_part(Direction::server_to_client, bytes);
  if (!opaque.empty()) {
    answered_ns_ = arrived_ns;
    run_.compare.replayed_server(id_, opaque);
  }
  run();
}

void Connection::on_end() {
  if (!link_) return;
  progress_ns_ = run_.now_ns();
  link_->conversation.half_closed(Direction::server_to_client, progress_ns_);
  link_->target_ended = true;
  run();
}

void Connection::on_broken(const std::string&) {
  lose("closed_by_target");
  run();
}

void Connection::on_flushed() {
  if (!link_ || !link_->flushing) return;
  link_->flushing = false;
  progress_ns_ = run_.now_ns();
  blame_.held_by_target(progress_ns_);
  pace_from(send_recorded_ns_);
  sent();
  run();
}

// ---------------------------------------------------------------------------------- requests

// Numbers in a link's conversation begin with each link.
void Connection::on_exchange(uint64_t request, const Exchange& exchange) {
  ledger_.exchange(link_->number_of(request), exchange, down_reason_);
}

void Connection::on_response_head(uint64_t request, const HttpHead& head) {
  if (was_asked(request)) run_.compare.replayed_head(id_, link_->number_of(request), head);
}

void Connection::on_response_body(uint64_t request, Bytes body) {
  if (was_asked(request)) run_.compare.replayed_body(id_, link_->number_of(request), body);
}

void Connection::on_request_end(uint64_t request) {
  ledger_.request_ended(link_->number_of(request), send_due_ns_);
}

void Connection::on_response_begin(uint64_t request, uint32_t status, bool persistent) {
  link_->response_begins(request, status, persistent);
}

void Connection::on_response_end(uint64_t request) {
  answered_ns_ = link_->last_received_ns;
  ledger_.answered(link_->number_of(request), link_->last_received_ns);
}

// ---------------------------------------------------------------------------------- ends

// The link is gone. What was asked on it and not answered has failed; what is still queued looks
// for another link.
void Connection::lose(const std::string& reason) {
  if (!link_) return;
  link_->wire->gives_up(reason);
  link_->wire->close();
  let_go(reason);
}

void Connection::let_go(const std::string& reason) {
  down_reason_ = reason;
  link_->conversation.closed(run_.now_ns());
  ledger_.fail_rest(reason);
  run_.old_wires.push_back(std::move(link_->wire));
  link_.reset();
  gate_passed_ = gate_held_ = false;
  wait_began_ns_ = -1;
  progress_ns_ = answered_ns_ = run_.now_ns();
}

void Connection::die(const std::string& reason) {
  lose(reason);
  dead_ = true;
  down_reason_ = reason;
}

// As the recorded client did.
void Connection::hang_up(bool reset) {
  reset ? link_->wire->reset() : link_->wire->close();
  let_go(link_->target_ended ? "closed_by_target" : "no_answer");
  pop();
  finish();
}

void Connection::discard(const Action& action) {
  const std::string& ours = stopping() && !dead_ ? stop_reason_ : down_reason_;
  const std::string reason = action.kind == Action::Kind::abandon ? action.reason : ours;
  if (is_tape_reason(reason)) stream_failure_ = reason;
  if (action.units() > 0) run_.tally.not_sent[reason] += action.units();
  if (action.turns > 0 && stream_failure_.empty()) stream_failure_ = reason;
  if (action.requests > 0) ledger_.skip(action.requests, reason);
  const bool last = action.ends_connection();
  if (action.begins_unit) dropping_body_ = false;
  pop();
  if (last) finish();
}

void Connection::finish() {
  assert(queue_.empty() && !link_ && !ledger_.waits());
  finished_ = true;
  run_.pacer.forget(id_);
  run_.compare.replayed_closed(id_, stream_failure_);
}

}  // namespace wiretape
