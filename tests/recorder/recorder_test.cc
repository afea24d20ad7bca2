// The recorder as a whole: what the taps say is on the tape, in order of time, with the exchanges
// found in it, whatever the number of loops.
#include "recorder/recorder.h"

#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>

#include "tests/support/recorder_support.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::tell_tape;
using test::TempDir;
using test::ToldConnection;
using test::ToldTape;

constexpr int64_t finish_patience_ns = 30 * ns_per_s;
constexpr Direction to_server = Direction::client_to_server;
constexpr Direction to_client = Direction::server_to_client;

class RecorderTest : public testing::Test {
 protected:
  RecorderOptions options(size_t loops = 1) const {
    RecorderOptions o;
    o.path = tape();
    o.loops = loops;
    o.listeners = {"127.0.0.1:8080 -> app:3000"};
    o.upstreams = {"app:3000"};
    return o;
  }
  std::string tape() const { return dir_ / "t.tape"; }

  static std::unique_ptr<Recorder> start(RecorderOptions options) {
    auto recorder = Recorder::start(std::move(options));
    EXPECT_TRUE(recorder.ok()) << recorder.error().message;
    return std::move(recorder).value();
  }
  void open(Tap& tap, TappedConnection& c) { tap.opened(c, tap.now(), 0, address_, address_); }
  static void pass(Tap& tap, TappedConnection& c, Direction direction, std::string_view bytes) {
    tap.chunk(c, tap.now(), direction, as_bytes(bytes));
  }
  static void close(Tap& tap, TappedConnection& c, CloseHow how = CloseHow::fin) {
    tap.closed(c, tap.now(), how, ClosedBy::client, "");
  }
  static Recorder::Outcome finish(Recorder& recorder, Tap& tap) {
    tap.before_wait();
    tap.finish();
    return recorder.finish(finish_patience_ns);
  }

  TempDir dir_;
  Address address_ = Address::from_ip("127.0.0.1", 4000);
};

