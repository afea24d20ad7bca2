// The queue between one loop thread and the recorder thread: single producer, single consumer,
// bounded, wait-free on both sides.
//
//   loop thread                                               recorder thread
//   push() -> [segment: event event ...] -> [segment] -> peek(), pop()
//               ^                                            |
//               +------------ used-up segments --------------+
//
// Segments are made on demand and used again while warm, so that a recorder which keeps up works in
// the processor's cache. A queue starts with one segment, and keeps those that a burst made.
//
// Room is reserved for the end of every connection that was pushed as opened: whatever the disk
// does, that a connection closed, and what is missing of it, can always be told.
//
// Invariant: bytes in use <= capacity, also when every reservation is used.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/address.h"
#include "proto/event.h"

namespace wiretape {

enum class QueuedKind : uint8_t {
  opened,
  connected,
  chunk,
  half_closed,
  closed,
  gap,
  stall,
  lost_connections,
  sent
};

// The payload of `sent`, before the text of its cause.
struct QueuedTimes {
  int64_t due_ns;
  int64_t sent_ns;
};

// What an event looks like in the queue: this head, then `size - sizeof` bytes of payload.
struct QueuedEvent {
  uint32_t size;  // of the head and its payload, rounded up to 8
  uint32_t payload_bytes;
  QueuedKind kind;
  uint8_t direction;  // Direction
  uint8_t how;        // CloseHow
  uint8_t by;         // ClosedBy
  uint32_t listener;  // index of the pair, in opened
  ConnectionId connection;
  int64_t time_ns;  // CLOCK_MONOTONIC
  // opened: the recorded connection; stall: begin; lost_connections: how many; else of the stream
  uint64_t offset;
  uint64_t length;  // gap, sent, lost_connections: bytes; stall: duration
  std::span<const std::byte> payload() const {
    return {reinterpret_cast<const std::byte*>(this + 1), payload_bytes};
  }
};

class EventQueue {
 public:
  static constexpr size_t capacity_bytes_default = 64 * 1024 * 1024;
  // An event with the largest payload there is, 64 KiB.
  static constexpr size_t event_bytes_max = sizeof(QueuedEvent) + 64 * 1024;
  static constexpr size_t segment_bytes = 4 * event_bytes_max;
  // What is still to come of a connection that was opened, besides its bytes: that it is connected
  // to the upstream, two gaps, two half-closes and a close with its reason.
  static constexpr size_t ending_bytes = 6 * sizeof(QueuedEvent) + 2 * sizeof(Address) + 512;

  explicit EventQueue(size_t capacity_bytes = capacity_bytes_default);
  ~EventQueue();
  EventQueue(const EventQueue&) = delete;
  EventQueue& operator=(const EventQueue&) = delete;

  // ---- the producer's side
  bool has_room(size_t payload_bytes) const;
  // Copies the event and its payload (in two parts, for the convenience of callers).
  // The caller has asked has_room, or owns a reservation.
  void push(const QueuedEvent& head, std::span<const std::byte> payload = {},
            std::span<const std::byte> more = {});
  void reserve_ending();  // has_room(ending_bytes) held
  void release_ending();

  // ---- the consumer's side
  const QueuedEvent* peek();  // nullptr: empty
  void pop();                 // what peek gave

  // ---- either side
  size_t used_bytes() const;
  size_t capacity_bytes() const { return capacity_; }

 private:
  struct Segment;
  Segment* fresh_segment();

  const size_t capacity_;
  // Producer's own.
  alignas(64) Segment* tail_;
  Segment* spare_ = nullptr;
  uint32_t tail_written_ = 0;
  size_t reserved_ = 0;
  std::atomic<size_t> pushed_{0};
  // Consumer's own.
  alignas(64) Segment* head_;
  uint32_t head_read_ = 0;
  std::atomic<size_t> popped_{0};
  // Used-up segments on their way back to the producer.
  alignas(64) std::atomic<Segment*> returned_{nullptr};
};

}  // namespace wiretape
