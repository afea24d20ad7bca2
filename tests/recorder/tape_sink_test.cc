// The sink on disks that fill up and recover: openings and endings stay, and every byte is on the
// tape or in a gap.
#include "recorder/tape_sink.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <random>

#include "proto/tape_format.h"
#include "tests/support/recorder_support.h"
#include "tests/support/small_disk.h"

namespace wiretape {
namespace {

using test::SmallDisk;
using test::tell_tape;
using test::ToldConnection;
using test::ToldTape;

constexpr int64_t second_ns = 1'000'000'000;

// Says what a recorder would say of a few connections, and remembers it.
class Speaker {
 public:
  explicit Speaker(TapeSink& sink, uint32_t seed) : sink_(sink), random_(seed) {}

  void open() {
    Opened opened;
    opened.connection = lengths_.size() + 1;
    lengths_.push_back({0, 0});
    open_.push_back(opened.connection);
    sink_.event(++now_ns, opened);
  }
  void say(size_t bytes_max) {
    if (open_.empty()) open();
    const ConnectionId id = open_[random_() % open_.size()];
    const auto direction = static_cast<Direction>(random_() % 2);
    std::string bytes(1 + random_() % bytes_max, '\0');
    for (char& c : bytes) c = static_cast<char>(random_());
    uint64_t& length = lengths_[id - 1][index_of(direction)];
    sink_.chunk(++now_ns, id, direction, length, as_bytes(bytes));
    length += bytes.size();
  }
  void close(size_t place) {
    Closed closed;
    closed.connection = open_[place];
    closed.how = CloseHow::fin;
    for (int d = 0; d < 2; ++d) closed.length[d] = lengths_[closed.connection - 1][size_t(d)];
    open_.erase(open_.begin() + static_cast<ptrdiff_t>(place));
    for (const Direction d : {Direction::client_to_server, Direction::server_to_client}) {
      const uint64_t length = closed.length[index_of(d)];
      sink_.event(++now_ns, HalfClosed{closed.connection, d, length});
    }
    sink_.event(++now_ns, closed);
  }
  // Some of everything.
  void live(int steps, size_t bytes_max) {
    for (int i = 0; i < steps; ++i) {
      const uint32_t what = random_() % 20;
      if (what == 0 || open_.empty()) {
        open();
      } else if (what == 1 && open_.size() > 3) {
        close(random_() % open_.size());
      } else {
        say(bytes_max);
      }
      sink_.tick(now_ns);
    }
  }
  void close_all() {
    while (!open_.empty()) close(0);
  }

  // All of it is on the tape, or told to be missing.
  void expect_told(const ToldTape& told) const {
    EXPECT_TRUE(test::in_order(told.times_ns));
    ASSERT_EQ(told.connections.size(), lengths_.size());
    for (size_t i = 0; i < lengths_.size(); ++i) {
      const ToldConnection& t = told.connections.at(i + 1);
      EXPECT_TRUE(t.opened) << i + 1;
      EXPECT_TRUE(t.closed) << i + 1;
      EXPECT_EQ(t.bytes[0].size(), lengths_[i][0]) << i + 1;
      EXPECT_EQ(t.bytes[1].size(), lengths_[i][1]) << i + 1;
    }
  }

  int64_t now_ns = 0;

