// Addresses: what is accepted, what is refused, and how they are written.
#include "base/address.h"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include <random>

namespace wiretape {
namespace {

struct Accepted {
  const char* text;
  const char* scheme;
  const char* host;
  uint16_t port;
  const char* written;
};

class AcceptedEndpoints : public testing::TestWithParam<Accepted> {};
INSTANTIATE_TEST_SUITE_P(All, AcceptedEndpoints,
                         testing::Values(Accepted{"app:3000", "", "app", 3000, "app:3000"},
                                         Accepted{":8080", "", "127.0.0.1", 8080, "127.0.0.1:8080"},
                                         Accepted{"[::1]:80", "", "::1", 80, "[::1]:80"},
                                         Accepted{"http://example.org", "http", "example.org", 80,
                                                  "example.org:80"},
                                         Accepted{"https://example.org/", "https", "example.org",
                                                  443, "example.org:443"},
                                         Accepted{"HTTP://[::1]", "http", "::1", 80, "[::1]:80"},
                                         Accepted{"tcp://db:5432", "tcp", "db", 5432, "db:5432"},
                                         Accepted{"tls://db:1", "tls", "db", 1, "db:1"},
                                         Accepted{"x:65535", "", "x", 65535, "x:65535"}));

TEST_P(AcceptedEndpoints, AreReadAndWritten) {
  const auto parsed = parse_endpoint(GetParam().text, PortZero::refused);
  ASSERT_TRUE(parsed.ok()) << parsed.error().message;
  EXPECT_EQ(parsed->scheme, GetParam().scheme);
  EXPECT_EQ(parsed->host, GetParam().host);
  EXPECT_EQ(parsed->port, GetParam().port);
  EXPECT_EQ(parsed->text(), GetParam().written);
  EXPECT_FALSE(parsed->is_unix());
}

TEST(Endpoints, UnixPathsAreUpTo107BytesLong) {
  const std::string longest(107, 'p');
  const auto parsed = parse_endpoint("unix:" + longest, PortZero::refused);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->unix_path, longest);
  EXPECT_EQ(parsed->text(), "unix:" + longest);
  EXPECT_EQ(Address::from_unix_path(longest).unix_path(), longest);
  EXPECT_FALSE(parse_endpoint("unix:" + longest + "p", PortZero::refused).ok());
}

TEST(Endpoints, PortZeroIsForListening) {
  EXPECT_EQ(parse_endpoint(":0", PortZero::allowed)->port, 0);
  EXPECT_FALSE(parse_endpoint(":0", PortZero::refused).ok());
}

TEST(Endpoints, EverythingElseIsRefusedByItsName) {
  for (const char* text :
       {"",           "app",     "app:",   ":",        "app:x",       "app:65536",
        "app:-1",     "app:+1",  "app: 1", "app:1 ",   "::1",         "::1:80",
        "[::1",       "[::1]80", "[]:80",  "unix:",    "ftp://app:1", "http://app:1/path",
        "user@app:1", "a/b:1",   "a b:1",  "[[::1]:1", "tcp://app",   "99999999999999999999:1:1"}) {
    const auto parsed = parse_endpoint(text, PortZero::allowed);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().source, ErrorSource::usage);
    EXPECT_NE(parsed.error().message.find("'" + std::string(text) + "'"), std::string::npos);
  }
}

TEST(Endpoints, WhatIsWrittenIsReadAgain) {
  std::mt19937 random(1);
  constexpr std::string_view letters = "a1:.[]/@uhtps-";
  int accepted = 0;
  for (int i = 0; i < 200'000; ++i) {
    std::string text;
    for (uint32_t n = random() % 12; n > 0; --n) text += letters[random() % letters.size()];
    text += i % 2 == 0 ? ":80" : "";
    const auto parsed = parse_endpoint(text, PortZero::allowed);
    if (!parsed.ok()) continue;
    ++accepted;
    const auto again = parse_endpoint(parsed->text(), PortZero::allowed);
    ASSERT_TRUE(again.ok()) << text << " is written " << parsed->text();
    EXPECT_EQ(again->text(), parsed->text());
    EXPECT_EQ(again->host, parsed->host);
  }
  EXPECT_GT(accepted, 10'000);
}

TEST(Addresses, AreWrittenInOneWay) {
  EXPECT_EQ(Address().text(), "");
  EXPECT_EQ(Address::from_ip("127.0.0.1", 80).text(), "127.0.0.1:80");
  EXPECT_EQ(Address::from_ip("::1", 80).text(), "[::1]:80");
  EXPECT_EQ(Address::from_ip("::ffff:10.1.2.3", 80).text(), "10.1.2.3:80");
  EXPECT_EQ(Address::from_unix_path("/run/app.sock").text(), "unix:/run/app.sock");
  EXPECT_FALSE(Address::from_ip("localhost", 80).known());
  EXPECT_FALSE(Address::from_ip("1.2.3", 80).known());
}

TEST(Addresses, OfUnnamedUnixSocketsAreKnown) {
  sockaddr_un raw{};
  raw.sun_family = AF_UNIX;
  const Address address(reinterpret_cast<const sockaddr*>(&raw), sizeof(sa_family_t));
  EXPECT_TRUE(address.known());
  EXPECT_EQ(address.text(), "unix:");
}

TEST(Addresses, KnowWhereTheyLead) {
  const auto ip = [](const char* text) { return Address::from_ip(text, 1); };
  for (const char* text : {"127.0.0.1", "127.255.1.2", "::1", "::ffff:127.0.0.1"}) {
    EXPECT_TRUE(ip(text).is_loopback()) << text;
  }
  for (const char* text : {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.1.1",
                           "fc00::1", "fdff::1", "fe80::1", "::ffff:10.0.0.1"}) {
    EXPECT_TRUE(ip(text).is_private()) << text;
    EXPECT_FALSE(ip(text).is_loopback()) << text;
  }
  for (const char* text : {"8.8.8.8", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1",
                           "128.0.0.1", "2001:db8::1", "::", "0.0.0.0", "fe00::1"}) {
    EXPECT_FALSE(ip(text).is_private()) << text;
    EXPECT_FALSE(ip(text).is_loopback()) << text;
  }
  EXPECT_TRUE(Address::from_unix_path("/x").is_loopback());
}

TEST(Addresses, TakeAPortLater) {
  for (const char* text : {"127.0.0.1", "::1"}) {
    Address address = Address::from_ip(text, 1);
    address.set_port(65535);
    EXPECT_EQ(address.port(), 65535);
    EXPECT_TRUE(address == Address::from_ip(text, 65535));
  }
}

}  // namespace
}  // namespace wiretape
