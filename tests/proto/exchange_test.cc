// The tracker's promises, one by one, on conversations as curl, nginx and others have them; then
// all of them at once in exchange_property_test.cc.
#include "proto/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/digest.h"
#include "tests/proto/exchange_watch.h"

namespace wiretape {
namespace {

constexpr Direction client = Direction::client_to_server;
constexpr Direction server = Direction::server_to_client;

const std::string get_curl =
    "GET /v1/users?page=2 HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/7.88.1\r\n"
    "Accept: */*\r\n\r\n";
const std::string ok_nginx =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2024 10:00:00 GMT\r\n"
    "Content-Type: text/plain\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello";
const std::string no_content = "HTTP/1.1 204 No Content\r\nContent-Length: 7\r\n\r\n";

// One connection. The verbs are what the peers do; every chunk is a millisecond after the last.
class ExchangeTest : public testing::Test {
 protected:
  void client_sends(std::string_view text) { send(client, text); }
  void server_sends(std::string_view text) { send(server, text); }
  void ends() { tracker_.closed(++time_ns_); }

  void send(Direction direction, std::string_view text) {
    stream_[index_of(direction)] += text;
    tracker_.chunk(direction, ++time_ns_, as_bytes(text));
  }

  const std::vector<Exchange>& exchanges() const { return watch_.exchanges; }

  // "opaque from 12: upgrade"
  std::string fate(Direction direction) const {
    const ProtocolFound* f = watch_.found_in(direction);
    if (f == nullptr) return "http";
    return std::string(name_of(f->protocol)) + " from " + std::to_string(f->offset) + ": " +
           f->reason;
  }

  std::string unclaimed(Direction direction) const {
    return watch_.unclaimed(direction, stream_[index_of(direction)]);
  }

