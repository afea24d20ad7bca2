// Rules of a replayed connection, one by one, against a scripted target on a simulated clock.
#include "replayer/connection.h"

#include <gtest/gtest.h>

#include "tests/replayer/simulation.h"

namespace wiretape {
namespace {

constexpr auto c2s = Direction::client_to_server;
constexpr auto s2c = Direction::server_to_client;

// One connection with three requests, 100 ms apart, answered within 10 ms.
TapeByHand three_requests() {
  TapeByHand tape;
  tape.open(0, 1);
  for (int i = 0; i < 3; ++i) {
    tape.client(i * 100 * ms, 1, request(i));
    tape.server((i * 100 + 10) * ms, 1, response("body " + std::to_string(i)));
  }
  tape.fin(300 * ms, 1, c2s).fin(301 * ms, 1, s2c).closed(301 * ms, 1);
  return tape;
}
const std::vector<std::string> three_responses = {response("body 0"), response("body 1"),
                                                  response("body 2")};

TEST(Replay, TheSameServerIsFoundTheSame) {
  Simulation run(http_target(three_responses, 5 * ms));
  run.play(three_requests());
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.verdicts().same, 3U);
  EXPECT_EQ(run.verdicts().different + run.verdicts().errors, 0U);
  EXPECT_EQ(run.tally().requests_scheduled, 3U);
  EXPECT_EQ(run.tally().requests_sent, 3U);
  EXPECT_EQ(run.compare().pending(), 0U);
  EXPECT_EQ(run.queued_bytes(), 0U);
}

TEST(Replay, BytesArriveAsRecordedAndWhenDue) {
  Simulation run(http_target(three_responses, 5 * ms));
  run.play(three_requests());
  const auto& arrivals = run.wire(1).arrivals;
  ASSERT_EQ(arrivals.size(), 3U);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(arrivals[i].text, request(i));
    EXPECT_EQ(arrivals[i].at_ns, i * 100 * ms);
  }
  EXPECT_EQ(run.wire(1).fin_at, 300 * ms);
  EXPECT_EQ(run.tally().lateness_ns.max(), 0);
}

TEST(Replay, SpeedDividesTheGaps) {
  Simulation run(http_target(three_responses, 1 * ms), Speed::times(10));
  run.play(three_requests());
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 20 * ms);
}

TEST(Replay, AtMaxOnlyAnswersHoldRequestsBack) {
  Simulation run(http_target(three_responses, 3 * ms), Speed::max());
  run.play(three_requests());
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 6 * ms);
  EXPECT_EQ(run.verdicts().same, 3U);
}

TEST(Replay, ALateAnswerHoldsTheNextRequestAndIsBlamedOnTheTarget) {
  Simulation run(http_target(three_responses, 150 * ms));
  run.play(three_requests());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 150 * ms);
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 300 * ms);
  EXPECT_EQ(run.tally().lateness_by_cause[size_t(Cause::us)].max(), 0);
  EXPECT_EQ(run.tally().lateness_by_cause[size_t(Cause::target)].count(), 2U);
}

TEST(Replay, LatencyFromDueShowsAStallThatLatencyFromSentHides) {
  Simulation run(http_target(three_responses, 150 * ms));
  run.play(three_requests());
  EXPECT_EQ(run.tally().latency_sent_ns.max(), 150 * ms);
  EXPECT_EQ(run.tally().latency_due_ns.max(), 250 * ms);  // due 200, sent 300, answered 450
}

TEST(Replay, LatenessDoesNotAccumulate) {
  auto script = [](ScriptedWire& wire) {
    const size_t i = wire.answers++;
    if (i < 3) wire.answer(i == 0 ? 150 * ms : 1 * ms, three_responses[i]);
    if (wire.fin_at >= 0) wire.end(0);
  };
  Simulation run(script);
  run.play(three_requests());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 150 * ms);
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 200 * ms);
}

TEST(Replay, PipelinedRequestsStayPipelined) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).client(1 * ms, 1, request(1));
  tape.server(50 * ms, 1, response("a") + response("b")).closed(60 * ms, 1);
  Simulation run(http_target({response("a"), response("b")}, 500 * ms));
  run.play(tape);
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 1 * ms);
  EXPECT_EQ(run.verdicts().same, 2U);
}

