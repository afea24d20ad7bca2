// Streams against plain sockets: bytes, watermarks, and every way in which a connection can end.
#include "base/stream.h"

#include <gtest/gtest.h>

#include <memory>
#include <random>

#include "tests/support/loop_support.h"

namespace wiretape {
namespace {

using test::connected_pair;
using test::Pair;
using test::pattern;
using test::Received;
using test::run_for;
using test::run_until;
using test::Socket;

// Remembers what it was told.
class Witness : public StreamHandler {
 public:
  bool may_read(Stream&) override { return room; }
  void on_read(Stream&, std::span<const std::byte> bytes) override {
    EXPECT_FALSE(ended || broken);
    read.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  }
  void on_end(Stream&) override { ended = true; }
  void on_broken(Stream&, int e) override {
    EXPECT_FALSE(broken);
    broken = true;
    error = e;
  }
  void on_drained(Stream& stream) override {
    EXPECT_LE(stream.pending_bytes(), Stream::pending_bytes_low);
    ++drained;
  }
  void on_flushed(Stream& stream) override {
    EXPECT_EQ(stream.pending_bytes(), 0u);
    ++flushed;
  }
  void on_write_failed(Stream&) override { ++write_failed; }
  void on_closed(Stream&) override {
    EXPECT_FALSE(closed);
    closed = true;
  }

  bool room = true;
  std::string read;
  bool ended = false;
  bool broken = false;
  int error = 0;
  int drained = 0;
  int flushed = 0;
  int write_failed = 0;
  bool closed = false;
};

class StreamTest : public testing::Test {
 protected:
  ~StreamTest() override {
    stream_.close();
    run_until(loop_, [this] { return stream_.is_closed(); });
  }
  void open(Pair pair) {
    peer_ = std::move(pair.far);
    ASSERT_TRUE(stream_.open(loop_, pair.near.release(), AF_INET).ok());
  }
  void open() { open(connected_pair()); }
  void write(std::string_view bytes) { stream_.write(std::as_bytes(std::span(bytes))); }
  // The peer reads whatever comes while waiting.
  bool until(const std::function<bool()>& done) {
    return run_until(loop_, [&] {
      if (peer_.is_open() && peer_reads_) received_.read_from(peer_);
      return done();
    });
  }

