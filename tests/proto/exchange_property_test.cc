// Random conversations, by seed. What the generator built is the truth that the tracker must find,
// however the bytes are split; and whatever is done to the bytes, all of them stay accounted for.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "proto/exchange.h"
#include "tests/proto/exchange_watch.h"

namespace wiretape {
namespace {

constexpr Direction client = Direction::client_to_server;
constexpr Direction server = Direction::server_to_client;

struct Said {
  Direction direction;
  std::string text;
};
using Conversation = std::vector<Said>;

struct Message {
  uint64_t begin = 0, head_end = 0, end = 0;
  std::string body;
};

struct Truth {
  std::string method, target;
  uint32_t status = 0, interim = 0;
  Message request, response;
};

// Makes a conversation of HTTP/1.1 exchanges: all framings, pipelined at random.
class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  void run() {
    const size_t count = 1 + below(12);
    while (truth.size() < count || answered_ < truth.size()) {
      if (truth.size() < count && (answered_ == truth.size() || below(2) == 0)) {
        ask();
      } else {
        answer(truth[answered_++]);
      }
    }
  }

  uint32_t below(uint32_t n) { return static_cast<uint32_t>(random_() % n); }

  Conversation conversation;
  std::vector<Truth> truth;

 private:
  void ask() {
    static const char* methods[] = {"GET", "HEAD", "POST", "PUT", "OPTIONS", "M-SEARCH"};
    Truth t;
    t.method = methods[below(6)];
    t.target = "/" + std::string(below(40), 'a' + static_cast<char>(below(26)));
    const char* upgrade = below(8) == 0 ? "Connection: upgrade\r\nUpgrade: h2c\r\n" : "";
    const char* expect = below(8) == 0 ? "Expect: 100-continue\r\n" : "";
    if (below(6) == 0) say(client, "\r\n");
    t.request =
        message(client, t.method + " " + t.target + " HTTP/1.1\r\nHost: h\r\n" + upgrade + expect,
                below(3), true);
    truth.push_back(t);
  }

  void answer(Truth& t) {
    static const uint32_t statuses[] = {200, 201, 204, 304, 404, 500};
    t.status = statuses[below(6)];
    for (t.interim = below(4) == 0 ? 1 + below(2) : 0; interims_said_ < t.interim;
         ++interims_said_) {
      say(server, "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n");
    }
    interims_said_ = 0;
    const bool with_body = t.method != "HEAD" && t.status != 204 && t.status != 304;
    const std::string line = "HTTP/1.1 " + std::to_string(t.status) + " Some reason\r\n";
    t.response = message(server, line, with_body ? 1 + below(2) : below(3), with_body);
  }

  // framing: 0 none, 1 Content-Length, 2 chunked.
  Message message(Direction direction, std::string head, uint32_t framing, bool with_body) {
    Message m;
    const std::string body = random_body();
    for (uint32_t i = below(4); i > 0; --i) head += "X-" + std::to_string(i) + ": some value\r\n";
    if (framing == 1) head += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    if (framing == 2) head += "transfer-encoding: Chunked\r\n";
    m.begin = length_[index_of(direction)];
    say(direction, head + "\r\n");
    m.head_end = length_[index_of(direction)];
    if (with_body && framing != 0) m.body = body;
    if (with_body && framing == 1) say(direction, body);
    if (with_body && framing == 2) say(direction, chunked(body));
    m.end = length_[index_of(direction)];
    return m;
  }

  std::string random_body() {
    std::string body(below(3) == 0 ? 0 : below(300), '\0');
    for (char& c : body) c = below(2) == 0 ? '\n' : static_cast<char>(random_());
    return body;
  }

  std::string chunked(std::string_view body) {
    std::string out;
    while (!body.empty()) {
      const size_t n = 1 + below(static_cast<uint32_t>(body.size()));
      char size[32];
      std::snprintf(size, sizeof size, below(2) == 0 ? "%zx\r\n" : "%zX;ext=1\r\n", n);
      out.append(size).append(body.substr(0, n)).append("\r\n");
      body.remove_prefix(n);
    }
    return out + (below(3) == 0 ? "0\r\nX-Trailer: t\r\nHost: no\r\n\r\n" : "0\r\n\r\n");
  }

  void say(Direction direction, const std::string& text) {
    length_[index_of(direction)] += text.size();
    if (!conversation.empty() && conversation.back().direction == direction) {
      conversation.back().text += text;
    } else if (!text.empty()) {
      conversation.push_back({direction, text});
    }
  }

