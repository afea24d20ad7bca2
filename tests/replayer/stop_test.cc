// A run that is told to stop: nothing more is sent, answers under way are collected, and every
// request is accounted for.
#include <gtest/gtest.h>

#include "tests/replayer/simulation.h"

namespace wiretape {
namespace {

constexpr int64_t head_start = 100 * ms;  // from the simulation's beginning to its t0

TapeByHand requests(int count, int64_t apart) {
  TapeByHand tape;
  tape.open(0, 1);
  for (int i = 0; i < count; ++i) {
    tape.client(i * apart, 1, request(i)).server(i * apart + 1 * ms, 1, response("body"));
  }
  tape.closed(count * apart, 1);
  return tape;
}

uint64_t accounted(const Tally& tally) {
  uint64_t total = tally.requests_sent;
  for (const auto& [reason, count] : tally.not_sent) total += count;
  return total;
}

const std::vector<std::string> five(5, response("body"));

TEST(Stop, AnswersUnderWayAreCollectedAndTheRestIsNotSent) {
  Simulation run(http_target(five, 80 * ms));
  run.after(head_start + 130 * ms, [&] { run.stop_sending(); });  // the second is unanswered
  run.play(requests(5, 100 * ms));
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.tally().requests_sent, 2U);
  EXPECT_EQ(run.tally().not_sent.at("stopped"), 3U);
  EXPECT_EQ(run.verdicts().same, 2U);
  EXPECT_EQ(run.verdicts().errors, 0U);
  EXPECT_EQ(run.verdicts().not_compared.at("stopped"), 3U);
  EXPECT_EQ(run.wire(1).closed_at, 180 * ms) << "at the answer, not at the next due time";
}

TEST(Stop, PipelinedAnswersAreAllWaitedFor) {
  TapeByHand tape;
  tape.open(0, 1);
  for (int i = 0; i < 5; ++i) tape.client(i * 100 * ms, 1, request(i));
  for (int i = 0; i < 5; ++i) tape.server(501 * ms, 1, response("body"));
  tape.closed(510 * ms, 1);
  Simulation run(http_target(five, 250 * ms));
  run.after(head_start + 230 * ms, [&] { run.stop_sending(); });
  run.play(tape);
  EXPECT_EQ(run.verdicts().same, 3U);
  EXPECT_EQ(run.tally().not_sent.at("stopped"), 2U);
  EXPECT_EQ(run.wire(1).closed_at, 450 * ms);
}

TEST(Stop, AnAnswerThatNeverComesEndsByTimeout) {
  Simulation run([](ScriptedWire&) {}, Speed::times(1), 1'000 * ms);
  run.after(head_start + 10 * ms, [&] { run.stop_sending(); });
  run.play(requests(3, 60'000 * ms));
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.wire(1).closed_at, 1'000 * ms);
  EXPECT_EQ(run.verdicts().error_reasons.at("timeout"), 1U);
  EXPECT_EQ(run.tally().not_sent.at("stopped"), 2U);
}

TEST(Stop, HalfARequestIsNotWaitedFor) {
  const std::string upload = request(0, std::string(20, 'u'));
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, upload.substr(0, 50)).client(10'000 * ms, 1, upload.substr(50));
  tape.server(10'001 * ms, 1, response("body")).closed(10'002 * ms, 1);
  Simulation run([](ScriptedWire&) {});
  run.after(head_start + 30 * ms, [&] { run.stop_sending(); });
  run.play(tape);
  EXPECT_EQ(run.wire(1).closed_at, 30 * ms);
  EXPECT_EQ(run.wire(1).received, upload.substr(0, 50));
  EXPECT_EQ(accounted(run.tally()), 1U);
}

TEST(Stop, WhatHasNotOpenedNeverDoes) {
  TapeByHand tape;
  tape.open(500 * ms, 1).client(500 * ms, 1, request(0)).server(501 * ms, 1, response("body"));
  tape.closed(502 * ms, 1);
  Simulation run(http_target(five, 1 * ms));
  run.after(head_start + 10 * ms, [&] { run.stop_sending(); });
  run.play(tape);
  EXPECT_EQ(run.tally().connections, 0U);
  EXPECT_EQ(run.tally().not_sent.at("stopped"), 1U);
}

TEST(Stop, ATurnUnderWayIsWaitedForAndItsStreamNotJudged) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "*one").server(5 * ms, 1, "+first");
  tape.client(1'000 * ms, 1, "*two").server(1'005 * ms, 1, "+second").closed(1'010 * ms, 1);
  Simulation run(turn_target({"+first", "+second"}, 50 * ms));
  run.after(head_start + 10 * ms, [&] { run.stop_sending(); });
  run.play(tape);
  EXPECT_EQ(run.wire(1).closed_at, 50 * ms);
  EXPECT_EQ(run.tally().responses, 1U);
  EXPECT_EQ(run.tally().not_sent.at("stopped"), 1U);
  EXPECT_EQ(run.verdicts().not_compared.at("stopped"), 1U);
  EXPECT_EQ(run.verdicts().errors, 0U);
}

TEST(Stop, TheSecondTimeNothingIsWaitedFor) {
  Simulation run([](ScriptedWire&) {});
  run.after(head_start + 10 * ms, [&] { run.stop_sending(); });
  run.after(head_start + 20 * ms, [&] { run.cut_off(); });
  run.play(requests(3, 100 * ms));
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.wire(1).closed_at, 20 * ms);
  EXPECT_EQ(run.verdicts().not_compared.at("stopped"), 3U);
  EXPECT_EQ(accounted(run.tally()), 3U);
}

}  // namespace
}  // namespace wiretape