TEST(Replay, AnotherStatusAndAnotherBodyAreFound) {
  Simulation run(
      http_target({response("body 0"), response("body 1", 500), response("body X")}, ms));
  run.play(three_requests());
  EXPECT_EQ(run.verdicts().same, 1U);
  ASSERT_EQ(run.verdicts().different, 2U);
  EXPECT_EQ(run.verdicts().differences[0].what, "status");
  EXPECT_EQ(run.verdicts().differences[0].recorded, "200");
  EXPECT_EQ(run.verdicts().differences[0].replayed, "500");
  EXPECT_EQ(run.verdicts().differences[1].what, "body");
  EXPECT_EQ(run.verdicts().differences[1].request, 2U);
}

TEST(Replay, APacedUploadKeepsItsGapsWhenItBeginsLate) {
  const std::string upload = request(1, std::string(30, 'u'));
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1 * ms, 1, response("a"));
  const size_t head = upload.size() - 30;
  tape.client(10 * ms, 1, upload.substr(0, head));
  for (int i = 0; i < 3; ++i) {
    tape.client((30 + i * 20) * ms, 1, upload.substr(head + i * 10, 10));
  }
  tape.server(80 * ms, 1, response("b")).closed(90 * ms, 1);
  auto script = [](ScriptedWire& wire) {
    if (wire.arrivals.size() == 1) wire.answer(500 * ms, response("a"));
    if (wire.arrivals.size() == 5) wire.answer(1 * ms, response("b"));
  };
  Simulation run(script);
  run.play(tape);
  const auto& arrivals = run.wire(1).arrivals;
  ASSERT_EQ(arrivals.size(), 5U);
  EXPECT_EQ(arrivals[1].at_ns, 500 * ms);
  EXPECT_EQ(arrivals[2].at_ns, 520 * ms);
  EXPECT_EQ(arrivals[4].at_ns, 560 * ms);
  EXPECT_EQ(run.tally().lateness_by_cause[size_t(Cause::dependency)].count(), 3U);
  EXPECT_EQ(run.verdicts().same, 2U);
}

// ------------------------------------------------------------------------------ by turns

TapeByHand three_turns() {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "*one").server(5 * ms, 1, "+first\r\n");
  tape.client(10 * ms, 1, "*two").server(15 * ms, 1, "+second\r\n");
  tape.client(20 * ms, 1, "*three").server(25 * ms, 1, "+third\r\n");
  tape.fin(30 * ms, 1, c2s).fin(31 * ms, 1, s2c).closed(31 * ms, 1);
  return tape;
}

TEST(ReplayByTurns, TheSameServerIsFoundTheSame) {
  Simulation run(turn_target({"+first\r\n", "+second\r\n", "+third\r\n"}, 2 * ms));
  run.play(three_turns());
  EXPECT_EQ(run.verdicts().same, 1U);
  EXPECT_EQ(run.tally().requests_scheduled, 3U);
  EXPECT_EQ(run.tally().requests_sent, 3U);
  EXPECT_EQ(run.tally().gates_by_quiet, 0U);
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 20 * ms);
  EXPECT_EQ(run.tally().latency_sent_ns.max(), 2 * ms);
}

TEST(ReplayByTurns, ATurnWaitsForAllOfTheAnswer) {
  Simulation run(turn_target({"+first\r\n", "+second\r\n", "+third\r\n"}, 100 * ms));
  run.play(three_turns());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 100 * ms);
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 200 * ms);
}

TEST(ReplayByTurns, AShorterAnswerIsOverAfterQuiet) {
  Simulation run(turn_target({"+f\r\n", "+second\r\n", "+third\r\n"}, 2 * ms));
  run.play(three_turns());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 52 * ms);
  EXPECT_EQ(run.tally().gates_by_quiet, 1U);
  EXPECT_EQ(run.tally().requests_sent, 3U);
  EXPECT_EQ(run.verdicts().different, 1U);
  EXPECT_EQ(run.verdicts().differences[0].offset, 2U);
}

TEST(ReplayByTurns, ALongerAnswerDoesNotOpenLaterGates) {
  Simulation run(turn_target({std::string(200, 'x'), "+second\r\n", "+third\r\n"}, 15 * ms));
  run.play(three_turns());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 15 * ms);
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 30 * ms) << "only after the answer to the second turn";
  EXPECT_EQ(run.tally().requests_sent, 3U);
}

