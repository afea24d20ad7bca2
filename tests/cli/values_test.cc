// The command line's value syntax, and "did you mean".
#include "cli/values.h"

#include <gtest/gtest.h>

#include <vector>

namespace wiretape {
namespace {

TEST(Durations, AreReadInEveryUnit) {
  EXPECT_EQ(*parse_duration("5s"), 5'000'000'000);
  EXPECT_EQ(*parse_duration("200ms"), 200'000'000);
  EXPECT_EQ(*parse_duration("10us"), 10'000);
  EXPECT_EQ(*parse_duration("7ns"), 7);
  EXPECT_EQ(*parse_duration("1m"), 60'000'000'000);
  EXPECT_EQ(*parse_duration("2h"), 7'200'000'000'000);
  EXPECT_EQ(*parse_duration("1.5s"), 1'500'000'000);
}

TEST(Durations, NumberAloneIsSeconds) {
  EXPECT_EQ(*parse_duration("3"), 3'000'000'000);
  EXPECT_EQ(*parse_duration("0"), 0);
}

TEST(Durations, EverythingElseIsRefusedWithAWayOut) {
  for (const char* text :
       {"", "s", "5x", "-1s", "5 s", " 5s", "5s ", "0x10", "1e3", "nan", "inf", "99999999999h"}) {
    EXPECT_FALSE(parse_duration(text).ok()) << text;
  }
  EXPECT_EQ(parse_duration("5x").error().message, "\"5x\" is not a duration (try 5s, 200ms or 1m)");
}

TEST(Integers, AreBoundedAndWhole) {
  EXPECT_EQ(*parse_integer("-1", -7, 19), -1);
  EXPECT_EQ(*parse_integer("19", -7, 19), 19);
  for (const char* text : {"", "20", "-8", "1.5", "1x", "99999999999999999999"}) {
    EXPECT_FALSE(parse_integer(text, -7, 19).ok()) << text;
  }
  EXPECT_EQ(parse_integer("x", 1, 9).error().message, "\"x\" is not a whole number from 1 to 9");
}

TEST(Numbers, AreDecimalAndBounded) {
  EXPECT_DOUBLE_EQ(*parse_number("2.5", 0.1, 100), 2.5);
  for (const char* text : {"", "0", "101", "2.5x", "x"}) {
    EXPECT_FALSE(parse_number(text, 0.1, 100).ok()) << text;
  }
}

TEST(ClosestMatch, FindsASlipOfTheFingers) {
  const std::vector<std::string> flags = {"--listen", "--upstream", "--output", "--drain"};
  EXPECT_EQ(closest_match("--lisen", flags), "--listen");
  EXPECT_EQ(closest_match("--upstraem", flags), "--upstream");
  EXPECT_EQ(closest_match("--ouput", flags), "--output");
  EXPECT_EQ(closest_match("-drain", flags), "--drain");
}

TEST(ClosestMatch, TakesABeginningForTheWhole) {
  const std::vector<std::string> flags = {"--connection", "--connections-max"};
  EXPECT_EQ(closest_match("--conn", flags), "--connection");
}

TEST(ClosestMatch, DoesNotGuessAtAnotherWord) {
  const std::vector<std::string> commands = {"record", "replay", "show", "stat", "verify"};
  EXPECT_EQ(closest_match("banana", commands), "");
  EXPECT_EQ(closest_match("", commands), "");
  EXPECT_EQ(closest_match("shwo", commands), "show");
  EXPECT_EQ(closest_match("verfiy", commands), "verify");
}

}  // namespace
}  // namespace wiretape
