// What came out different. Joins what the tape says was answered with what the run was answered,
// by connection and request, in whatever order the two become known. HTTP: status and body of each
// exchange. Opaque: all that the server sent on a connection, as one unit.
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

#include "replayer/postgresql.h"
#include "replayer/recorded_connection.h"
#include "replayer/stream_compare.h"

namespace wiretape {

struct CompareOptions {
  bool enabled = true;
  bool ignore_status = false;
};

struct Difference {
  ConnectionId connection = 0;
  std::optional<uint64_t> request;  // none: the connection's whole stream
  std::string method;
  std::string url;
  std::string what;  // "status", "body", "bytes", "error"
  std::string recorded;
  std::string replayed;
};

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
  // Bytes of opaque streams held; beyond it, only their digests.
  static constexpr size_t held_bytes_max = 64 * 1024 * 1024;

  explicit Compare(CompareOptions options) : options_(options) {}

  void recorded_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) override;
  void recorded_client(ConnectionId id, Bytes bytes) override;
  void recorded_server(ConnectionId id, Bytes bytes) override;
  void recorded_gap(ConnectionId id) override;
  void recorded_closed(ConnectionId id, bool opaque) override;

  // The run's side. `failure` is a reason ("timeout", "closed_by_target", ...).
  void replayed_exchange(ConnectionId id, uint64_t request, const Exchange& exchange);
  void exchange_failed(ConnectionId id, uint64_t request, const std::string& failure);
  void exchange_not_sent(ConnectionId id, uint64_t request, const std::string& reason);
  void replayed_server(ConnectionId id, Bytes bytes);                 // opaque
  void replayed_closed(ConnectionId id, const std::string& failure);  // empty: as recorded

  const Verdicts& verdicts() const { return verdicts_; }
  // Units of which only one side is known yet.
  size_t pending() const { return joins_.size(); }

 private:
  // What is kept of one side's exchange until the other side is known.
  struct Answer {
    std::string method;
    std::string url;
    uint32_t status = 0;
    uint64_t body_bytes = 0;
    uint64_t digest[2] = {0, 0};
    bool complete = false;
    bool sent = true;
    std::string failure;
  };
  struct Pair {
    std::optional<Answer> recorded;
    std::optional<Answer> replayed;
  };
  struct Stream {
    StreamCompare compare;
    PostgresqlMask recorded_mask;
    PostgresqlMask replayed_mask;
    bool gap = false;
  };
  struct Join {
    std::map<uint64_t, Pair> pairs;
    std::unique_ptr<Stream> stream;
    bool recorded_closed = false;
    bool replayed_closed = false;
    bool opaque = false;
    std::string failure;
  };

  static Answer answer_of(const Exchange& exchange);
  Stream& stream(ConnectionId id);
  void feed(Stream& stream, StreamCompare::Side side, PostgresqlMask& mask, Bytes bytes);
  void set_replayed(ConnectionId id, uint64_t request, Answer answer);
  void join(ConnectionId id, uint64_t request);
  void judge(ConnectionId id, uint64_t request, const Pair& pair);
  void judge_alone(ConnectionId id, uint64_t request, const Pair& pair);
  void judge_answers(Difference&& difference, const Answer& recorded, const Answer& replayed);
  void judge_stream(ConnectionId id, const Join& join);
  void close_if_done(ConnectionId id);
  void not_compared(const std::string& reason) { ++verdicts_.not_compared[reason]; }
  void error(Difference&& difference, const std::string& reason);
  void different(Difference&& difference);
  void list(Difference&& difference);

  CompareOptions options_;
  Verdicts verdicts_;
  // Invariant: a connection is in joins_ until both its sides are closed; held_bytes_ is the sum
  // of what its streams hold.
  std::unordered_map<ConnectionId, Join> joins_;
  size_t held_bytes_ = 0;
  std::vector<std::byte> masked_;  // scratch
};

// True when a reason lies in the tape or with the user, not in the target: such a unit can't be
// judged.
bool is_tape_reason(const std::string& reason);

}  // namespace wiretape
