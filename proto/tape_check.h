// Says what a tape is missing: which connection lost how many bytes of which direction, found by
// the offsets in the records that are there. Feed it everything a TapeReader gives.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proto/tape_reader.h"

namespace wiretape {

struct ConnectionLoss {
  uint32_t part = 0;
  ConnectionId connection = 0;
  uint64_t lost[2] = {0, 0};  // bytes by direction: damage to the tape
  uint64_t gaps[2] = {0, 0};  // bytes by direction: gap records, known when it was recorded
  bool opened_lost = false;   // its first record is missing
  bool end_unknown = false;   // no closed record: it may have gone on
};

struct TapeFindings {
  static constexpr size_t damage_max = 1000;  // that is told one by one
  static constexpr size_t losses_max = 1000;

  uint64_t records = 0;
  uint64_t blocks_lost = 0;
  std::vector<TapeDamage> damage;
  uint64_t damage_omitted = 0;         // further ones
  std::vector<ConnectionLoss> losses;  // only connections that lost something
  uint64_t losses_omitted = 0;
  uint64_t connections_lost = 0;  // wholly, as far as the trailer tells
  uint64_t bytes_lost = 0;
  uint64_t gap_bytes = 0;  // gap records, those of whole connections too
  uint64_t records_out_of_order = 0;
  TapeEnd end = TapeEnd::whole;
  uint64_t torn_bytes = 0;
  bool clean_trailer = false;  // in every part
  // True when the tape is all there and nothing was left out when it was recorded.
  bool whole() const;
};

// Memory: a hundred bytes for each connection that is open; what is found is bounded.
class TapeCheck {
 public:
  void feed(const TapeReader::Item& item);
  // After the last item.
  TapeFindings finish(const TapeReader& reader);

 private:
  struct Connection {
    ConnectionLoss loss;
    uint64_t next[2] = {0, 0};  // the offset at which the next chunk or gap is expected
  };

  void on_damage(const TapeDamage& damage);
  void on_record(const TapeRecord& record);
  void on_event(const Opened& opened);
  void on_event(const Chunk& chunk);
  void on_event(const Gap& gap);
  void on_event(const HalfClosed& half_closed);
  void on_event(const Closed& closed);
  void on_event(const Trailer& trailer);
  template <typename Other>
  void on_event(const Other&) {}

  void begin_part(uint32_t part);
  void end_part();
  Connection& connection(ConnectionId id);
  void advance(Connection& connection, Direction direction, uint64_t offset, uint64_t length);
  void settle(const Connection& connection);
  uint64_t missing_by_trailer() const;

  TapeFindings findings_;
  std::map<ConnectionId, Connection> open_;
  bool all_clean_ = true;  // the trailers of the parts that are over

  // The part.
  uint32_t part_ = 0;
  int64_t last_ns_ = 0;
  bool damaged_ = false;
  bool has_trailer_ = false;
  Trailer trailer_;
  uint64_t connections_ = 0;     // of which something is there, and those of whole gaps
  uint64_t length_[2] = {0, 0};  // of their streams, as far as it is known
};

}  // namespace wiretape
