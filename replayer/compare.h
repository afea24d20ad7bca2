// What came out different. Joins what the tape says was answered with what the run was answered,
// by connection and request, in whatever order the two become known. HTTP: status, headers and body
// of each exchange's final response. Opaque: all that the server sent on a connection, as one unit.
//
// Every unit ends in exactly one of: same, different, errors, not_compared.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "replayer/difference.h"
#include "replayer/exchange_pair.h"
#include "replayer/latency.h"
#include "replayer/postgresql.h"
#include "replayer/recorded_connection.h"
#include "replayer/stream_compare.h"

namespace wiretape {

struct Verdicts {
  static constexpr size_t differences_max = 1000;

  uint64_t same = 0;
  uint64_t different = 0;
  uint64_t errors = 0;
  std::map<std::string, uint64_t> not_compared;
  std::map<uint32_t, uint64_t> status;  // of the run
  std::map<std::string, uint64_t> error_reasons;
  std::vector<Difference> differences;  // errors, too
  uint64_t differences_omitted = 0;
};

class Compare final : public RecordedListener {
 public:
  // Of everything pending; beyond it, digests stand for bytes.
  static constexpr size_t held_bytes_max = 64 * 1024 * 1024;

  explicit Compare(CompareOptions options) : options_(std::move(options)) {}

  bool wants_heads() const override { return options_.enabled; }
  void recorded_opened(ConnectionId id, uint32_t part) override;
  void recorded_head(ConnectionId id, uint64_t request, const HttpHead& head) override;
  void recorded_body(ConnectionId id, uint64_t request, Bytes body) override;
  void recorded_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) override;
  void recorded_client(ConnectionId id, Bytes bytes) override;
  void recorded_server(ConnectionId id, Bytes bytes) override;
  void recorded_turn(ConnectionId, int64_t latency_ns) override {
    latency_recorded_ns_.add(latency_ns);
  }
  void recorded_gap(ConnectionId id) override;
  void recorded_closed(ConnectionId id, bool opaque) override;

  // The run's side. Heads are of use only when wants_heads(); those of interim responses are none.
  // `failure` is a reason ("timeout", "closed_by_target", ...), `status` that of the final response
  // when one had begun.
  void replayed_head(ConnectionId id, uint64_t request, const HttpHead& head);
  void replayed_body(ConnectionId id, uint64_t request, Bytes body);
  void replayed_exchange(ConnectionId id, uint64_t request, const Exchange& exchange);
  void exchange_failed(ConnectionId id, uint64_t request, const std::string& failure,
                       uint32_t status = 0);
  void exchange_not_sent(ConnectionId id, uint64_t request, const std::string& reason);
  void replayed_server(ConnectionId id, Bytes bytes);                 // opaque
  void replayed_closed(ConnectionId id, const std::string& failure);  // empty: as recorded

  // The run was ended before the tape was read to its end: what waits for its recorded half counts
  // as not compared.
  void stop(const std::string& reason);

  const Verdicts& verdicts() const { return verdicts_; }
  // How long the recorded server took, as the run's latency is measured: from the last byte of a
  // request (or a turn) to the last of its answer.
  const Histogram& latency_recorded_ns() const { return latency_recorded_ns_; }
  // Units of which only one side is known yet, and about what they take.
  size_t pending() const { return joins_.size(); }
  size_t pending_bytes() const { return pending_bytes_ + joins_.size() * join_bytes; }

 private:
  using Side = StreamCompare::Side;
  struct Pair {
    ExchangePair exchange;
    size_t counted_bytes = 0;  // in pending_bytes_
  };
  using Pairs = std::map<uint64_t, Pair>;
  struct Stream {
    StreamCompare compare;
    PostgresqlMask recorded_mask;
    PostgresqlMask replayed_mask;
    bool gap = false;
    size_t counted_bytes = 0;
  };
  struct Join {
    Pairs pairs;
    uint64_t judged = 0;  // requests before this one are over
    std::unique_ptr<Stream> stream;
    uint32_t part = 0;
    bool recorded_closed = false;
    bool replayed_closed = false;
    bool opaque = false;
    std::string failure;
  };
  // With what the containers put around them.
  static constexpr size_t join_bytes = sizeof(Join) + sizeof(ConnectionId) + 3 * sizeof(void*);
  static constexpr size_t pair_bytes = sizeof(Pair) + sizeof(uint64_t) + 5 * sizeof(void*);
  static constexpr size_t spare_pairs_max = 64;

  Stream& stream(ConnectionId id);
  void feed(Stream& stream, Side side, PostgresqlMask& mask, Bytes bytes);
  Pair* pair_of(Join& join, uint64_t request);
  Pairs::iterator new_pair(Join& join, uint64_t request);
  void release(Join& join, Pairs::iterator pair);
  void head(Side side, ConnectionId id, uint64_t request, const HttpHead& head);
  void body(Side side, ConnectionId id, uint64_t request, Bytes bytes);
  void replayed_not(ConnectionId id, uint64_t request, const std::string& reason, bool sent,
                    uint32_t status);
  bool same_as_far(ExchangePair& exchange, Difference& difference) const;
  template <typename Set>
  void set_outcome(Side side, ConnectionId id, uint64_t request, Set set);
  template <typename Unit>
  void bound(Unit& unit, size_t bytes, size_t held_bytes);
  void judge(ConnectionId id, uint64_t request, const Join& join, ExchangePair& exchange);
  void judge_alone(ConnectionId id, uint64_t request, const Join& join,
                   const ExchangePair& exchange);
  void judge_stream(ConnectionId id, const Join& join);
  void close_if_done(ConnectionId id);
  void not_compared(const std::string& reason) { ++verdicts_.not_compared[reason]; }
  void error(Difference&& difference, const std::string& reason);
  void different(Difference&& difference);
  void list(Difference&& difference);

  CompareOptions options_;
  Verdicts verdicts_;
  Histogram latency_recorded_ns_;
  // Invariant: a connection is in joins_ until both its sides are closed; pending_bytes_ is the sum
  // of what its pairs and streams count.
  std::unordered_map<ConnectionId, Join> joins_;
  size_t pending_bytes_ = 0;
  std::vector<Pairs::node_type> spare_pairs_;  // so that the common case allocates nothing
  std::vector<std::byte> masked_;              // scratch
};

// True when a reason lies in the tape or with the user, not in the target: such a unit can't be
// judged.
bool is_tape_reason(const std::string& reason);

}  // namespace wiretape
