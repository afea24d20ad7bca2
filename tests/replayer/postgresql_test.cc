// Only a PostgreSQL server's cancel key is masked, and only where it can be one.
#include "replayer/postgresql.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace wiretape {
namespace {

std::string number(uint32_t value) {
  std::string text;
  for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift);
  return text;
}

std::string message(char type, const std::string& payload) {
  return type + number(static_cast<uint32_t>(payload.size() + 4)) + payload;
}

std::string startup() {
  const std::string parameters("user\0app\0\0", 10);
  return number(static_cast<uint32_t>(8 + parameters.size())) + number(3 << 16) + parameters;
}
const std::string ssl_request = number(8) + number(80877103);
const std::string gssenc_request = number(8) + number(80877104);

std::string greeting(const std::string& key) {
  return message('R', number(0)) +
         message('S', std::string("server_version\0"
                                  "15\0",
                                  18)) +
         message('K', key) + message('Z', "I");
}

// What the mask makes of the server's bytes, given in pieces of `piece` bytes.
std::string masked(const std::string& client, std::string server, size_t piece = 1000) {
  PostgresqlMask mask;
  for (size_t i = 0; i < client.size(); i += piece) {
    mask.client(as_bytes(std::string_view(client).substr(i, piece)));
  }
  for (size_t i = 0; i < server.size(); i += piece) {
    const size_t n = std::min(piece, server.size() - i);
    mask.server(std::as_writable_bytes(std::span(server).subspan(i, n)));
  }
  return server;
}

const std::string key = "\x01\x02\x03\x04\x05\x06\x07\x08";
const std::string zeros(8, '\0');

TEST(PostgresqlMask, TheCancelKeyBecomesZeros) {
  EXPECT_EQ(masked(startup(), greeting(key)), greeting(zeros));
}

TEST(PostgresqlMask, HoweverTheBytesAreSplit) {
  for (const size_t piece : {1, 2, 3, 5, 7}) {
    EXPECT_EQ(masked(startup(), greeting(key), piece), greeting(zeros));
  }
}

TEST(PostgresqlMask, AfterRefusedRequestsForEncryption) {
  EXPECT_EQ(masked(gssenc_request + ssl_request + startup(), "NN" + greeting(key)),
            "NN" + greeting(zeros));
}

TEST(PostgresqlMask, WhereEncryptionWasAcceptedNothingIsTouched) {
  EXPECT_EQ(masked(ssl_request + startup(), "S" + greeting(key)), "S" + greeting(key));
}

TEST(PostgresqlMask, AfterTheFirstReadyForQueryNothingIsTouched) {
  const std::string server = greeting(zeros) + message('K', key);
  EXPECT_EQ(masked(startup(), server), server);
}

TEST(PostgresqlMask, OtherProtocolsAreNotTouched) {
  const std::string server = message('K', key);
  EXPECT_EQ(masked("*1\r\n$4\r\nPING\r\n", server), server);
  EXPECT_EQ(masked("", server), server);
}

TEST(PostgresqlMask, HostileLengthsDoNoHarm) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 300; ++i) {
    std::string server(64, '\0');
    for (char& c : server) c = static_cast<char>(random());
    const std::string out = masked(startup(), server, 1 + random() % 9);
    EXPECT_EQ(out.size(), server.size());
  }
  PostgresqlMask mask;
  mask.client(as_bytes(startup()));
  std::string bad = "R" + number(3);
  mask.server(std::as_writable_bytes(std::span(bad)));
  EXPECT_FALSE(mask.watching());
}

}  // namespace
}  // namespace wiretape
