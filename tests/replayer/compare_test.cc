// Answers as they are recorded and replayed, by the tape and the target of a simulated run, and
// what comes out as different.
#include "replayer/compare.h"

#include <gtest/gtest.h>

#include "simulation.h"

namespace wiretape {
namespace {

std::string answer(const std::string& fields, const std::string& body, int status = 200) {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + fields + "\r\n" + body;
}

void add_exchange(TapeByHand& tape, const std::string& question, const std::string& recorded,
                  ConnectionId id = 1) {
  tape.open(0, id).client(0, id, question).server(ms, id, recorded).closed(2 * ms, id);
}

// One exchange, recorded and replayed. The target's answer comes in pieces.
Verdicts compare(const std::string& recorded, const std::string& replayed,
                 CompareOptions options = {}, const std::string& question = request(0)) {
  Simulation run(
      [&](ScriptedWire& wire) {
        if (wire.answers++ > 0) return;
        for (size_t i = 0; i < replayed.size(); i += 7) wire.answer(0, replayed.substr(i, 7));
        wire.end(ms);
      },
      Speed::times(1), 30'000 * ms, Pace::recorded, std::move(options));
  TapeByHand tape;
  add_exchange(tape, question, recorded);
  run.play(tape);
  EXPECT_TRUE(run.all_finished());
  EXPECT_EQ(run.compare().pending(), 0U);
  EXPECT_EQ(run.compare().pending_bytes(), 0U);
  return run.verdicts();
}

Difference difference_of(const Verdicts& verdicts) {
  EXPECT_EQ(verdicts.different, 1U);
  EXPECT_EQ(verdicts.same + verdicts.errors, 0U);
  return verdicts.differences.empty() ? Difference{} : verdicts.differences[0];
}

CompareOptions ignoring(const std::string& path) {
  CompareOptions options;
  options.ignored_json.push_back(*JsonPath::parse(path));
  return options;
}

const std::string json = "Content-Type: application/json; charset=utf-8\r\n";

TEST(Compare, TheFirstOfStatusHeaderAndBodyIsTold) {
  const std::string was = answer("ETag: a\r\n", "one");
  EXPECT_EQ(compare(was, was).same, 1U);
  EXPECT_EQ(difference_of(compare(was, answer("ETag: b\r\n", "two", 500))).what, "status");
  const Difference header = difference_of(compare(was, answer("ETag: b\r\n", "two")));
  EXPECT_EQ(header.what, "header");
  EXPECT_EQ(header.header, "etag");
  EXPECT_EQ(header.recorded + header.replayed, "ab");
  EXPECT_EQ(difference_of(compare(was, answer("ETag: a\r\n", "two"))).what, "body");
}

TEST(Compare, ABodyIsToldByItsFirstDifferentByte) {
  const Difference d = difference_of(compare(answer("", "the price is 17 now"),  //
                                             answer("", "the price is 18 now")));
  EXPECT_EQ(d.what, "body");
  EXPECT_EQ(d.offset, 14U);
  EXPECT_EQ(d.recorded, "\"ice is 17 now\"");
  EXPECT_EQ(d.replayed, "\"ice is 18 now\"");
  EXPECT_FALSE(d.recorded_bytes.has_value());
}

TEST(Compare, ALongerBodyIsToldWithBothLengths) {
  const Difference d = difference_of(compare(answer("", "abc"), answer("", "abcd")));
  EXPECT_EQ(d.what, "body");
  EXPECT_EQ(d.offset, 3U);
  EXPECT_EQ(d.recorded_bytes, 3U);
  EXPECT_EQ(d.replayed_bytes, 4U);
}

TEST(Compare, FramingDoesNotCount) {
  const std::string chunked =
      "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
  EXPECT_EQ(compare(answer("", "abc"), chunked).same, 1U);
  EXPECT_EQ(compare(chunked, "HTTP/1.1 200 X\r\n\r\nabc").same, 1U);
}

TEST(Compare, LengthsOfAnswersToHeadAreCompared) {
  const std::string head = "HEAD / HTTP/1.1\r\nHost: app\r\n\r\n";
  const std::string five = "HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n";
  const std::string six = "HTTP/1.1 200 X\r\nContent-Length: 6\r\n\r\n";
  EXPECT_EQ(compare(five, five, {}, head).same, 1U);
  EXPECT_EQ(difference_of(compare(five, six, {}, head)).header, "content-length");
}

TEST(Compare, InterimResponsesAreNotCompared) {
  const std::string final_one = answer("A: 1\r\n", "x");
  EXPECT_EQ(compare(final_one, "HTTP/1.1 103 Early\r\nLink: y\r\n\r\n" + final_one).same, 1U);
}

TEST(Compare, JsonIsToldByItsPath) {
  const Difference d = difference_of(compare(answer(json, R"({"user":{"id":17}})"),  //
                                             answer(json, R"({"user":{"id":118}})")));
  EXPECT_EQ(d.what, "body");
  EXPECT_EQ(d.path, "$.user.id");
  EXPECT_EQ(d.recorded + " " + d.replayed, "17 118");
  EXPECT_FALSE(d.offset.has_value());
}

TEST(Compare, IgnoredJsonIsLeftOutAndTheRestIsComparedAsValues) {
  const std::string was = answer(json, R"({"at":1,"n":1})");
  EXPECT_EQ(compare(was, answer(json, R"({"n": 1, "at": 22})"), ignoring("$.at")).same, 1U);
  EXPECT_EQ(difference_of(compare(was, answer(json, R"({"at":22,"n":2})"), ignoring("$.at"))).path,
            "$.n");
}

TEST(Compare, EqualJsonInOtherBytesIsADifferenceUnlessAsked) {
  const Difference d = difference_of(compare(answer(json, "[1,2]"), answer(json, "[1, 2]")));
  EXPECT_EQ(d.offset, 3U);
  EXPECT_EQ(d.path, "");
}

TEST(Compare, OnlyJsonByTypeAndCodingIsTakenForIt) {
  const auto path = [](const std::string& fields) {
    return difference_of(compare(answer(fields, "[1]"), answer(fields, "[2]"))).path;
  };
  EXPECT_EQ(path("Content-Type: application/problem+JSON\r\n"), "$[0]");
  EXPECT_EQ(path(json + "Content-Encoding: identity\r\n"), "$[0]");
  EXPECT_EQ(path(json + "Content-Encoding: gzip\r\n"), "");
  EXPECT_EQ(path("Content-Type: text/plain\r\n"), "");
  EXPECT_EQ(path(""), "");
}

TEST(Compare, LongJsonIsComparedByBytes) {
  const std::string inside(json_bytes_max, 'x');
  const Difference d = difference_of(compare(answer(json, "\"" + inside + "1\""),  //
                                             answer(json, "\"" + inside + "2\"")));
  EXPECT_EQ(d.offset, json_bytes_max + 1);
}

TEST(Compare, ManyAnswersAheadAreBoundedAndStillCompared) {
  Compare compare{CompareOptions{}};
  HttpHead head;
  head.status = 200;
  Exchange exchange;
  exchange.has_request = exchange.has_response = exchange.response.complete = true;
  exchange.status = 200;
  const std::string body(1'000'000, 'x');
  const std::string other = body + "y";
  constexpr uint64_t count = 200;
  compare.recorded_opened(1, 0);
  for (uint64_t i = 0; i < count; ++i) {
    compare.recorded_head(1, i, head);
    compare.recorded_body(1, i, as_bytes(body));
    compare.recorded_exchange(1, i, exchange);
  }
  EXPECT_GT(compare.pending_bytes(), 32U * 1024 * 1024);
  EXPECT_LT(compare.pending_bytes(), Compare::held_bytes_max + 2 * 1024 * 1024);
  for (uint64_t i = 0; i < count; ++i) {
    compare.replayed_head(1, i, head);
    compare.replayed_body(1, i, as_bytes(i == count - 1 ? other : body));
    compare.replayed_exchange(1, i, exchange);
  }
  EXPECT_EQ(compare.verdicts().same, count - 1);
  EXPECT_EQ(compare.verdicts().different, 1U);
  EXPECT_LT(compare.pending_bytes(), 10'000U);
}

TEST(Compare, WhatComesTooLateIsNotCounted) {
  Compare compare{CompareOptions{}};
  Exchange exchange;
  exchange.has_request = exchange.has_response = exchange.response.complete = true;
  compare.recorded_exchange(1, 0, exchange);
  compare.exchange_failed(1, 0, "timeout");
  compare.replayed_body(1, 0, as_bytes("late"));
  compare.recorded_closed(1, false);
  compare.replayed_closed(1, "");
  EXPECT_EQ(compare.verdicts().errors, 1U);
  EXPECT_TRUE(compare.verdicts().not_compared.empty());
  EXPECT_EQ(compare.pending(), 0U);
}

TEST(Compare, AnAnswerThatEndsWithoutAReasonIsAnError) {
  Compare compare{CompareOptions{}};
  Exchange exchange;
  exchange.has_request = exchange.has_response = exchange.response.complete = true;
  compare.recorded_exchange(1, 0, exchange);
  compare.exchange_failed(1, 0, "");
  EXPECT_EQ(compare.verdicts().error_reasons.at("no_answer"), 1U);
  EXPECT_EQ(compare.verdicts().different, 0U);
}

TEST(Compare, WhatWaitsWhenTheRunIsCutOffIsNotCompared) {
  Compare compare{CompareOptions{}};
  Exchange exchange;
  exchange.has_request = exchange.has_response = exchange.response.complete = true;
  compare.recorded_opened(1, 0);
  compare.replayed_exchange(1, 0, exchange);
  compare.exchange_not_sent(1, 1, "stopped");
  compare.exchange_failed(1, 2, "stopped");
  compare.recorded_opened(2, 0);
  compare.recorded_client(2, as_bytes("*turn"));
  compare.recorded_opened(3, 0);
  compare.stop("stopped");
  EXPECT_EQ(compare.verdicts().not_compared.at("stopped"), 4U);
  EXPECT_EQ(compare.verdicts().errors + compare.verdicts().same, 0U);
  EXPECT_EQ(compare.pending(), 0U);
  EXPECT_EQ(compare.pending_bytes(), 0U);
}

// An answer that the recorded client left before its end.
Verdicts compare_cut(const std::string& recorded, Script target, CompareOptions options = {}) {
  Simulation run(std::move(target), Speed::times(1), 50 * ms, Pace::recorded, std::move(options));
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0));
  if (!recorded.empty()) tape.server(ms, 1, recorded);
  run.play(tape.closed(20 * ms, 1));
  EXPECT_EQ(run.compare().pending(), 0U);
  return run.verdicts();
}

Script answering(const std::string& text) {
  return [text](ScriptedWire& wire) {
    if (wire.answers++ == 0) wire.answer(ms, text);
  };
}

const std::string events = "HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n";

TEST(Compare, AnAnswerCutOnTheTapeIsComparedByItsHead) {
  const Verdicts same = compare_cut(events, answering(events + "data: 2\n\n"));
  EXPECT_EQ(same.not_compared.at("recorded_incomplete"), 1U);
  EXPECT_EQ(same.errors + same.different + same.same, 0U);
  EXPECT_EQ(difference_of(compare_cut(events, answering(answer("", "no", 500)))).what, "status");
  const Difference type = difference_of(compare_cut(events, answering(answer(json, "{}"))));
  EXPECT_EQ(type.header, "content-type");
  const std::string failing = "HTTP/1.1 503 X\r\nContent-Length: 9\r\n\r\nhalf";
  const Difference cut_too = difference_of(compare_cut(events, answering(failing)));
  EXPECT_EQ(cut_too.recorded + cut_too.replayed, "200503") << "that is incomplete, too";
}

TEST(Compare, AnAnswerCutOnTheTapeHidesNoFailure) {
  const Verdicts silent = compare_cut(events, [](ScriptedWire&) {});
  EXPECT_EQ(silent.errors, 1U);
  EXPECT_TRUE(silent.not_compared.empty());
  const Verdicts closing = compare_cut(events, [](ScriptedWire& wire) { wire.end(ms); });
  EXPECT_EQ(closing.error_reasons.at("closed_by_target"), 1U);
  ASSERT_EQ(closing.differences.size(), 1U);
  EXPECT_EQ(closing.differences[0].recorded, "status 200");
  const Verdicts unknown = compare_cut("", [](ScriptedWire&) {});
  EXPECT_EQ(unknown.not_compared.at("recorded_incomplete"), 1U) << "nor did the recorded server";
  EXPECT_EQ(unknown.errors, 0U);
}

TEST(Compare, AnAnswerCutOnTheTapeIsNotComparedWhenSwitchedOff) {
  CompareOptions options;
  options.enabled = false;
  const Verdicts other = compare_cut(events, answering(answer("", "no", 500)), options);
  EXPECT_EQ(other.not_compared.at("recorded_incomplete"), 1U);
  EXPECT_EQ(other.different, 0U);
}

TEST(Compare, NothingIsHeldWhenSwitchedOff) {
  CompareOptions options;
  options.enabled = false;
  EXPECT_FALSE(Compare(options).wants_heads());
  const Verdicts verdicts = compare(answer("", "a"), answer("", "b"), options);
  EXPECT_EQ(verdicts.different, 0U);
  EXPECT_EQ(verdicts.not_compared.at("switched_off"), 1U);
}

TEST(Compare, TheRecordedServersLatencyIsKnown) {
  Simulation http(http_target({response("a")}, ms));
  http.play(TapeByHand()
                .open(0, 1)
                .client(ms, 1, request(0))
                .server(4 * ms, 1, response("a"))
                .closed(9 * ms, 1));
  EXPECT_EQ(http.compare().latency_recorded_ns().count(), 1U);
  EXPECT_EQ(http.compare().latency_recorded_ns().max(), 3 * ms);

  Simulation turns(turn_target({"+a\r\n"}, ms));
  turns.play(TapeByHand()
                 .open(0, 1)
                 .server(0, 1, "greeting")
                 .client(ms, 1, "\x01one")
                 .client(2 * ms, 1, "more")
                 .server(4 * ms, 1, "+a")
                 .server(7 * ms, 1, "\r\n")
                 .closed(9 * ms, 1));
  EXPECT_EQ(turns.compare().latency_recorded_ns().count(), 1U);
  EXPECT_EQ(turns.compare().latency_recorded_ns().max(), 5 * ms);
}

TEST(Compare, PartsAreTold) {
  Simulation run(http_target({response("b")}, ms));
  TapeByHand tape;
  add_exchange(tape, request(0), response("b"));
  add_exchange(tape.add(0, Header{}), request(0), response("a"), 2);
  run.play(tape);
  ASSERT_EQ(run.verdicts().differences.size(), 1U);
  EXPECT_EQ(run.verdicts().differences[0].part, 1U);
}

}  // namespace
}  // namespace wiretape
