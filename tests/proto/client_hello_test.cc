// The ClientHello's scan, on hellos built here by the RFC's own structure.
#include "proto/client_hello.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/proto/exchange_watch.h"

namespace wiretape {
namespace {

using State = ClientHello::State;

std::string number(size_t value, int bytes) {
  std::string out;
  for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(value >> (8 * i));
  return out;
}

std::string vector(const std::string& content, int length_bytes) {
  return number(content.size(), length_bytes) + content;
}

std::string extension(unsigned type, const std::string& content) {
  return number(type, 2) + vector(content, 2);
}

const std::string example_name =
    extension(0, vector(std::string(1, '\0') + vector("www.example.com", 2), 2));
const std::string example_alpn = extension(16, vector(vector("h2", 1) + vector("http/1.1", 1), 2));

std::string handshake(const std::string& extensions) {
  const std::string body = "\x03\x03" + std::string(32, 'r') + vector(std::string(32, 's'), 1) +
                           vector("\x13\x01\x13\x02", 2) + vector(std::string(1, '\0'), 1) +
                           vector(extension(10, "xx") + extensions, 2);
  return "\x01" + vector(body, 3);
}

std::string records(const std::string& message, size_t fragment) {
  std::string out;
  for (size_t at = 0; at < message.size(); at += fragment) {
    out += "\x16\x03\x01" + vector(message.substr(at, fragment), 2);
  }
  return out;
}

ClientHello scan(std::string_view text) {
  return scan_client_hello(as_bytes(text));
}

TEST(ClientHello, NamesTheServer) {
  const ClientHello hello = scan(records(handshake(example_alpn + example_name), 16384));
  EXPECT_EQ(hello.state, State::found);
  EXPECT_EQ(hello.server_name, "www.example.com");
}

TEST(ClientHello, IsIncompleteUntilItsLastByte) {
  const std::string message = handshake(example_name + example_alpn);
  for (size_t fragment : {message.size(), size_t{50}, size_t{3}, size_t{1}}) {
    const std::string all = records(message, fragment);
    for (size_t n = 0; n < all.size(); ++n) {
      EXPECT_EQ(scan(all.substr(0, n)).state, State::incomplete) << n;
    }
    EXPECT_EQ(scan(all + "what comes then").server_name, "www.example.com");
  }
}

TEST(ClientHello, WithoutNameIsStillTls) {
  const ClientHello hello = scan(records(handshake(""), 16384));
  EXPECT_EQ(hello.state, State::found);
  EXPECT_EQ(hello.server_name, "");
}

TEST(ClientHello, WithNonsenseInItsExtensionsIsStillTls) {
  for (const std::string& bad :
       {extension(0, "\xff\xff"), extension(16, "\x01"), number(0, 2) + number(60000, 2),
        extension(0, vector(std::string(1, '\0') + number(999, 2) + "short", 2))}) {
    const ClientHello hello = scan(records(handshake(bad), 16384));
    EXPECT_EQ(hello.state, State::found);
    EXPECT_EQ(hello.server_name, "");
  }
}

TEST(ClientHello, OtherProtocolsAreNotTls) {
  const std::string_view others[] = {"GET / HTTP/1.1\r\n",
                                     "\x16\x02",
                                     "\x17\x03\x03",
                                     "\x15\x03\x01\x00\x02",
                                     "SSH-2.0-OpenSSH",
                                     {"\x16\x03\x01\x00\x00", 5},
                                     {"\x16\x03\x01\x00\x05\x02", 6},
                                     {"\x16\x03\x01\xff\xff\x01", 6}};
  for (const std::string_view other : others) EXPECT_EQ(scan(other).state, State::not_tls);
}

TEST(ClientHello, ThatIsTooLongIsFoundWithoutLookingIntoIt) {
  const std::string start = "\x01" + number(client_hello_bytes_max + 1, 3) + "abc";
  EXPECT_EQ(scan(records(start, 16384)).state, State::found);
  EXPECT_EQ(scan(records(start, 16384) + "no record").state, State::found);
  const std::string endless = records(
      "\x01" + number(client_hello_bytes_max, 3) + std::string(client_hello_bytes_max, 'x'), 1);
  EXPECT_EQ(scan(endless).state, State::found);
}

class TlsConnection : public testing::TestWithParam<size_t> {};

TEST_P(TlsConnection, IsOpaqueAndNamesItsServer) {
  const std::string hello = records(handshake(example_name), 100);
  ExchangeWatch watch;
  ExchangeTracker tracker(1, watch);
  for (size_t at = 0; at < hello.size(); at += GetParam()) {
    tracker.chunk(Direction::client_to_server, 1, as_bytes(hello.substr(at, GetParam())));
  }
  tracker.chunk(Direction::server_to_client, 2, as_bytes("\x16\x03\x03"));
  tracker.closed(3);
  EXPECT_EQ(tracker.protocol(), Protocol::tls);
  EXPECT_TRUE(watch.exchanges.empty());
  ASSERT_EQ(watch.found.size(), 2u);
  for (const ProtocolFound& f : watch.found) {
    EXPECT_EQ(f.protocol, Protocol::tls);
    EXPECT_EQ(f.offset, 0u);
    EXPECT_EQ(f.server_name, "www.example.com");
    EXPECT_EQ(f.reason, "tls client hello");
  }
}

INSTANTIATE_TEST_SUITE_P(Pieces, TlsConnection, testing::Values(1, 2, 5, 6, 99, 100000));

TEST(ExchangeTracker, AClientHelloCutShortIsToldWhenTheConnectionEnds) {
  const std::string hello = records(handshake(example_name), 16384);
  for (size_t n : {1, 5, 6, 40}) {
    ExchangeWatch watch;
    ExchangeTracker tracker(1, watch);
    tracker.chunk(Direction::client_to_server, 1, as_bytes(hello.substr(0, n)));
    EXPECT_EQ(tracker.protocol(), Protocol::unknown);
    tracker.closed(3);
    EXPECT_EQ(tracker.protocol(), n < 6 ? Protocol::opaque : Protocol::tls);
    EXPECT_EQ(watch.unclaimed(Direction::client_to_server, hello.substr(0, n)), "");
    EXPECT_EQ(watch.found.size(), 2u);
  }
}

}  // namespace
}  // namespace wiretape
