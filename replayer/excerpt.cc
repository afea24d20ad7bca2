// The tape is read from its beginning all the same, because what a connection speaks, and how many
// requests it has had, is only known from its bytes. Between the schedule and the run, this class
// leaves out what does not belong:
//
//   tape -> Schedule --actions-------> Excerpt --actions that belong--> run
//                    --what was       Excerpt  --answers to them,  --> Compare
//                      answered----->           numbered from 0
//
//                 from              to
//   HTTP     r0 r1 |  r2     r3     |  r4        r2 and r3 are sent, as requests 0 and 1, on a
//                  |      a2        | a3  ^      connection that opens with r2, closes behind a3
//   by turns t0    |  t1     t2     |            can't be taken up in the middle: not sent
//                  | t0   t1    t2  | a2  t3     sent; closes where t3 would have been sent
//
// A request begun in the stretch is completed and its answer waited for, wherever they end.
#include "replayer/excerpt.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace wiretape {

Excerpt::Excerpt(RecordedListener& listener, Stretch stretch, RewriteRules rules)
    : listener_(listener), stretch_(stretch), schedule_(*this, std::move(rules)) {
  assert(stretch_.from_ns < stretch_.to_ns);
  schedule_.count_rewriting(stretch_.from_ns, stretch_.to_ns);
}

void Excerpt::feed(const TapeReader::Item& item) {
  assert(!over_);
  schedule_.feed(item);
  take_actions();
}

void Excerpt::finish() {
  schedule_.finish();
  take_actions();
  over_ = true;
  assert(open_parts_ == 0);
}

// What a part of the tape left open was closed where it ends, before the end of the stretch.
void Excerpt::take_actions() {
  while (!schedule_.actions().empty()) {
    Action action = std::move(schedule_.actions().front());
    schedule_.actions().pop_front();
    if (action.time_ns >= stretch_.to_ns) close_idle();
    take(std::move(action));
  }
  if (now_ns() >= stretch_.to_ns) close_idle();
  over_ = beyond_ && open_parts_ == 0;
}

void Excerpt::take(Action action) {
  const ConnectionId id = action.connection;
  Part& part = parts_[id];
  action.gate.responses =
      std::min(action.gate.responses - std::min(action.gate.responses, part.before), part.inside);
  const bool last = action.ends_connection();
  if (!part.ended) {
    switch (action.kind) {
      case Action::Kind::open:
        take_open(part, std::move(action));
        break;
      case Action::Kind::send:
        take_send(part, std::move(action));
        break;
      default:
        take_end(part, std::move(action));
    }
  }
  if (last) parts_.erase(id);
}

void Excerpt::take_open(Part& part, Action action) {
  if (action.time_ns >= stretch_.to_ns) {
    part.ended = true;
  } else if (action.time_ns >= stretch_.from_ns) {
    pass(part, std::move(action));
  } else {
    part.open = std::move(action);
  }
}

void Excerpt::take_send(Part& part, Action action) {
  if (action.requests > 0) return take_requests(part, std::move(action));
  if (action.turns > 0) return take_turn(part, std::move(action));
  if (part.unit_belongs) pass(part, std::move(action));
}

void Excerpt::take_requests(Part& part, Action action) {
  part.unit_belongs = stretch_.has(action.time_ns);
  if (part.unit_belongs) {
    part.inside += action.requests;
    pass(part, std::move(action));
  } else if (action.time_ns < stretch_.from_ns) {
    part.before += action.requests;
  }
}

void Excerpt::take_turn(Part& part, Action action) {
  part.unit_belongs = false;
  if (action.time_ns < stretch_.from_ns) return;
  if (part.opaque_before) {
    if (action.time_ns < stretch_.to_ns) begun_before(part);
  } else if (action.time_ns < stretch_.to_ns) {
    ++part.turns;
    part.unit_belongs = true;
    pass(part, std::move(action));
  } else if (part.opened) {
    close(action.connection, part, action.time_ns, action.gate);
  }
}

// It is counted, but has nothing to do: no connection is made for it.
void Excerpt::begun_before(Part& part) {
  ++turns_begun_before_;
  if (part.turns++ == 0) ++connections_begun_before_;
}

// FIN, RST, close, and what can't be sent from here on.
void Excerpt::take_end(Part& part, Action action) {
  const bool behind = action.time_ns >= stretch_.to_ns;
  const bool gives_up = action.kind == Action::Kind::abandon;
  if (gives_up && action.time_ns < stretch_.from_ns) {
    action.turns = 0;
    part.abandon = std::move(action);
    return;
  }
  const bool gives_up_in_it = gives_up && !behind && !part.opaque_before;
  if (!part.opened && !gives_up_in_it) return;  // nothing of it belongs
  if (action.ends_connection() || !behind) {
    pass(part, std::move(action));
  } else if (action.opaque) {
    close(action.connection, part, action.time_ns, action.gate);
  }
}

