// A linked list of segments instead of one ring: a 64 MiB ring touches all its 64 MiB in turn, and
// every chunk would be copied through memory that is in no cache. Two segments passed to and fro
// stay in the second-level cache.
//
// How the two sides meet: the producer fills its tail segment and publishes how far by `written`;
// when an event does not fit it links a new segment by `next`. The consumer reads up to `written`;
// at the end of a segment that has a `next` it looks at `written` once more (the producer wrote it
// before it linked), then moves on and gives the old segment back over `returned_`, a stack with
// one popper, who takes it whole (so there is no ABA).
#include "recorder/event_queue.h"

#include <cassert>
#include <cstring>

namespace wiretape {

struct EventQueue::Segment {
  std::atomic<uint32_t> written{0};
  std::atomic<Segment*> next{nullptr};
  Segment* below = nullptr;  // in the stack of returned segments, or of spare ones
  alignas(16) std::byte data[segment_bytes];
};

EventQueue::EventQueue(size_t capacity_bytes)
    : capacity_(capacity_bytes), tail_(new Segment), head_(tail_) {
  assert(capacity_ >= event_bytes_max);
}

EventQueue::~EventQueue() {
  const auto free_stack = [](Segment* s) {
    while (s != nullptr) delete std::exchange(s, s->below);
  };
  free_stack(spare_);
  free_stack(returned_.load());
  while (head_ != nullptr) delete std::exchange(head_, head_->next.load());
}

size_t EventQueue::used_bytes() const {
  return pushed_.load(std::memory_order_relaxed) - popped_.load(std::memory_order_relaxed);
}

bool EventQueue::has_room(size_t payload_bytes) const {
  return used_bytes() + reserved_ + sizeof(QueuedEvent) + payload_bytes + 8 <= capacity_;
}

void EventQueue::reserve_ending() {
  reserved_ += ending_bytes;
}

void EventQueue::release_ending() {
  assert(reserved_ >= ending_bytes);
  reserved_ -= ending_bytes;
}

EventQueue::Segment* EventQueue::fresh_segment() {
  if (spare_ == nullptr) spare_ = returned_.exchange(nullptr, std::memory_order_acquire);
  if (spare_ == nullptr) return new Segment;
  Segment* segment = std::exchange(spare_, spare_->below);
  segment->written.store(0, std::memory_order_relaxed);
  segment->next.store(nullptr, std::memory_order_relaxed);
  return segment;
}

void EventQueue::push(const QueuedEvent& head, std::span<const std::byte> payload,
                      std::span<const std::byte> more) {
  const size_t payload_bytes = payload.size() + more.size();
  const uint32_t size =
      static_cast<uint32_t>((sizeof(QueuedEvent) + payload_bytes + 7) & ~size_t{7});
  assert(size <= event_bytes_max);
  if (tail_written_ + size > segment_bytes) {
    Segment* segment = fresh_segment();
    tail_->next.store(segment, std::memory_order_release);
    tail_ = segment;
    tail_written_ = 0;
  }
  std::byte* to = tail_->data + tail_written_;
  QueuedEvent copy = head;
  copy.size = size;
  copy.payload_bytes = static_cast<uint32_t>(payload_bytes);
  std::memcpy(to, &copy, sizeof(copy));
  if (!payload.empty()) std::memcpy(to + sizeof(copy), payload.data(), payload.size());
  if (!more.empty()) std::memcpy(to + sizeof(copy) + payload.size(), more.data(), more.size());
  tail_written_ += size;
  pushed_.store(pushed_.load(std::memory_order_relaxed) + size, std::memory_order_relaxed);
  assert(used_bytes() <= capacity_);
  tail_->written.store(tail_written_, std::memory_order_release);
}

const QueuedEvent* EventQueue::peek() {
  while (true) {
    if (head_read_ < head_->written.load(std::memory_order_acquire)) {
      return reinterpret_cast<const QueuedEvent*>(head_->data + head_read_);
    }
    Segment* next = head_->next.load(std::memory_order_acquire);
    if (next == nullptr) return nullptr;
    if (head_read_ < head_->written.load(std::memory_order_acquire)) continue;
    Segment* used_up = std::exchange(head_, next);
    head_read_ = 0;
    used_up->below = returned_.load(std::memory_order_relaxed);
    while (!returned_.compare_exchange_weak(used_up->below, used_up, std::memory_order_release,
                                            std::memory_order_relaxed)) {
    }
  }
}

void EventQueue::pop() {
  const auto* event = reinterpret_cast<const QueuedEvent*>(head_->data + head_read_);
  head_read_ += event->size;
  popped_.store(popped_.load(std::memory_order_relaxed) + event->size, std::memory_order_relaxed);
}

}  // namespace wiretape