  ExchangeWatch watch_;
  ExchangeTracker tracker_{7, watch_};
  std::string stream_[2];
  int64_t time_ns_ = 0;
};

TEST_F(ExchangeTest, ARequestAndItsResponseAreOneExchange) {
  client_sends(get_curl);
  EXPECT_EQ(tracker_.protocol(), Protocol::http1);
  EXPECT_FALSE(tracker_.idle());
  server_sends(ok_nginx);
  ASSERT_EQ(exchanges().size(), 1u);
  const Exchange& e = exchanges()[0];
  EXPECT_EQ(e.connection, 7u);
  EXPECT_EQ(e.method, "GET");
  EXPECT_EQ(e.target, "/v1/users?page=2");
  EXPECT_EQ(e.authority, "api.example.com");
  EXPECT_EQ(e.status, 200u);
  EXPECT_EQ(e.request.end, get_curl.size());
  EXPECT_EQ(e.request.head_end, get_curl.size());
  EXPECT_EQ(e.response.head_end, ok_nginx.size() - 5);
  EXPECT_EQ(e.response.end, ok_nginx.size());
  EXPECT_EQ(e.response.body_bytes, 5u);
  EXPECT_TRUE(e.request.complete && e.response.complete);
  EXPECT_TRUE(tracker_.idle());
}

TEST_F(ExchangeTest, TimesAreThoseOfTheFirstAndTheLastByte) {
  client_sends("GE");                          // 1
  client_sends("T / HTTP/1.1\r\n\r");          // 2
  client_sends("\n");                          // 3
  server_sends("HTTP/1.1 200 OK\r\n");         // 4
  server_sends("Content-Length: 2\r\n\r\nx");  // 5
  server_sends("y");                           // 6
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(exchanges()[0].request.first_ns, 1);
  EXPECT_EQ(exchanges()[0].request.last_ns, 3);
  EXPECT_EQ(exchanges()[0].response.first_ns, 4);
  EXPECT_EQ(exchanges()[0].response.last_ns, 6);
}

TEST_F(ExchangeTest, BodyDigestIsOfTheBodyWithoutItsTransferCoding) {
  client_sends(get_curl + get_curl);
  server_sends(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
  server_sends(ok_nginx);
  ASSERT_EQ(exchanges().size(), 2u);
  Xxh3_128 hello;
  hello.update(as_bytes("hello"));
  for (const Exchange& e : exchanges()) {
    EXPECT_EQ(std::pair(e.response.body_digest[0], e.response.body_digest[1]), hello.digest());
    EXPECT_EQ(e.response.body_bytes, 5u);
  }
}

TEST_F(ExchangeTest, PipelinedRequestsArePairedInOrder) {
  client_sends("GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n");
  server_sends(
      "HTTP/1.1 201 A\r\nContent-Length: 0\r\n\r\nHTTP/1.1 202 B\r\nContent-Length: 0\r\n\r\n");
  server_sends("HTTP/1.1 203 C\r\nContent-Length: 0\r\n\r\n");
  std::string pairs;
  for (const Exchange& e : exchanges()) pairs += e.target + "=" + std::to_string(e.status) + " ";
  EXPECT_EQ(pairs, "/a=201 /b=202 /c=203 ");
}

TEST_F(ExchangeTest, ResponsesThatHaveNoBodyEndWithTheirHead) {
  client_sends("HEAD / HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n" + get_curl);
  server_sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  server_sends(no_content);
  server_sends("HTTP/1.1 304 Not Modified\r\nContent-Length: 900\r\n\r\n" + ok_nginx);
  ASSERT_EQ(exchanges().size(), 4u);
  EXPECT_EQ(exchanges()[3].response.body_bytes, 5u);
  EXPECT_EQ(fate(server), "http");
}

TEST_F(ExchangeTest, InterimResponsesBelongToTheSameExchange) {
  client_sends("PUT /f HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
  server_sends("HTTP/1.1 100 Continue\r\n\r\n");
  client_sends("data");
  server_sends("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + ok_nginx);
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(exchanges()[0].interim_responses, 2u);
  EXPECT_EQ(exchanges()[0].status, 200u);
  EXPECT_EQ(exchanges()[0].response.first_ns, 2);
  EXPECT_EQ(exchanges()[0].response.begin, stream_[1].size() - ok_nginx.size());
}

TEST_F(ExchangeTest, TrailersBelongToTheMessage) {
  client_sends(
      "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
      "3;x=y\r\nabc\r\n0\r\nHost: evil\r\nX-Sum: 1\r\n\r\n" +
      get_curl);
  server_sends(no_content);
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(exchanges()[0].authority, "h");
  EXPECT_EQ(exchanges()[0].request.end, stream_[0].size() - get_curl.size());
}

TEST_F(ExchangeTest, AResponseWithoutLengthEndsWithTheStream) {
  client_sends("GET / HTTP/1.0\r\n\r\n");
  server_sends("HTTP/1.0 200 OK\r\n\r\nsome");
  server_sends("thing");
  EXPECT_TRUE(exchanges().empty());
  tracker_.half_closed(server, 9);
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_TRUE(exchanges()[0].response.complete);
  EXPECT_EQ(exchanges()[0].response.body_bytes, 9u);
  EXPECT_EQ(exchanges()[0].response.last_ns, 3);
}

TEST_F(ExchangeTest, AStreamThatEndsTooEarlyLeavesTheResponseIncomplete) {
  client_sends(get_curl);
  server_sends(ok_nginx.substr(0, ok_nginx.size() - 1));
  tracker_.half_closed(server, 9);
  EXPECT_TRUE(exchanges().empty());
  ends();
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_FALSE(exchanges()[0].response.complete);
  EXPECT_EQ(exchanges()[0].response.body_bytes, 4u);
  EXPECT_EQ(unclaimed(server), "");
}

TEST_F(ExchangeTest, AnEarlyFinalResponseWaitsForItsRequest) {
  client_sends("POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\nhalf");
  server_sends("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
  EXPECT_TRUE(exchanges().empty());
  client_sends("full");
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(exchanges()[0].status, 413u);
  EXPECT_TRUE(exchanges()[0].request.complete);
}

TEST_F(ExchangeTest, AnEarlyFinalResponseToARequestThatNeverEndsIsKept) {
  client_sends("POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\nhalf");
  server_sends("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
  ends();
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_TRUE(exchanges()[0].response.complete);
  EXPECT_FALSE(exchanges()[0].request.complete);
  EXPECT_EQ(exchanges()[0].request.end, stream_[0].size());
}

TEST_F(ExchangeTest, AResponseNobodyAskedForIsAnExchangeWithoutRequest) {
  client_sends(get_curl);
  server_sends(ok_nginx);
  server_sends("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  ASSERT_EQ(exchanges().size(), 2u);
  EXPECT_FALSE(exchanges()[1].has_request);
  EXPECT_EQ(exchanges()[1].method, "");
  EXPECT_EQ(exchanges()[1].status, 408u);
  client_sends(get_curl);
  server_sends(ok_nginx);
  ASSERT_EQ(exchanges().size(), 3u);
  EXPECT_EQ(exchanges()[2].index, 2u);
}

TEST_F(ExchangeTest, AfterAnUpgradeBothDirectionsAreOpaqueFromTheExactByte) {
  const std::string ask =
      "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  const std::string yes =
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
  client_sends(ask);
  server_sends(yes + "\x81\x05hello");
  client_sends("GET / HTTP/1.1\r\n\r\n");  // looks like it, but is not HTTP any more
  EXPECT_EQ(fate(client), "opaque from " + std::to_string(ask.size()) + ": upgrade");
  EXPECT_EQ(fate(server), "opaque from " + std::to_string(yes.size()) + ": upgrade");
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(exchanges()[0].status, 101u);
  EXPECT_EQ(tracker_.protocol(), Protocol::http1);
}

TEST_F(ExchangeTest, WhatCameBehindAnUpgradeTooEarlyWasNeverARequest) {
  const std::string ask = "GET /chat HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
  client_sends(ask + "GET /a HTTP/1.1\r\n\r\nGET /b");
  server_sends("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  ends();
  EXPECT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(fate(client), "opaque from " + std::to_string(ask.size()) + ": upgrade");
}

TEST_F(ExchangeTest, ARefusedUpgradeGoesOnAsHttp) {
  client_sends("GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" + get_curl);
  server_sends(ok_nginx + ok_nginx);
  EXPECT_EQ(exchanges().size(), 2u);
  EXPECT_EQ(fate(client) + fate(server), "httphttp");
}

TEST_F(ExchangeTest, AnUpgradeBeforeItsRequestIsCompleteWaitsForIt) {
  client_sends(
      "POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: 4\r\n\r\nab");
  server_sends("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nzz");
  EXPECT_EQ(fate(client), "http");
  client_sends("cdNEW");
  EXPECT_EQ(fate(client), "opaque from " + std::to_string(stream_[0].size() - 3) + ": upgrade");
  EXPECT_EQ(exchanges().size(), 1u);
}

TEST_F(ExchangeTest, AConnectThatSucceedsOpensATunnel) {
  const std::string ask = "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n";
  const std::string yes = "HTTP/1.1 200 Connection established\r\nContent-Length: 12\r\n\r\n";
  client_sends(ask + "\x16\x03\x01");  // an impatient client
  server_sends(yes + "\x16\x03\x03");
  EXPECT_EQ(fate(server), "opaque from " + std::to_string(yes.size()) + ": connect");
  ASSERT_NE(watch_.found_in(client), nullptr);
  EXPECT_EQ(watch_.found_in(client)->offset, ask.size());
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(exchanges()[0].target, "h:443");
}

TEST_F(ExchangeTest, AConnectThatFailsGoesOnAsHttp) {
  client_sends("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
  server_sends("HTTP/1.1 407 Who are you\r\nContent-Length: 2\r\n\r\nno");
  client_sends(get_curl);
  server_sends(ok_nginx);
  EXPECT_EQ(exchanges().size(), 2u);
  EXPECT_EQ(fate(client) + fate(server), "httphttp");
}

TEST_F(ExchangeTest, AClientThatDoesNotSpeakHttpMakesTheConnectionOpaque) {
  client_sends("*1\r\n$4\r\nPING\r\n");
  server_sends("+PONG\r\n");
  ends();
  EXPECT_TRUE(exchanges().empty());
  EXPECT_EQ(tracker_.protocol(), Protocol::opaque);
  EXPECT_THAT(fate(client), testing::StartsWith("opaque from 0"));
  EXPECT_THAT(fate(server), testing::StartsWith("opaque from 0"));
}

TEST_F(ExchangeTest, AServerThatSpeaksFirstMakesTheConnectionOpaque) {
  server_sends("220 mail.example.com ESMTP\r\n");
  client_sends("GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(fate(client), "opaque from 0: server spoke first");
  EXPECT_EQ(fate(server), "opaque from 0: server spoke first");
  EXPECT_TRUE(exchanges().empty());
}

TEST_F(ExchangeTest, ABadRequestLaterOnIsOpaqueAndEarlierOnesAreStillAnswered) {
  client_sends(get_curl + get_curl + "\x01garbage");
  server_sends(ok_nginx);
  EXPECT_EQ(fate(server), "http");
  server_sends(ok_nginx + "HTTP/1.1 400 Bad Request\r\n\r\n");
  EXPECT_EQ(exchanges().size(), 2u);
  ASSERT_NE(watch_.found_in(client), nullptr);
  ASSERT_NE(watch_.found_in(server), nullptr);
  EXPECT_EQ(watch_.found_in(client)->offset, 2 * get_curl.size());
  EXPECT_EQ(watch_.found_in(server)->offset, 2 * ok_nginx.size());
  EXPECT_EQ(tracker_.protocol(), Protocol::http1);
}

TEST_F(ExchangeTest, ABadResponseIsOpaqueAndItsRequestIsKept) {
  client_sends(get_curl + "POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nab");
  server_sends("ICY 200 OK\r\n\r\n");
  EXPECT_EQ(exchanges().size(), 1u);
  client_sends("cdGET");
  ASSERT_EQ(exchanges().size(), 2u);
  EXPECT_FALSE(exchanges()[0].has_response);
  EXPECT_TRUE(exchanges()[1].request.complete);
  EXPECT_EQ(watch_.found_in(client)->offset, stream_[0].size() - 3);
  EXPECT_EQ(watch_.found_in(server)->offset, 0u);
}

TEST_F(ExchangeTest, AnAnswerToABadRequestIsKept) {
  client_sends("GET / HTTP/1.1\r\nHost: h\r\n");
  server_sends("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  client_sends("bad header\r\n\r\n");
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_FALSE(exchanges()[0].has_request);
  EXPECT_EQ(exchanges()[0].status, 400u);
  EXPECT_EQ(watch_.found_in(client)->offset, 0u);
}

TEST_F(ExchangeTest, BehindAGapADirectionIsOpaque) {
  client_sends(get_curl);
  server_sends(ok_nginx.substr(0, ok_nginx.size() - 2));
  const uint64_t seen = ok_nginx.size() - 2;
  tracker_.gap(server, 5, 100);
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_FALSE(exchanges()[0].response.complete);
  EXPECT_EQ(exchanges()[0].response.end, seen);
  EXPECT_EQ(fate(server), "opaque from " + std::to_string(seen) + ": gap");
  EXPECT_EQ(fate(client), "opaque from " + std::to_string(get_curl.size()) + ": gap");
}

TEST_F(ExchangeTest, ARequestCutByAGapIsStillAnswered) {
  client_sends("POST / HTTP/1.1\r\nContent-Length: 8\r\n\r\nhalf");
  tracker_.gap(client, 2, 4);
  server_sends(ok_nginx + "more");
  ASSERT_EQ(exchanges().size(), 1u);
  EXPECT_TRUE(exchanges()[0].response.complete);
  EXPECT_FALSE(exchanges()[0].request.complete);
  EXPECT_EQ(fate(server), "opaque from " + std::to_string(ok_nginx.size()) + ": gap");
}

TEST_F(ExchangeTest, Http2WithPriorKnowledgeIsRecognised) {
  client_sends("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  server_sends(std::string_view("\0\0\0\4\0", 5));
  EXPECT_EQ(tracker_.protocol(), Protocol::http2);
  EXPECT_EQ(fate(client), "http2 from 0: http/2 preface");
  EXPECT_EQ(fate(server), "http2 from 0: http/2 preface");
}

TEST_F(ExchangeTest, AnUnfinishedHeadIsOpaqueWhenTheConnectionEnds) {
  client_sends(get_curl);
  server_sends(ok_nginx);
  client_sends("GET /half");
  ends();
  EXPECT_EQ(exchanges().size(), 1u);
  EXPECT_EQ(fate(client),
            "opaque from " + std::to_string(get_curl.size()) + ": connection ended within a head");
}

TEST_F(ExchangeTest, EmptyLinesBetweenMessagesBelongToNone) {
  client_sends("\r\n" + get_curl + "\r\n\r\n" + get_curl);
  server_sends(ok_nginx + ok_nginx);
  ASSERT_EQ(exchanges().size(), 2u);
  EXPECT_EQ(exchanges()[0].request.begin, 2u);
  EXPECT_EQ(exchanges()[1].request.begin, get_curl.size() + 6);
  EXPECT_EQ(unclaimed(client), "\r\n\r\n\r\n");
}

TEST_F(ExchangeTest, AParkedConnectionGoesOnWhereItWas) {
  for (uint64_t i = 0; i < 3; ++i) {
    client_sends(get_curl);
    tracker_.park();  // not idle: nothing happens
    server_sends(ok_nginx);
    tracker_.park();
    ASSERT_EQ(exchanges().size(), i + 1);
    EXPECT_EQ(exchanges()[i].index, i);
    EXPECT_EQ(exchanges()[i].response.begin, i * ok_nginx.size());
  }
}

TEST_F(ExchangeTest, AMovedTrackerGoesOn) {
  client_sends(get_curl);
  ExchangeTracker moved(std::move(tracker_));
  moved.chunk(server, 9, as_bytes(ok_nginx));
  EXPECT_EQ(exchanges().size(), 1u);
}

TEST_F(ExchangeTest, AHeadThatNeverEndsIsNotKept) {
  client_sends("GET / HTTP/1.1\r\n");
  const std::string field = "X-Field: " + std::string(4000, 'x') + "\r\n";
  for (int i = 0; i < 100; ++i) client_sends(field);
  EXPECT_EQ(fate(client), "opaque from 0: head of more than 256 KiB");
}

TEST_F(ExchangeTest, RequestsThatAreNeverAnsweredAreNotKeptWithoutEnd) {
  const std::string get = "GET / HTTP/1.1\r\n\r\n";
  for (int i = 0; i < 10'001; ++i) client_sends(get);
  EXPECT_EQ(fate(client), "opaque from " + std::to_string(10'000 * get.size()) +
                              ": more than 10000 exchanges under way");
  for (int i = 0; i < 10'001; ++i) server_sends(ok_nginx);
  EXPECT_EQ(exchanges().size(), 10'000u);
  EXPECT_EQ(watch_.found_in(server)->offset, 10'000 * ok_nginx.size());
}

TEST_F(ExchangeTest, LongTargetsOfPendingRequestsAreBounded) {
  const std::string get = "GET /" + std::string(200'000, 'x') + " HTTP/1.1\r\n\r\n";
  for (int i = 0; i < 30; ++i) client_sends(get);
  EXPECT_THAT(fate(client), testing::EndsWith("4 MiB of request lines without an answer"));
  EXPECT_EQ(watch_.found_in(client)->offset, 20 * get.size());
}

struct CredentialCase {
  const char* request_field;
  const char* response_field;
  bool holds;
};

class CredentialsAre : public testing::TestWithParam<CredentialCase> {};

TEST_P(CredentialsAre, SeenInEitherHead) {
  for (bool heads : {false, true}) {
    ExchangeWatch watch(heads);
    ExchangeTracker tracker(1, watch);
    const std::string get =
        std::string("GET / HTTP/1.1\r\n") + GetParam().request_field + "\r\n\r\n";
    const std::string ok =
        std::string("HTTP/1.1 204 x\r\n") + GetParam().response_field + "\r\n\r\n";
    for (char c : get) tracker.chunk(client, 1, as_bytes({&c, 1}));
    for (char c : ok) tracker.chunk(server, 1, as_bytes({&c, 1}));
    ASSERT_EQ(watch.exchanges.size(), 1u);
    EXPECT_EQ(watch.exchanges[0].holds_credentials, GetParam().holds);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Fields, CredentialsAre,
    testing::Values(CredentialCase{"Authorization: Basic eA==", "A: b", true},
                    CredentialCase{"proxy-authorization: x", "A: b", true},
                    CredentialCase{"COOKIE: a=b", "A: b", true},
                    CredentialCase{"x-api-key: k", "A: b", true},
                    CredentialCase{"X-Auth-Token:k", "A: b", true},
                    CredentialCase{"A: b", "Set-Cookie: a=b", true},
                    CredentialCase{"A: b", "set-cookie:", true},
                    CredentialCase{"Set-Cookie: a=b", "Cookie: a=b", false},
                    CredentialCase{"X-Authorization: a", "Authorization: a", false},
                    CredentialCase{"Host: cookie", "Server: Set-Cookie", false}));

TEST(ExchangeTracker, IsSmallWhenParked) {
  EXPECT_LE(sizeof(ExchangeTracker), 96u);
}

TEST(ExchangeTracker, TellsTheSameWithAndWithoutHeads) {
  std::string told[2];
  for (bool heads : {false, true}) {
    ExchangeWatch watch(heads);
    ExchangeTracker tracker(1, watch);
    tracker.chunk(client, 1, as_bytes(get_curl + get_curl));
    tracker.chunk(server, 2, as_bytes(ok_nginx + no_content));
    for (const Exchange& e : watch.exchanges) told[heads] += ExchangeWatch::text_of(e);
  }
  EXPECT_EQ(told[0], told[1]);
  EXPECT_NE(told[0], "");
}

TEST(ExchangeTracker, GivesHeadsWithAllTheirFields) {
  ExchangeWatch watch;
  ExchangeTracker tracker(1, watch);
  tracker.chunk(
      client, 1,
      as_bytes("GET /x HTTP/1.0\r\nHost:  h \r\nEmpty:\r\nX-Two: a\r\nX-Two: b c\r\n\r\n"));
  tracker.chunk(server, 1,
                as_bytes("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not There\r\nA: b\r\n"
                         "Content-Length: 0\r\n\r\n"));
  EXPECT_EQ((watch.heads[{0, 0}]), "GET /x v10 [Host=h] [Empty=] [X-Two=a] [X-Two=b c]");
  EXPECT_EQ((watch.heads[{0, 1}]), "100 Continue v11404 Not There v11 [A=b] [Content-Length=0]");
}

}  // namespace
}  // namespace wiretape
