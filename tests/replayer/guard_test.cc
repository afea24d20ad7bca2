// Who may be sent what.
#include "replayer/guard.h"

#include <gtest/gtest.h>

namespace wiretape {
namespace {

bool is_public_ip(const std::string& ip) {
  const Address address = Address::from_ip(ip, 80);
  EXPECT_TRUE(address.known()) << ip;
  return is_public(address);
}

TEST(Guard, ThisHostAndPrivateNetworksAreNotPublic) {
  for (const char* ip :
       {"127.0.0.1", "127.255.0.1", "::1", "0.0.0.0", "::", "10.0.0.1", "10.255.255.255",
        "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.1.1", "fe80::1", "febf::1",
        "fc00::1", "fdff::1", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:0.0.0.0"}) {
    EXPECT_FALSE(is_public_ip(ip)) << ip;
  }
  EXPECT_FALSE(is_public(Address::from_unix_path("/run/app.sock")));
}

TEST(Guard, EverythingElseIsPublic) {
  for (const char* ip : {"8.8.8.8",
                         "203.0.113.7",
                         "9.255.255.255",
                         "11.0.0.0",
                         "172.15.255.255",
                         "172.32.0.0",
                         "192.167.255.255",
                         "192.169.0.0",
                         "169.253.0.1",
                         "128.0.0.1",
                         "0.0.0.1",
                         "100.64.0.1",
                         "100.127.255.255",
                         "198.18.0.1",
                         "224.0.0.1",
                         "255.255.255.255",
                         "2001:db8::1",
                         "::ffff:203.0.113.7",
                         "64:ff9b::a00:1",
                         "2002:a00:1::",
                         "fec0::1",
                         "ff02::1",
                         "::2"}) {
    EXPECT_TRUE(is_public_ip(ip)) << ip;
  }
}

class GuardTest : public testing::Test {
 protected:
  // Why a target with these addresses is refused.
  std::string refused(const std::vector<std::string>& ips, const std::string& host = "app") {
    Endpoint target;
    target.host = host;
    target.port = 80;
    std::vector<Address> addresses;
    for (const std::string& ip : ips) addresses.push_back(Address::from_ip(ip, 80));
    return why_refused(options_, target, addresses, plan_);
  }
  void with_writes() { plan_.methods["POST"] = 1; }

  GuardOptions options_;
  Plan plan_;
};

TEST_F(GuardTest, ReadingIsAllowedEverywhere) {
  plan_.methods = {{"GET", 1}, {"HEAD", 1}, {"OPTIONS", 1}};
  EXPECT_EQ(refused({"203.0.113.7"}), "");
  plan_.methods["TRACE"] = 1;
  EXPECT_NE(refused({"203.0.113.7"}), "");
}

TEST_F(GuardTest, WhatIsNotKnownToReadMayWrite) {
  plan_.turns_sent = 1;
  EXPECT_NE(refused({"203.0.113.7"}), "");
  plan_.turns_sent = 0;
  plan_.methods["unfinished"] = 1;
  EXPECT_NE(refused({"203.0.113.7"}), "");
}

TEST_F(GuardTest, WhatIsNotSentDoesNotCount) {
  plan_.not_sent["tls"] = 3;
  EXPECT_EQ(refused({"203.0.113.7"}), "");
}

TEST_F(GuardTest, OnePublicAddressIsEnough) {
  with_writes();
  EXPECT_EQ(refused({"127.0.0.1", "10.0.0.1"}), "");
  EXPECT_NE(refused({"127.0.0.1", "10.0.0.1", "203.0.113.7"}).find("203.0.113.7"),
            std::string::npos);
}

TEST_F(GuardTest, AGlobFitsTheHostAsItWasNamed) {
  with_writes();
  options_.allow_hosts = {"*.Example.com"};
  EXPECT_EQ(refused({"203.0.113.7"}, "staging.example.COM"), "");
  EXPECT_NE(refused({"203.0.113.7"}, "example.com.evil.net"), "");
  EXPECT_NE(refused({"203.0.113.7"}, "203.0.113.7"), "");
}

TEST_F(GuardTest, AGlobOfAddressesMustFitEveryPublicOne) {
  with_writes();
  options_.allow_hosts = {"203.0.113.*"};
  EXPECT_EQ(refused({"203.0.113.7", "10.0.0.1"}), "");
  EXPECT_NE(refused({"203.0.113.7", "198.51.100.1"}), "");
  options_.allow_hosts = {"203.0.113.*", "198.51.100.1"};
  EXPECT_EQ(refused({"203.0.113.7", "198.51.100.1"}), "");
}

TEST_F(GuardTest, TheRecordedUpstreamNeedsItsOwnWord) {
  with_writes();
  plan_.goes_back = true;
  options_.allow_hosts = {"*"};
  EXPECT_NE(refused({"203.0.113.7"}).find("--allow-recorded-upstream"), std::string::npos);
  EXPECT_EQ(refused({"10.0.0.1"}), "") << "private";
  options_.allow_recorded_upstream = true;
  EXPECT_EQ(refused({"203.0.113.7"}), "");
  options_.allow_hosts.clear();
  EXPECT_NE(refused({"203.0.113.7"}).find("--allow-host"), std::string::npos);
}

TEST(Guard, AGlobThatFitsNoHostIsRefused) {
  for (const char* glob : {"*", "app", "10.1.*", "*.example.com", "::1", "fd00:*", "[ab]pp"}) {
    EXPECT_TRUE(check_allow_host(glob)) << glob;
  }
  for (const char* glob : {"", "app:3000", "10.0.0.1:80", "http://app", "10.0.0.0/8"}) {
    EXPECT_FALSE(check_allow_host(glob)) << glob;
  }
}

}  // namespace
}  // namespace wiretape
