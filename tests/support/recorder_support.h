// What the tests of the recording path share: a bell that counts, and what is on a tape, put
// together by connection.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "proto/tape_check.h"
#include "proto/tape_reader.h"
#include "recorder/tap.h"

namespace wiretape::test {

class CountingBell : public RecorderBell {
 public:
  void ring() override { ++rings; }
  std::atomic<int> rings{0};
};

// One connection as a tape tells it. Gaps are zeros in the bytes.
struct ToldConnection {
  bool opened = false;
  ConnectionId recorded = 0;
  std::vector<Send> sends;
  bool connected = false;
  bool closed = false;
  Closed end;
  std::string bytes[2];
  std::vector<Gap> gaps;
  uint64_t half_closed_at[2] = {UINT64_MAX, UINT64_MAX};
  std::vector<Exchange> exchanges;

  uint64_t gap_bytes() const {
    uint64_t sum = 0;
    for (const Gap& gap : gaps) sum += gap.length;
    return sum;
  }
};

struct ToldTape {
  std::map<ConnectionId, ToldConnection> connections;
  std::vector<int64_t> times_ns;
  std::vector<Stall> stalls;
  uint64_t connections_lost = 0;  // by gaps of whole connections
  uint64_t bytes_lost_with_them = 0;
  std::vector<Trailer> trailers;
  TapeFindings findings;
};

// Every chunk and gap must begin where the one before it ended.
inline void append_at(std::string& stream, uint64_t offset, std::string_view bytes) {
  EXPECT_EQ(offset, stream.size()) << "a stretch that is neither stored nor told of";
  stream += bytes;
}

struct Teller {
  ToldTape& tape;

  ToldConnection& of(ConnectionId id) const { return tape.connections[id]; }
  template <typename Other>
  void operator()(const Other&) const {}
  void operator()(const Opened& e) const {
    EXPECT_FALSE(of(e.connection).opened) << "opened twice";
    of(e.connection).opened = true;
    of(e.connection).recorded = e.recorded_connection;
  }
  void operator()(const Connected& e) const { of(e.connection).connected = true; }
  void operator()(const Chunk& e) const {
    EXPECT_FALSE(of(e.connection).closed) << "bytes behind the end";
    append_at(of(e.connection).bytes[index_of(e.direction)], e.offset, as_text(e.bytes));
  }
  void operator()(const HalfClosed& e) const {
    of(e.connection).half_closed_at[index_of(e.direction)] = e.offset;
  }
  void operator()(const Closed& e) const {
    EXPECT_FALSE(of(e.connection).closed) << "closed twice";
    of(e.connection).closed = true;
    of(e.connection).end = e;
  }
  void operator()(const Exchange& e) const { of(e.connection).exchanges.push_back(e); }
  void operator()(const Send& e) const { of(e.connection).sends.push_back(e); }
  void operator()(const Stall& e) const { tape.stalls.push_back(e); }
  void operator()(const Trailer& e) const { tape.trailers.push_back(e); }
  void operator()(const Gap& e) const {
    if (e.connection == 0) {
      tape.connections_lost += e.connections;
      tape.bytes_lost_with_them += e.length;
      return;
    }
    EXPECT_FALSE(of(e.connection).closed) << "a gap behind the end";
    of(e.connection).gaps.push_back(e);
    append_at(of(e.connection).bytes[index_of(e.direction)], e.offset, std::string(e.length, '\0'));
  }
};

inline ToldTape tell_tape(const std::string& path) {
  ToldTape tape;
  auto reader = TapeReader::open(path);
  EXPECT_TRUE(reader.ok()) << reader.error().message;
  if (!reader) return tape;
  TapeCheck check;
  while (const TapeReader::Item* item = (*reader)->next()) {
    check.feed(*item);
    const auto* record = std::get_if<TapeRecord>(item);
    EXPECT_NE(record, nullptr) << "damage";
    if (record == nullptr) continue;
    tape.times_ns.push_back(record->time_ns);
    std::visit(Teller{tape}, record->event);
  }
  tape.findings = check.finish(**reader);
  return tape;
}

inline bool in_order(const std::vector<int64_t>& times_ns) {
  return std::is_sorted(times_ns.begin(), times_ns.end());
}

}  // namespace wiretape::test