TEST(ReplayByTurns, OtherSegmentsAreTheSameTurn) {
  auto script = [](ScriptedWire& wire) {
    static const std::string texts[] = {"+first\r\n", "+second\r\n", "+third\r\n"};
    if (wire.answers < wire.arrivals.size()) {
      const std::string& text = texts[wire.answers++];
      for (size_t i = 0; i < text.size(); ++i) {
        wire.answer(static_cast<int64_t>(i) * ms, text.substr(i, 1));
      }
    }
    if (wire.fin_at >= 0) wire.end(0);
  };
  Simulation run(script);
  run.play(three_turns());
  EXPECT_EQ(run.verdicts().same, 1U);
  EXPECT_EQ(run.tally().gates_by_quiet, 0U);
}

TEST(ReplayByTurns, AGreetingIsWaitedFor) {
  TapeByHand tape;
  tape.open(0, 1).server(1 * ms, 1, "220 hi\r\n").client(2 * ms, 1, "QUIT\r\n");
  tape.server(3 * ms, 1, "221 bye\r\n").fin(4 * ms, 1, s2c).closed(5 * ms, 1);
  Simulation run([](ScriptedWire& wire) {
    wire.answer(1 * ms, "221 bye\r\n");
    wire.end(2 * ms);
  });
  run.after(140 * ms, [&] { run.wire(1).answer(0, "220 hi\r\n"); });  // 40 ms after t0
  run.play(tape);
  EXPECT_EQ(run.wire(1).arrivals[0].at_ns, 40 * ms);
  EXPECT_EQ(run.verdicts().same, 1U);
}

TEST(ReplayByTurns, AResetWaitsForTheRecordedBytes) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "*get").server(1 * ms, 1, std::string(50, 'd'));
  tape.closed(2 * ms, 1, CloseHow::rst, ClosedBy::client);
  Simulation run([](ScriptedWire& wire) {
    wire.answer(10 * ms, std::string(30, 'd'));
    wire.answer(20 * ms, std::string(20, 'd'));
  });
  run.play(tape);
  EXPECT_EQ(run.wire(1).reset_at, 20 * ms);
  EXPECT_EQ(run.verdicts().same, 1U);
}

// ------------------------------------------------------------------------------ other targets

TEST(ReplayErrors, AFailedConnectAccountsForEveryRequest) {
  Simulation run(http_target({}, 0));
  run.refuse_connections = true;
  run.play(three_requests());
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.tally().not_sent.at("connect_failed"), 3U);
  EXPECT_EQ(run.verdicts().errors, 3U);
}

