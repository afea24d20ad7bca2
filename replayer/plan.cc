// A plan is a run without a target: the same schedule makes the same actions of the same tape, and
// instead of being carried out they are counted. What it says can therefore not differ from what a
// run would do, except by what the target does.
//
//   tape -> TapeSource -> Excerpt (+ rules) -> [actions] -> counted, and forgotten
//                             |
//                             +-> recorded exchanges -> methods
//
// Only the connections that are open on the tape are held, as in a run. Exchanges come after their
// bytes, and some never do (the tape ends inside a head), so a request has a method only once its
// exchange was seen: what remains is counted as "unfinished", and as a write, to be on the safe
// side.
#include "replayer/plan.h"

#include <algorithm>
#include <cassert>
#include <optional>
#include <unordered_map>
#include <variant>

#include "replayer/excerpt.h"

namespace wiretape {
namespace {

bool same_text(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return tolower(x) == tolower(y); });
}

bool only_reads(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

// Invariant: abandoned_ holds connections whose last action is still to come.
class LookThrough final : public RecordedListener {
 public:
  LookThrough(const Endpoint& target, const std::vector<Address>& addresses, Stretch stretch,
              const RewriteRules& rules)
      : target_(target),
        addresses_(addresses),
        stretch_(stretch),
        rules_(rules.size()),
        excerpt_(*this, stretch, rules) {}

  void item(const TapeReader::Item& item) {
    if (const auto* record = std::get_if<TapeRecord>(&item)) note_upstream(record->event);
    excerpt_.feed(item);
    count_actions();
  }
  bool is_over() const { return excerpt_.is_over(); }

  // At the tape's end, if it was read so far.
  void finish(TapeEnd end) {
    excerpt_.finish();
    count_actions();
    plan_.torn = end == TapeEnd::torn;
  }

  // Once, when nothing more comes.
  Plan plan() {
    assert(abandoned_.empty());
    const Schedule& schedule = excerpt_.schedule();
    if (exchanges_ < plan_.requests_sent) {
      plan_.methods["unfinished"] = plan_.requests_sent - exchanges_;
    }
    if (const uint64_t turns = excerpt_.turns_begun_before(); turns > 0) {
      plan_.turns += turns;
      plan_.not_sent["begun_before"] += turns;
    }
    if (first_ns_) plan_.recorded_ns = last_ns_ - std::min(*first_ns_, last_ns_);
    plan_.rewritten = schedule.rewritten();
    plan_.rewritten.by_rule.resize(rules_);
    plan_.connections_not_recorded = schedule.connections_not_recorded();
    plan_.blocks_lost = schedule.blocks_lost();
    return std::move(plan_);
  }

 private:
  void recorded_exchange(ConnectionId, uint64_t, const Exchange& exchange) override {
    ++exchanges_;
    ++plan_.methods[exchange.method];
  }
  void recorded_client(ConnectionId, Bytes) override {}
  void recorded_server(ConnectionId, Bytes) override {}
  void recorded_gap(ConnectionId) override {}
  void recorded_closed(ConnectionId, bool) override {}

  void note_upstream(const Event& event) {
    if (const auto* opened = std::get_if<Opened>(&event)) {
      plan_.goes_back |= same_text(opened->upstream, target_.text());
    } else if (const auto* connected = std::get_if<Connected>(&event)) {
      plan_.goes_back |=
          std::any_of(addresses_.begin(), addresses_.end(),
                      [&](const Address& address) { return address.text() == connected->server; });
    }
  }

  void count_actions() {
    for (const Action& action : excerpt_.actions()) count(action);
    excerpt_.actions().clear();
  }

  void count(const Action& action) {
    if (!first_ns_) first_ns_ = stretch_.from_ns > 0 ? stretch_.from_ns : action.time_ns;
    last_ns_ = action.time_ns;
    plan_.requests += action.requests;
    plan_.turns += action.turns;
    plan_.bytes += action.bytes.size();
    if (action.kind == Action::Kind::open) ++plan_.connections;
    if (action.kind == Action::Kind::abandon) abandoned_.emplace(action.connection, action.reason);
    count_units(action);
    if (action.ends_connection()) abandoned_.erase(action.connection);
  }

  void count_units(const Action& action) {
    const auto reason = abandoned_.find(action.connection);
    if (reason == abandoned_.end()) {
      plan_.requests_sent += action.requests;
      plan_.turns_sent += action.turns;
    } else if (action.units() > 0) {
      plan_.not_sent[reason->second] += action.units();
    }
  }

  const Endpoint& target_;
  const std::vector<Address>& addresses_;
  const Stretch stretch_;
  const size_t rules_;
  Excerpt excerpt_;
  Plan plan_;
  std::unordered_map<ConnectionId, std::string> abandoned_;
  std::optional<int64_t> first_ns_;
  int64_t last_ns_ = 0;
  uint64_t exchanges_ = 0;
};

class Nobody final : public RecordedListener {
  void recorded_exchange(ConnectionId, uint64_t, const Exchange&) override {}
  void recorded_client(ConnectionId, Bytes) override {}
  void recorded_server(ConnectionId, Bytes) override {}
  void recorded_gap(ConnectionId) override {}
  void recorded_closed(ConnectionId, bool) override {}
};

}  // namespace

uint64_t Plan::requests_writing() const {
  uint64_t count = 0;
  for (const auto& [method, requests_of_it] : methods) {
    if (!only_reads(method)) count += requests_of_it;
  }
  return count;
}

Result<Plan> look_through(TapeSource& tape, const Endpoint& target,
                          const std::vector<Address>& addresses, Stretch stretch,
                          const RewriteRules& rules) {
  LookThrough looking(target, addresses, stretch, rules);
  while (!looking.is_over()) {
    const auto* item = tape.next();
    if (item == nullptr) {
      looking.finish(tape.end());
    } else {
      looking.item(*item);
    }
  }
  if (tape.failure()) return *tape.failure();
  return looking.plan();
}

std::optional<int64_t> first_unit_ns(TapeSource& tape) {
  Nobody nobody;
  Schedule schedule(nobody);
  while (const auto* item = tape.next()) {
    schedule.feed(*item);
    for (const Action& action : schedule.actions()) {
      if (action.units() > 0) return action.time_ns;
    }
    schedule.actions().clear();
  }
  return std::nullopt;
}

}  // namespace wiretape
