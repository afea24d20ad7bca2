// The queue between a loop and the recorder: what goes in comes out, in order and once, and the
// room that was promised to endings is there.
#include "recorder/event_queue.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace wiretape {
namespace {

QueuedEvent numbered(uint64_t number) {
  QueuedEvent event{};
  event.kind = QueuedKind::chunk;
  event.offset = number;
  return event;
}

size_t size_in_queue(size_t payload_bytes) {
  return (sizeof(QueuedEvent) + payload_bytes + 7) & ~size_t{7};
}

TEST(EventQueue, IsEmptyAtFirst) {
  EventQueue queue;
  EXPECT_EQ(queue.peek(), nullptr);
  EXPECT_EQ(queue.used_bytes(), 0u);
}

TEST(EventQueue, GivesPayloadsInTwoPartsBackAsOne) {
  EventQueue queue;
  queue.push(numbered(7), as_bytes("abc"), as_bytes("defgh"));
  const QueuedEvent* event = queue.peek();
  ASSERT_NE(event, nullptr);
  EXPECT_EQ(event->offset, 7u);
  EXPECT_EQ(as_text(event->payload()), "abcdefgh");
  queue.pop();
  EXPECT_EQ(queue.peek(), nullptr);
}

TEST(EventQueue, PeekAloneTakesNothing) {
  EventQueue queue;
  queue.push(numbered(1));
  queue.push(numbered(2));
  EXPECT_EQ(queue.peek()->offset, 1u);
  EXPECT_EQ(queue.peek()->offset, 1u);
  queue.pop();
  EXPECT_EQ(queue.peek()->offset, 2u);
}

TEST(EventQueue, CountsUsedBytesWithHeadsAndRounding) {
  EventQueue queue;
  queue.push(numbered(1), as_bytes("a"));
  EXPECT_EQ(queue.used_bytes(), size_in_queue(1));
  queue.push(numbered(2), as_bytes(std::string(64 * 1024, 'x')));
  EXPECT_EQ(queue.used_bytes(), size_in_queue(1) + size_in_queue(64 * 1024));
  queue.pop();
  queue.peek();
  queue.pop();
  EXPECT_EQ(queue.used_bytes(), 0u);
}

class EventQueueSize : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Sizes, EventQueueSize,
                         testing::Values(0, 1, 7, 8, 9, 100, 4095, 65535, 65536));

TEST_P(EventQueueSize, NeverHoldsMoreThanItsCapacity) {
  EventQueue queue(300'000);
  const std::string payload(GetParam(), 'x');
  size_t pushed = 0;
  while (queue.has_room(payload.size())) {
    queue.push(numbered(pushed++), as_bytes(payload));
    ASSERT_LE(queue.used_bytes(), queue.capacity_bytes());
  }
  EXPECT_GT(queue.used_bytes() + size_in_queue(payload.size()) + 8, queue.capacity_bytes());
  for (size_t i = 0; i < pushed; ++i) {
    ASSERT_EQ(queue.peek()->offset, i);
    ASSERT_EQ(as_text(queue.peek()->payload()), payload);
    queue.pop();
  }
  EXPECT_TRUE(queue.has_room(payload.size()));
}

TEST(EventQueue, KeepsRoomForEveryEndingItPromised) {
  EventQueue queue(200'000);
  size_t endings = 0;
  while (queue.has_room(EventQueue::ending_bytes)) {
    queue.reserve_ending();
    ++endings;
    if (queue.has_room(1000 + EventQueue::ending_bytes)) {
      queue.push(numbered(0), as_bytes(std::string(1000, 'x')));
    }
  }
  ASSERT_GT(endings, 50u);
  // The largest ending there is: two gaps, two half-closes, a close with a reason of 500 bytes.
  for (size_t i = 0; i < endings; ++i) {
    for (int small = 0; small < 4; ++small) queue.push(numbered(0));
    queue.push(numbered(0), as_bytes(std::string(500, 'x')));
    queue.release_ending();
    ASSERT_LE(queue.used_bytes(), queue.capacity_bytes());
  }
}

TEST(EventQueue, AReleasedEndingIsRoomAgain) {
  EventQueue queue(EventQueue::event_bytes_max + EventQueue::ending_bytes + 64);
  const size_t payload = 64 * 1024;
  ASSERT_TRUE(queue.has_room(payload));
  queue.reserve_ending();
  queue.reserve_ending();
  EXPECT_FALSE(queue.has_room(payload));
  queue.release_ending();
  queue.release_ending();
  EXPECT_TRUE(queue.has_room(payload));
}

// One thread pushes as fast as it finds room, the other takes; sizes from nothing to 64 KiB.
void pass_between_threads(size_t capacity, uint32_t seed, uint64_t count) {
  EventQueue queue(capacity);
  std::vector<char> bytes(64 * 1024);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + (i >> 8));
  const auto size_of = [seed](uint64_t number) {
    std::minstd_rand random(static_cast<uint32_t>(seed + number * 2654435761u));
    random.discard(2);
    const uint32_t kind = random() % 8;
    return kind == 0 ? size_t{64 * 1024} : kind < 4 ? random() % 100 : random() % (16 * 1024);
  };
  std::thread producer([&] {
    for (uint64_t number = 0; number < count; ++number) {
      const size_t size = size_of(number);
      while (!queue.has_room(size)) std::this_thread::yield();
      const std::span payload = std::as_bytes(std::span(bytes).first(size));
      queue.push(numbered(number), payload.first(size / 3), payload.subspan(size / 3));
    }
  });
  for (uint64_t number = 0; number < count; ++number) {
    const QueuedEvent* event = queue.peek();
    while (event == nullptr) {
      std::this_thread::yield();
      event = queue.peek();
    }
    const Bytes payload = event->payload();
    const bool same = event->offset == number && payload.size() == size_of(number) &&
                      std::memcmp(payload.data(), bytes.data(), payload.size()) == 0;
    EXPECT_TRUE(same) << "event " << number;
    EXPECT_LE(queue.used_bytes(), queue.capacity_bytes());
    queue.pop();
  }
  producer.join();
  EXPECT_EQ(queue.peek(), nullptr);
  EXPECT_EQ(queue.used_bytes(), 0u);
}

TEST(EventQueue, TwoThreadsPassEveryEventOnceAndInOrder) {
  pass_between_threads(EventQueue::capacity_bytes_default, 1, 20'000);
}

TEST(EventQueue, TwoThreadsDoSoWhenItIsAlwaysFull) {
  pass_between_threads(EventQueue::event_bytes_max + 16, 2, 5'000);
  pass_between_threads(3 * EventQueue::segment_bytes / 2, 3, 5'000);
}

}  // namespace
}  // namespace wiretape
