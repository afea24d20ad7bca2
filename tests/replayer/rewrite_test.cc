// Heads sent otherwise than recorded: what a rule names changes, and not one byte besides.
#include "replayer/rewrite.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "replayer/conversation.h"
#include "tests/replayer/simulation.h"

namespace wiretape {
namespace {

struct NoListener final : ConversationListener {
  void on_exchange(uint64_t, const Exchange&) override {}
};

// What comes out for each of these chunks.
std::vector<std::string> rewritten_chunks(const RewriteRules& rules,
                                          const std::vector<std::string>& chunks,
                                          RewriteTally* told = nullptr) {
  RewriteTally tally;
  NoListener listener;
  Conversation conversation(1, listener);
  Rewriter rewriter(rules, tally);
  std::vector<std::string> out;
  for (const std::string& chunk : chunks) {
    conversation.chunk(Direction::client_to_server, 0, as_bytes(chunk));
    const auto sent =
        rewriter.next(as_bytes(chunk), {conversation.begun(), conversation.heads_ended()});
    out.emplace_back(as_text(sent));
  }
  const auto held = rewriter.flush();
  if (!held.empty()) out.emplace_back(as_text(held));
  if (told != nullptr) *told = tally;
  return out;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string all;
  for (const std::string& piece : pieces) all += piece;
  return all;
}

std::string rewritten(const RewriteRules& rules, const std::string& text,
                      RewriteTally* told = nullptr) {
  return joined(rewritten_chunks(rules, {text}, told));
}

const RewriteRules host{{"Host", "new:1"}};

TEST(Rewrite, AFieldIsReplacedWhereItStands) {
  EXPECT_EQ(rewritten(host, "GET / HTTP/1.1\r\nA:  b \r\nhOST: old\r\nC:d\r\n\r\n"),
            "GET / HTTP/1.1\r\nA:  b \r\nHost: new:1\r\nC:d\r\n\r\n");
}

TEST(Rewrite, AFieldThatIsNotThereIsAddedAtTheEnd) {
  EXPECT_EQ(rewritten({{"X", "1"}, {"Y", ""}}, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nY:\r\n\r\n");
  EXPECT_EQ(rewritten(host, "GET / HTTP/1.0\r\n\r\n"), "GET / HTTP/1.0\r\nHost: new:1\r\n\r\n");
}

TEST(Rewrite, FurtherFieldsOfTheNameAreDropped) {
  EXPECT_EQ(rewritten({{"X", "1"}}, "GET / HTTP/1.1\r\nX: a\r\nHost: a\r\nx: b\r\n\r\n"),
            "GET / HTTP/1.1\r\nX: 1\r\nHost: a\r\n\r\n");
}

TEST(Rewrite, EveryFieldOfARemovedNameGoes) {
  EXPECT_EQ(rewritten({{"X", {}}}, "GET / HTTP/1.1\r\nX: a\r\nXX: a\r\nx: b\r\n\r\n"),
            "GET / HTTP/1.1\r\nXX: a\r\n\r\n");
}

TEST(Rewrite, FoldedLinesGoWithTheirField) {
  const std::string head = "GET / HTTP/1.1\r\nX: a\r\n b\r\n\tc\r\nY: d\r\n e\r\n\r\n";
  EXPECT_EQ(rewritten({{"X", {}}}, head), "GET / HTTP/1.1\r\nY: d\r\n e\r\n\r\n");
  EXPECT_EQ(rewritten({{"Y", "1"}}, head), "GET / HTTP/1.1\r\nX: a\r\n b\r\n\tc\r\nY: 1\r\n\r\n");
}

TEST(Rewrite, TheTargetInAbsoluteFormStays) {
  EXPECT_EQ(rewritten(host, "GET http://old/x HTTP/1.1\r\nHost: old\r\n\r\n"),
            "GET http://old/x HTTP/1.1\r\nHost: new:1\r\n\r\n");
}

TEST(Rewrite, BodiesAndTrailersStay) {
  const std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\n";
  const std::string body = "GET / HTTP/1.1\r\nHost: a\r\nX: 12345\r\n\r\n";
  const std::string chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string trailers = "1\r\nx\r\n0\r\nHost: a\r\nX: 1\r\n\r\n";
  EXPECT_EQ(body.size(), 37U);
  EXPECT_EQ(rewritten({{"Host", {}}, {"X", "1"}}, head + body + chunked + trailers),
            "POST / HTTP/1.1\r\nContent-Length: 37\r\nX: 1\r\n\r\n" + body +
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n" + trailers);
}

TEST(Rewrite, EachOfPipelinedRequestsIsRewritten) {
  const std::string one = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", two = "\r\nGET /2 HTTP/1.1\r\n\r\n";
  RewriteTally tally;
  EXPECT_EQ(rewritten(host, one + two + one, &tally),
            "GET /1 HTTP/1.1\r\nHost: new:1\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: new:1\r\n\r\n"
            "GET /1 HTTP/1.1\r\nHost: new:1\r\n\r\n");
  EXPECT_EQ(tally.requests, 3U);
}

TEST(Rewrite, WhatIsNotHttpStays) {
  const std::string redis = "*1\r\n$4\r\nPING\r\nHost: a\r\n\r\n";
  EXPECT_EQ(rewritten(host, redis), redis);
}

TEST(Rewrite, OnlyAnIncompleteLineIsHeldBack) {
  const auto out = rewritten_chunks(host, {"GET / HT", "TP/1.1\r\nA: b\r\nHo", "st", ": a\r", "\n",
                                           "\r", "\nGET / HTTP/1.1\r\nA: b\r\n\r\n"});
  EXPECT_EQ(out,
            (std::vector<std::string>{"GET / HT", "TP/1.1\r\nA: b\r\n", "", "", "Host: new:1\r\n",
                                      "", "\r\nGET / HTTP/1.1\r\nA: b\r\nHost: new:1\r\n\r\n"}));
}

TEST(Rewrite, AHeadThatEndsEarlyIsSentAsFarAsItWent) {
  EXPECT_EQ(joined(rewritten_chunks(host, {"GET / HTTP/1.1\r\nA: b\r\nHos"})),
            "GET / HTTP/1.1\r\nA: b\r\nHos");
}

TEST(Rewrite, AHeadKeepsAnEndWhoseLineIsTaken) {
  const std::string odd = "GET / HTTP/1.1\r\nB:\r@\r\n", next = "GET / HTTP/1.1\r\n\r\n";
  NoListener listener;
  Conversation conversation(1, listener);
  conversation.chunk(Direction::client_to_server, 0, as_bytes(odd));
  const bool is_whole = conversation.heads_ended().size() == 1;  // a stricter parser refuses it
  EXPECT_EQ(rewritten({{"B", {}}}, odd + next), is_whole ? next + next : odd + next);
  EXPECT_EQ(rewritten({{"C", {}}}, odd + next), odd + next);
}

TEST(Rewrite, WhatChangedIsCounted) {
  const RewriteRules rules{{"Host", "a"}, {"X", "1"}, {"Y", {}}};
  RewriteTally tally;
  rewritten(rules, "GET / HTTP/1.1\r\nHost: a\r\nX: 0\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
            &tally);
  EXPECT_EQ(tally.requests, 2U);
  EXPECT_EQ(tally.by_rule, (std::vector<uint64_t>{1, 2, 0}));
  ASSERT_TRUE(tally.example);
  EXPECT_EQ(tally.example->before, "X: 0");
  EXPECT_EQ(tally.example->after, "X: 1");
}

// --- Against another implementation, which has the whole head at hand ---

std::string lowered(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), ::tolower);
  return text;
}

struct Line {
  std::string name, text;  // text: with its end and its folded lines
};

std::string plainly_rewritten(const RewriteRules& rules, const std::string& first,
                              std::vector<Line> lines, const std::string& end) {
  for (const RewriteRule& rule : rules) {
    bool replaced = false;
    for (Line& line : lines) {
      if (lowered(line.name) != lowered(rule.name)) continue;
      const bool keeps = rule.value && !std::exchange(replaced, true);
      line.text = keeps ? rule.name + ": " + *rule.value + "\r\n" : "";
    }
    if (rule.value && !replaced) lines.push_back({"", rule.name + ": " + *rule.value + "\r\n"});
  }
  std::string text = first;
  for (const Line& line : lines) text += line.text;
  return text + end;
}

class RandomHeads {
 public:
  explicit RandomHeads(uint32_t seed) : random_(seed) {}

  size_t below(size_t n) { return random_() % n; }

  // A request, as recorded and as it should be sent.
  std::pair<std::string, std::string> request(const RewriteRules& rules) {
    const std::string first = "POST /" + std::string(below(30), 'p') + " HTTP/1.1" + any_eol();
    std::vector<Line> lines;
    for (size_t i = below(6); i > 0; --i) lines.push_back(line());
    const std::string body = std::string(below(3), '\n') + "Host: x\r\n\r\nGET / HTTP/1.1\r\n";
    lines.insert(lines.begin() + static_cast<ptrdiff_t>(below(lines.size() + 1)),
                 {"Content-Length", "Content-Length: " + std::to_string(body.size()) + "\r\n"});
    const std::string end = any_eol();
    std::string whole = first;
    for (const Line& l : lines) whole += l.text;
    return {whole + end + body, plainly_rewritten(rules, first, lines, end) + body};
  }

  std::vector<std::string> split(std::string text) {
    std::vector<std::string> pieces;
    const size_t most = 1 + below(40);
    while (!text.empty()) {
      const size_t size = std::min(text.size(), 1 + below(most));
      pieces.push_back(text.substr(0, size));
      text.erase(0, size);
    }
    return pieces;
  }

 private:
  // Behind the request line and the fields; a parser may not take it.
  std::string any_eol() { return takes_bare_lf_ && below(2) == 0 ? "\n" : "\r\n"; }

  Line line() {
    static const std::string names[] = {"Host", "hOsT", "X-A", "x-a", "X-B", "X", "Cookie", "X-AB"};
    const std::string name = names[below(std::size(names))];
    std::string text = name + ":" + std::string(below(3), ' ') + "v" + std::to_string(below(100));
    for (size_t folds = below(5) == 0 ? 1 + below(2) : 0; folds > 0; --folds) {
      text += std::string("\r\n") + (below(2) ? " " : "\t") + "folded";
    }
    return {name, text + "\r\n"};
  }

  std::mt19937 random_;
  const bool takes_bare_lf_ =
      rewritten({{"X", "1"}}, "GET / HTTP/1.1\n\n") == "GET / HTTP/1.1\nX: 1\r\n\n";
};

TEST(RewriteProperty, AnySplitIsRewrittenAsTheWholeIs) {
  const RewriteRules rules{{"Host", "target"}, {"X-A", "set"}, {"X-B", {}}, {"Cookie", {}}};
  for (uint32_t seed = 0; seed < 500; ++seed) {
    SCOPED_TRACE(seed);
    RandomHeads random(seed);
    std::string recorded, expected;
    for (size_t i = 1 + random.below(6); i > 0; --i) {
      const auto [as_recorded, as_sent] = random.request(rules);
      recorded += as_recorded;
      expected += as_sent;
    }
    const auto pieces = random.split(recorded);
    ASSERT_EQ(joined(rewritten_chunks(rules, pieces)), expected);
    ASSERT_EQ(joined(rewritten_chunks({}, pieces)), recorded) << "no rules";
    ASSERT_EQ(joined(rewritten_chunks({{"Q", {}}}, pieces)), recorded)
        << "a rule that fits nothing";
  }
}

// --- In the schedule ---

std::vector<std::string> sends(const TapeByHand& tape, const RewriteRules& rules) {
  Compare compare{CompareOptions{}};
  Schedule schedule(compare, rules);
  for (const auto& item : tape.items()) schedule.feed(item);
  schedule.finish();
  std::vector<std::string> texts;
  for (const Action& action : schedule.actions()) {
    if (action.kind == Action::Kind::send) texts.emplace_back(as_text(action.bytes));
  }
  return texts;
}

using Texts = std::vector<std::string>;

TEST(RewriteSchedule, AChunkThatIsAllHeldBackIsNoSend) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "GET / HTTP/1.1\r\n").client(1, 1, "Ho").client(2, 1, "st: a\r\n");
  tape.client(3, 1, "\r\n");
  EXPECT_EQ(sends(tape, host), (Texts{"GET / HTTP/1.1\r\n", "Host: new:1\r\n", "\r\n"}));
}

TEST(RewriteSchedule, WhatIsHeldBackGoesBeforeTheEnd) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "GET / HTTP/1.1\r\nHo").fin(1, 1, Direction::client_to_server);
  EXPECT_EQ(sends(tape, host), (Texts{"GET / HTTP/1.1\r\n", "Ho"}));
}

