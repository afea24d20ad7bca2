// The tap: under both policies, whatever is not stored is told of, exactly.
#include "recorder/tap.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/support/recorder_support.h"

namespace wiretape {
namespace {

constexpr size_t queue_bytes = 1024 * 1024;
constexpr Direction to_server = Direction::client_to_server;
constexpr Direction to_client = Direction::server_to_client;

class TapTest : public testing::Test {
 protected:
  void open(Tap& tap, TappedConnection& c) { tap.opened(c, tap.now(), 0, address_, address_); }

  // Takes everything out of the queue, and gives copies.
  struct Taken {
    QueuedEvent head;
    std::string payload;
  };
  static std::vector<Taken> take(Tap& tap) {
    std::vector<Taken> all;
    while (const QueuedEvent* event = tap.queue().peek()) {
      all.push_back({*event, std::string(as_text(event->payload()))});
      tap.queue().pop();
    }
    return all;
  }
  static std::vector<Taken> only(std::vector<Taken> all, QueuedKind kind) {
    std::erase_if(all, [kind](const Taken& t) { return t.head.kind != kind; });
    return all;
  }

  // As a relay does: asks, then brings a full buffer.
  static void fill_by_reading(Tap& tap, TappedConnection& c, size_t chunk_bytes) {
    const std::string bytes(chunk_bytes, 'x');
    while (tap.room_for_read()) tap.chunk(c, tap.now(), to_server, as_bytes(bytes));
  }
  // Such that the last read, a full buffer, was just allowed.
  void fill_to_the_brim(Tap& tap, TappedConnection& c) {
    const std::string_view small = "12345678";
    Tap measure(Overload::wait, tap.queue().capacity_bytes(), ids_, bell_, false);
    TappedConnection measured;
    open(measure, measured);
    fill_by_reading(measure, measured, small.size());
    open(tap, c);
    while (c.length[0] + small.size() < measured.length[0]) {
      tap.chunk(c, tap.now(), to_server, as_bytes(small));
    }
    ASSERT_TRUE(tap.room_for_read());
    tap.chunk(c, tap.now(), to_server, as_bytes(std::string(64 * 1024, 'x')));
    ASSERT_FALSE(tap.room_for_read());
  }
  // The last chunk just fits; nothing is skipped yet.
  static void fill_by_reading_until_no_room(Tap& tap, TappedConnection& c) {
    const std::string bytes(4096, 'x');
    while (tap.queue().has_room(bytes.size() + queue_bytes / 4)) {
      tap.chunk(c, tap.now(), to_server, as_bytes(bytes));
    }
    ASSERT_EQ(c.skipped[0], 0u);
  }
  void tap_a_send(Tap& tap, TappedConnection& c) {
    open(tap, c);
    tap.chunk(c, tap.now(), to_server, as_bytes("abc"));
    tap.sent(c, tap.now(), Send{0, 0, 3, 5, 7, "target"});
  }
  static void fill_by_skipping(Tap& tap, TappedConnection& c) {
    const std::string bytes(64 * 1024, 'x');
    while (c.skipped[0] == 0) tap.chunk(c, tap.now(), to_server, as_bytes(bytes));
  }

