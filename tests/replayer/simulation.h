// A run without sockets and without waiting: a tape made by hand, a scripted target, and a clock
// that jumps from one event to the next.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <utility>
#include <vector>

#include "replayer/connection.h"
#include "replayer/excerpt.h"

namespace wiretape {

inline constexpr int64_t ms = ns_per_ms;

// Writes records in order of time, with the right offsets.
class TapeByHand {
 public:
  TapeByHand() { add(0, Header{}); }
  TapeByHand& open(int64_t at, ConnectionId id) {
    Opened opened;
    opened.connection = id;
    return add(at, opened);
  }
  TapeByHand& client(int64_t at, ConnectionId id, const std::string& text) {
    return chunk(at, id, Direction::client_to_server, text);
  }
  TapeByHand& server(int64_t at, ConnectionId id, const std::string& text) {
    return chunk(at, id, Direction::server_to_client, text);
  }
  TapeByHand& gap(int64_t at, ConnectionId id, Direction direction, uint64_t length) {
    Gap gap{id, direction, length_[id][index_of(direction)], length, GapReason::overload, 0};
    length_[id][index_of(direction)] += length;
    return add(at, gap);
  }
  TapeByHand& fin(int64_t at, ConnectionId id, Direction direction) {
    return add(at, HalfClosed{id, direction, length_[id][index_of(direction)]});
  }
  TapeByHand& closed(int64_t at, ConnectionId id, CloseHow how = CloseHow::fin,
                     ClosedBy by = ClosedBy::client) {
    Closed closed;
    closed.connection = id;
    closed.how = how;
    closed.by = by;
    return add(at, closed);
  }
  TapeByHand& add(int64_t at, Event event) {
    if (std::holds_alternative<Header>(event) && !items_.empty()) ++part_;
    items_.emplace_back(TapeRecord{at, part_, std::move(event)});
    return *this;
  }
  // A part of which the header is lost.
  TapeByHand& part() {
    ++part_;
    return *this;
  }
  const std::deque<TapeReader::Item>& items() const { return items_; }

 private:
  TapeByHand& chunk(int64_t at, ConnectionId id, Direction direction, const std::string& text) {
    texts_.push_back(text);
    uint64_t& offset = length_[id][index_of(direction)];
    Chunk chunk{id, direction, offset, as_bytes(texts_.back())};
    offset += text.size();
    return add(at, chunk);
  }
  uint32_t part_ = 0;
  std::deque<TapeReader::Item> items_;
  std::deque<std::string> texts_;  // chunks point into it
  std::map<ConnectionId, std::array<uint64_t, 2>> length_;
};

// What the target did and saw on one connection.
class ScriptedWire;
using Script = std::function<void(ScriptedWire&)>;  // called after each arrival of bytes or FIN

class Simulation {
 public:
  explicit Simulation(Script script, Speed speed = Speed::times(1),
                      int64_t timeout_ns = 30'000 * ms, Pace pace = Pace::recorded,
                      CompareOptions compare = {})
      : script_(std::move(script)),
        pacer_(speed, 0, t0),
        compare_(std::move(compare)),
        run_{pacer_, compare_, tally_, timeout_ns, [this] { return now_ns_; }, pace, {}, 0, {}} {}

  static constexpr int64_t t0 = 1'000'000 * ms;

  void play(const TapeByHand& tape);
  void after(int64_t delay_ns, std::function<void()> what) {
    events_.push({now_ns_ + delay_ns, next_event_++, std::move(what)});
  }

  // What the run does at its first and its second signal.
  void stop_sending() {
    for (auto& [id, connection] : connections_) connection->stop_sending("stopped");
  }
  void cut_off() {
    for (auto& [id, connection] : connections_) connection->cut_off("stopped");
  }

  int64_t now_ns() const { return now_ns_; }
  int64_t since_t0() const { return now_ns_ - t0; }
  const Tally& tally() const { return tally_; }
  const Verdicts& verdicts() const { return compare_.verdicts(); }
  const Compare& compare() const { return compare_; }
  uint64_t queued_bytes() const { return run_.queued_bytes; }
  bool has_wire(ConnectionId id) const { return wires_.contains(id); }
  // The connection's first link, and all of them; they stay until the simulation ends.
  ScriptedWire& wire(ConnectionId id) { return *wires_.at(id).front(); }
  const std::vector<ScriptedWire*>& wires(ConnectionId id) { return wires_[id]; }
  Connection& connection(ConnectionId id) { return *connections_.at(id); }
  bool all_finished() const {
    return std::all_of(connections_.begin(), connections_.end(),
                       [](const auto& entry) { return entry.second->finished(); });
  }

  bool refuse_connections = false;
  Stretch stretch;  // of the tape
  int64_t connect_ns = 0;

 private:
  friend class ScriptedWire;
  struct EventAt {
    int64_t at_ns;
    uint64_t order;
    std::function<void()> what;
    bool operator>(const EventAt& other) const {
      return std::pair(at_ns, order) > std::pair(other.at_ns, other.order);
    }
  };
  void push(Action action);
  bool next_event();