TEST(ReplayErrors, ATargetThatNeverAnswersEndsByTimeout) {
  Simulation run([](ScriptedWire&) {}, Speed::times(1), 1'000 * ms);
  run.play(three_requests());
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.verdicts().error_reasons.at("timeout"), 3U);
  ASSERT_EQ(run.wires(1).size(), 3U) << "each request has its own chance, once";
  EXPECT_EQ(run.tally().reconnects, 2U);
  EXPECT_EQ(run.wires(1)[0]->closed_at, 1'100 * ms)
      << "the recorded client would have gone on at 100 ms, and only then waits";
  EXPECT_EQ(run.wires(1)[2]->received, request(2));
}

TEST(ReplayErrors, ASlowTargetThatMakesProgressDoesNotTimeOut) {
  auto script = [](ScriptedWire& wire) {
    const std::string text = response("slow body");
    for (size_t i = 0; wire.answers == 0 && i < text.size(); ++i) {
      wire.answer(static_cast<int64_t>(i + 1) * 200 * ms, text.substr(i, 1));
    }
    ++wire.answers;
  };
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1 * ms, 1, response("slow body"));
  tape.closed(2 * ms, 1);
  Simulation run(script, Speed::times(1), 1'000 * ms);
  run.play(tape);
  EXPECT_EQ(run.verdicts().same, 1U);
}

// Answers the k-th request it sees, on whichever link, and then does `then`.
Script one_by_one(std::function<void(ScriptedWire&, int)> then) {
  return [seen = std::make_shared<int>(0), then = std::move(then)](ScriptedWire& wire) {
    if (wire.fin_at >= 0) return;
    const int k = (*seen)++;
    wire.answer(1 * ms, three_responses[static_cast<size_t>(k)]);
    then(wire, k);
  };
}

TEST(ReplayLinks, ATargetThatClosesEarlyGetsTheRestOnOtherConnections) {
  Simulation run(one_by_one([](ScriptedWire& wire, int) { wire.end(2 * ms); }));
  run.play(three_requests());
  EXPECT_EQ(run.verdicts().same, 3U);
  EXPECT_EQ(run.tally().connections, 1U);
  EXPECT_EQ(run.tally().reconnects, 2U);
  ASSERT_EQ(run.wires(1).size(), 3U);
  EXPECT_EQ(run.wires(1)[1]->arrivals[0].at_ns, 100 * ms) << "made when the request is due";
  EXPECT_EQ(run.wires(1)[2]->received, request(2));
}

TEST(ReplayLinks, AResetBetweenTwoRequestsCostsNone) {
  Simulation run(one_by_one([](ScriptedWire& wire, int) { wire.reset_by_target(3 * ms); }));
  run.play(three_requests());
  EXPECT_EQ(run.verdicts().same, 3U);
  EXPECT_EQ(run.tally().reconnects, 2U);
}

TEST(ReplayLinks, ConnectionCloseIsObeyedBeforeTheTargetCloses) {
  const std::string closing = "HTTP/1.1 200 X\r\nConnection: close\r\nContent-Length: 6\r\n\r\n";
  auto seen = std::make_shared<int>(0);
  Simulation run([=](ScriptedWire& wire) {
    if (wire.fin_at < 0) wire.answer(1 * ms, closing + "body " + std::to_string((*seen)++));
  });
  run.play(three_requests());
  EXPECT_EQ(run.verdicts().same, 3U);
  EXPECT_EQ(run.tally().reconnects, 2U);
  EXPECT_EQ(run.wires(1)[0]->received, request(0)) << "the target never closed by itself";
}

TEST(ReplayLinks, WhatWasSentAndNotAnsweredIsAnErrorAndNotSentAgain) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).client(1 * ms, 1, request(1));  // pipelined
  tape.server(5 * ms, 1, response("a") + response("b"));
  tape.client(100 * ms, 1, request(2)).server(101 * ms, 1, response("c")).closed(110 * ms, 1);
  Simulation run([](ScriptedWire& wire) {
    if (wire.received == request(0) + request(1)) {
      wire.answer(1 * ms, response("a"));
      wire.end(2 * ms);
    } else if (wire.received == request(2)) {
      wire.answer(1 * ms, response("c"));
    }
  });
  run.play(tape);
  EXPECT_EQ(run.verdicts().same, 2U);
  EXPECT_EQ(run.verdicts().error_reasons.at("closed_by_target"), 1U);
  EXPECT_EQ(run.tally().requests_sent, 3U);
  ASSERT_EQ(run.wires(1).size(), 2U);
  EXPECT_EQ(run.wires(1)[1]->received, request(2));
}

TEST(ReplayLinks, ATargetThatComesBackGetsWhatIsDueThen) {
  Simulation run(one_by_one([](ScriptedWire& wire, int) { wire.end(2 * ms); }));
  run.after(150 * ms, [&] { run.refuse_connections = true; });   // 50 ms after t0
  run.after(250 * ms, [&] { run.refuse_connections = false; });  // 150 ms
  auto tape = three_requests();
  run.play(tape);
  EXPECT_EQ(run.tally().not_sent.at("connect_failed"), 1U) << "the one due at 100 ms";
  EXPECT_EQ(run.tally().requests_sent, 2U);
  EXPECT_EQ(run.verdicts().error_reasons.at("connect_failed"), 1U);
  ASSERT_EQ(run.wires(1).size(), 3U);
  EXPECT_EQ(run.wires(1)[2]->received, request(2));
}

TEST(ReplayLinks, WhatCameDueWhileConnectingFailedFailsWithIt) {
  Simulation run(one_by_one([](ScriptedWire& wire, int) { wire.end(2 * ms); }));
  run.after(150 * ms, [&] {
    run.refuse_connections = true;
    run.connect_ns = 5'000 * ms;
  });
  run.play(three_requests());
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.tally().not_sent.at("connect_failed"), 2U);
  EXPECT_EQ(run.tally().reconnects, 1U) << "one attempt, not one for each request";
}

TEST(ReplayLinks, OpaqueBytesAreNotTakenUpOnAnotherConnection) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "*one").server(5 * ms, 1, "+first\r\n");
  tape.client(10 * ms, 1, "*two").server(15 * ms, 1, "+second\r\n").closed(20 * ms, 1);
  Simulation run([](ScriptedWire& wire) {
    wire.answer(1 * ms, "+first\r\n");
    wire.end(2 * ms);
  });
  run.play(tape);
  EXPECT_EQ(run.tally().reconnects, 0U);
  EXPECT_EQ(run.tally().not_sent.at("closed_by_target"), 1U);
  EXPECT_EQ(run.verdicts().errors, 1U);
}

