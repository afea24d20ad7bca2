// Which header fields count, and when two heads are the same.
#include "replayer/header_compare.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

using Fields = std::vector<HttpField>;

HeaderFields kept(const Fields& fields) {
  HttpHead head;
  head.fields = fields;
  HeaderFields result;
  result.assign(head);
  return result;
}

// "same", or "name(count): recorded -> replayed".
std::string compared(const Fields& recorded, const Fields& replayed, const HeaderRules& rules = {},
                     bool bodiless = false) {
  const auto found = compare_headers(rules, kept(recorded), kept(replayed), bodiless);
  if (!found) return "same";
  return found->name + "(" + std::to_string(found->names) + "): " + found->recorded + " -> " +
         found->replayed;
}

TEST(HeaderCompare, NamesCountWithoutCaseAndValuesExactly) {
  EXPECT_EQ(compared({{"ETag", "1"}}, {{"etag", "1"}}), "same");
  EXPECT_EQ(compared({{"ETag", "a"}}, {{"etag", "A"}}), "etag(1): a -> A");
}

TEST(HeaderCompare, OrderCountsWithinANameOnly) {
  EXPECT_EQ(compared({{"A", "1"}, {"B", "2"}}, {{"B", "2"}, {"A", "1"}}), "same");
  EXPECT_EQ(compared({{"Set-Cookie", "a"}, {"Set-Cookie", "b"}},
                     {{"Set-Cookie", "b"}, {"Set-Cookie", "a"}}),
            "set-cookie(1): a, b -> b, a");
  EXPECT_EQ(compared({{"Set-Cookie", "a"}, {"X", ""}, {"set-cookie", "b"}},
                     {{"set-cookie", "a"}, {"Set-Cookie", "b"}, {"X", ""}}),
            "same");
}

TEST(HeaderCompare, OneMoreOrLessIsADifference) {
  EXPECT_EQ(compared({{"A", "1"}}, {}), "a(1): 1 -> (absent)");
  EXPECT_EQ(compared({}, {{"A", "1"}}), "a(1): (absent) -> 1");
  EXPECT_EQ(compared({{"A", "1"}}, {{"A", "1"}, {"A", "1"}}), "a(1): 1 -> 1, 1");
}

TEST(HeaderCompare, SeveralAreOneDifferenceThatNamesTheFirst) {
  EXPECT_EQ(compared({{"B", "1"}, {"A", "1"}, {"C", "1"}}, {{"B", "2"}, {"A", "2"}, {"C", "1"}}),
            "a(2): 1 -> 2");
}

TEST(HeaderCompare, WhatAlwaysVariesAndWhatIsOfTheConnectionIsLeftOut) {
  for (const char* name :
       {"Date", "Age", "Via", "Server-Timing", "X-Request-Id", "X-Correlation-ID",
        "X-Amzn-Trace-Id", "X-Cloud-Trace-Context", "traceparent", "tracestate", "X-Runtime",
        "CF-Ray", "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Trailer",
        "Upgrade"}) {
    EXPECT_EQ(compared({{name, "1"}}, {{name, "2"}}), "same") << name;
    EXPECT_EQ(compared({{name, "1"}}, {}), "same") << name;
  }
}

TEST(HeaderCompare, MatchPutsBackAndIgnoreLeavesOut) {
  HeaderRules rules;
  rules.match("DATE");
  rules.ignore("X-Debug-*");
  EXPECT_EQ(compared({{"Date", "1"}}, {{"Date", "2"}}, rules), "date(1): 1 -> 2");
  EXPECT_EQ(compared({{"x-debug-a", "1"}}, {{"X-DEBUG-B", "2"}}, rules), "same");
  EXPECT_EQ(compared({{"x-debu", "1"}}, {{"x-debu", "2"}}, rules), "x-debu(1): 1 -> 2");
  rules.ignore("*");
  EXPECT_EQ(compared({{"Date", "1"}}, {{"Date", "2"}}, rules), "same");
}

TEST(HeaderCompare, LengthsCountWhereThereIsNoBody) {
  const Fields five = {{"Content-Length", "5"}}, six = {{"content-length", "6"}};
  EXPECT_EQ(compared(five, six, {}, true), "content-length(1): 5 -> 6");
  EXPECT_EQ(compared(five, {}, {}, true), "same");
  EXPECT_EQ(compared(five, six, {}, false), "same");
}

TEST(HeaderFields, OneValueIsFoundByName) {
  const HeaderFields fields = kept({{"Content-Type", "text/plain"}, {"A", "1"}, {"a", "2"}});
  EXPECT_EQ(fields.value_of("content-type"), "text/plain");
  EXPECT_EQ(fields.value_of("a"), "");
  EXPECT_EQ(fields.value_of("b"), "");
}

}  // namespace
}  // namespace wiretape
