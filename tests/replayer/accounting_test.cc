// Random tapes against random targets: every run ends, every request is accounted for exactly
// once and sent at most once, and no connection's bytes are out of order, however often the target
// closes, refuses or is silent.
#include <gtest/gtest.h>

#include <random>

#include "tests/replayer/simulation.h"

namespace wiretape {
namespace {

using Random = std::mt19937_64;

bool one_in(Random& random, uint64_t n) {
  return random() % n == 0;
}

std::string random_body(Random& random) {
  return std::string(random() % 50, 'b');
}

// What one connection sent on the tape, as far as it can be sent again.
struct Expected {
  std::string client;
  bool http = false;
};

// An upload that the recorded client held back until it was told to continue.
void random_upload(TapeByHand& tape, Random& random, ConnectionId id, int64_t& now, int number) {
  const std::string head = "PUT /" + std::to_string(number) +
                           " HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n";
  tape.client(now += random() % (5 * ms), id, head);
  tape.server(now += random() % (5 * ms), id, "HTTP/1.1 100 Continue\r\n\r\n");
  tape.client(now += random() % (5 * ms), id, "ab");
  tape.client(now += random() % (5 * ms), id, "cd");
  tape.server(now += random() % (5 * ms), id, response(random_body(random)));
}

// The numbers of the requests in what a target received, in order.
std::vector<int> numbers_in(const std::string& received) {
  std::vector<int> numbers;
  for (size_t at = 0; (at = received.find(" /", at)) != std::string::npos; at += 2) {
    numbers.push_back(std::stoi(received.substr(at + 2)));
  }
  return numbers;
}

void random_http(TapeByHand& tape, Random& random, ConnectionId id, int64_t& now,
                 Expected& expected) {
  expected.http = true;
  int unanswered = 0;
  for (uint64_t i = 0, n = random() % 6; i < n; ++i) {
    if (unanswered == 0 && one_in(random, 5)) {
      random_upload(tape, random, id, now, static_cast<int>(i));
      continue;
    }
    const std::string text = request(static_cast<int>(i));
    if (one_in(random, 3)) {
      const size_t cut = 1 + random() % (text.size() - 1);
      tape.client(now += random() % (5 * ms), id, text.substr(0, cut));
      tape.client(now += random() % (5 * ms), id, text.substr(cut));
    } else {
      tape.client(now += random() % (5 * ms), id, text);
    }
    ++unanswered;
    while (unanswered > 0 && !one_in(random, 3)) {
      tape.server(now += random() % (5 * ms), id, response(random_body(random)));
      --unanswered;
    }
  }
}

void random_turns(TapeByHand& tape, Random& random, ConnectionId id, int64_t& now,
                  Expected& expected) {
  for (uint64_t i = 0, n = random() % 8; i < n; ++i) {
    const std::string text = "*" + std::string(1 + random() % 30, 'o');
    if (one_in(random, 2)) {
      expected.client += text;
      tape.client(now += random() % (5 * ms), id, text);
    } else {
      tape.server(now += random() % (5 * ms), id, text);
    }
  }
}

void random_end(TapeByHand& tape, Random& random, ConnectionId id, int64_t& now) {
  now += random() % (5 * ms);
  if (one_in(random, 6)) return;  // the tape is torn
  if (one_in(random, 2)) tape.fin(now, id, Direction::client_to_server);
  if (one_in(random, 2)) tape.fin(now, id, Direction::server_to_client);
  const bool reset = one_in(random, 4);
  tape.closed(now, id, reset ? CloseHow::rst : CloseHow::fin,
              one_in(random, 2) ? ClosedBy::client : ClosedBy::server);
}

// Does anything at all, now and then.
Script random_target(Random& random) {
  return [&random](ScriptedWire& wire) {
    const int64_t delay = static_cast<int64_t>(random() % (20 * ms));
    switch (random() % 15) {
      case 9:  // never ends, and never falls silent
        wire.answer(delay, "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 300; ++i) wire.answer(delay + i * 500 * ms, "1\r\nx\r\n");
        return;
      case 7:
        return wire.answer(delay,
                           "HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
      case 8:
        return wire.answer(delay, "HTTP/1.1 100 Continue\r\n\r\n");
      case 0:
        return wire.end(delay);
      case 1:
        return wire.reset_by_target(delay);
      case 2:
        return;  // silence
      case 3:
        return wire.answer(delay, "garbage");
      case 4:
        return wire.answer(delay, response("x").substr(0, random() % 30));
      case 5:
        return wire.answer(delay, "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
      case 6:
        return wire.answer(delay, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
      default:
        return wire.answer(delay, response(random_body(random)));
    }
  };
}

uint64_t sum(const std::map<std::string, uint64_t>& counts) {
  uint64_t total = 0;
  for (const auto& [reason, count] : counts) total += count;
  return total;
}

class RandomRun : public testing::TestWithParam<uint64_t> {};

TEST_P(RandomRun, EndsAndAccountsForEveryRequestOnce) {
  Random random(GetParam());
  for (int round = 0; round < 50; ++round) {
    TapeByHand tape;
    std::map<ConnectionId, Expected> expected;
    int64_t now = 0;
    const ConnectionId connections = 1 + random() % 4;
    for (ConnectionId id = 1; id <= connections; ++id) {
      tape.open(now, id);
      if (one_in(random, 2)) {
        random_http(tape, random, id, now, expected[id]);
      } else {
        random_turns(tape, random, id, now, expected[id]);
      }
      random_end(tape, random, id, now);
    }
    const Speed speed = one_in(random, 3) ? Speed::max() : Speed::times(1 + random() % 3);
    const Pace pace = one_in(random, 3) ? Pace::think : Pace::recorded;
    Simulation run(random_target(random), speed, 1'000 * ms, pace);
    for (int i = 0; i < 3; ++i) {
      run.after(random() % (200 * ms), [&] { run.refuse_connections = one_in(random, 3); });
    }
    if (one_in(random, 5)) run.after(random() % (300 * ms), [&] { run.stop_sending(); });
    if (one_in(random, 3)) run.stretch.from_ns = static_cast<int64_t>(random() % (now + 1));
    if (one_in(random, 3)) {
      run.stretch.to_ns = run.stretch.from_ns + 1 + static_cast<int64_t>(random() % (now + 1));
    }
    run.play(tape);

    SCOPED_TRACE(testing::Message() << "seed " << GetParam() << " round " << round);
    ASSERT_TRUE(run.all_finished());
    EXPECT_EQ(run.compare().pending(), 0U);
    EXPECT_EQ(run.queued_bytes(), 0U);
    EXPECT_EQ(run.tally().requests_sent + sum(run.tally().not_sent),
              run.tally().requests_scheduled);
    for (const auto& [id, what] : expected) {
      std::string received;
      for (const ScriptedWire* wire : run.wires(id)) received += wire->received;
      if (what.http) {
        const auto numbers = numbers_in(received);
        EXPECT_EQ(std::adjacent_find(numbers.begin(), numbers.end(), std::greater_equal<>()),
                  numbers.end())
            << received;
      } else {
        EXPECT_NE(what.client.find(received), std::string::npos);
        EXPECT_LE(run.wires(id).size(), 1U);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomRun, testing::Range<uint64_t>(0, 20));

}  // namespace
}  // namespace wiretape