  std::atomic<ConnectionId> ids_{0};
  test::CountingBell bell_;
  Tap waiting_{Overload::wait, queue_bytes, ids_, bell_, false};
  Tap skipping_{Overload::skip, queue_bytes, ids_, bell_, false};
  Address address_ = Address::from_ip("127.0.0.1", 80);
};

TEST_F(TapTest, TellsAConnectionFromOpeningToEnd) {
  Tap& tap = waiting_;
  TappedConnection c;
  tap.opened(c, 1, 0, address_, address_);
  tap.connected(c, 2, address_, address_);
  tap.chunk(c, 3, to_server, as_bytes("abc"));
  tap.chunk(c, 4, to_server, as_bytes("de"));
  tap.half_closed(c, 5, to_server);
  tap.closed(c, 6, CloseHow::rst, ClosedBy::server, "why");
  const auto taken = take(tap);
  ASSERT_EQ(taken.size(), 6u);
  for (size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(taken[i].head.time_ns, int64_t(i + 1));
    EXPECT_EQ(taken[i].head.connection, 1u);
  }
  EXPECT_EQ(taken[3].head.offset, 3u);
  EXPECT_EQ(taken[4].head.offset, 5u);
  EXPECT_EQ(taken[5].head.offset, 5u);
  EXPECT_EQ(taken[5].head.length, 0u);
  EXPECT_EQ(taken[5].payload, "why");
}

// ------------------------------------------------------------------------------- policy wait

// The last read may be as large as the buffer, however little room there is behind it.
TEST_F(TapTest, WaitingLosesNothingThatWasAskedFor) {
  for (size_t more = 0; more < 80; more += 8) {
    Tap tap(Overload::wait, queue_bytes + more, ids_, bell_, false);
    TappedConnection c;
    fill_to_the_brim(tap, c);
    EXPECT_EQ(c.skipped[0], 0u) << more;
  }
}

TEST_F(TapTest, WaitingEndsInAStallOfItsOwnLength) {
  TappedConnection c;
  open(waiting_, c);
  fill_by_reading(waiting_, c, 64 * 1024);
  EXPECT_TRUE(waiting_.waiting());
  EXPECT_TRUE(waiting_.wants_room());
  EXPECT_GT(bell_.rings, 0);
  take(waiting_);
  const int64_t before_ns = monotonic_ns();
  waiting_.room_again();
  EXPECT_FALSE(waiting_.waiting());
  EXPECT_TRUE(waiting_.room_for_read());
  const auto taken = take(waiting_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].head.kind, QueuedKind::stall);
  EXPECT_LE(int64_t(taken[0].head.offset), before_ns);
  EXPECT_GE(int64_t(taken[0].head.offset + taken[0].head.length), before_ns);
  EXPECT_EQ(int64_t(taken[0].head.offset + taken[0].head.length), taken[0].head.time_ns);
}

TEST_F(TapTest, WaitingTwiceInARowIsOneStall) {
  TappedConnection c;
  open(waiting_, c);
  fill_by_reading(waiting_, c, 64 * 1024);
  EXPECT_FALSE(waiting_.room_for_read());
  EXPECT_FALSE(waiting_.room_for_read());
  take(waiting_);
  waiting_.room_again();
  waiting_.room_again();
  EXPECT_EQ(only(take(waiting_), QueuedKind::stall).size(), 1u);
}

// A client that was accepted while reading was paused must be on the tape.
TEST_F(TapTest, WaitingKeepsRoomForOpenings) {
  TappedConnection c;
  fill_to_the_brim(waiting_, c);
  std::vector<TappedConnection> late(30);
  for (TappedConnection& l : late) {
    open(waiting_, l);
    EXPECT_TRUE(l.recorded);
    waiting_.connected(l, waiting_.now(), address_, address_);
  }
  const auto taken = take(waiting_);
  EXPECT_EQ(only(taken, QueuedKind::opened).size(), 31u);
  EXPECT_EQ(only(taken, QueuedKind::connected).size(), 30u);
}

TEST_F(TapTest, WaitingAcceptsNoMoreThanItCanTellOf) {
  std::vector<TappedConnection> many(100'000);
  size_t opened = 0;
  while (waiting_.room_for_connection()) {
    open(waiting_, many[opened]);
    ASSERT_TRUE(many[opened++].recorded);
  }
  EXPECT_GT(opened, 300u);
  for (size_t i = 0; i < opened; ++i) {
    waiting_.connected(many[i], waiting_.now(), address_, address_);
    waiting_.half_closed(many[i], waiting_.now(), to_server);
    waiting_.half_closed(many[i], waiting_.now(), to_client);
    waiting_.closed(many[i], waiting_.now(), CloseHow::error, ClosedBy::us, std::string(600, 'e'));
    ASSERT_LE(waiting_.queue().used_bytes(), queue_bytes);
  }
  const auto taken = take(waiting_);
  EXPECT_EQ(only(taken, QueuedKind::connected).size(), opened);
  EXPECT_EQ(only(taken, QueuedKind::closed).size(), opened);
}

TEST_F(TapTest, EndsAStallThatIsUnderWayAtTheEnd) {
  TappedConnection c;
  open(waiting_, c);
  fill_by_reading(waiting_, c, 64 * 1024);
  waiting_.finish();
  EXPECT_EQ(only(take(waiting_), QueuedKind::stall).size(), 1u);
}

// ------------------------------------------------------------------------------- a hang

TEST_F(TapTest, GivesUpWaitingOnceNothingMovedForTenSeconds) {
  TappedConnection c;
  open(waiting_, c);
  fill_by_reading(waiting_, c, 64 * 1024);
  const int64_t now_ns = monotonic_ns();
  EXPECT_FALSE(waiting_.gave_up_waiting(now_ns + Tap::hang_ns / 2));
  EXPECT_FALSE(waiting_.skipping_after_hang());
  EXPECT_TRUE(waiting_.gave_up_waiting(now_ns + Tap::hang_ns));
  EXPECT_TRUE(waiting_.skipping_after_hang());
  EXPECT_TRUE(waiting_.room_for_read());
  EXPECT_TRUE(waiting_.room_for_connection());
  EXPECT_FALSE(waiting_.gave_up_waiting(now_ns + 3 * Tap::hang_ns));
}

TEST_F(TapTest, DoesNotGiveUpOnADiskThatMoves) {
  TappedConnection c;
  open(waiting_, c);
  fill_by_reading(waiting_, c, 4096);
  int64_t now_ns = monotonic_ns();
  for (int i = 0; i < 10; ++i) {
    waiting_.queue().peek();
    waiting_.queue().pop();
    now_ns += Tap::hang_ns * 3 / 4;
    EXPECT_FALSE(waiting_.gave_up_waiting(now_ns));
  }
}

TEST_F(TapTest, DoesNotGiveUpWhenItDoesNotWait) {
  EXPECT_FALSE(waiting_.gave_up_waiting(monotonic_ns() + 10 * Tap::hang_ns));
  EXPECT_FALSE(skipping_.gave_up_waiting(monotonic_ns() + 10 * Tap::hang_ns));
}

// ------------------------------------------------------------------------------- policy skip

TEST_F(TapTest, SkippingTellsOfGapsBeforeTheNextBytes) {
  TappedConnection c;
  open(skipping_, c);
  fill_by_skipping(skipping_, c);
  skipping_.chunk(c, skipping_.now(), to_server, as_bytes(std::string(64 * 1024, 'z')));
  const uint64_t stored = c.length[0] - 2 * 64 * 1024;
  take(skipping_);
  skipping_.chunk(c, skipping_.now(), to_server, as_bytes("here again"));
  const auto taken = take(skipping_);
  ASSERT_EQ(taken.size(), 2u);
  EXPECT_EQ(taken[0].head.kind, QueuedKind::gap);
  EXPECT_EQ(taken[0].head.offset, stored);
  EXPECT_EQ(taken[0].head.length, 2u * 64 * 1024);
  EXPECT_EQ(taken[1].head.kind, QueuedKind::chunk);
  EXPECT_EQ(taken[1].head.offset, stored + 2 * 64 * 1024);
}

TEST_F(TapTest, SkippingNeverSaysNoToARead) {
  TappedConnection c;
  open(skipping_, c);
  fill_by_skipping(skipping_, c);
  EXPECT_TRUE(skipping_.room_for_read());
  EXPECT_TRUE(skipping_.room_for_connection());
  EXPECT_FALSE(skipping_.waiting());
}

TEST_F(TapTest, EndsAreToldOnAFullQueue) {
  TappedConnection c;
  open(skipping_, c);
  fill_by_skipping(skipping_, c);
  skipping_.chunk(c, skipping_.now(), to_client, as_bytes(std::string(64 * 1024, 'z')));
  skipping_.half_closed(c, skipping_.now(), to_client);
  skipping_.closed(c, skipping_.now(), CloseHow::fin, ClosedBy::client, "");
  const auto taken = take(skipping_);
  const auto gaps = only(taken, QueuedKind::gap);
  ASSERT_EQ(gaps.size(), 2u);
  EXPECT_EQ(gaps[0].head.direction, uint8_t(to_client));
  EXPECT_EQ(gaps[0].head.length, 64u * 1024);
  EXPECT_EQ(gaps[1].head.direction, uint8_t(to_server));
  EXPECT_EQ(gaps[1].head.offset + gaps[1].head.length, c.length[0]);
  EXPECT_EQ(taken.back().head.kind, QueuedKind::closed);
  EXPECT_EQ(taken.back().head.offset, c.length[0]);
  EXPECT_EQ(taken.back().head.length, 64u * 1024);
}

TEST_F(TapTest, ConnectionsThatDoNotFitAreCountedWithTheirBytes) {
  std::vector<TappedConnection> many(3000);
  for (TappedConnection& c : many) open(skipping_, c);
  size_t lost = 0;
  for (TappedConnection& c : many) {
    if (c.recorded) continue;
    ++lost;
    skipping_.chunk(c, skipping_.now(), to_server, as_bytes("12345"));
    skipping_.closed(c, skipping_.now(), CloseHow::fin, ClosedBy::client, "");
  }
  ASSERT_GT(lost, 100u);
  EXPECT_EQ(only(take(skipping_), QueuedKind::opened).size(), many.size() - lost);
  skipping_.finish();
  const auto taken = take(skipping_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].head.kind, QueuedKind::lost_connections);
  EXPECT_EQ(taken[0].head.offset, lost);
  EXPECT_EQ(taken[0].head.length, 5 * lost);
}

TEST_F(TapTest, TellsOfASendWithItsTimes) {
  TappedConnection c;
  tap_a_send(waiting_, c);
  const auto sends = only(take(waiting_), QueuedKind::sent);
  ASSERT_EQ(sends.size(), 1u);
  EXPECT_EQ(sends[0].head.offset, 0u);
  EXPECT_EQ(sends[0].head.length, 3u);
  QueuedTimes times;
  std::memcpy(&times, sends[0].payload.data(), sizeof(times));
  EXPECT_EQ(times.due_ns, 5);
  EXPECT_EQ(times.sent_ns, 7);
  EXPECT_EQ(sends[0].payload.substr(sizeof(times)), "target");
  EXPECT_EQ(waiting_.lost_sends(), 0u);
}

TEST_F(TapTest, SendsOfBytesThatAreSkippedAreCounted) {
  TappedConnection c;
  open(skipping_, c);
  fill_by_skipping(skipping_, c);
  skipping_.sent(c, skipping_.now(), Send{0, 0, c.length[0], 0, 0, "us"});
  EXPECT_EQ(skipping_.lost_sends(), 1u);
  EXPECT_TRUE(only(take(skipping_), QueuedKind::sent).empty());
}

TEST_F(TapTest, SendsWithoutRoomAreCountedAndNeverOverflow) {
  TappedConnection c;
  open(skipping_, c);
  fill_by_reading_until_no_room(skipping_, c);
  size_t told = 0;
  while (skipping_.lost_sends() == 0) {
    skipping_.sent(c, skipping_.now(), Send{0, 0, 1, 0, 0, "dependency"});
    ++told;
    ASSERT_LE(skipping_.queue().used_bytes(), queue_bytes);
  }
  skipping_.closed(c, skipping_.now(), CloseHow::error, ClosedBy::us, std::string(600, 'e'));
  const auto taken = take(skipping_);
  EXPECT_EQ(only(taken, QueuedKind::sent).size(), told - 1);
  EXPECT_EQ(taken.back().head.kind, QueuedKind::closed);
}

// Random traffic of many connections against a queue that is emptied now and then: the chunks and
// gaps of each stream follow each other without a hole.
TEST_F(TapTest, SkippingLeavesNoHoleInAnyStream) {
  std::mt19937 random(11);
  std::vector<TappedConnection> all(20);
  for (TappedConnection& c : all) open(skipping_, c);
  std::map<std::pair<ConnectionId, int>, uint64_t> told;
  uint64_t gaps = 0;
  const auto follow = [&] {
    for (const Taken& t : take(skipping_)) {
      if (t.head.kind != QueuedKind::chunk && t.head.kind != QueuedKind::gap) continue;
      uint64_t& next = told[{t.head.connection, t.head.direction}];
      EXPECT_EQ(t.head.offset, next);
      next += t.head.kind == QueuedKind::gap ? t.head.length : t.payload.size();
      gaps += t.head.kind == QueuedKind::gap;
    }
  };
  const std::string bytes(64 * 1024, 'x');
  for (int i = 0; i < 5000; ++i) {
    TappedConnection& c = all[random() % all.size()];
    const auto direction = static_cast<Direction>(random() % 2);
    const std::string_view part = std::string_view(bytes).substr(0, 1 + random() % bytes.size());
    skipping_.chunk(c, skipping_.now(), direction, as_bytes(part));
    if (random() % 100 == 0) follow();
  }
  for (TappedConnection& c : all) {
    skipping_.closed(c, skipping_.now(), CloseHow::fin, ClosedBy::us, "");
  }
  follow();
  EXPECT_GT(gaps, 100u);
  for (const TappedConnection& c : all) {
    for (int d = 0; d < 2; ++d) EXPECT_EQ((told[{c.id, d}]), c.length[d]);
  }
}

// ------------------------------------------------------------------------------- watermarks

TEST_F(TapTest, PromisesTheTimeItWokeUpUntilItSleeps) {
  Tap tap(Overload::wait, queue_bytes, ids_, bell_, true);
  EXPECT_EQ(tap.watermark(), Tap::asleep);
  const int64_t first_ns = tap.now();
  const int64_t promised_ns = tap.watermark();
  EXPECT_LE(promised_ns, first_ns);
  tap.now();
  EXPECT_EQ(tap.watermark(), promised_ns);
  tap.before_wait();
  EXPECT_EQ(tap.watermark(), Tap::asleep);
  const int64_t later_ns = tap.now();
  EXPECT_GE(later_ns, tap.watermark());
}

TEST_F(TapTest, IsAsleepForGoodWhenItHasFinished) {
  Tap tap(Overload::wait, queue_bytes, ids_, bell_, true);
  tap.now();
  tap.finish();
  EXPECT_EQ(tap.watermark(), Tap::asleep);
}

}  // namespace
}  // namespace wiretape