  Loop loop_;
  Witness seen_;
  Stream stream_{seen_};
  Socket peer_;
  Received received_;
  bool peer_reads_ = true;
};

TEST_F(StreamTest, PassesBytesBothWays) {
  open();
  stream_.read_start();
  peer_.send("from the peer");
  write("to the peer");
  EXPECT_TRUE(until([&] { return seen_.read == "from the peer"; }));
  EXPECT_TRUE(until([&] { return received_.bytes == "to the peer"; }));
  EXPECT_EQ(stream_.pending_bytes(), 0u);
}

TEST_F(StreamTest, SendsWhatWasWrittenBeforeItWasOpen) {
  const std::string bytes = pattern(100'000);
  write(bytes);
  stream_.shutdown();
  stream_.read_start();
  EXPECT_EQ(stream_.pending_bytes(), bytes.size());
  open();
  EXPECT_TRUE(until([&] { return received_.end == Received::End::fin; }));
  EXPECT_EQ(received_.bytes, bytes);
  peer_.send("x");
  EXPECT_TRUE(until([&] { return seen_.read == "x"; }));
}

TEST_F(StreamTest, WritesPartlyWhenTheKernelTakesNoMore) {
  open(connected_pair(4096, 4096));
  peer_reads_ = false;
  std::mt19937 random(1);
  const std::string bytes = pattern(1'000'000);
  for (size_t at = 0; at < bytes.size();) {
    const size_t size = std::min<size_t>(1 + random() % 50'000, bytes.size() - at);
    write(std::string_view(bytes).substr(at, size));
    at += size;
  }
  EXPECT_GT(stream_.pending_bytes(), Stream::pending_bytes_high);
  stream_.shutdown();
  peer_reads_ = true;
  EXPECT_TRUE(until([&] { return received_.end == Received::End::fin; }));
  EXPECT_TRUE(received_.bytes == bytes);
  EXPECT_EQ(seen_.drained, 1);
  EXPECT_EQ(seen_.flushed, 1);
}

TEST_F(StreamTest, DrainsOnceForEachTimeItRoseAboveTheLowMark) {
  open(connected_pair(4096, 4096));
  for (int round = 1; round <= 3; ++round) {
    peer_reads_ = false;
    const std::string bytes = pattern(400'000);
    write(bytes);
    EXPECT_GT(stream_.pending_bytes(), Stream::pending_bytes_low);
    peer_reads_ = true;
    EXPECT_TRUE(until([&] { return seen_.flushed == round; }));
    EXPECT_EQ(seen_.drained, round);
  }
}

TEST_F(StreamTest, ReadsNothingWithoutRoom) {
  open();
  seen_.room = false;
  stream_.read_start();
  peer_.send("wait");
  EXPECT_TRUE(until([&] { return !stream_.reading(); }));
  EXPECT_EQ(seen_.read, "");
  seen_.room = true;
  stream_.read_start();
  EXPECT_TRUE(until([&] { return seen_.read == "wait"; }));
}

// ------------------------------------------------------------------------------- half-closes

TEST_F(StreamTest, GoesOnWritingAfterThePeersEnd) {
  open();
  stream_.read_start();
  peer_.send("request");
  peer_.shutdown();
  EXPECT_TRUE(until([&] { return seen_.ended; }));
  EXPECT_EQ(seen_.read, "request");
  write("answer");
  stream_.shutdown();
  EXPECT_TRUE(until([&] { return received_.end == Received::End::fin; }));
  EXPECT_EQ(received_.bytes, "answer");
  EXPECT_FALSE(seen_.broken);
}

TEST_F(StreamTest, GoesOnReadingAfterItsOwnEnd) {
  open();
  stream_.read_start();
  stream_.shutdown();
  EXPECT_TRUE(until([&] { return received_.end == Received::End::fin; }));
  peer_.send("late");
  peer_.shutdown();
  EXPECT_TRUE(until([&] { return seen_.ended; }));
  EXPECT_EQ(seen_.read, "late");
}

// ------------------------------------------------------------------------------- resets

TEST_F(StreamTest, ResetByThePeerIsToldAsSuch) {
  open();
  stream_.read_start();
  run_for(loop_, ns_per_ms);
  peer_.reset();
  EXPECT_TRUE(until([&] { return seen_.broken; }));
  EXPECT_EQ(seen_.error, UV_ECONNRESET);
  EXPECT_FALSE(seen_.ended);
}

// libuv takes this for an end of file.
TEST_F(StreamTest, DataAndResetThatComeTogetherAreBothTold) {
  for (const size_t size : {size_t{1}, size_t{1000}, size_t{60'000}}) {
    Loop loop;
    Witness seen;
    Stream stream(seen);
    Pair pair = connected_pair();
    const std::string bytes = pattern(size);
    ASSERT_EQ(pair.far.send(bytes), size);
    pair.far.reset();
    ASSERT_TRUE(stream.open(loop, pair.near.release(), AF_INET).ok());
    stream.read_start();
    EXPECT_TRUE(run_until(loop, [&] { return seen.broken; }));
    EXPECT_FALSE(seen.ended);
    EXPECT_TRUE(seen.read == bytes) << seen.read.size();
    stream.close();
    EXPECT_TRUE(run_until(loop, [&] { return seen.closed; }));
  }
}

TEST_F(StreamTest, AResetOfOursComesBehindTheData) {
  open(connected_pair(4096, 4096));
  peer_reads_ = false;
  const std::string bytes = pattern(500'000);
  write(bytes);
  stream_.reset_when_flushed();
  run_for(loop_, 20 * ns_per_ms);
  EXPECT_FALSE(seen_.closed);
  peer_reads_ = true;
  EXPECT_TRUE(until([&] { return received_.end != Received::End::none; }));
  EXPECT_EQ(received_.end, Received::End::reset);
  EXPECT_TRUE(received_.bytes == bytes);
  EXPECT_TRUE(until([&] { return seen_.closed; }));
}

TEST_F(StreamTest, AResetOfOursComesBehindOurFin) {
  open();
  write("bytes");
  stream_.shutdown();
  stream_.reset_when_flushed();
  EXPECT_TRUE(until([&] { return seen_.closed; }));
  EXPECT_TRUE(until([&] { return received_.end != Received::End::none; }));
  EXPECT_EQ(received_.bytes, "bytes");
}

TEST_F(StreamTest, AResetOfOursWaitsASecondAtMost) {
  open(connected_pair(4096, 4096));
  peer_reads_ = false;
  write(pattern(500'000));
  const int64_t begin_ns = monotonic_ns();
  stream_.reset_when_flushed();
  stream_.reset_when_flushed();
  EXPECT_TRUE(until([&] { return seen_.closed; }));
  const int64_t took_ns = monotonic_ns() - begin_ns;
  EXPECT_GE(took_ns, Stream::reset_wait_max_ns);
  EXPECT_LT(took_ns, 10 * Stream::reset_wait_max_ns);
  peer_reads_ = true;
  EXPECT_TRUE(until([&] { return received_.end == Received::End::reset; }));
}

TEST_F(StreamTest, AResetAfterTheEndIsThereForTheAsking) {
  open();
  stream_.read_start();
  peer_.shutdown();
  EXPECT_TRUE(until([&] { return seen_.ended; }));
  EXPECT_FALSE(stream_.was_reset());
  peer_.reset();
  EXPECT_TRUE(until([&] { return stream_.was_reset(); }));
}

// Both sides have sent FIN: the kernel's state is then the same as after a reset.
TEST_F(StreamTest, AnOrderlyEndBothWaysIsNoReset) {
  for (const bool peer_first : {true, false}) {
    Loop loop;
    Witness seen;
    Stream stream(seen);
    Pair pair = connected_pair();
    ASSERT_TRUE(stream.open(loop, pair.near.release(), AF_INET).ok());
    stream.read_start();
    if (!peer_first) stream.shutdown();
    pair.far.shutdown();
    EXPECT_TRUE(run_until(loop, [&] { return seen.ended; }));
    if (peer_first) stream.shutdown();
    run_for(loop, 5 * ns_per_ms);
    EXPECT_FALSE(stream.was_reset());
    stream.close();
    EXPECT_TRUE(run_until(loop, [&] { return seen.closed; }));
  }
}

// A server that answers and leaves while the upload runs: its answer is still read.
TEST_F(StreamTest, WhatThePeerSentIsReadAfterAWriteFailed) {
  open(connected_pair(4096, 4096));
  peer_reads_ = false;
  peer_.send("413 too large");
  write(pattern(500'000));
  run_for(loop_, 5 * ns_per_ms);
  peer_.close();  // with bytes unread: the kernel sends a reset
  EXPECT_TRUE(run_until(loop_, [&] { return seen_.write_failed == 1; }));
  EXPECT_TRUE(stream_.write_failed());
  EXPECT_EQ(stream_.pending_bytes(), 0u);
  write("dropped");
  EXPECT_EQ(stream_.pending_bytes(), 0u);
  stream_.read_start();
  EXPECT_TRUE(run_until(loop_, [&] { return seen_.broken || seen_.ended; }));
  EXPECT_EQ(seen_.read, "413 too large");
  EXPECT_EQ(seen_.error, UV_ECONNRESET);
}

TEST_F(StreamTest, ClosingWithBytesPendingTellsOnlyThatItClosed) {
  open(connected_pair(4096, 4096));
  peer_reads_ = false;
  write(pattern(500'000));
  stream_.close();
  EXPECT_TRUE(run_until(loop_, [&] { return seen_.closed; }));
  EXPECT_EQ(seen_.write_failed + seen_.flushed + seen_.drained, 0);
}

TEST_F(StreamTest, WhatTheKernelHasAcceptedOutlivesTheClose) {
  open();
  write("the last words");
  stream_.close();
  EXPECT_TRUE(until([&] { return received_.end == Received::End::fin; }));
  EXPECT_EQ(received_.bytes, "the last words");
}

TEST_F(StreamTest, OneThatWasNeverOpenedClosesAtOnce) {
  write("for nobody");
  stream_.close();
  EXPECT_TRUE(stream_.is_closed());
  EXPECT_FALSE(seen_.closed);
}

TEST_F(StreamTest, WorksOnUnixSocketsToo) {
  int fds[2];
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
  peer_ = Socket(fds[1]);
  ASSERT_TRUE(stream_.open(loop_, fds[0], AF_UNIX).ok());
  stream_.read_start();
  const std::string bytes = pattern(1'000'000);
  write(bytes);
  stream_.shutdown();
  EXPECT_TRUE(until([&] { return received_.end == Received::End::fin; }));
  EXPECT_TRUE(received_.bytes == bytes);
  EXPECT_EQ(stream_.unacknowledged_bytes(), 0);
  peer_.send("x");
  peer_.shutdown();
  EXPECT_TRUE(until([&] { return seen_.ended; }));
  EXPECT_EQ(seen_.read, "x");
}

}  // namespace
}  // namespace wiretape
