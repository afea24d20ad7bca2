// A plan counts what a run would do with the same tape.
#include "replayer/plan.h"

#include <gtest/gtest.h>

#include "tests/replayer/simulation.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

constexpr auto c2s = Direction::client_to_server;

class PlanTest : public testing::Test {
 protected:
  Plan plan_of(const TapeByHand& tape, const RewriteRules& rules = {}, uint64_t laps = 1,
               Stretch stretch = {}) {
    const std::string path = folder_ / std::to_string(++tapes_);
    write(tape, path);
    auto source = TapeSource::open(path, laps);
    EXPECT_TRUE(source);
    const Endpoint target = *parse_endpoint("app:3000", PortZero::refused);
    const std::vector<Address> addresses{Address::from_ip("10.0.0.1", 3000)};
    return *look_through(**source, target, addresses, stretch, rules);
  }

 private:
  static void write(const TapeByHand& tape, const std::string& path) {
    auto writer = test::create(path);
    int64_t last_ns = 0;
    for (const auto& item : tape.items()) {
      const auto& record = std::get<TapeRecord>(item);
      if (std::holds_alternative<Header>(record.event)) continue;  // the writer has its own
      last_ns = record.time_ns;
      ASSERT_TRUE(writer->write(last_ns, record.event));
    }
    ASSERT_TRUE(writer->finish(last_ns, Trailer()));
  }

  test::TempDir folder_;
  int tapes_ = 0;
};

std::string get() {
  return "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
}

std::string post(const std::string& body) {
  return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\n\r\n" + body;
}

TEST_F(PlanTest, RequestsAreCountedByMethod) {
  TapeByHand tape;
  tape.open(10 * ms, 1).client(20 * ms, 1, get()).server(30 * ms, 1, response("a"));
  tape.open(30 * ms, 2).client(40 * ms, 2, post("x")).server(50 * ms, 2, response("b"));
  tape.client(60 * ms, 1, get()).closed(70 * ms, 2).closed(110 * ms, 1);
  const Plan plan = plan_of(tape);
  EXPECT_EQ(plan.connections, 2U);
  EXPECT_EQ(plan.requests, 3U);
  EXPECT_EQ(plan.requests_sent, 3U);
  EXPECT_EQ(plan.turns, 0U);
  EXPECT_EQ(plan.bytes, get().size() + get().size() + post("x").size());
  EXPECT_EQ(plan.methods, (std::map<std::string, uint64_t>{{"GET", 2}, {"POST", 1}}));
  EXPECT_EQ(plan.writes(), 1U);
  EXPECT_EQ(plan.recorded_ns, 100 * ms);
  EXPECT_TRUE(plan.not_sent.empty());
  EXPECT_FALSE(plan.torn);
}

TEST_F(PlanTest, OpaqueTurnsMayWrite) {
  TapeByHand tape;
  tape.open(0, 1).client(1, 1, "*PING").server(2, 1, "+PONG").client(3, 1, "*QUIT").closed(4, 1);
  const Plan plan = plan_of(tape);
  EXPECT_EQ(plan.turns, 2U);
  EXPECT_EQ(plan.writes(), 2U);
  EXPECT_EQ(plan.requests_writing(), 0U);
}

TEST_F(PlanTest, ARequestThatIsCutOffMayWrite) {
  TapeByHand tape;
  tape.open(0, 1).client(1, 1, "POST / HTTP/1.1\r\nHo").closed(4, 1);
  const Plan plan = plan_of(tape);
  EXPECT_EQ(plan.methods.at("unfinished"), 1U);
  EXPECT_EQ(plan.writes(), 1U);
}

TEST_F(PlanTest, WhatTheTapeLacksIsNotSent) {
  using namespace std::string_literals;
  const std::string hello = "\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03"s;
  TapeByHand tape;
  tape.open(0, 1).client(1, 1, get()).server(2, 1, response("a"));
  tape.gap(3, 1, c2s, 10).client(4, 1, get()).closed(5, 1);
  tape.open(6, 2).client(7, 2, hello).server(8, 2, "x").closed(9, 2);
  const Plan plan = plan_of(tape);
  EXPECT_EQ(plan.requests_sent, 1U);
  EXPECT_EQ(plan.bytes, get().size());
  EXPECT_EQ(
      plan.not_sent.at("gap") + plan.not_sent.at("tls") + plan.requests_sent + plan.turns_sent,
      plan.requests + plan.turns);
  EXPECT_EQ(plan.writes(), 0U) << "TLS is never sent";
}

TEST_F(PlanTest, EachLapCounts) {
  TapeByHand tape;
  tape.open(0, 1).client(10 * ms, 1, request(0)).closed(20 * ms, 1);
  const Plan plan = plan_of(tape, {}, 3);
  EXPECT_EQ(plan.connections, 3U);
  EXPECT_EQ(plan.requests_sent, 3U);
  EXPECT_GE(plan.recorded_ns, 60 * ms);
}

TEST_F(PlanTest, WhatWouldBeRewrittenIsCounted) {
  TapeByHand tape;
  tape.open(0, 1).client(1, 1, request(0) + request(1)).closed(4, 1);
  const Plan plan = plan_of(tape, {{"Host", "new"}, {"Cookie", {}}});
  EXPECT_EQ(plan.rewritten.requests, 2U);
  EXPECT_EQ(plan.rewritten.by_rule, (std::vector<uint64_t>{2, 0}));
  const Plan empty = plan_of(TapeByHand(), {{"Host", "new"}});
  EXPECT_EQ(empty.rewritten.by_rule, std::vector<uint64_t>{0}) << "no connection";
}

TEST_F(PlanTest, OnlyTheStretchCounts) {
  TapeByHand tape;
  tape.open(0, 1).client(10 * ms, 1, post("a")).server(11 * ms, 1, response("a"));
  tape.client(20 * ms, 1, get()).server(21 * ms, 1, response("a"));
  tape.client(30 * ms, 1, post("c")).server(31 * ms, 1, response("a")).closed(40 * ms, 1);
  const Plan plan = plan_of(tape, {{"Host", "new"}}, 1, {15 * ms, 25 * ms});
  EXPECT_EQ(plan.connections, 1U);
  EXPECT_EQ(plan.requests_sent, 1U);
  EXPECT_EQ(plan.writes(), 0U);
  EXPECT_EQ(plan.methods, (std::map<std::string, uint64_t>{{"GET", 1}}));
  EXPECT_EQ(plan.rewritten.requests, 1U);
  EXPECT_LE(plan.recorded_ns, 25 * ms);
}

TEST_F(PlanTest, GoingBackIsSeenByNameAndByAddress) {
  const auto goes_back = [&](const std::string& upstream, const std::string& server) {
    Opened opened;
    opened.connection = 1;
    opened.upstream = upstream;
    Connected connected;
    connected.connection = 1;
    connected.server = server;
    TapeByHand tape;
    tape.add(0, opened).add(1, connected).closed(2, 1);
    return plan_of(tape).goes_back;
  };
  EXPECT_TRUE(goes_back("APP:3000", ""));
  EXPECT_TRUE(goes_back("other:3000", "10.0.0.1:3000"));
  EXPECT_FALSE(goes_back("app:3001", "10.0.0.1:3001"));
}

}  // namespace
}  // namespace wiretape
