// What a relay does becomes events here. The hot path is chunk(): a head of 48 bytes and the bytes
// themselves, copied into the queue's warm segment; the recorder thread is not woken for it. It
// naps a few milliseconds at a time and is rung only when it sleeps for good or the queue fills
// (measured: waking a thread costs more than recording a request).
//
// The watermark (several loops only): records on a tape are in order of time, so the recorder may
// write an event only when no loop can still come with an earlier one. A loop that wakes publishes
// the time before it takes any other; a loop that sleeps publishes "asleep", for which the recorder
// puts the present as it was before it looked. Both sides use sequentially consistent operations,
// so one of two things is seen: "asleep", and then every later event is later than the recorder's
// present; or the wake-up time, and then every later event is later than that.
#include "recorder/tap.h"

#include <cassert>
#include <cstring>

namespace wiretape {
namespace {

constexpr size_t opening_bytes = 2 * sizeof(Address) + 8 + EventQueue::ending_bytes;

// Addresses cross the queue as the kernel's structures; text is made on the recorder thread.
std::span<const std::byte> raw_bytes(const Address& address) {
  return std::as_bytes(std::span(&address, 1));
}

}  // namespace

Tap::Tap(Overload policy, size_t queue_bytes, std::atomic<ConnectionId>& ids, RecorderBell& bell,
         bool ordered_with_others)
    : queue_(queue_bytes),
      policy_(policy),
      ids_(ids),
      bell_(bell),
      ordered_with_others_(ordered_with_others) {
  queue_.reserve_ending();  // for a stall and for lost connections, told when all is full
}

void Tap::wake() {
  awake_ = true;
  watermark_.store(monotonic_ns(), std::memory_order_seq_cst);
}

void Tap::before_wait() {
  if (awake_) {
    awake_ = false;
    watermark_.store(asleep, std::memory_order_seq_cst);
  }
  if (pushed_since_wait_) {
    pushed_since_wait_ = false;
    bell_.ring();
  }
}

// ---------------------------------------------------------------------------------- no room

bool Tap::wait_begins() {
  if (wait_began_ns_ == 0) {
    wait_began_ns_ = now();
    moved_ns_ = wait_began_ns_;
    used_when_waiting_ = queue_.used_bytes();
  }
  wants_room_.store(true, std::memory_order_release);
  bell_.ring();
  return false;
}

bool Tap::room_for_connection() {
  if (policy_ == Overload::skip) return true;
  return queue_.has_room(opening_bytes) || wait_begins();
}

void Tap::room_again() {
  if (wait_began_ns_ == 0) return;
  const int64_t time_ns = now();
  QueuedEvent event{};
  event.kind = QueuedKind::stall;
  event.time_ns = time_ns;
  event.offset = static_cast<uint64_t>(wait_began_ns_);
  event.length = static_cast<uint64_t>(time_ns - wait_began_ns_);
  wait_began_ns_ = 0;
  queue_.push(event);
  pushed_since_wait_ = true;
}

bool Tap::gave_up_waiting(int64_t now_ns) {
  if (wait_began_ns_ == 0 || policy_ == Overload::skip) return false;
  if (queue_.used_bytes() != used_when_waiting_) {
    used_when_waiting_ = queue_.used_bytes();
    moved_ns_ = now_ns;
  }
  if (now_ns - moved_ns_ < hang_ns) return false;
  policy_ = Overload::skip;
  skipping_after_hang_ = true;
  return true;
}

void Tap::push_gap(TappedConnection& c, int64_t time_ns, Direction direction) {
  uint64_t& skipped = c.skipped[index_of(direction)];
  if (skipped == 0) return;
  QueuedEvent event{};
  event.kind = QueuedKind::gap;
  event.direction = static_cast<uint8_t>(direction);
  event.connection = c.id;
  event.time_ns = time_ns;
  event.offset = c.length[index_of(direction)] - skipped;
  event.length = skipped;
  skipped = 0;
  queue_.push(event);
}

void Tap::push_gaps(TappedConnection& c, int64_t time_ns) {
  push_gap(c, time_ns, Direction::client_to_server);
  push_gap(c, time_ns, Direction::server_to_client);
}

void Tap::push_lost_connections(int64_t time_ns) {
  QueuedEvent event{};
  event.kind = QueuedKind::lost_connections;
  event.time_ns = time_ns;
  event.offset = lost_connections_;
  event.length = lost_bytes_;
  lost_connections_ = 0;
  lost_bytes_ = 0;
  queue_.push(event);
}

// ---------------------------------------------------------------------------------- events

void Tap::opened(TappedConnection& c, int64_t time_ns, uint32_t listener, const Address& client,
                 const Address& local, ConnectionId recorded) {
  c.id = ids_.fetch_add(1, std::memory_order_relaxed) + 1;
  pushed_since_wait_ = true;
  if (!queue_.has_room(opening_bytes)) {
    ++lost_connections_;
    return;
  }
  const bool lost = lost_connections_ > 0 || lost_bytes_ > 0;
  if (lost && queue_.has_room(read_bytes_max)) push_lost_connections(time_ns);
  QueuedEvent event{};
  event.kind = QueuedKind::opened;
  event.listener = listener;
  event.connection = c.id;
  event.time_ns = time_ns;
  event.offset = recorded;
  queue_.push(event, raw_bytes(client), raw_bytes(local));
  queue_.reserve_ending();
  c.recorded = true;
}

void Tap::connected(TappedConnection& c, int64_t time_ns, const Address& local,
                    const Address& server) {
  if (!c.recorded) return;
  QueuedEvent event{};
  event.kind = QueuedKind::connected;
  event.connection = c.id;
  event.time_ns = time_ns;
  queue_.push(event, raw_bytes(local), raw_bytes(server));
  pushed_since_wait_ = true;
}

void Tap::chunk(TappedConnection& c, int64_t time_ns, Direction direction,
                std::span<const std::byte> bytes) {
  uint64_t& length = c.length[index_of(direction)];
  pushed_since_wait_ = true;
  if (!c.recorded) {
    length += bytes.size();
    lost_bytes_ += bytes.size();
    return;
  }
  uint64_t& skipped = c.skipped[index_of(direction)];
  if (!room_for_chunk(bytes.size())) {
    length += bytes.size();
    skipped += bytes.size();
    return;
  }
  if (skipped != 0) push_gap(c, time_ns, direction);
  QueuedEvent event{};
  event.kind = QueuedKind::chunk;
  event.direction = static_cast<uint8_t>(direction);
  event.connection = c.id;
  event.time_ns = time_ns;
  event.offset = length;
  length += bytes.size();
  queue_.push(event, bytes);
}

void Tap::sent(TappedConnection& c, int64_t time_ns, const Send& send) {
  assert(time_ns >= send.sent_ns && send.offset + send.length <= c.length[0]);
  const QueuedTimes times = {send.due_ns, send.sent_ns};
  const bool bytes_are_stored = c.recorded && c.skipped[0] == 0;
  if (!bytes_are_stored || !queue_.has_room(sizeof(times) + send.cause.size())) {
    ++lost_sends_;
    return;
  }
  QueuedEvent event{};
  event.kind = QueuedKind::sent;
  event.connection = c.id;
  event.time_ns = time_ns;
  event.offset = send.offset;
  event.length = send.length;
  queue_.push(event, std::as_bytes(std::span(&times, 1)), as_bytes(send.cause));
  pushed_since_wait_ = true;
}

void Tap::half_closed(TappedConnection& c, int64_t time_ns, Direction direction) {
  if (!c.recorded) return;
  push_gap(c, time_ns, direction);  // the room for it is reserved
  QueuedEvent event{};
  event.kind = QueuedKind::half_closed;
  event.direction = static_cast<uint8_t>(direction);
  event.connection = c.id;
  event.time_ns = time_ns;
  event.offset = c.length[index_of(direction)];
  queue_.push(event);
  pushed_since_wait_ = true;
}

void Tap::closed(TappedConnection& c, int64_t time_ns, CloseHow how, ClosedBy by,
                 std::string_view error) {
  if (!c.recorded) return;
  push_gaps(c, time_ns);
  QueuedEvent event{};
  event.kind = QueuedKind::closed;
  event.how = static_cast<uint8_t>(how);
  event.by = static_cast<uint8_t>(by);
  event.connection = c.id;
  event.time_ns = time_ns;
  event.offset = c.length[0];
  event.length = c.length[1];
  queue_.push(event, as_bytes(error.substr(0, 500)));
  queue_.release_ending();
  c.recorded = false;
  pushed_since_wait_ = true;
}

// The last word of this tap; nothing of other taps may wait for another.
void Tap::finish() {
  room_again();
  if (lost_connections_ > 0 || lost_bytes_ > 0) push_lost_connections(now());
  before_wait();
  bell_.ring();
}

}  // namespace wiretape
