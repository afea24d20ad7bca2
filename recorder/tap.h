// The tap: passive observer of the relays of one loop. It copies what it sees into the loop's event
// queue and never waits for the recorder or the disk.
//
// When the queue is full, the policy decides and nothing is lost in silence:
//   wait  room_for_read() says no, the relays pause reading, and the peers are held by TCP; the
//         pause becomes a stall event;
//   skip  traffic goes on; what is not stored becomes a gap event as soon as there is room.
//
// One thread, the loop's, uses a Tap. Times are CLOCK_MONOTONIC nanoseconds taken with now().
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <string_view>

#include "base/address.h"
#include "base/clock.h"
#include "proto/event.h"
#include "recorder/event_queue.h"

namespace wiretape {

enum class Overload : uint8_t { wait, skip };

// What a tap remembers of a connection between its events; lives in the relay.
struct TappedConnection {
  ConnectionId id = 0;
  uint64_t length[2] = {0, 0};   // of each direction's stream so far
  uint64_t skipped[2] = {0, 0};  // bytes at the end of the stream that are not stored yet told of
  bool recorded = false;         // its opened event is in the queue
};

// Wakes the recorder thread. Made by the recorder.
class RecorderBell {
 public:
  virtual ~RecorderBell() = default;
  virtual void ring() = 0;
};

class Tap {
 public:
  static constexpr int64_t hang_ns = 10'000'000'000;  // a disk that hangs for longer makes us skip

  // `ids` hands out connection ids to all taps of a recorder.
  Tap(Overload policy, size_t queue_bytes, std::atomic<ConnectionId>& ids, RecorderBell& bell,
      bool ordered_with_others);

  // The time for the next events. With other loops around it also promises the recorder that no
  // earlier event will come from here (the watermark).
  int64_t now() {
    if (ordered_with_others_ && !awake_) wake();
    return monotonic_ns();
  }
  // The loop is about to sleep: until it wakes, nothing is promised but the present.
  void before_wait();

  // False: do not read now (policy wait). The loop will be told by on_room().
  bool room_for_read() {
    if (room_for_chunk(read_bytes_max) || policy_ == Overload::skip) return true;
    return wait_begins();
  }
  // False: do not accept now, for the same reason.
  bool room_for_connection();
  bool waiting() const { return wait_began_ns_ != 0; }

  // `recorded`: on a run's tape, the connection that this one replays.
  void opened(TappedConnection& c, int64_t time_ns, uint32_t listener, const Address& client,
              const Address& local, ConnectionId recorded = 0);
  void connected(TappedConnection& c, int64_t time_ns, const Address& local, const Address& server);
  void chunk(TappedConnection& c, int64_t time_ns, Direction direction,
             std::span<const std::byte> bytes);
  // On a run's tape: how true a send was; its times are CLOCK_MONOTONIC, its connection is `c`.
  // Without room for it, or where its last bytes are not stored, it is only counted.
  void sent(TappedConnection& c, int64_t time_ns, const Send& send);
  void half_closed(TappedConnection& c, int64_t time_ns, Direction direction);
  void closed(TappedConnection& c, int64_t time_ns, CloseHow how, ClosedBy by,
              std::string_view error);

  // The recorder has made room: the wait is over and becomes a stall event. Called on the loop's
  // thread, by way of Loop::post.
  void room_again();
  // True once per hang: the recorder has not moved for hang_ns while we waited; from now on we
  // skip.
  bool gave_up_waiting(int64_t now_ns);
  bool skipping_after_hang() const { return skipping_after_hang_; }
  // Sends that are not on the tape. For the recorder's thread, too, after the last event.
  uint64_t lost_sends() const { return lost_sends_; }

  // The last event of this tap: what is still to be told of connections that were lost.
  void finish();

  EventQueue& queue() { return queue_; }
  // For the recorder's thread: the earliest time an event not yet in the queue can have.
  int64_t watermark() const { return watermark_.load(std::memory_order_seq_cst); }
  static constexpr int64_t asleep = std::numeric_limits<int64_t>::max();
  // For the recorder's thread: somebody waits for room.
  bool wants_room() const { return wants_room_.load(std::memory_order_acquire); }
  void room_was_told() { wants_room_.store(false, std::memory_order_release); }

 private:
  static constexpr size_t read_bytes_max = 64 * 1024;

  // A chunk may bring a gap with it, and leaves an eighth of the queue to connections that are
  // opened while there is no room for bytes.
  bool room_for_chunk(size_t bytes) const {
    return queue_.has_room(bytes + sizeof(QueuedEvent) + queue_.capacity_bytes() / 8);
  }
  void wake();
  bool wait_begins();
  void push_gap(TappedConnection& c, int64_t time_ns, Direction direction);
  void push_gaps(TappedConnection& c, int64_t time_ns);
  void push_lost_connections(int64_t time_ns);

  EventQueue queue_;
  Overload policy_;
  std::atomic<ConnectionId>& ids_;
  RecorderBell& bell_;
  const bool ordered_with_others_;
  bool awake_ = false;
  bool pushed_since_wait_ = false;
  bool skipping_after_hang_ = false;
  int64_t wait_began_ns_ = 0;
  size_t used_when_waiting_ = 0;  // the queue's level when it last moved
  int64_t moved_ns_ = 0;
  uint64_t lost_connections_ = 0;  // not on the tape at all
  uint64_t lost_bytes_ = 0;
  uint64_t lost_sends_ = 0;
  std::atomic<int64_t> watermark_{asleep};
  std::atomic<bool> wants_room_{false};
};

}  // namespace wiretape
