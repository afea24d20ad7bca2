// One pass over a tape, told as connections and exchanges: what show and stat are made of.
//
//   TapeReader -> TapeWalk --+-> on_record      every record, as it comes
//                            +-> on_exchange    each exchange, at its completion
//                            +-> on_connection  each connection, at its end
//
// A tape without exchange records (record --raw) gets them here, from its bytes. Memory is a small
// state for each connection that is open on the tape at the same time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/digest.h"
#include "base/result.h"
#include "proto/exchange.h"
#include "proto/tape_check.h"
#include "proto/tape_reader.h"

namespace wiretape {

struct StreamSummary {
  uint64_t length = 0;     // of the stream, whatever is missing of it included
  uint64_t gap_bytes = 0;  // of it, by gap records
  std::string sha256;      // missing bytes count as zeros; empty when it was not asked for
};

// NOLINTNEXTLINE(bugprone-reserved-identifier): clang's own name in copying the array
struct ConnectionSummary {
  uint32_t part = 0;
  ConnectionId id = 0;
  std::string client;
  std::string upstream;                  // as the user named it
  std::string server;                    // the upstream's address; empty when it was never reached
  ConnectionId recorded_connection = 0;  // on a run's tape: the one it replays
  int64_t opened_ns = -1;                // -1: the record that says so is lost
  int64_t closed_ns = -1;                // -1: still open at the end of the tape
  Protocol protocol = Protocol::unknown;
  std::string server_name;  // SNI, when TLS passed through
  CloseHow how = CloseHow::open;
  ClosedBy by = ClosedBy::nobody;
  std::string error;
  uint64_t exchanges = 0;
  uint64_t requests = 0;
  uint64_t responses = 0;
  StreamSummary streams[2];
};

class TapeVisitor {
 public:
  virtual ~TapeVisitor() = default;
  virtual void on_record(const TapeRecord& record) { (void)record; }
  virtual void on_exchange(const ConnectionSummary& connection, const Exchange& exchange) {
    (void)connection, (void)exchange;
  }
  virtual void on_connection(const ConnectionSummary& connection) { (void)connection; }
  // True: the rest of the tape need not be read.
  virtual bool enough() const { return false; }
};

class TapeWalk {
 public:
  // Zeros that are hashed for what is missing, of a whole tape.
  static constexpr uint64_t hole_bytes_max = uint64_t{8} << 30;

  enum class Digests { none, sha256 };

  // The visitor must outlive the walk.
  TapeWalk(TapeVisitor& visitor, Digests digests);
  ~TapeWalk();
  TapeWalk(const TapeWalk&) = delete;
  TapeWalk& operator=(const TapeWalk&) = delete;
  void feed(const TapeReader::Item& item);
  // After the last item.
  TapeFindings finish(const TapeReader& reader);

 private:
  // One connection that is open at this point of the tape.
  class Live;
  Live& live(ConnectionId id);
  void end_connection(ConnectionId id);
  void begin_part(uint32_t part);
  void end_part();
  bool may_hash_hole(uint64_t bytes);

  // What each kind of record does.
  void take(const Header& header);
  void take(const Opened& opened);
  void take(const Connected& connected);
  void take(const Chunk& chunk);
  void take(const HalfClosed& half_closed);
  void take(const Closed& closed);
  void take(const Gap& gap);
  void take(const ProtocolFound& found);
  void take(const Exchange& exchange);
  template <typename Other>
  void take(const Other&) {}

  TapeVisitor& visitor_;
  const Digests digests_;
  TapeCheck check_;
  uint32_t part_ = 0;
  int64_t now_ns_ = 0;
  bool indexed_ = true;
  uint64_t hole_bytes_left_ = hole_bytes_max;  // that may still be hashed
  std::unordered_map<ConnectionId, std::unique_ptr<Live>> live_;
};

// The tape ("-": standard input) through a visitor. When that had enough before the end, nothing is
// found.
Result<TapeFindings> walk_tape(const std::string& path, TapeVisitor& visitor,
                               TapeWalk::Digests digests);

// Says on stderr what a reader other than verify should know of a tape's state: damage, a torn end,
// that it is being written.
void warn_of_findings(const std::string& path, const TapeFindings& findings);

}  // namespace wiretape