TEST_F(RecorderTest, PutsAConnectionOnTheTape) {
  auto recorder = start(options());
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  open(tap, c);
  tap.connected(c, tap.now(), address_, address_);
  pass(tap, c, to_server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  pass(tap, c, to_client, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  tap.half_closed(c, tap.now(), to_server);
  close(tap, c);
  EXPECT_EQ(finish(*recorder, tap), Recorder::Outcome::whole);
  const ToldTape told = tell_tape(tape());
  ASSERT_EQ(told.connections.size(), 1u);
  const ToldConnection& t = told.connections.at(1);
  EXPECT_TRUE(t.opened && t.connected && t.closed);
  EXPECT_EQ(t.end.how, CloseHow::fin);
  EXPECT_EQ(t.end.by, ClosedBy::client);
  EXPECT_EQ(t.end.protocol, Protocol::http1);
  EXPECT_EQ(t.half_closed_at[0], t.bytes[0].size());
  EXPECT_TRUE(told.findings.whole());
  ASSERT_EQ(t.exchanges.size(), 1u);
  EXPECT_EQ(t.exchanges[0].status, 200u);
  EXPECT_EQ(t.exchanges[0].response.end, t.bytes[1].size());
}

// A send may have been due before its tape began.
TEST_F(RecorderTest, PutsTheSendsOfARunOnItsTape) {
  const int64_t before_ns = monotonic_ns();
  auto recorder = start(options());
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  tap.opened(c, tap.now(), 0, address_, address_, 17);
  pass(tap, c, to_server, "one");
  pass(tap, c, to_server, "more");
  const int64_t sent_ns = tap.now();
  tap.sent(c, tap.now(), Send{0, 0, 3, before_ns, sent_ns, "us"});
  tap.sent(c, tap.now(), Send{0, 3, 4, sent_ns - 250, sent_ns, "dependency"});
  close(tap, c);
  EXPECT_EQ(finish(*recorder, tap), Recorder::Outcome::whole);
  EXPECT_EQ(recorder->counters().sends_not_recorded, 0u);
  const ToldTape told = tell_tape(tape());
  const ToldConnection& t = told.connections.at(1);
  EXPECT_EQ(t.recorded, 17u);
  ASSERT_EQ(t.sends.size(), 2u);
  EXPECT_EQ(t.sends[0].due_ns, 0);
  EXPECT_EQ(t.sends[0].length, 3u);
  EXPECT_EQ(t.sends[1].offset, 3u);
  EXPECT_EQ(t.sends[1].sent_ns - t.sends[1].due_ns, 250);
  EXPECT_EQ(t.sends[1].cause, "dependency");
  EXPECT_TRUE(test::in_order(told.times_ns));
}

TEST_F(RecorderTest, ATapeThatLacksASendIsNotComplete) {
  RecorderOptions o = options();
  o.overload = Overload::skip;
  auto recorder = start(o);
  Tap& tap = recorder->tap(0);
  TappedConnection never_opened;  // as one that did not fit
  tap.sent(never_opened, tap.now(), Send{0, 0, 0, 0, 0, "us"});
  EXPECT_EQ(finish(*recorder, tap), Recorder::Outcome::incomplete);
  EXPECT_EQ(recorder->counters().sends_not_recorded, 1u);
  const ToldTape told = tell_tape(tape());
  ASSERT_EQ(told.trailers.size(), 1u);
  EXPECT_FALSE(told.trailers[0].clean);
}

TEST_F(RecorderTest, TimesOfAnExchangeAreThoseOfItsBytes) {
  auto recorder = start(options());
  const int64_t start_ns = monotonic_ns();
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  const auto at = [&](int64_t us) { return start_ns + us * ns_per_us; };
  const auto chunk = [&](int64_t us, Direction direction, std::string_view bytes) {
    tap.chunk(c, at(us), direction, as_bytes(bytes));
  };
  tap.opened(c, at(0), 0, address_, address_);
  chunk(10, to_server, "GET / HTTP/1.1\r\n");
  chunk(20, to_server, "Host: x\r\n\r\n");
  chunk(30, to_client, "HTTP/1.1 200 OK\r\n");
  chunk(50, to_client, "Content-Length: 2\r\n\r\nh");
  chunk(70, to_client, "i");
  tap.closed(c, at(80), CloseHow::fin, ClosedBy::client, "");
  while (monotonic_ns() < at(100)) std::this_thread::yield();
  finish(*recorder, tap);
  const ToldTape told = tell_tape(tape());
  const Exchange& e = told.connections.at(1).exchanges.at(0);
  const int64_t origin = e.request.first_ns;
  EXPECT_EQ(e.request.last_ns - origin, 10 * ns_per_us);
  EXPECT_EQ(e.response.first_ns - origin, 20 * ns_per_us);
  EXPECT_EQ(e.response.last_ns - origin, 60 * ns_per_us);
  EXPECT_TRUE(test::in_order(told.times_ns));
}

struct Spoken {
  const char* name;
  const char* request;
  const char* response;
  Protocol protocol;
};

class RecorderProtocols : public RecorderTest, public testing::WithParamInterface<Spoken> {};
INSTANTIATE_TEST_SUITE_P(
    All, RecorderProtocols,
    testing::Values(Spoken{"silence", "", "", Protocol::unknown},
                    Spoken{"http", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                           "HTTP/1.1 204 No Content\r\n\r\n", Protocol::http1},
                    Spoken{"redis", "*1\r\n$4\r\nPING\r\n", "+PONG\r\n", Protocol::opaque},
                    Spoken{"http2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "", Protocol::http2}),
    [](const auto& test) { return test.param.name; });

TEST_P(RecorderProtocols, AreNamedWhenTheConnectionCloses) {
  auto recorder = start(options());
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  open(tap, c);
  if (*GetParam().request != '\0') pass(tap, c, to_server, GetParam().request);
  if (*GetParam().response != '\0') pass(tap, c, to_client, GetParam().response);
  close(tap, c);
  finish(*recorder, tap);
  EXPECT_EQ(tell_tape(tape()).connections.at(1).end.protocol, GetParam().protocol);
}

TEST_F(RecorderTest, CountsExchangesThatHoldCredentials) {
  auto recorder = start(options());
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  open(tap, c);
  const std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
  pass(tap, c, to_server, "GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Basic eDp5\r\n\r\n");
  pass(tap, c, to_client, answer);
  pass(tap, c, to_server, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
  pass(tap, c, to_client, answer);
  pass(tap, c, to_server, "GET /c HTTP/1.1\r\nHost: x\r\nCookie: id=1\r\n\r\n");
  pass(tap, c, to_client, answer);
  close(tap, c);
  finish(*recorder, tap);
  EXPECT_EQ(recorder->counters().exchanges_with_credentials, 2u);
  const ToldTape told = tell_tape(tape());
  EXPECT_EQ(told.trailers.at(0).exchanges_with_credentials, 2u);
  const auto& exchanges = told.connections.at(1).exchanges;
  ASSERT_EQ(exchanges.size(), 3u);
  EXPECT_TRUE(exchanges[0].holds_credentials);
  EXPECT_FALSE(exchanges[1].holds_credentials);
  EXPECT_TRUE(exchanges[2].holds_credentials);
}

TEST_F(RecorderTest, CountersAndTrailerAgree) {
  auto recorder = start(options());
  Tap& tap = recorder->tap(0);
  std::array<TappedConnection, 3> all;
  for (TappedConnection& c : all) {
    open(tap, c);
    pass(tap, c, to_server, "12345");
    pass(tap, c, to_client, "123");
    close(tap, c);
  }
  EXPECT_EQ(finish(*recorder, tap), Recorder::Outcome::whole);
  const RecorderCounters counters = recorder->counters();
  EXPECT_EQ(counters.connections, 3u);
  EXPECT_EQ(counters.bytes[0], 15u);
  EXPECT_EQ(counters.bytes[1], 9u);
  EXPECT_EQ(counters.bytes_not_recorded, 0u);
  EXPECT_EQ(counters.stored_bytes, test::read_file(tape()).size());
  const ToldTape told = tell_tape(tape());
  ASSERT_EQ(told.trailers.size(), 1u);
  EXPECT_TRUE(told.trailers[0].clean);
  EXPECT_EQ(told.trailers[0].connections, 3u);
  EXPECT_EQ(told.trailers[0].length[0], 15u);
  EXPECT_EQ(told.trailers[0].length[1], 9u);
}

TEST_F(RecorderTest, RawTapesHaveNoExchanges) {
  RecorderOptions raw = options();
  raw.index = false;
  auto recorder = start(std::move(raw));
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  open(tap, c);
  pass(tap, c, to_server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  pass(tap, c, to_client, "HTTP/1.1 204 No Content\r\n\r\n");
  close(tap, c);
  finish(*recorder, tap);
  EXPECT_TRUE(tell_tape(tape()).connections.at(1).exchanges.empty());
  EXPECT_EQ(recorder->counters().exchanges, 0u);
}

// A request whose target is too large for a record costs its exchange at most, and no bytes.
TEST_F(RecorderTest, AVeryLongTargetCostsNoBytes) {
  auto recorder = start(options());
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  open(tap, c);
  const std::string request = "GET /" + std::string(200'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n";
  for (size_t at = 0; at < request.size(); at += 50'000) {
    pass(tap, c, to_server, std::string_view(request).substr(at, 50'000));
  }
  pass(tap, c, to_client, "HTTP/1.1 204 No Content\r\n\r\n");
  pass(tap, c, to_server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  pass(tap, c, to_client, "HTTP/1.1 204 No Content\r\n\r\n");
  close(tap, c);
  EXPECT_EQ(finish(*recorder, tap), Recorder::Outcome::whole);
  const ToldTape told = tell_tape(tape());
  EXPECT_TRUE(told.findings.whole());
  EXPECT_TRUE(told.connections.at(1).bytes[0].starts_with(request));
}

// ------------------------------------------------------------------------------- idle

std::vector<IdleConnection> idle_of(Recorder& recorder) {
  std::mutex mutex;
  std::condition_variable told;
  bool answered = false;
  std::vector<IdleConnection> idle;
  recorder.ask_for_idle([&](std::vector<IdleConnection> answer) {
    const std::lock_guard lock(mutex);
    idle = std::move(answer);
    answered = true;
    told.notify_one();
  });
  std::unique_lock lock(mutex);
  EXPECT_TRUE(told.wait_for(lock, std::chrono::seconds(20), [&] { return answered; }));
  return idle;
}

TEST_F(RecorderTest, IdleAreHttpConnectionsBetweenTwoExchanges) {
  auto recorder = start(options());
  Tap& tap = recorder->tap(0);
  TappedConnection answered, waiting, opaque, silent;
  for (TappedConnection* c : {&answered, &waiting, &opaque, &silent}) open(tap, *c);
  const std::string_view request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string_view response = "HTTP/1.1 204 No Content\r\n\r\n";
  pass(tap, answered, to_server, request);
  pass(tap, answered, to_client, response);
  pass(tap, waiting, to_server, request);
  pass(tap, opaque, to_server, "*1\r\n$4\r\nPING\r\n");
  tap.before_wait();
  std::vector<IdleConnection> idle;
  const int64_t deadline_ns = monotonic_ns() + 20 * ns_per_s;
  while (idle.empty() && monotonic_ns() < deadline_ns) idle = idle_of(*recorder);
  ASSERT_EQ(idle.size(), 1u);
  EXPECT_EQ(idle[0].connection, answered.id);
  EXPECT_EQ(idle[0].length[0], request.size());
  EXPECT_EQ(idle[0].length[1], response.size());
  finish(*recorder, tap);
}

TEST_F(RecorderTest, AnswersWhatIsAskedWhenItSleeps) {
  auto recorder = start(options());
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(idle_of(*recorder).empty());
  finish(*recorder, recorder->tap(0));
}

// ------------------------------------------------------------------------------- room

TEST_F(RecorderTest, WakesALoopThatWaitsForRoom) {
  RecorderOptions small = options();
  small.queue_bytes_max = 1024 * 1024;
  small.index = false;
  auto recorder = start(std::move(small));
  std::mutex mutex;
  std::condition_variable room;
  bool woken = false;
  recorder->on_room(0, [&] {
    const std::lock_guard lock(mutex);
    woken = true;
    room.notify_one();
  });
  Tap& tap = recorder->tap(0);
  TappedConnection c;
  open(tap, c);
  std::mt19937 random(5);
  const std::string bytes = test::sample_text(random, 64 * 1024);
  uint64_t stalls = 0;
  while (c.length[0] < 16 * 1024 * 1024) {
    if (tap.room_for_read()) {
      pass(tap, c, to_server, bytes);
      continue;
    }
    tap.before_wait();
    std::unique_lock lock(mutex);
    ASSERT_TRUE(room.wait_for(lock, std::chrono::seconds(20), [&] { return woken; }));
    woken = false;
    tap.room_again();
    ++stalls;
  }
  close(tap, c);
  EXPECT_EQ(finish(*recorder, tap), Recorder::Outcome::whole);
  EXPECT_GT(stalls, 0u);
  EXPECT_EQ(recorder->counters().stalls, stalls);
  const ToldTape told = tell_tape(tape());
  EXPECT_EQ(told.stalls.size(), stalls);
  EXPECT_EQ(told.connections.at(1).bytes[0].size(), 16u * 1024 * 1024);
  EXPECT_TRUE(told.findings.whole());
  int64_t sum_ns = 0;
  for (const Stall& stall : told.stalls) sum_ns += stall.duration_ns;
  EXPECT_EQ(sum_ns, told.trailers.at(0).stalled_ns);
}

TEST_F(RecorderTest, SkippingIsOnTheTapeByteForByte) {
  RecorderOptions small = options();
  small.queue_bytes_max = 512 * 1024;
  small.overload = Overload::skip;
  auto recorder = start(std::move(small));
  Tap& tap = recorder->tap(0);
  std::vector<TappedConnection> all(40);
  for (TappedConnection& c : all) open(tap, c);
  std::mt19937 random(6);
  const std::string bytes = test::sample_text(random, 64 * 1024);
  for (int i = 0; i < 2000; ++i) {
    const auto direction = static_cast<Direction>(random() % 2);
    const size_t size = 1 + random() % bytes.size();
    pass(tap, all[random() % all.size()], direction, std::string_view(bytes).substr(0, size));
  }
  for (TappedConnection& c : all) close(tap, c);
  finish(*recorder, tap);
  const ToldTape told = tell_tape(tape());
  uint64_t gap_bytes = 0;
  for (const TappedConnection& c : all) {
    if (!told.connections.contains(c.id)) continue;
    const ToldConnection& t = told.connections.at(c.id);
    EXPECT_TRUE(t.closed);
    for (int d = 0; d < 2; ++d) {
      EXPECT_EQ(t.bytes[d].size(), c.length[d]);
      EXPECT_EQ(t.end.length[d], c.length[d]);
    }
    for (const Gap& gap : t.gaps) EXPECT_EQ(gap.reason, GapReason::overload);
    gap_bytes += t.gap_bytes();
  }
  EXPECT_GT(gap_bytes, 0u);
  const Trailer& trailer = told.trailers.at(0);
  EXPECT_EQ(trailer.bytes_not_recorded, gap_bytes + told.bytes_lost_with_them);
  EXPECT_EQ(recorder->counters().bytes_not_recorded, trailer.bytes_not_recorded);
  EXPECT_FALSE(trailer.clean);
  EXPECT_EQ(trailer.connections, told.connections.size() + told.connections_lost);
}

// ------------------------------------------------------------------------------- several loops

class RecorderLoops : public RecorderTest, public testing::WithParamInterface<size_t> {};
INSTANTIATE_TEST_SUITE_P(Loops, RecorderLoops, testing::Values(1, 2, 3));

// Each thread does what a loop does: wakes, passes some events, sleeps.
TEST_P(RecorderLoops, RecordsComeInOrderOfTimeAndNoneIsLost) {
  const size_t loops = GetParam();
  auto recorder = start(options(loops));
  std::vector<std::vector<TappedConnection>> all(loops, std::vector<TappedConnection>(7));
  std::vector<std::thread> threads;
  for (size_t loop = 0; loop < loops; ++loop) {
    threads.emplace_back([&, loop] {
      Tap& tap = recorder->tap(loop);
      std::mt19937 random(static_cast<uint32_t>(loop) + 1);
      for (TappedConnection& c : all[loop]) open(tap, c);
      for (int iteration = 0; iteration < 1500; ++iteration) {
        for (uint32_t i = random() % 4; i > 0; --i) {
          TappedConnection& c = all[loop][random() % 7];
          const auto direction = static_cast<Direction>(random() % 2);
          pass(tap, c, direction, test::sample_text(random, 1 + random() % 300));
        }
        tap.before_wait();
        if (random() % 20 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
      }
      for (TappedConnection& c : all[loop]) close(tap, c);
      tap.finish();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(recorder->finish(finish_patience_ns), Recorder::Outcome::whole);
  const ToldTape told = tell_tape(tape());
  EXPECT_TRUE(test::in_order(told.times_ns));
  EXPECT_TRUE(told.findings.whole());
  EXPECT_EQ(told.connections.size(), 7 * loops);
  for (const auto& of_loop : all) {
    for (const TappedConnection& c : of_loop) {
      EXPECT_EQ(told.connections.at(c.id).bytes[0].size(), c.length[0]);
      EXPECT_EQ(told.connections.at(c.id).bytes[1].size(), c.length[1]);
    }
  }
}

// A loop that ends awake must not hold back what others say later.
TEST_F(RecorderTest, ALoopThatEndedHoldsNothingBack) {
  auto recorder = start(options(2));
  TappedConnection first, second;
  open(recorder->tap(0), first);
  close(recorder->tap(0), first);
  recorder->tap(0).finish();
  open(recorder->tap(1), second);
  close(recorder->tap(1), second);
  recorder->tap(1).finish();
  EXPECT_EQ(recorder->finish(finish_patience_ns), Recorder::Outcome::whole);
  EXPECT_EQ(tell_tape(tape()).connections.size(), 2u);
}

// A loop that is busy for long holds others back only as long as it is busy.
TEST_F(RecorderTest, ABusyLoopHoldsLaterEventsBack) {
  auto recorder = start(options(2));
  TappedConnection early, late;
  const int64_t woken_ns = recorder->tap(0).now();
  open(recorder->tap(1), late);
  recorder->tap(1).before_wait();
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  EXPECT_EQ(recorder->counters().connections, 0u);
  recorder->tap(0).opened(early, woken_ns, 0, address_, address_);
  recorder->tap(0).before_wait();
  for (size_t i = 0; i < 2; ++i) recorder->tap(i).finish();
  recorder->finish(finish_patience_ns);
  const ToldTape told = tell_tape(tape());
  EXPECT_EQ(told.connections.size(), 2u);
  EXPECT_TRUE(test::in_order(told.times_ns));
}

TEST_F(RecorderTest, RefusesAnExistingTape) {
  test::write_file(tape(), "mine");
  const auto recorder = Recorder::start(options());
  ASSERT_FALSE(recorder.ok());
  EXPECT_EQ(recorder.error().source, ErrorSource::usage);
  EXPECT_EQ(test::read_file(tape()), "mine");
}

}  // namespace
}  // namespace wiretape