  std::mt19937 random_;
  size_t answered_ = 0;
  uint32_t interims_said_ = 0;
  uint64_t length_[2] = {0, 0};
};

std::string stream_of(const Conversation& conversation, Direction direction) {
  std::string all;
  for (const Said& said : conversation) {
    if (said.direction == direction) all += said.text;
  }
  return all;
}

// Plays it in pieces of at most `piece_max` bytes; 0: unsplit.
void play(const Conversation& conversation, uint32_t piece_max, uint32_t seed, bool parking,
          ExchangeWatch& watch) {
  std::mt19937 random(seed);
  ExchangeTracker tracker(1, watch);
  for (const Said& said : conversation) {
    // A copy of its own for each piece, so that a view that outlives its chunk is found out.
    for (size_t at = 0; at < said.text.size();) {
      const size_t n = piece_max == 0 ? said.text.size() : 1 + random() % piece_max;
      const std::string piece = said.text.substr(at, n);
      tracker.chunk(said.direction, 1, as_bytes(piece));
      if (parking) tracker.park();
      at += piece.size();
    }
  }
  tracker.closed(2);
}

void expect_message(const Message& truth, const MessageExtent& found) {
  EXPECT_EQ(found.begin, truth.begin);
  EXPECT_EQ(found.head_end, truth.head_end);
  EXPECT_EQ(found.end, truth.end);
  EXPECT_EQ(found.body_bytes, truth.body.size());
  EXPECT_TRUE(found.complete);
}

// Runs a check on 300 conversations; the trace names the seed of one that fails.
template <typename Check>
void on_random_conversations(Check check) {
  for (uint32_t seed = 1; seed <= 300 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Generator generator(seed);
    generator.run();
    check(generator, seed);
  }
}

TEST(RandomConversation, IsFoundAsItWasMade) {
  on_random_conversations([](Generator& generator, uint32_t seed) {
    ExchangeWatch watch;
    play(generator.conversation, 1 + generator.below(50), seed, true, watch);
    ASSERT_EQ(watch.exchanges.size(), generator.truth.size());
    for (size_t i = 0; i < watch.exchanges.size(); ++i) {
      const Exchange& e = watch.exchanges[i];
      const Truth& t = generator.truth[i];
      EXPECT_EQ(e.index, i);
      EXPECT_EQ(e.method, t.method);
      EXPECT_EQ(e.target, t.target);
      EXPECT_EQ(e.authority, "h");
      EXPECT_EQ(e.status, t.status);
      EXPECT_EQ(e.interim_responses, t.interim);
      expect_message(t.request, e.request);
      expect_message(t.response, e.response);
      EXPECT_EQ((watch.bodies[{i, 0}]), t.request.body);
      EXPECT_EQ((watch.bodies[{i, 1}]), t.response.body);
    }
    EXPECT_TRUE(watch.found.empty());
  });
}

TEST(RandomConversation, IsTheSameHoweverItIsSplit) {
  on_random_conversations([](Generator& generator, uint32_t seed) {
    ExchangeWatch whole;
    play(generator.conversation, 0, 0, false, whole);
    for (uint32_t piece_max : {1, 2, 7, 100}) {
      ExchangeWatch split;
      play(generator.conversation, piece_max, seed, piece_max == 7, split);
      EXPECT_EQ(split.told(), whole.told()) << "pieces of up to " << piece_max;
    }
  });
}

size_t count_of(std::string_view what, std::string_view text) {
  size_t count = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++count;
  return count;
}

// No byte of a direction is unaccounted for, and none is claimed twice: what is in no message and
// not opaque is an empty line or an interim response.
void expect_all_claimed(const ExchangeWatch& watch, const Conversation& conversation) {
  const std::string requests = watch.unclaimed(client, stream_of(conversation, client));
  const std::string responses = watch.unclaimed(server, stream_of(conversation, server));
  EXPECT_EQ(requests.find_first_not_of("\r\n"), std::string::npos) << requests;
  const size_t first = responses.find_first_not_of("\r\n");
  EXPECT_EQ(first == std::string::npos, watch.interims == 0) << responses;
  EXPECT_EQ(count_of("HTTP/1.", responses), watch.interims) << responses;
  EXPECT_EQ(responses.substr(std::min(first, responses.size()), 7),
            watch.interims > 0 ? "HTTP/1." : "");
}

TEST(RandomConversation, LeavesNoByteUnaccountedFor) {
  on_random_conversations([](Generator& generator, uint32_t) {
    ExchangeWatch watch;
    play(generator.conversation, 0, 0, false, watch);
    expect_all_claimed(watch, generator.conversation);
  });
}

TEST(RandomConversation, KeepsItsPromisesWhenItIsDamaged) {
  on_random_conversations([](Generator& generator, uint32_t seed) {
    static const std::string bytes("\0\r\n :;,0129afHC\x16\xff", 17);
    for (int round = 0; round < 10; ++round) {
      Conversation damaged = generator.conversation;
      for (uint32_t i = 1 + generator.below(3); i > 0; --i) {
        std::string& text = damaged[generator.below(static_cast<uint32_t>(damaged.size()))].text;
        const size_t at = generator.below(static_cast<uint32_t>(text.size()));
        if (generator.below(3) == 0) text.insert(at, 1, 'x');
        text[at] = bytes[generator.below(17)];
      }
      ExchangeWatch whole, split;
      play(damaged, 0, 0, false, whole);
      play(damaged, 1 + generator.below(9), seed, round % 2 == 0, split);
      EXPECT_EQ(split.told(), whole.told());
      expect_all_claimed(whole, damaged);
      if (testing::Test::HasFailure()) return;
    }
  });
}

}  // namespace
}  // namespace wiretape