void Excerpt::pass(Part& part, Action action) {
  if (part.open) {
    part.open->time_ns = action.time_ns;
    pass(part, *std::exchange(part.open, std::nullopt));
  }
  if (action.kind == Action::Kind::open) {
    action.closed_before = closed_;
    listener_.recorded_opened(action.connection, part.tape_part);
    action.client_done = clients_.count(action.client);
    action.after_ns = clients_.last_ns(action.client);
    part.client = action.client;
    part.opened = true;
    ++open_parts_;
  } else if (part.abandon) {
    part.abandon->time_ns = action.time_ns;
    out_.push_back(*std::exchange(part.abandon, std::nullopt));
  }
  if (action.ends_connection()) {
    part.ended = true;
    --open_parts_;
    ++closed_;
    clients_.completed(part.client, action.time_ns);
  }
  out_.push_back(std::move(action));
}

// Where the stretch ends, connections that wait for no answer have nothing left to do.
void Excerpt::close_idle() {
  if (beyond_) return;
  beyond_ = true;
  for (auto& [id, part] : parts_) {
    const bool idle = part.answered == part.inside && part.turns == 0 && !part.server_spoke;
    if (part.opened && !part.ended && idle) close(id, part, stretch_.to_ns, {part.completed, 0, 0});
  }
}

// Earlier than on the tape.
void Excerpt::close(ConnectionId id, Part& part, int64_t time_ns, const Gate& gate) {
  Action action;
  action.kind = Action::Kind::close;
  action.connection = id;
  action.time_ns = time_ns;
  action.gate = gate;
  action.begins_unit = true;
  action.opaque = part.turns > 0;
  listener_.recorded_closed(id, part.turns > 0);
  pass(part, std::move(action));
}

void Excerpt::recorded_opened(ConnectionId id, uint32_t tape_part) {
  parts_[id].tape_part = tape_part;
}

// An answer that is still under way may belong to no exchange in the end, so only what answers a
// request of the excerpt is told.
bool Excerpt::has_sent(const Part& part, uint64_t request) const {
  return !part.ended && request >= part.before && request < part.before + part.inside;
}

void Excerpt::recorded_head(ConnectionId id, uint64_t request, const HttpHead& head) {
  const Part& part = parts_[id];
  if (has_sent(part, request)) listener_.recorded_head(id, request - part.before, head);
}

void Excerpt::recorded_body(ConnectionId id, uint64_t request, Bytes body) {
  const Part& part = parts_[id];
  if (has_sent(part, request)) listener_.recorded_body(id, request - part.before, body);
}

void Excerpt::recorded_turn(ConnectionId id, int64_t latency_ns) {
  const Part& part = parts_[id];
  if (part.turns > 0 && !part.ended && !part.cut) listener_.recorded_turn(id, latency_ns);
}

void Excerpt::recorded_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) {
  Part& part = parts_[id];
  const bool is_known = request < part.before + part.inside;
  if (part.ended || request < part.before || (!is_known && !stretch_.has(now_ns()))) return;
  if (now_ns() >= stretch_.to_ns) close_idle();  // before this answer counts
  listener_.recorded_exchange(id, request - part.before, exchange);
  ++part.answered;
  if (exchange.has_response && exchange.response.complete) {
    ++part.completed;
    clients_.completed(part.client, now_ns());
  }
  const bool last = beyond_ && part.answered == part.inside && part.turns == 0;
  if (last && part.opened) close(id, part, now_ns(), {part.completed, 0, 0});
}

// Of a connection by turns: what came before is not sent, so what comes now has no meaning.
bool Excerpt::is_in_the_middle(const Part& part) const {
  return now_ns() < stretch_.from_ns || (part.before > 0 && part.inside == 0);
}

void Excerpt::recorded_client(ConnectionId id, Bytes bytes) {
  Part& part = parts_[id];
  part.opaque_before |= is_in_the_middle(part);
  const bool begins = part.server_spoke || part.turns == 0;
  part.cut |= now_ns() >= stretch_.to_ns && begins;
  part.server_spoke = false;
  if (!part.ended && !part.opaque_before && !part.cut) listener_.recorded_client(id, bytes);
}

void Excerpt::recorded_server(ConnectionId id, Bytes bytes) {
  Part& part = parts_[id];
  part.opaque_before |= is_in_the_middle(part) || !part.opened;
  part.server_spoke = true;
  const bool belongs = part.opened && !part.ended && !part.opaque_before && !part.cut;
  if (belongs) listener_.recorded_server(id, bytes);
}

void Excerpt::recorded_gap(ConnectionId id) {
  const Part& part = parts_[id];
  if (part.opened && !part.ended && !part.cut) listener_.recorded_gap(id);
}

void Excerpt::recorded_closed(ConnectionId id, bool opaque) {
  const Part& part = parts_[id];
  if (part.opened && !part.ended) listener_.recorded_closed(id, opaque && !part.cut);
}

}  // namespace wiretape
