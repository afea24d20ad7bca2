// The stretch of a tape that a run takes (--from, --to), as if nothing else were on it. A request,
// turn or connection belongs to it when it begins in it.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>

#include "replayer/clients.h"
#include "replayer/recorded_connection.h"
#include "replayer/schedule.h"

namespace wiretape {

// On the schedule's clock, which begins at 0: from_ns belongs to it, to_ns does not.
struct Stretch {
  int64_t from_ns = 0;
  int64_t to_ns = INT64_MAX;

  bool is_all() const { return from_ns == 0 && to_ns == INT64_MAX; }
  bool has(int64_t time_ns) const { return time_ns >= from_ns && time_ns < to_ns; }
};

// Items of the tape in, the excerpt's actions out.
class Excerpt final : private RecordedListener {
 public:
  // The listener is told what the recorded server answered to the excerpt's requests, numbered from
  // 0 in their connection. It must outlive the excerpt.
  Excerpt(RecordedListener& listener, Stretch stretch, RewriteRules rules = {});
  Excerpt(const Excerpt&) = delete;
  Excerpt& operator=(const Excerpt&) = delete;

  void feed(const TapeReader::Item& item);
  // After the last item.
  void finish();
  // True when nothing that is still to come belongs to it.
  bool is_over() const { return over_; }

  std::deque<Action>& actions() { return out_; }
  const Schedule& schedule() const { return schedule_; }

  // What can't be taken up in the middle: turns that begin in the excerpt on connections by turns
  // that began before it.
  uint64_t turns_begun_before() const { return turns_begun_before_; }
  uint64_t connections_begun_before() const { return connections_begun_before_; }

 private:
  // A connection that is open on the tape.
  struct Part {
    std::optional<Action> open;  // until its first action that belongs
    std::optional<Action> abandon;
    uint32_t tape_part = 0;
    uint32_t client = 0;
    bool opened = false;    // its open action is out
    bool ended = false;     // its last one is, too
    uint64_t before = 0;    // requests begun before the excerpt
    uint64_t inside = 0;    // and in it
    uint64_t answered = 0;  // of those in it, as far as the tape knows
    uint64_t completed = 0;
    uint64_t turns = 0;          // in it
    bool unit_belongs = false;   // the request or turn under way
    bool opaque_before = false;  // it began by turns before the excerpt
    bool server_spoke = false;   // last, among opaque bytes
    bool cut = false;            // its client's turns behind the excerpt have begun
  };

  bool wants_heads() const override { return listener_.wants_heads(); }
  void recorded_opened(ConnectionId id, uint32_t tape_part) override;
  void recorded_head(ConnectionId id, uint64_t request, const HttpHead& head) override;
  void recorded_body(ConnectionId id, uint64_t request, Bytes body) override;
  void recorded_turn(ConnectionId id, int64_t latency_ns) override;
  void recorded_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) override;
  void recorded_client(ConnectionId id, Bytes bytes) override;
  void recorded_server(ConnectionId id, Bytes bytes) override;
  void recorded_gap(ConnectionId id) override;
  void recorded_closed(ConnectionId id, bool opaque) override;

  void take_actions();
  void take(Action action);
  void take_open(Part& part, Action action);
  void take_send(Part& part, Action action);
  void take_requests(Part& part, Action action);
  void take_turn(Part& part, Action action);
  void take_end(Part& part, Action action);
  void begun_before(Part& part);
  void pass(Part& part, Action action);
  void close_idle();
  void close(ConnectionId id, Part& part, int64_t time_ns, const Gate& gate);
  bool has_sent(const Part& part, uint64_t request) const;
  bool is_in_the_middle(const Part& part) const;
  int64_t now_ns() const { return schedule_.time_ns(); }

  // Invariant: open_parts_ is the number of parts that are opened and not ended; closed_ is the
  // number of close actions that are out.
  RecordedListener& listener_;
  const Stretch stretch_;
  Schedule schedule_;
  std::deque<Action> out_;
  std::map<ConnectionId, Part> parts_;
  uint64_t open_parts_ = 0;
  uint64_t closed_ = 0;
  Clients clients_;      // what they completed in it
  bool beyond_ = false;  // the tape was read up to the end of the stretch
  bool over_ = false;
  uint64_t turns_begun_before_ = 0;
  uint64_t connections_begun_before_ = 0;
};

}  // namespace wiretape
