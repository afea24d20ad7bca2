// What is quoted is short, and nothing that a terminal would act on.
#include "replayer/quote.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

TEST(Quote, TextIsQuotedAndEscaped) {
  EXPECT_EQ(quoted(as_bytes("")), "\"\"");
  EXPECT_EQ(quoted(as_bytes("a \"b\" \\ \r\n\t")), "\"a \\\"b\\\" \\\\ \\r\\n\\t\"");
  EXPECT_EQ(quoted(as_bytes("caf\xc3\xa9 au lait")), "\"caf\\xc3\\xa9 au lait\"");
}

TEST(Quote, WhatIsNotTextIsHex) {
  EXPECT_EQ(quoted(as_bytes(std::string("\x1f\x8b\x00z", 4))), "hex 1f 8b 00 7a");
}

TEST(OneLine, LongTextIsCutInItsMiddleAndControlsAreEscaped) {
  EXPECT_EQ(one_line("short", 5), "short");
  EXPECT_EQ(one_line("abcdefghij", 4), "ab...ij");
  EXPECT_EQ(one_line("\x1b[2J\n", 10), "\\x1b[2J\\n");
}

}  // namespace
}  // namespace wiretape