 private:
  TapeSink& sink_;
  std::mt19937 random_;
  std::vector<std::array<uint64_t, 2>> lengths_;
  std::vector<ConnectionId> open_;
};

uint64_t gap_bytes(const ToldTape& told) {
  uint64_t sum = told.bytes_lost_with_them;
  for (const auto& [id, t] : told.connections) sum += t.gap_bytes();
  return sum;
}

class FailingDisk : public testing::TestWithParam<SmallDisk::Kind> {
 protected:
  void SetUp() override {
    if (!disk_.available()) GTEST_SKIP() << "mounting is not allowed here";
  }
  std::unique_ptr<TapeWriter> writer() const { return test::create(disk_ / "t.tape"); }
  SmallDisk disk_{GetParam()};
};
INSTANTIATE_TEST_SUITE_P(Kinds, FailingDisk,
                         testing::Values(SmallDisk::Kind::tmpfs, SmallDisk::Kind::size_limit));

// A limit on file sizes knows no reserve, so these need a disk.
class FullDisk : public FailingDisk {};
INSTANTIATE_TEST_SUITE_P(Kinds, FullDisk, testing::Values(SmallDisk::Kind::tmpfs));

TEST_P(FailingDisk, ThatRecoversLeavesExactGaps) {
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    std::remove((disk_ / "t.tape").c_str());
    TapeSink sink(writer(), 1);
    Speaker speaker(sink, seed);
    speaker.live(20, 10'000);
    disk_.fill();
    speaker.live(1500, 5'000);
    EXPECT_TRUE(sink.failing());
    EXPECT_GE(sink.next_tick_ns(), 0);
    disk_.free();
    speaker.now_ns += second_ns;
    sink.tick(speaker.now_ns);
    EXPECT_FALSE(sink.failing());
    speaker.live(20, 10'000);
    speaker.close_all();
    EXPECT_FALSE(sink.finish(++speaker.now_ns, Trailer()));
    const ToldTape told = tell_tape(disk_ / "t.tape");
    speaker.expect_told(told);
    ASSERT_EQ(told.trailers.size(), 1u);
    EXPECT_FALSE(told.trailers[0].clean);
    EXPECT_GT(gap_bytes(told), 0u);
    EXPECT_EQ(told.trailers[0].bytes_not_recorded, gap_bytes(told));
    EXPECT_EQ(told.findings.bytes_lost, 0u);
    EXPECT_EQ(told.findings.end, TapeEnd::whole);
  }
}

TEST_P(FailingDisk, CountsTheSendsThatItCosts) {
  TapeSink sink(writer(), 1);
  Speaker speaker(sink, 1);
  speaker.open();
  sink.event(++speaker.now_ns, Send{1, 0, 0, 1, 2, "us"});
  disk_.fill();
  while (!sink.failing()) speaker.say(60'000);
  EXPECT_EQ(sink.sends_not_recorded(), 0u);
  sink.event(++speaker.now_ns, Send{1, 0, 0, 1, 2, "us"});
  EXPECT_EQ(sink.sends_not_recorded(), 1u);
  disk_.free();
  speaker.now_ns += second_ns;
  sink.tick(speaker.now_ns);
  speaker.close_all();
  EXPECT_FALSE(sink.finish(++speaker.now_ns, Trailer()));
  EXPECT_EQ(tell_tape(disk_ / "t.tape").connections.at(1).sends.size(), 1u);
}

TEST_P(FailingDisk, IsTriedAgainEachSecondAndNotMoreOften) {
  TapeSink sink(writer(), 1);
  Speaker speaker(sink, 1);
  speaker.open();
  disk_.fill();
  while (!sink.failing()) speaker.say(60'000);
  const int64_t failed_ns = speaker.now_ns;
  disk_.free();
  sink.tick(failed_ns + TapeSink::retry_ns - 1);
  EXPECT_TRUE(sink.failing());
  sink.tick(failed_ns + TapeSink::retry_ns);
  EXPECT_FALSE(sink.failing());
  EXPECT_NE(sink.failure(), "");
  sink.finish(failed_ns + TapeSink::retry_ns, Trailer());
}

// The end has to do with the 64 KiB that were kept free. What was in the block that could not be
// stored is told of, too.
TEST_P(FullDisk, ThatIsStillFullAtTheEndLeavesAReadableTape) {
  for (uint32_t seed = 1; seed <= 20; ++seed) {
    disk_.free();
    std::remove((disk_ / "t.tape").c_str());
    TapeSink sink(writer(), 1);
    Speaker speaker(sink, seed);
    for (int i = 0; i < 5; ++i) speaker.open();
    speaker.now_ns += second_ns;
    sink.tick(speaker.now_ns);  // stored
    for (int i = 0; i < 10; ++i) speaker.say(10'000);
    disk_.fill();
    while (!sink.failing()) speaker.say(static_cast<size_t>(1) << (seed % 17));
    for (uint32_t i = 0; i < 20 * seed; ++i) speaker.say(3000);
    speaker.close_all();
    EXPECT_FALSE(sink.finish(++speaker.now_ns, Trailer()));
    const ToldTape told = tell_tape(disk_ / "t.tape");
    speaker.expect_told(told);
    ASSERT_EQ(told.trailers.size(), 1u);
    EXPECT_FALSE(told.trailers[0].clean);
    EXPECT_EQ(told.trailers[0].bytes_not_recorded, gap_bytes(told));
    EXPECT_EQ(told.findings.end, TapeEnd::whole);
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST_P(FullDisk, GapsOfOverloadAreCountedOnceAtAFullEnd) {
  TapeSink sink(writer(), 0);
  Opened opened;
  opened.connection = 1;
  sink.event(1, opened);
  sink.tick(second_ns);
  disk_.fill();
  const std::string bytes(50'000, 'x');
  uint64_t offset = 0;
  const auto speak = [&] {
    sink.event(second_ns, Gap{1, Direction::client_to_server, offset, 500, GapReason::overload, 0});
    offset += 500;
    sink.chunk(second_ns, 1, Direction::client_to_server, offset, as_bytes(bytes));
    offset += bytes.size();
  };
  while (!sink.failing()) speak();
  for (int i = 0; i < 3; ++i) speak();
  EXPECT_FALSE(sink.finish(second_ns + 2, Trailer()));
  const ToldTape told = tell_tape(disk_ / "t.tape");
  EXPECT_EQ(told.connections.at(1).bytes[0].size(), offset);
  EXPECT_EQ(told.trailers.at(0).bytes_not_recorded, gap_bytes(told));
}

// ------------------------------------------------------------------------------- healthy disks

TEST(TapeSink, AWholeTapeIsClean) {
  test::TempDir dir;
  TapeSink sink(test::create(dir / "t.tape"), 1);
  Speaker speaker(sink, 3);
  speaker.live(500, 5000);
  speaker.close_all();
  EXPECT_TRUE(sink.finish(++speaker.now_ns, Trailer()));
  const ToldTape told = tell_tape(dir / "t.tape");
  speaker.expect_told(told);
  EXPECT_TRUE(told.trailers.at(0).clean);
  EXPECT_EQ(sink.failure(), "");
  EXPECT_EQ(gap_bytes(told), 0u);
}

TEST(TapeSink, StoresABlockOnceItsOldestRecordIsOfAge) {
  test::TempDir dir;
  TapeSink sink(test::create(dir / "t.tape"), 1);
  EXPECT_LT(sink.next_tick_ns(), 0);
  const uint64_t before = sink.stored_bytes();
  sink.event(1000, Opened{});
  sink.event(50'000'000, Opened{});
  EXPECT_GE(sink.next_tick_ns(), 0);
  sink.tick(1000 + tape_format::block_age_ns_max - 1);
  EXPECT_EQ(sink.stored_bytes(), before);
  sink.tick(1000 + tape_format::block_age_ns_max);
  EXPECT_GT(sink.stored_bytes(), before);
  EXPECT_LT(sink.next_tick_ns(), 0);
}

uint64_t stored_at(double queue_level, int asked_level) {
  test::TempDir dir;
  TapeSink sink(test::create(dir / "t.tape"), asked_level);
  sink.set_queue_level(queue_level);
  std::mt19937 random(4);
  const std::string bytes = test::sample_text(random, 50'000);
  uint64_t offset = 0;
  for (int i = 0; i < 20; ++i) {
    sink.chunk(i, 1, Direction::client_to_server, offset, as_bytes(bytes));
    offset += bytes.size();
  }
  sink.finish(20, Trailer());
  return sink.stored_bytes();
}

TEST(TapeSink, CompressesLessTheFullerTheQueueIs) {
  EXPECT_EQ(stored_at(0.03, 3), stored_at(0.0, 3));
  EXPECT_LT(stored_at(0.03, 3), stored_at(0.1, 3));
  EXPECT_LT(stored_at(0.1, 3), stored_at(0.2, 3));
  EXPECT_LT(stored_at(0.2, 3), stored_at(0.3, 3));
  EXPECT_GT(stored_at(0.3, 3), 20u * 50'000);
}

TEST(TapeSink, StoresOnlyWhenItIsAskedTo) {
  EXPECT_EQ(stored_at(0.0, 0), stored_at(0.5, 0));
  EXPECT_EQ(stored_at(0.0, 0), stored_at(0.9, 0));
}

}  // namespace
}  // namespace wiretape
