// Which fields may be set or removed, and what Host a target gets.
#include "replayer/rewrite_rules.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

using namespace std::string_literals;

Result<void> set(std::string_view field) {
  RewriteOptions options;
  return add_set_header(options, field);
}

Result<void> remove(std::string_view name) {
  RewriteOptions options;
  return add_remove_header(options, name);
}

TEST(RewriteRules, ANameIsAToken) {
  for (const char* field : {"X: 1", "x-!#$%&'*+.^_`|~9:1", "X:"}) EXPECT_TRUE(set(field)) << field;
  for (const char* field :
       {": 1", "X : 1", " X: 1", "X\r\nY: 1", "X(: 1", "X\x80: 1", "no colon"}) {
    EXPECT_FALSE(set(field)) << field;
  }
  EXPECT_TRUE(remove("X-1"));
  for (const char* name : {"", "X:", "X: 1", "X Y", "X\n"}) EXPECT_FALSE(remove(name)) << name;
}

TEST(RewriteRules, AValueHoldsNoControlCharacters) {
  for (const auto& field : {"X: a\tb c"s, "X: \xc3\xa9"s}) EXPECT_TRUE(set(field)) << field;
  for (const auto& field : {"X: a\r\nY: b"s, "X: a\nb"s, "X: a\rb"s, "X: a\0b"s, "X: \x7f"s}) {
    EXPECT_FALSE(set(field)) << field;
  }
}

TEST(RewriteRules, SpaceAroundAValueIsNoneOfIt) {
  RewriteOptions options;
  ASSERT_TRUE(add_set_header(options, "X: \t a b \t"));
  EXPECT_EQ(options.fields.front().line(), "X: a b");
  ASSERT_TRUE(add_set_header(options, "Y:  "));
  EXPECT_EQ(options.fields.back().line(), "Y:");
}

TEST(RewriteRules, FramingStays) {
  for (const char* name : {"Content-Length", "content-length", "TRANSFER-ENCODING"}) {
    EXPECT_FALSE(remove(name)) << name;
    const auto refused = set(name + ": 5"s);
    ASSERT_FALSE(refused) << name;
    EXPECT_NE(refused.error().message.find("where a request ends"), std::string::npos);
  }
  EXPECT_TRUE(set("Connection: close"));
  EXPECT_TRUE(remove("Upgrade"));
}

TEST(RewriteRules, HostHasAFlagOfItsOwn) {
  const auto refused = set("hOst: a");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("--host"), std::string::npos);
  EXPECT_TRUE(remove("Host"));
}

TEST(RewriteRules, OneNameHasOneRule) {
  RewriteOptions options;
  ASSERT_TRUE(add_set_header(options, "A: 1"));
  EXPECT_FALSE(add_set_header(options, "a: 2"));
  EXPECT_FALSE(add_remove_header(options, "a"));
  ASSERT_TRUE(add_remove_header(options, "B"));
  EXPECT_FALSE(add_remove_header(options, "b"));
  EXPECT_FALSE(add_set_header(options, "b: 1"));
  EXPECT_EQ(options.fields.size(), 2U);
}

TEST(RewriteRules, HostIsSetOrRemoved) {
  RewriteOptions options;
  ASSERT_TRUE(add_remove_header(options, "host"));
  EXPECT_TRUE(check_rewriting(options));
  ASSERT_TRUE(set_host(options, "a"));
  EXPECT_FALSE(check_rewriting(options));
}

TEST(RewriteRules, AHostIsNoUrl) {
  RewriteOptions options;
  for (const char* host : {"app", "app:80", "[::1]:80", "a_b", "recorded", "target"}) {
    EXPECT_TRUE(set_host(options, host)) << host;
  }
  for (const char* host : {"", "http://app", "a b", "a\r\n", "u@h", "h\xc3\xa9"}) {
    EXPECT_FALSE(set_host(options, host)) << host;
  }
}

std::string host_for(const char* target) {
  return host_of(*parse_endpoint(target, PortZero::refused));
}

TEST(RewriteRules, TheTargetsHostIsWhatAClientWouldWrite) {
  EXPECT_EQ(host_for("app:3000"), "app:3000");
  EXPECT_EQ(host_for("app:80"), "app");
  EXPECT_EQ(host_for("http://app"), "app");
  EXPECT_EQ(host_for("[::1]:80"), "[::1]");
  EXPECT_EQ(host_for("[::1]:8080"), "[::1]:8080");
  EXPECT_EQ(host_for("unix:/run/app.sock"), "localhost");
}

TEST(RewriteRules, HostComesFirst) {
  const Endpoint target = *parse_endpoint("app:3000", PortZero::refused);
  RewriteOptions options;
  ASSERT_TRUE(add_set_header(options, "A: 1"));
  EXPECT_EQ(rules_of(options, target).size(), 1U) << "Host as recorded";
  ASSERT_TRUE(set_host(options, "target"));
  EXPECT_EQ(rules_of(options, target).front().line(), "Host: app:3000");
  ASSERT_TRUE(set_host(options, "other"));
  EXPECT_EQ(rules_of(options, target).front().line(), "Host: other");
}

TEST(RewriteRules, AnExpectationCanBeRemoved) {
  RewriteOptions options;
  EXPECT_FALSE(options.removes_expect());
  ASSERT_TRUE(add_remove_header(options, "expect"));
  EXPECT_TRUE(options.removes_expect());
  RewriteOptions keeps;
  ASSERT_TRUE(add_set_header(keeps, "Expect: 100-Continue"));
  EXPECT_FALSE(keeps.removes_expect());
  RewriteOptions changes;
  ASSERT_TRUE(add_set_header(changes, "Expect: nothing"));
  EXPECT_TRUE(changes.removes_expect());
}

}  // namespace
}  // namespace wiretape
