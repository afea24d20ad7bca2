// The first value that differs is named; what is ignored is not looked at; nothing hurts.
#include "replayer/json_compare.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

std::vector<JsonPath> paths(const std::vector<std::string>& texts) {
  std::vector<JsonPath> result;
  for (const std::string& text : texts) {
    const auto path = JsonPath::parse(text);
    EXPECT_TRUE(path.ok()) << text;
    result.push_back(*path);
  }
  return result;
}

// "same", "no json", or "path: recorded -> replayed".
std::string compared(std::string_view recorded, std::string_view replayed,
                     const std::vector<std::string>& ignored = {}) {
  const auto found = compare_json(recorded, replayed, paths(ignored));
  if (!found) return "no json";
  if (found->same) return "same";
  return found->path + ": " + found->recorded + " -> " + found->replayed;
}

TEST(JsonCompare, TheFirstDifferentValueIsNamed) {
  EXPECT_EQ(compared(R"({"user":{"id":17}})", R"({"user":{"id":18}})"), "$.user.id: 17 -> 18");
  EXPECT_EQ(compared("[1,[2,3]]", "[1,[2,\"x\"]]"), "$[1][1]: 3 -> \"x\"");
  EXPECT_EQ(compared("1", "null"), "$: 1 -> null");
  EXPECT_EQ(compared(R"({"a":{}})", R"({"a":[]})"), "$.a: {} -> []");
  EXPECT_EQ(compared(R"({"a b":1,"":2})", R"({"a b":2,"":2})"), "$[\"a b\"]: 1 -> 2");
}

TEST(JsonCompare, WhatOnlyOneSideHasIsADifference) {
  EXPECT_EQ(compared(R"({"a":1})", R"({"a":1,"b":2})"), "$.b: (absent) -> 2");
  EXPECT_EQ(compared(R"({"a":1,"b":2})", R"({"b":2})"), "$.a: 1 -> (absent)");
  EXPECT_EQ(compared("[1,2]", "[1]"), "$[1]: 2 -> (absent)");
}

TEST(JsonCompare, OrderOfMembersSpaceAndEscapesDoNotCount) {
  EXPECT_EQ(compared(R"({"a":1,"b":"A"})", "{ \"b\" : \"\\u0041\" ,\n \"a\" : 1.0 }"), "same");
}

TEST(JsonCompare, IgnoredValuesAreLeftOut) {
  const char* was = R"({"id":1,"items":[{"at":1,"n":1},{"at":2,"n":2}],"meta":{"x":1,"y":2}})";
  const char* is = R"({"id":2,"items":[{"at":3,"n":1},{"at":4,"n":2}],"meta":{"x":5,"z":2}})";
  EXPECT_EQ(compared(was, is, {"$.id", "$.items[*].at", "$.meta.*"}), "same");
  EXPECT_EQ(compared(was, is, {"$"}), "same");
  EXPECT_EQ(compared(was, is, {"$.*"}), "same");
  EXPECT_EQ(compared(was, is, {"$.id", "$.items[0].at", "$.meta"}), "$.items[1].at: 2 -> 4");
  EXPECT_EQ(compared(was, is, {"$.id", "$.items", "$.meta.x"}), "$.meta.y: 2 -> (absent)");
  EXPECT_EQ(compared(was, is, {"$.items[*]", "$[\"meta\"]"}), "$.id: 1 -> 2");
  EXPECT_EQ(compared("[1,2,3]", "[1]", {"$[1]", "$[2]"}), "same");
}

TEST(JsonCompare, OnlyJsonIsCompared) {
  EXPECT_EQ(compared("{", "{}"), "no json");
  EXPECT_EQ(compared("{}", ""), "no json");
  EXPECT_EQ(compared("\"\xff\"", "\"\""), "no json");
}

TEST(JsonCompare, DepthAndLengthAreBounded) {
  const auto nested = [](size_t depth, const std::string& inner) {
    return std::string(depth, '[') + inner + std::string(depth, ']');
  };
  EXPECT_EQ(compared(nested(1'000'000, ""), "1"), "no json");
  EXPECT_EQ(compared(std::string(1'000'000, '['), "1"), "no json");
  EXPECT_EQ(compared(nested(json_depth_max + 1, "1"), "1"), "no json");
  EXPECT_NE(compared(nested(json_depth_max, "1"), nested(json_depth_max, "2")).find("]: 1 -> 2"),
            std::string::npos);
  EXPECT_EQ(compared("\"" + nested(1000, "") + "\"", "\"\\\"[\""),
            "$: \"" + std::string(31, '[') + "..." + std::string(31, ']') + "\" -> \"\\\"[\"");
  EXPECT_EQ(compared(std::string(json_bytes_max, ' ') + "1", "1"), "no json");
}

TEST(JsonPath, WhatIsNoPathIsRefusedWithExamples) {
  for (const char* text : {"", "user", "$user", "$.", "$..a", "$.a.", "$[", "$[]", "$[x]", "$[-1]",
                           "$[1", "$[\"a]", "$[\"a\"", "$[99999999999999999999]", "$]", "$.a]"}) {
    const auto path = JsonPath::parse(text);
    ASSERT_FALSE(path.ok()) << text;
    EXPECT_NE(path.error().message.find("$.user.id"), std::string::npos);
  }
  EXPECT_EQ(JsonPath::parse("$.a[0].*[*][\"x.y\"]")->steps().size(), 5U);
}

}  // namespace
}  // namespace wiretape