  Script script_;
  int64_t now_ns_ = t0 - 100 * ms;
  Pacer pacer_;
  Compare compare_;
  Tally tally_;
  RunContext run_;
  std::map<ConnectionId, std::vector<ScriptedWire*>> wires_;
  std::map<ConnectionId, std::unique_ptr<Connection>> connections_;
  std::priority_queue<EventAt, std::vector<EventAt>, std::greater<>> events_;
  uint64_t next_event_ = 0;
};

class ScriptedWire final : public Wire {
 public:
  ScriptedWire(Simulation& simulation, WireListener& listener)
      : simulation_(simulation), listener_(listener) {}

  // The target's verbs.
  void answer(int64_t delay_ns, const std::string& text) {
    then(delay_ns, [this, text] { listener_.on_read(as_bytes(text), simulation_.now_ns()); });
  }
  void end(int64_t delay_ns) {
    then(delay_ns, [this] { listener_.on_end(); });
  }
  void reset_by_target(int64_t delay_ns) {
    then(delay_ns, [this] { break_off(); });
  }

  struct Arrival {
    int64_t at_ns;  // since t0
    std::string text;
  };
  std::vector<Arrival> arrivals;
  std::string received;
  int64_t fin_at = -1;
  int64_t closed_at = -1;
  int64_t reset_at = -1;
  int64_t let_go_at = -1;  // when we closed it, whoever had ended it
  size_t answers = 0;      // for scripts to count with

  void connect() override {
    simulation_.after(simulation_.connect_ns, [this] {
      if (closed_at >= 0) return;
      simulation_.refuse_connections ? listener_.on_connect_failed("connection refused")
                                     : listener_.on_connected();
    });
  }
  bool write(Bytes bytes) override {
    arrivals.push_back({simulation_.since_t0(), std::string(as_text(bytes))});
    received += as_text(bytes);
    simulation_.after(0, [this] { simulation_.script_(*this); });
    return true;
  }
  void half_close() override {
    fin_at = simulation_.since_t0();
    simulation_.after(0, [this] { simulation_.script_(*this); });
  }
  void close() override {
    if (let_go_at < 0) let_go_at = simulation_.since_t0();
    if (closed_at < 0) closed_at = simulation_.since_t0();
  }
  void reset() override {
    reset_at = simulation_.since_t0();
    close();
  }

 private:
  void then(int64_t delay_ns, std::function<void()> what) {
    simulation_.after(delay_ns, [this, what = std::move(what)] {
      if (closed_at < 0) what();
    });
  }
  void break_off() {
    closed_at = simulation_.since_t0();
    listener_.on_broken("reset");
  }
  Simulation& simulation_;
  WireListener& listener_;
};

inline void Simulation::push(Action action) {
  auto& connection = connections_[action.connection];
  if (!connection) {
    const ConnectionId id = action.connection;
    connection = std::make_unique<Connection>(id, run_, [this, id](WireListener& listener) {
      auto wire = std::make_unique<ScriptedWire>(*this, listener);
      wires_[id].push_back(wire.get());
      return wire;
    });
  }
  connection->push(std::move(action));
}

inline bool Simulation::next_event() {
  const auto wake = pacer_.next_wake_ns();
  const bool event_first = !events_.empty() && (!wake || events_.top().at_ns <= *wake);
  if (event_first) {
    const EventAt event = events_.top();
    events_.pop();
    now_ns_ = std::max(now_ns_, event.at_ns);
    event.what();
    return true;
  }
  if (!wake) return false;
  now_ns_ = std::max(now_ns_, *wake);
  const auto id = pacer_.take_due(now_ns_);
  connections_.at(*id)->run();
  return true;
}

inline void Simulation::play(const TapeByHand& tape) {
  Excerpt excerpt(compare_, stretch);
  for (const auto& item : tape.items()) {
    if (!excerpt.is_over()) excerpt.feed(item);
  }
  if (!excerpt.is_over()) excerpt.finish();
  while (!excerpt.actions().empty()) {
    push(std::move(excerpt.actions().front()));
    excerpt.actions().pop_front();
  }
  for (auto& [id, connection] : connections_) connection->run();
  while (next_event()) {
  }
}

// Ready-made targets.

inline std::string request(int number, const std::string& body = "") {
  return "POST /" + std::to_string(number) +
         " HTTP/1.1\r\nHost: app\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
         body;
}
inline std::string response(const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

// Answers request k (told by the ends of heads, so bodies must be empty) with bodies[k], each
// `delay_ns` after it came.
inline Script http_target(std::vector<std::string> responses, int64_t delay_ns) {
  return [responses = std::move(responses), delay_ns](ScriptedWire& wire) {
    size_t heads = 0;
    for (size_t at = 0; (at = wire.received.find("\r\n\r\n", at)) != std::string::npos; ++at) {
      ++heads;
    }
    while (wire.answers < std::min(heads, responses.size())) {
      wire.answer(delay_ns, responses[wire.answers++]);
    }
    if (wire.fin_at >= 0) wire.end(delay_ns);
  };
}

// Answers the k-th arrival with texts[k].
inline Script turn_target(std::vector<std::string> texts, int64_t delay_ns) {
  return [texts = std::move(texts), delay_ns](ScriptedWire& wire) {
    while (wire.answers < std::min(wire.arrivals.size(), texts.size())) {
      wire.answer(delay_ns, texts[wire.answers++]);
    }
    if (wire.fin_at >= 0) wire.end(delay_ns);
  };
}

}  // namespace wiretape
