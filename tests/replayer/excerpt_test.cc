// What --from and --to leave of a tape.
#include "replayer/excerpt.h"

#include <gtest/gtest.h>

#include "tests/replayer/simulation.h"

namespace wiretape {
namespace {

using Kind = Action::Kind;

struct Taken {
  Compare compare{CompareOptions{}};
  Excerpt excerpt;
  std::vector<Action> actions;
  bool was_over = false;  // before the tape's end

  Taken(const TapeByHand& tape, int64_t from_ns, int64_t to_ns)
      : excerpt(compare, Stretch{from_ns, to_ns}) {
    for (const auto& item : tape.items()) {
      excerpt.feed(item);
      was_over = excerpt.is_over();
      if (was_over) break;
    }
    if (!was_over) excerpt.finish();
    actions.assign(excerpt.actions().begin(), excerpt.actions().end());
  }

  std::string text(size_t i) const { return std::string(as_text(actions.at(i).bytes)); }
  std::vector<Kind> kinds() const {
    std::vector<Kind> kinds;
    for (const Action& action : actions) kinds.push_back(action.kind);
    return kinds;
  }
};

// Request k at k * 100 ms, its answer 50 ms later.
TapeByHand five_requests() {
  TapeByHand tape;
  tape.open(0, 1);
  for (int i = 0; i < 5; ++i) {
    tape.client(i * 100 * ms, 1, request(i)).server((i * 100 + 50) * ms, 1, response("body"));
  }
  tape.closed(500 * ms, 1);
  return tape;
}

TEST(Excerpt, AllOfATapeIsTheTape) {
  const Taken taken(five_requests(), 0, INT64_MAX);
  EXPECT_EQ(taken.actions.size(), 7U);
  EXPECT_EQ(taken.actions.back().time_ns, 500 * ms);
  EXPECT_EQ(taken.actions.back().gate.responses, 5U);
}

TEST(Excerpt, AConnectionOpensWithItsFirstRequestThatBelongs) {
  const Taken taken(five_requests(), 150 * ms, INT64_MAX);
  ASSERT_EQ(taken.kinds(),
            (std::vector{Kind::open, Kind::send, Kind::send, Kind::send, Kind::close}));
  EXPECT_EQ(taken.actions[0].time_ns, 200 * ms);
  EXPECT_EQ(taken.text(1), request(2));
  EXPECT_EQ(taken.actions[1].gate.responses, 0U) << "what came before is not waited for";
  EXPECT_EQ(taken.actions[2].gate.responses, 1U);
  EXPECT_EQ(taken.actions[4].gate.responses, 3U);
}

TEST(Excerpt, AConnectionClosesWhenItsLastAnswerIsComplete) {
  const Taken taken(five_requests(), 0, 210 * ms);
  ASSERT_EQ(taken.kinds(),
            (std::vector{Kind::open, Kind::send, Kind::send, Kind::send, Kind::close}));
  EXPECT_EQ(taken.actions[4].time_ns, 250 * ms);
  EXPECT_EQ(taken.actions[4].gate.responses, 3U);
  EXPECT_TRUE(taken.was_over) << "the rest of the tape need not be read";
}

TEST(Excerpt, AnIdleConnectionClosesAtTheEnd) {
  const Taken taken(five_requests(), 0, 270 * ms);
  EXPECT_EQ(taken.actions.back().kind, Kind::close);
  EXPECT_EQ(taken.actions.back().time_ns, 270 * ms);
}

TEST(Excerpt, ItEndsAtItsLastNanosecond) {
  EXPECT_EQ(Taken(five_requests(), 0, 200 * ms).actions.size(), 4U);
  EXPECT_EQ(Taken(five_requests(), 0, 200 * ms + 1).actions.size(), 5U);
  EXPECT_EQ(Taken(five_requests(), 200 * ms, 200 * ms + 1).actions.size(), 3U);
}

TEST(Excerpt, ARequestBegunInItIsSentWholly) {
  const std::string upload = request(0, std::string(40, 'u'));
  TapeByHand tape;
  tape.open(0, 1).client(10 * ms, 1, upload.substr(0, 60)).client(90 * ms, 1, upload.substr(60));
  tape.server(95 * ms, 1, response("a")).client(96 * ms, 1, request(1)).closed(99 * ms, 1);
  const Taken taken(tape, 0, 50 * ms);
  ASSERT_EQ(taken.kinds(), (std::vector{Kind::open, Kind::send, Kind::send, Kind::close}));
  EXPECT_EQ(taken.text(1) + taken.text(2), upload);
  EXPECT_EQ(taken.actions[3].time_ns, 95 * ms);
}

TEST(Excerpt, TheRestOfARequestBegunBeforeIsLeftOut) {
  const std::string upload = request(0, std::string(40, 'u'));
  TapeByHand tape;
  tape.open(0, 1).client(10 * ms, 1, upload.substr(0, 60)).client(90 * ms, 1, upload.substr(60));
  tape.server(95 * ms, 1, response("a")).client(96 * ms, 1, request(1));
  tape.server(97 * ms, 1, response("b")).closed(99 * ms, 1);
  const Taken taken(tape, 50 * ms, INT64_MAX);
  ASSERT_EQ(taken.kinds(), (std::vector{Kind::open, Kind::send, Kind::close}));
  EXPECT_EQ(taken.text(1), request(1));
}

TEST(Excerpt, ConnectionsWithNothingInItAreLeftOut) {
  TapeByHand tape;
  tape.open(0, 1).client(1 * ms, 1, request(0)).server(2 * ms, 1, response("a"));
  tape.closed(60 * ms, 1).open(80 * ms, 2).client(81 * ms, 2, request(0)).closed(82 * ms, 2);
  const Taken taken(tape, 50 * ms, 70 * ms);
  EXPECT_TRUE(taken.actions.empty());
  EXPECT_EQ(taken.compare.pending(), 0U);
}

TEST(Excerpt, OnlyConnectionsInItCountAsEnded) {
  TapeByHand tape;
  tape.open(0, 1).closed(10 * ms, 1).open(50 * ms, 2).closed(60 * ms, 2).open(70 * ms, 3);
  const Taken taken(tape, 40 * ms, INT64_MAX);
  EXPECT_EQ(taken.actions[0].closed_before, 0U);
  EXPECT_EQ(taken.actions[2].closed_before, 1U);
}

// Turn k at k * 100 ms, its answer 50 ms later.
TapeByHand four_turns() {
  TapeByHand tape;
  tape.open(0, 1);
  for (int i = 0; i < 4; ++i) {
    tape.client(i * 100 * ms, 1, "*turn" + std::to_string(i));
    tape.server((i * 100 + 50) * ms, 1, "+answer\r\n");
  }
  tape.closed(400 * ms, 1);
  return tape;
}

TEST(Excerpt, AConnectionByTurnsCannotBeTakenUpInTheMiddle) {
  const Taken taken(four_turns(), 150 * ms, INT64_MAX);
  EXPECT_TRUE(taken.actions.empty());
  EXPECT_EQ(taken.excerpt.turns_begun_before(), 2U);
  EXPECT_EQ(taken.excerpt.connections_begun_before(), 1U);
  EXPECT_EQ(taken.compare.pending(), 0U);
}

TEST(Excerpt, TurnsAreSentAndAnsweredUpToTheEnd) {
  const Taken taken(four_turns(), 0, 150 * ms);
  ASSERT_EQ(taken.kinds(), (std::vector{Kind::open, Kind::send, Kind::send, Kind::close}));
  EXPECT_EQ(taken.actions[3].time_ns, 200 * ms);
  EXPECT_EQ(taken.actions[3].gate.turn_bytes, 9U) << "the answer to the last turn sent";
}

TEST(Excerpt, WhatWasAbandonedBeforeIsSoFromItsOpeningOn) {
  TapeByHand tape;
  tape.open(0, 1).gap(10 * ms, 1, Direction::client_to_server, 5);
  tape.client(200 * ms, 1, "*PING").closed(300 * ms, 1);
  const Taken taken(tape, 100 * ms, INT64_MAX);
  ASSERT_EQ(taken.kinds(), (std::vector{Kind::open, Kind::abandon, Kind::send, Kind::close}));
  for (int i = 0; i < 3; ++i) EXPECT_EQ(taken.actions[i].time_ns, 200 * ms) << i;
}

TEST(Excerpt, WhereATapesPartEndsBeforeTheStretchConnectionsCloseThere) {
  TapeByHand tape;
  tape.open(0, 1).client(10 * ms, 1, request(0)).server(20 * ms, 1, response("a"));
  tape.open(20 * ms, 2).client(30 * ms, 2, "*PING").server(40 * ms, 2, "+PONG");
  tape.part().open(500 * ms, 3).closed(600 * ms, 3);
  const Taken taken(tape, 0, 100 * ms);
  ASSERT_EQ(taken.actions.size(), 6U);
  EXPECT_EQ(taken.actions[4].kind, Kind::close);
  EXPECT_EQ(taken.actions[4].time_ns, 40 * ms);
  EXPECT_EQ(taken.actions[5].kind, Kind::close);
  EXPECT_EQ(taken.actions[5].time_ns, 40 * ms);
}

// ------------------------------------------------------------------------------ in a run

TEST(ReplayOfAnExcerpt, IsComparedWithTheAnswersThatBelong) {
  Simulation run(http_target(std::vector<std::string>(3, response("body")), 1 * ms));
  run.stretch = {150 * ms, 410 * ms};
  run.play(five_requests());
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.tally().requests_scheduled, 3U);
  EXPECT_EQ(run.verdicts().same, 3U);
  EXPECT_EQ(run.compare().pending(), 0U);
  EXPECT_EQ(run.wire(1).received, request(2) + request(3) + request(4));
}

TEST(ReplayOfAnExcerpt, ComparesTurnsAsFarAsTheyWereSent) {
  Simulation run(turn_target({"+answer\r\n", "+answer\r\n"}, 1 * ms));
  run.stretch = {0, 150 * ms};
  run.play(four_turns());
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.verdicts().same, 1U);
  EXPECT_EQ(run.tally().requests_scheduled, 2U);
  EXPECT_EQ(run.compare().pending(), 0U);
}

}  // namespace
}  // namespace wiretape
