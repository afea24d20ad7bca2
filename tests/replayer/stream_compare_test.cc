// Two growing streams: the first difference is found however they are split and whoever is ahead.
#include "replayer/stream_compare.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace wiretape {
namespace {

using Side = StreamCompare::Side;

std::string random_text(std::mt19937_64& random, size_t length) {
  std::string text(length, '\0');
  for (char& c : text) c = static_cast<char>('a' + random() % 26);
  return text;
}

// Feeds both texts in random pieces, in random turns; gives bytes up now and then when asked.
void feed_both(StreamCompare& streams, std::string_view recorded, std::string_view replayed,
               std::mt19937_64& random, bool give_up) {
  std::string_view left[2] = {recorded, replayed};
  while (!left[0].empty() || !left[1].empty()) {
    const size_t side = left[0].empty() ? 1 : left[1].empty() ? 0 : random() % 2;
    const size_t n = std::min<size_t>(left[side].size(), 1 + random() % 100'000);
    streams.feed(static_cast<Side>(side), as_bytes(left[side].substr(0, n)));
    left[side].remove_prefix(n);
    if (give_up && random() % 3 == 0) streams.give_up_bytes();
  }
}

TEST(StreamCompare, NothingEqualsNothing) {
  EXPECT_TRUE(StreamCompare().equal());
}

TEST(StreamCompare, EqualStreamsAreEqualHoweverSplit) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    const std::string text = random_text(random, random() % 400'000);
    StreamCompare streams;
    feed_both(streams, text, text, random, seed % 2 == 1);
    EXPECT_TRUE(streams.equal()) << "seed " << seed;
    EXPECT_EQ(streams.held_bytes(), 0U) << "seed " << seed;
  }
}

TEST(StreamCompare, TheFirstDifferentByteIsNamed) {
  for (uint64_t seed = 0; seed < 60; ++seed) {
    std::mt19937_64 random(seed);
    const std::string recorded = random_text(random, 1 + random() % 300'000);
    std::string replayed = recorded;
    const size_t at = random() % replayed.size();
    replayed[at] = '!';
    StreamCompare streams;
    feed_both(streams, recorded, replayed, random, false);
    EXPECT_FALSE(streams.equal());
    EXPECT_EQ(streams.first_difference(), at) << "seed " << seed;
    EXPECT_TRUE(streams.difference_is_exact());
    EXPECT_EQ(streams.length(Side::replayed), replayed.size());
  }
}

TEST(StreamCompare, WithoutBytesTheStretchOfTheDifferenceIsNamed) {
  std::mt19937_64 random(3);
  const std::string recorded = random_text(random, 300'000);
  std::string replayed = recorded;
  replayed[200'000] = '!';
  StreamCompare streams;
  streams.feed(Side::recorded, as_bytes(recorded));
  streams.give_up_bytes();
  EXPECT_EQ(streams.held_bytes(), 0U);
  streams.feed(Side::replayed, as_bytes(replayed));
  ASSERT_TRUE(streams.first_difference().has_value());
  EXPECT_LE(*streams.first_difference(), 200'000U);
  EXPECT_GT(*streams.first_difference() + 65'536, 200'000U);
  EXPECT_FALSE(streams.difference_is_exact());
}

TEST(StreamCompare, ADifferenceIsShownWithWhatIsAroundIt) {
  StreamCompare streams;
  streams.feed(Side::recorded, as_bytes("0123456789abcdef the price is 17 today, and no more"));
  streams.feed(Side::replayed, as_bytes("0123456789abcdef the pri"));
  streams.feed(Side::replayed, as_bytes("ce is 18"));
  streams.feed(Side::replayed, as_bytes(" to"));
  streams.feed(Side::replayed, as_bytes("day, and much more of it"));
  EXPECT_EQ(streams.first_difference(), 31U);
  EXPECT_EQ(streams.around_difference(Side::recorded), "\"ice is 17 today, and no \"");
  EXPECT_EQ(streams.around_difference(Side::replayed), "\"ice is 18 today, and muc\"");
}

TEST(StreamCompare, TheEndOfTheShorterStreamIsShown) {
  StreamCompare streams;
  streams.feed(Side::replayed, as_bytes("the same\nand more"));
  streams.feed(Side::recorded, as_bytes("the same"));
  EXPECT_EQ(streams.differs_from(), 8U);
  EXPECT_EQ(streams.around_difference(Side::recorded), "\"the same\"");
  EXPECT_EQ(streams.around_difference(Side::replayed), "\"the same\\nand more\"");
}

TEST(StreamCompare, WithoutBytesNothingIsShown) {
  StreamCompare streams;
  streams.feed(Side::recorded, as_bytes("the same and more"));
  streams.give_up_bytes();
  streams.feed(Side::replayed, as_bytes("the same"));
  EXPECT_FALSE(streams.equal());
  EXPECT_EQ(streams.differs_from(), 0U);
  EXPECT_FALSE(streams.difference_is_exact());
  EXPECT_EQ(streams.around_difference(Side::recorded), "");
}

TEST(StreamCompare, CanBeUsedAgain) {
  StreamCompare streams;
  streams.feed(Side::recorded, as_bytes("abc"));
  streams.feed(Side::replayed, as_bytes("abX and more"));
  streams.reset();
  EXPECT_TRUE(streams.equal());
  streams.feed(Side::recorded, as_bytes("xyz1"));
  streams.feed(Side::replayed, as_bytes("xyz2"));
  EXPECT_EQ(streams.first_difference(), 3U);
  EXPECT_EQ(streams.around_difference(Side::recorded), "\"xyz1\"");
}

TEST(StreamCompare, ALongerStreamIsNotEqual) {
  StreamCompare streams;
  streams.feed(Side::recorded, as_bytes("abc"));
  streams.feed(Side::replayed, as_bytes("abcd"));
  EXPECT_FALSE(streams.equal());
  EXPECT_FALSE(streams.first_difference().has_value());
}

TEST(StreamCompare, AfterADifferenceNothingIsHeld) {
  StreamCompare streams;
  streams.feed(Side::recorded, as_bytes("abc"));
  streams.feed(Side::replayed, as_bytes("abX"));
  streams.feed(Side::replayed, as_bytes(std::string(1'000'000, 'y')));
  EXPECT_EQ(streams.held_bytes(), 0U);
  EXPECT_EQ(streams.length(Side::replayed), 1'000'003U);
}

}  // namespace
}  // namespace wiretape