// ------------------------------------------------------------------------------ 100 (Continue)

const std::string expecting =
    "PUT /u HTTP/1.1\r\nHost: app\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n";
const std::string go_on = "HTTP/1.1 100 Continue\r\n\r\n";

TapeByHand held_back_upload() {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, expecting).server(5 * ms, 1, go_on);
  tape.client(6 * ms, 1, "abc").client(26 * ms, 1, "def").server(30 * ms, 1, response("ok"));
  tape.client(50 * ms, 1, request(1)).server(51 * ms, 1, response("next")).closed(60 * ms, 1);
  return tape;
}

TEST(ReplayContinue, ABodyWaitsForThe100AndKeepsItsGaps) {
  Simulation run([](ScriptedWire& wire) {
    if (wire.received == expecting) wire.answer(300 * ms, go_on);
    if (wire.received == expecting + "abcdef") wire.answer(1 * ms, response("ok"));
    if (wire.arrivals.back().text == request(1)) wire.answer(1 * ms, response("next"));
  });
  run.play(held_back_upload());
  const auto& arrivals = run.wire(1).arrivals;
  ASSERT_EQ(arrivals.size(), 4U);
  EXPECT_EQ(arrivals[1].at_ns, 300 * ms);
  EXPECT_EQ(arrivals[2].at_ns, 320 * ms) << "20 ms after the first, as recorded";
  EXPECT_EQ(run.verdicts().same, 2U);
  EXPECT_EQ(run.tally().lateness_by_cause[size_t(Cause::us)].max(), 0);
}

TEST(ReplayContinue, ATargetWithout100GetsTheBodyAfterASecond) {
  Simulation run([](ScriptedWire& wire) {
    if (wire.received == expecting + "abcdef") wire.answer(1 * ms, response("ok"));
    if (wire.arrivals.back().text == request(1)) wire.answer(1 * ms, response("next"));
  });
  run.play(held_back_upload());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 1'000 * ms);
  EXPECT_EQ(run.verdicts().same, 2U);
}

TEST(ReplayContinue, AFinalStatusInsteadLeavesTheBodyUnsentAndReplacesTheConnection) {
  Simulation run([](ScriptedWire& wire) {
    if (wire.received == expecting) wire.answer(10 * ms, response("too large", 413));
    if (wire.received == request(1)) wire.answer(1 * ms, response("next"));
  });
  run.play(held_back_upload());
  EXPECT_EQ(run.wire(1).received, expecting);
  ASSERT_EQ(run.wires(1).size(), 2U);
  EXPECT_EQ(run.wires(1)[1]->received, request(1));
  EXPECT_EQ(run.tally().requests_sent, 2U);
  EXPECT_EQ(run.verdicts().different, 1U);
  EXPECT_EQ(run.verdicts().same, 1U);
  EXPECT_EQ(run.verdicts().errors, 0U);
}

TEST(ReplayContinue, AnEarlyAnswerWithoutExpectDoesNotStopTheBody) {
  const std::string head = "PUT /u HTTP/1.1\r\nHost: app\r\nContent-Length: 6\r\n\r\n";
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, head).client(20 * ms, 1, "abc").client(40 * ms, 1, "def");
  tape.server(50 * ms, 1, response("ok")).closed(60 * ms, 1);
  Simulation run([&](ScriptedWire& wire) {
    if (wire.received == head) wire.answer(1 * ms, response("ok"));
  });
  run.play(tape);
  EXPECT_EQ(run.wire(1).received, head + "abcdef");
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 40 * ms);
  EXPECT_EQ(run.verdicts().same, 1U);
}

// ------------------------------------------------------------------------------ think

