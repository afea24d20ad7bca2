// JSON that any reader takes, whatever bytes went in.
#include "proto/json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <random>

namespace wiretape {
namespace {

using nlohmann::json;

TEST(JsonString, EscapesWhatMustBe) {
  EXPECT_EQ(json_string("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(json_string("\r\n\t"), R"("\r\n\t")");
  EXPECT_EQ(json_string(std::string_view("\0\x1f\x7f", 3)), R"("\u0000\u001f\u007f")");
}

TEST(JsonString, KeepsWellFormedCharacters) {
  const std::string text = "é €  𝄞";
  EXPECT_EQ(json_string(text), '"' + text + '"');
}

TEST(JsonString, ReplacesWhatIsNotUtf8) {
  EXPECT_EQ(json_string("a\xff"), "\"a\xEF\xBF\xBD\"");
  EXPECT_EQ(json_string("\xe9t\xe9"), "\"\xEF\xBF\xBDt\xEF\xBF\xBD\"");  // Latin-1
  EXPECT_EQ(json_string("\xc0\xaf"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");    // overlong
  EXPECT_EQ(json_string("\xed\xa0\x80").size(), 2 + 3 * 3u);             // a surrogate
  EXPECT_EQ(json_string("\xf4\x90\x80\x80").size(), 2 + 4 * 3u);         // above U+10FFFF
  EXPECT_EQ(json_string("\xe2\x82"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");    // cut short
}

TEST(JsonString, AnotherParserTakesRandomBytes) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 24, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    EXPECT_TRUE(json::accept(json_string(bytes))) << json_string(bytes);
  }
}

TEST(JsonString, AnotherParserReadsTheSameText) {
  std::string text;
  for (int c = 0; c < 128; ++c) text += static_cast<char>(c);
  text += "ß€𝄞";
  EXPECT_EQ(json::parse(json_string(text)).get<std::string>(), text);
}

TEST(JsonWriter, NestsObjectsAndLists) {
  JsonWriter writer;
  writer.begin_object().field("a", 1).field("b", "x").field("c", true);
  writer.key("list").begin_list().value(int64_t{-2}).begin_object().end_object().null().end_list();
  writer.end_object();
  EXPECT_TRUE(writer.complete());
  EXPECT_EQ(writer.take(), R"({"a":1,"b":"x","c":true,"list":[-2,{},null]})");
  EXPECT_EQ(writer.take(), "");
}

TEST(JsonWriter, IndentsWhatPeopleRead) {
  JsonWriter writer(JsonWriter::Layout::indented);
  writer.begin_object().field("a", 1).key("b").begin_list().end_list().end_object();
  EXPECT_EQ(writer.take(), "{\n  \"a\": 1,\n  \"b\": []\n}");
}

TEST(JsonWriter, HoldsTheLargestNumbers) {
  JsonWriter writer;
  writer.begin_list().value(UINT64_MAX).value(INT64_MIN).end_list();
  EXPECT_EQ(writer.take(), "[18446744073709551615,-9223372036854775808]");
}

}  // namespace
}  // namespace wiretape
