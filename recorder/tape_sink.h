// Where events end: the tape on a disk, with a policy for disks that are full or failing.
//
// Recording is never worth the traffic: when the disk refuses a block, the sink says so once, keeps
// the block in memory, counts what comes after it per connection, and tries again each second. When
// the disk is back, what is missing is on the tape as gap records.
//
// One thread, the recorder's. Times are nanoseconds since the part's start, non-decreasing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "proto/event.h"
#include "proto/tape_writer.h"

namespace wiretape {

class TapeSink {
 public:
  static constexpr int64_t retry_ns = 1'000'000'000;
  // Connections' openings and endings kept while the disk fails.
  static constexpr size_t kept_events_max = 100'000;

  TapeSink(std::unique_ptr<TapeWriter> writer, int level);

  void chunk(int64_t time_ns, ConnectionId connection, Direction direction, uint64_t offset,
             Bytes bytes);
  void event(int64_t time_ns, const Event& event);
  // Send records that did not come this far.
  void miss_sends(uint64_t number) { sends_not_recorded_ += number; }
  // To be called every few milliseconds: stores a block that is due, tries a failing disk again.
  void tick(int64_t now_ns);
  // Called as often as is convenient; decides how hard the next block is compressed.
  void set_queue_level(double full);  // 0 to 1

  // Writes what is left and the trailer; its gap counts are filled in here.
  // False: something could not be stored.
  bool finish(int64_t now_ns, Trailer trailer);

  // When tick() has something to do next; -1: nothing waits for it, the thread may sleep.
  int64_t next_tick_ns() const;
  bool failing() const { return failing_; }
  const std::string& failure() const { return failure_; }  // why, the last time; "" never
  uint64_t bytes_not_recorded() const { return bytes_not_recorded_; }
  uint64_t sends_not_recorded() const { return sends_not_recorded_; }
  uint64_t gaps() const { return gaps_; }
  uint64_t stored_bytes() const { return writer_->stored_bytes(); }

 private:
  // A stretch of one stream that is missing; stretches of one failure are one.
  struct Missing {
    uint64_t offset = 0;
    uint64_t length = 0;
  };
  struct Sum {
    uint64_t connections = 0;
    uint64_t bytes[2] = {0, 0};  // by direction
  };
  struct MissingPair {
    Missing by_direction[2];
  };

  void fails(const Error& error, int64_t now_ns);
  void try_again(int64_t now_ns);
  void miss(ConnectionId connection, Direction direction, uint64_t offset, uint64_t length);
  Result<void> write(int64_t time_ns, const Event& event);
  void put_aside(int64_t time_ns, const Event& event);
  void keep(int64_t time_ns, const Event& event);
  void add_to_sum(const Event& event);
  void keep_sum(int64_t time_ns);
  void keep_gaps_of(ConnectionId connection, int64_t time_ns);
  void keep_all_gaps(int64_t time_ns);
  void give_up_block();
  void make_kept_fit();
  bool write_kept();

  std::unique_ptr<TapeWriter> writer_;
  const int level_;
  bool failing_ = false;
  std::string failure_;
  int64_t retry_at_ns_ = 0;
  int64_t last_ns_ = 0;  // of the newest event: gap records must not overtake those in the queue
  std::unordered_map<ConnectionId, MissingPair> missing_;
  std::vector<std::pair<int64_t, Event>> kept_;
  Sum summed_;  // of what was not kept one by one
  uint64_t bytes_not_recorded_ = 0;
  uint64_t sends_not_recorded_ = 0;
  uint64_t gaps_ = 0;
};

}  // namespace wiretape
