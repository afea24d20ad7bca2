// What the schedule makes of a tape: actions in order, with the gates that order implies.
#include "replayer/schedule.h"

#include <gtest/gtest.h>

#include "tests/replayer/simulation.h"

namespace wiretape {
namespace {

using Kind = Action::Kind;
constexpr auto c2s = Direction::client_to_server;
constexpr auto s2c = Direction::server_to_client;

std::vector<Action> scheduled(const TapeByHand& tape, Compare& compare) {
  Schedule schedule(compare);
  for (const auto& item : tape.items()) schedule.feed(item);
  schedule.finish();
  return {schedule.actions().begin(), schedule.actions().end()};
}

std::vector<Action> scheduled(const TapeByHand& tape) {
  Compare compare{CompareOptions{}};
  return scheduled(tape, compare);
}

std::string text(const Action& action) {
  return std::string(as_text(action.bytes));
}

TEST(Schedule, ARequestWaitsForTheResponsesBeforeIt) {
  TapeByHand tape;
  tape.open(0, 1).client(1 * ms, 1, request(0)).server(2 * ms, 1, response("a"));
  tape.client(3 * ms, 1, request(1)).client(4 * ms, 1, request(2));
  tape.server(5 * ms, 1, response("b") + response("c")).client(6 * ms, 1, request(3));
  const auto actions = scheduled(tape);
  ASSERT_EQ(actions.size(), 6U);
  EXPECT_EQ(actions[1].gate.responses, 0U);
  EXPECT_EQ(actions[2].gate.responses, 1U);
  EXPECT_EQ(actions[3].gate.responses, 1U) << "pipelined";
  EXPECT_EQ(actions[4].gate.responses, 3U);
  EXPECT_EQ(actions[5].kind, Kind::close);
}

TEST(Schedule, ARequestsLaterBytesHaveNoGate) {
  const std::string whole = request(0, std::string(100, 'x'));
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, whole.substr(0, 60)).server(1 * ms, 1, response("early", 413));
  tape.client(2 * ms, 1, whole.substr(60));
  const auto actions = scheduled(tape);
  EXPECT_TRUE(actions[1].begins_unit);
  EXPECT_FALSE(actions[2].begins_unit);
  EXPECT_EQ(actions[2].gate.responses, 0U);
  EXPECT_EQ(actions[1].requests + actions[2].requests, 1U);
}

TEST(Schedule, AChunkIsCutWhereARequestBeginsInIt) {
  const std::string both = request(0) + request(1);
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, both.substr(0, 10)).client(1, 1, both.substr(10));
  const auto actions = scheduled(tape);
  ASSERT_EQ(actions.size(), 5U);
  EXPECT_EQ(text(actions[1]) + text(actions[2]), request(0));
  EXPECT_EQ(text(actions[3]), request(1));
  EXPECT_TRUE(actions[3].begins_unit);
}

TEST(Schedule, RequestsOfOneChunkStayTogether) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0) + request(1) + request(2));
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions[1].requests, 3U);
  EXPECT_EQ(text(actions[1]), request(0) + request(1) + request(2));
}

TEST(Schedule, ATurnWaitsForTheTurnBeforeIt) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "*PING").client(1 * ms, 1, "more");
  tape.server(10 * ms, 1, "+PO").server(50 * ms, 1, "NG").client(60 * ms, 1, "*QUIT");
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions[1].turns, 1U);
  EXPECT_EQ(actions[2].turns, 0U) << "the same turn";
  EXPECT_EQ(actions[3].turns, 1U);
  EXPECT_EQ(actions[3].gate.turn_bytes, 5U);
  EXPECT_EQ(actions[3].gate.quiet_ns, 80 * ms) << "twice the longest gap in it";
}

TEST(Schedule, AGreetingGatesTheFirstTurn) {
  TapeByHand tape;
  tape.open(0, 1).server(1 * ms, 1, "220 ready\r\n").client(2 * ms, 1, "EHLO me\r\n");
  const auto actions = scheduled(tape);
  EXPECT_TRUE(actions[1].opaque);
  EXPECT_EQ(actions[1].gate.turn_bytes, 11U);
  EXPECT_EQ(actions[1].gate.quiet_ns, quiet_ns_min);
}

TEST(Schedule, AfterAnUpgradeTurnsApply) {
  TapeByHand tape;
  tape.open(0, 1).client(
      0, 1, "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  tape.server(1 * ms, 1, "HTTP/1.1 101 Go\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello");
  tape.client(2 * ms, 1, "frame").server(3 * ms, 1, "echo!").client(4 * ms, 1, "frame2");
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions[1].requests, 1U);
  EXPECT_TRUE(actions[2].upgraded);
  EXPECT_EQ(actions[2].gate.responses, 1U);
  EXPECT_EQ(actions[2].gate.turn_bytes, 5U);
  EXPECT_EQ(actions[3].gate.turn_bytes, 5U);
}

TEST(Schedule, EndsWaitLikeSends) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1 * ms, 1, response("x")).fin(2 * ms, 1, c2s);
  tape.fin(3 * ms, 1, s2c).closed(3 * ms, 1);
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions[2].kind, Kind::half_close);
  EXPECT_EQ(actions[2].gate.responses, 1U);
  EXPECT_EQ(actions[3].kind, Kind::close);
}