TEST(ReplayThink, ThinkTimeIsKeptAfterEachAnswer) {
  Simulation run(http_target(three_responses, 150 * ms), Speed::times(1), 30'000 * ms, Pace::think);
  run.play(three_requests());  // answered after 10 ms each, so 90 ms of thinking
  const auto& arrivals = run.wire(1).arrivals;
  EXPECT_EQ(arrivals[1].at_ns, 240 * ms);
  EXPECT_EQ(arrivals[2].at_ns, 480 * ms);
  EXPECT_EQ(run.wire(1).fin_at, 720 * ms) << "90 ms after the last answer";
  EXPECT_EQ(run.tally().lateness_ns.max(), 0);
  EXPECT_EQ(run.tally().latency_due_ns.max(), 150 * ms);
}

TEST(ReplayThink, AFasterTargetMakesAFasterRun) {
  Simulation run(http_target(three_responses, 1 * ms), Speed::times(2), 30'000 * ms, Pace::think);
  run.play(three_requests());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 46 * ms);
}

TEST(ReplayThink, ThinkTimeIsKeptAfterEachTurn) {
  Simulation run(turn_target({"+first\r\n", "+second\r\n", "+third\r\n"}, 50 * ms), Speed::times(1),
                 30'000 * ms, Pace::think);
  run.play(three_turns());
  EXPECT_EQ(run.wire(1).arrivals[1].at_ns, 55 * ms);
  EXPECT_EQ(run.wire(1).arrivals[2].at_ns, 110 * ms);
}

TEST(ReplayErrors, RelayedTlsIsNotSentEvenWhenItsHelloCameInPieces) {
  const std::string hello("\x16\x03\x01\x00\x40\x01\x00\x00\x3c\x03", 10);
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, hello).client(1 * ms, 1, std::string(10, 'h'));
  tape.server(2 * ms, 1, "\x16\x03\x03").closed(3 * ms, 1);
  tape.open(4 * ms, 2).client(4 * ms, 2, hello).closed(5 * ms, 2);
  Simulation run([](ScriptedWire&) {});
  run.play(tape);
  EXPECT_EQ(run.tally().not_sent.at("tls"), 2U);
  EXPECT_EQ(run.verdicts().errors, 0U);
  EXPECT_EQ(run.wire(1).received, "");
  EXPECT_EQ(run.wire(2).received, "");
}

TEST(Connection, ABrokenConnectionIsLetGoAtOnce) {
  TapeByHand tape;
  tape.open(0, 1).client(1 * ms, 1, request(0)).closed(60'000 * ms, 1);
  Simulation run([](ScriptedWire& wire) { wire.reset_by_target(5 * ms); });
  run.play(tape);
  EXPECT_EQ(run.wire(1).let_go_at, 6 * ms);
}

TEST(ReplayErrors, AnAnswerThatTricklesForEverEndsBehindTheRecordedClose) {
  const std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1 * ms, 1, response("short"));
  tape.client(10 * ms, 1, request(1)).server(11 * ms, 1, response("next"));
  tape.closed(500 * ms, 1);
  for (const Speed& speed : {Speed::times(1), Speed::max()}) {
    Simulation run(
        [head](ScriptedWire& wire) {
          wire.answer(1 * ms, head);
          for (int i = 0; i < 1'000; ++i) wire.answer((i + 1) * 100 * ms, "3\r\nabc\r\n");
        },
        speed, 1'000 * ms);
    run.play(tape);
    EXPECT_TRUE(run.all_finished());
    EXPECT_EQ(run.verdicts().error_reasons.at("timeout"), 2U);
    EXPECT_LE(run.wires(1).back()->closed_at, 21'000 * ms);
  }
}

TEST(ReplayErrors, ATricklingTargetDoesNotHoldUpTheStop) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(60'000 * ms, 1, response("long"));
  tape.closed(60'001 * ms, 1);
  Simulation run(
      [](ScriptedWire& wire) {
        wire.answer(1 * ms, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 1'000; ++i) wire.answer((i + 1) * 100 * ms, "3\r\nabc\r\n");
      },
      Speed::times(1), 1'000 * ms);
  run.after(200 * ms, [&] { run.stop_sending(); });  // 100 ms after t0
  run.play(tape);
  EXPECT_EQ(run.wire(1).closed_at, 1'100 * ms);
}

TEST(ReplayErrors, AResetAmidAResponseWaitsForTheBytesOfThatResponse) {
  const std::string part = "HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n" + std::string(40, 'p');
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1 * ms, 1, response(std::string(5'000, 'a')));
  tape.client(2 * ms, 1, request(1)).server(3 * ms, 1, part);
  tape.closed(4 * ms, 1, CloseHow::rst, ClosedBy::client);
  for (const bool whole : {false, true}) {
    Simulation run([&](ScriptedWire& wire) {
      if (wire.received == request(0)) {
        return wire.answer(1 * ms, response(std::string(5'000, 'a')));
      }
      wire.answer(10 * ms, part);
      if (whole) wire.answer(10 * ms, std::string(60, 'p'));
    });
    run.play(tape);
    EXPECT_EQ(run.wire(1).reset_at, 12 * ms);
    EXPECT_EQ(run.tally().gates_by_quiet, 0U);
  }
}

}  // namespace
}  // namespace wiretape
