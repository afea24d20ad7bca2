// What a walk makes of records that no recorder would write in that order: holes without end, parts
// that lost their header, bytes that turn out late to be no HTTP.
#include "cli/tape_walk.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "cli/show_connection.h"

namespace wiretape {
namespace {

constexpr auto up = Direction::client_to_server;
constexpr auto down = Direction::server_to_client;

struct Connections : TapeVisitor {
  void on_connection(const ConnectionSummary& connection) override { seen.push_back(connection); }
  std::vector<ConnectionSummary> seen;
};

Opened opened(ConnectionId id) {
  Opened opened;
  opened.connection = id;
  return opened;
}

Closed closed(ConnectionId id, uint64_t length) {
  Closed closed;
  closed.connection = id;
  closed.length[0] = length;
  return closed;
}

std::string sha256_of(std::string_view text) {
  Sha256 hash;
  hash.update(as_bytes(text));
  return hash.hex();
}

TEST(TapeWalk, HolesAreHashedUpToALimitForTheWholeTape) {
  Connections connections;
  TapeWalk walk(connections, TapeWalk::Digests::sha256);
  walk.feed(TapeRecord{0, 0, closed(1, 2)});
  walk.feed(TapeRecord{0, 0, closed(2, TapeWalk::hole_bytes_max - 1)});
  walk.feed(TapeRecord{0, 0, closed(3, 3)});
  ASSERT_EQ(connections.seen.size(), 3u);
  EXPECT_EQ(connections.seen[0].streams[0].sha256, sha256_of(std::string(2, '\0')));
  EXPECT_EQ(connections.seen[1].streams[0].sha256, "");
  EXPECT_EQ(connections.seen[1].streams[0].length, TapeWalk::hole_bytes_max - 1);
  EXPECT_EQ(connections.seen[2].streams[0].sha256, sha256_of(std::string(3, '\0')));
}

TEST(TapeWalk, APartBeginsWithoutItsHeader) {
  Connections connections;
  TapeWalk walk(connections, TapeWalk::Digests::none);
  walk.feed(TapeRecord{0, 0, opened(1)});
  walk.feed(TapeRecord{1, 0, Chunk{1, up, 0, as_bytes("first")}});
  walk.feed(TapeRecord{0, 1, opened(1)});
  walk.feed(TapeRecord{1, 1, Chunk{1, up, 0, as_bytes("the second")}});
  walk.feed(TapeRecord{2, 1, closed(1, 10)});
  ASSERT_EQ(connections.seen.size(), 2u);
  EXPECT_EQ(connections.seen[0].part, 0u);
  EXPECT_EQ(connections.seen[0].streams[0].length, 5u);
  EXPECT_EQ(connections.seen[1].part, 1u);
  EXPECT_EQ(connections.seen[1].streams[0].length, 10u);
}

std::string bodies_of(const std::vector<Event>& events) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  ConnectionPrinter printer({std::nullopt, 1}, ConnectionView::bodies);
  for (const Event& event : events) printer.on_record({0, 0, event});
  std::fflush(stdout);
  testing::internal::GetCapturedStderr();
  return testing::internal::GetCapturedStdout();
}

TEST(ShowBody, BytesThatAreLateFoundNotToBeHttpArePrinted) {
  EXPECT_EQ(bodies_of({Chunk{1, up, 0, as_bytes("P")}, Chunk{1, up, 1, as_bytes("ING\r\n")},
                       Chunk{1, down, 0, as_bytes("+PONG\r\n")}, Chunk{1, up, 6, as_bytes("x")}}),
            "PING\r\n+PONG\r\nx");
}

TEST(ShowBody, AMessageThatTheEndCutsIsPrinted) {
  EXPECT_EQ(bodies_of({Chunk{1, up, 0, as_bytes("GET / HT")}, closed(1, 8)}), "GET / HT");
}

TEST(ShowBody, WhatFollowsAWholeMessageIsPrintedOnce) {
  const std::string request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  EXPECT_EQ(
      bodies_of({Chunk{1, up, 0, as_bytes(request)}, Chunk{1, up, request.size(), as_bytes("P")},
                 Chunk{1, up, request.size() + 1, as_bytes("ING\r\n")}}),
      "hiPING\r\n");
}

TEST(ShowBody, BytesLostBetweenTwoChunksAreNotJoined) {
  EXPECT_EQ(bodies_of({Chunk{1, up, 0, as_bytes("GET / HT")},
                       Chunk{1, up, 100, as_bytes("TP/1.1\r\nHost: a\r\n\r\n")}}),
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(ShowBody, AHoleOfAnyLengthIsSteppedOver) {
  EXPECT_EQ(bodies_of({Gap{1, up, UINT64_MAX - 1, UINT64_MAX - 1, GapReason::disk, 0},
                       Chunk{1, up, UINT64_MAX - 2, as_bytes("after it")}}),
            "after it");
}

}  // namespace
}  // namespace wiretape