TEST(RewriteSchedule, WhatTurnsOutToBeNoRequestStays) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "GET").client(1, 1, "IR 1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(sends(tape, host), (Texts{"GET", "IR 1\r\nHost: a\r\n\r\n"}));
}

TEST(RewriteSchedule, WhatIsHeldBackGoesBeforeAGap) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, "GET / HTTP/1.1\r\nHo").gap(1, 1, Direction::client_to_server, 9);
  tape.client(2, 1, "Host: b\r\n\r\n");
  EXPECT_EQ(sends(tape, host), (Texts{"GET / HTTP/1.1\r\n", "Ho", ""}));
}

TEST(RewriteSchedule, AnUpgradedStreamStays) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1,
                         "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  tape.server(1, 1, "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  tape.client(2, 1, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(sends(tape, host).back(), "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(RewriteSchedule, WhatCameEarlyBeforeAnUpgradeIsWholeInTheEnd) {
  const std::string upgrade =
      "GET / HTTP/1.1\r\nHost: new:1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n";
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, upgrade + "PUT /x HTTP/1.1\r\nHo");
  tape.server(1, 1, "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  tape.client(2, 1, "st: a\r\n\r\n");
  EXPECT_EQ(sends(tape, host), (Texts{upgrade + "PUT /x HTTP/1.1\r\n", "Ho", "st: a\r\n\r\n"}));
}

TEST(RewriteSchedule, WithoutAnExpectationABodyWaitsForNoContinue) {
  TapeByHand tape;
  tape.open(0, 1).client(
      0, 1, "PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  tape.server(1, 1, "HTTP/1.1 100 Continue\r\n\r\n").client(2, 1, "body");
  for (const bool removes : {false, true}) {
    Compare compare{CompareOptions{}};
    Schedule schedule(compare, {{removes ? "Expect" : "Host", {}}});
    for (const auto& item : tape.items()) schedule.feed(item);
    EXPECT_EQ(schedule.actions().back().after_continue, !removes);
  }
}

TEST(RewriteSchedule, GatesFollowWhatWasRecorded) {
  TapeByHand tape;
  tape.open(0, 1).client(0, 1, request(0)).server(1, 1, response("a")).client(2, 1, request(1));
  Compare compare{CompareOptions{}};
  Schedule schedule(compare, {{"X-Long", std::string(1000, 'x')}});
  for (const auto& item : tape.items()) schedule.feed(item);
  EXPECT_EQ(schedule.actions().back().gate.responses, 1U);
  EXPECT_EQ(schedule.actions().back().requests, 1U);
  EXPECT_EQ(schedule.rewritten().requests, 2U);
}

}  // namespace
}  // namespace wiretape