TEST(Schedule, AClientsResetWaitsForTheBytesItHad) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1 * ms, 1, response("whole body").substr(0, 42));
  tape.closed(2 * ms, 1, CloseHow::rst, ClosedBy::client);
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions[2].kind, Kind::reset);
  EXPECT_EQ(actions[2].gate.turn_bytes, 42U);
}

TEST(Schedule, AGapFromTheClientAbandonsTheConnection) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1 * ms, 1, response("x"));
  tape.gap(2 * ms, 1, c2s, 500).client(3 * ms, 1, request(1)).closed(4 * ms, 1);
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions[2].kind, Kind::abandon);
  EXPECT_EQ(actions[2].reason, "gap");
  EXPECT_EQ(actions[2].gate.responses, 1U);
  EXPECT_TRUE(actions[3].bytes.empty());
}

TEST(Schedule, RelayedTlsIsNotScheduled) {
  const std::string hello("\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", 10);
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, hello).server(1, 1, "\x16\x03\x03").closed(2, 1);
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions[1].kind, Kind::abandon);
  EXPECT_EQ(actions[1].reason, "tls");
  EXPECT_TRUE(actions[2].bytes.empty());
}

TEST(Schedule, PartsAreJoinedOnOneClockWithDistinctIds) {
  TapeByHand tape;
  tape.open(5 * ms, 1).closed(9 * ms, 1).add(0, Header{}).open(1 * ms, 1).closed(2 * ms, 1);
  const auto actions = scheduled(tape);
  ASSERT_EQ(actions.size(), 4U);
  EXPECT_NE(actions[0].connection, actions[2].connection);
  EXPECT_EQ(actions[2].time_ns, 10 * ms);
  EXPECT_EQ(actions[2].closed_before, 1U);
}

TEST(Schedule, PartsOfOneSetKeepTheirDistance) {
  Header first, second;
  first.tape_set = second.tape_set = "abc";
  first.wall_start_ns = 1'000 * ms;
  second.wall_start_ns = 61'000 * ms;
  TapeByHand tape;
  tape.add(0, first).open(0, 1).closed(1 * ms, 1).add(0, second).open(7 * ms, 1);
  EXPECT_EQ(scheduled(tape)[2].time_ns, 60'007 * ms);
}

TEST(Schedule, APartBeginsWithoutItsHeader) {
  TapeByHand tape;
  tape.open(5 * ms, 1).part().open(1 * ms, 1).closed(2 * ms, 1);
  const auto actions = scheduled(tape);
  ASSERT_EQ(actions.size(), 4U);
  EXPECT_TRUE(actions[1].ends_connection());
  EXPECT_EQ(actions[1].connection, actions[0].connection);
  EXPECT_NE(actions[2].connection, actions[0].connection);
  EXPECT_EQ(actions[2].time_ns, 6 * ms);
  EXPECT_EQ(actions[2].closed_before, 1U);
}

TEST(Schedule, PartsOfOneSetKeepTheirDistanceAcrossALostHeader) {
  Header first, third;
  first.tape_set = third.tape_set = "abc";
  first.wall_start_ns = 1'000 * ms;
  third.wall_start_ns = 61'000 * ms;
  TapeByHand tape;
  tape.add(0, first).open(0, 1).part().open(1 * ms, 1).add(0, third).open(7 * ms, 1);
  EXPECT_EQ(scheduled(tape)[4].time_ns, 60'007 * ms);
}

TEST(Schedule, AnIdThatIsOpenedAgainIsAnotherConnection) {
  TapeByHand tape;
  for (int i = 0; i < 100; ++i) tape.open(i * ms, 7).client(i * ms, 7, "x");
  tape.open(100 * ms, 3);
  std::map<ConnectionId, int> opened, ended;
  for (const Action& action : scheduled(tape)) {
    opened[action.connection] += action.kind == Kind::open;
    ended[action.connection] += action.ends_connection();
    const ConnectionId name = recorded_id(action.connection);
    EXPECT_TRUE(name == 7 || name == 3) << name;
  }
  EXPECT_EQ(opened.size(), 101U);
  EXPECT_EQ(opened, ended);
  for (const auto& [id, times] : opened) EXPECT_EQ(times, 1) << id;
}

TEST(Schedule, TimesThatNoClockHasDoNotRunOver) {
  Header first, second;
  first.tape_set = second.tape_set = "abc";
  first.wall_start_ns = INT64_MIN;
  second.wall_start_ns = INT64_MAX;
  TapeByHand tape;
  tape.add(0, first).open(INT64_MAX, 1).open(INT64_MIN, 2);
  tape.add(0, second).open(INT64_MAX, 1);
  int64_t last_ns = 0;
  for (const Action& action : scheduled(tape)) {
    EXPECT_GE(action.time_ns, last_ns);
    last_ns = action.time_ns;
  }
  EXPECT_LE(last_ns, INT64_MAX / 4);
}

TEST(Schedule, WhatATornTapeLeavesOpenIsClosed) {
  TapeByHand tape;
  tape.open(0, 1).open(1 * ms, 2).client(2 * ms, 2, request(0));
  const auto actions = scheduled(tape);
  EXPECT_EQ(actions.size(), 5U);
  EXPECT_TRUE(actions[3].ends_connection());
  EXPECT_TRUE(actions[4].ends_connection());
}

TEST(Schedule, RecordsOfUnknownConnectionsAreSkipped) {
  TapeByHand tape;
  tape.client(0, 7, "lost its opening").closed(1, 7);
  EXPECT_TRUE(scheduled(tape).empty());
}

}  // namespace
}  // namespace wiretape
