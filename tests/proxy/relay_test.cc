// Relays between plain sockets: bytes, half-closes and resets reach each peer as the other sent
// them, and the tape says what was.
#include "proxy/relay.h"

#include <gtest/gtest.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <random>

#include "tests/proxy/proxy_support.h"

namespace wiretape {
namespace {

using test::pattern;
using test::Received;
using test::run_for;
using test::run_until;
using test::RunningProxy;
using test::Socket;
using test::ToldConnection;
using test::ToldTape;
using End = Received::End;

class RelayTest : public testing::Test {
 protected:
  RunningProxy::Settings settings() {
    RunningProxy::Settings s;
    s.upstream_port = upstream_.port();
    return s;
  }
  void start(const RunningProxy::Settings& s) {
    proxy_ = std::make_unique<RunningProxy>(s);
    client_ = Socket::connecting(proxy_->port());
  }
  void start() {
    start(settings());
    accept_server();
  }
  void accept_server() {
    ASSERT_TRUE(run_until(proxy_->loop, [&] {
      server_ = upstream_.accept();
      return server_.is_open();
    }));
  }
  // Both sides read while waiting.
  bool until(const std::function<bool()>& done) {
    return run_until(proxy_->loop, [&] {
      if (client_.is_open() && client_reads_) at_client_.read_from(client_);
      if (server_.is_open() && server_reads_) at_server_.read_from(server_);
      return done();
    });
  }
  bool nothing_open() { return proxy_->proxy().open_connections() == 0; }
  ToldConnection only_connection() {
    const ToldTape told = proxy_->end();
    EXPECT_EQ(told.connections.size(), 1u);
    return told.connections.empty() ? ToldConnection{} : told.connections.begin()->second;
  }

  Socket upstream_ = Socket::listening();
  std::unique_ptr<RunningProxy> proxy_;
  Socket client_, server_;
  Received at_client_, at_server_;
  bool client_reads_ = true;
  bool server_reads_ = true;
};

TEST_F(RelayTest, PassesBytesBothWays) {
  start();
  client_.send("from the client");
  server_.send("from the server");
  EXPECT_TRUE(until([&] { return at_server_.bytes == "from the client"; }));
  EXPECT_TRUE(until([&] { return at_client_.bytes == "from the server"; }));
  client_.close();
  server_.close();
  EXPECT_TRUE(until([&] { return nothing_open(); }));
  const ToldConnection told = only_connection();
  EXPECT_TRUE(told.opened && told.connected && told.closed);
  EXPECT_EQ(told.bytes[0], "from the client");
  EXPECT_EQ(told.bytes[1], "from the server");
  EXPECT_EQ(told.end.how, CloseHow::fin);
}

// ------------------------------------------------------------------------------- FIN

TEST_F(RelayTest, AnswersAClientThatHasHalfClosed) {
  start();
  client_.send("request");
  client_.shutdown();
  EXPECT_TRUE(until([&] { return at_server_.end == End::fin; }));
  EXPECT_EQ(at_server_.bytes, "request");
  server_.send("answer");
  server_.close();
  EXPECT_TRUE(until([&] { return at_client_.end == End::fin; }));
  EXPECT_EQ(at_client_.bytes, "answer");
  const ToldConnection told = only_connection();
  EXPECT_EQ(told.half_closed_at[0], 7u);
  EXPECT_EQ(told.end.how, CloseHow::fin);
  EXPECT_EQ(told.end.by, ClosedBy::client);
}

TEST_F(RelayTest, ServerMayHalfCloseFirst) {
  start();
  server_.send("greeting");
  server_.shutdown();
  EXPECT_TRUE(until([&] { return at_client_.end == End::fin; }));
  client_.send("late");
  client_.close();
  EXPECT_TRUE(until([&] { return at_server_.end == End::fin; }));
  EXPECT_EQ(at_server_.bytes, "late");
  const ToldConnection told = only_connection();
  EXPECT_EQ(told.half_closed_at[1], 8u);
  EXPECT_EQ(told.end.by, ClosedBy::server);
}

// The client has half-closed, the server has answered and left, and the client takes its time.
TEST_F(RelayTest, ASlowReaderGetsAllOfAnAnswerWhoseServerHasLeft) {
  proxy_ = std::make_unique<RunningProxy>(settings());
  client_ = Socket::connecting(proxy_->port(), 4096);
  accept_server();
  client_.shutdown();
  client_reads_ = false;
  EXPECT_TRUE(until([&] { return at_server_.end == End::fin; }));
  const std::string answer = pattern(8'000'000);
  size_t sent = 0;
  int looks = 0;
  // The relay has read all of it, and a part still waits there.
  EXPECT_TRUE(run_until(proxy_->loop, [&] {
    sent += server_.send(std::string_view(answer).substr(sent));
    const bool read = proxy_->recorder().counters().bytes[1] == answer.size();
    const bool look = sent == answer.size() && ++looks % 10 != 0;
    if (!read && !look) at_client_.read_from(client_, 60'000);
    return read;
  }));
  server_.close();
  run_for(proxy_->loop, 400 * ns_per_ms);  // some sweeps
  client_reads_ = true;
  EXPECT_TRUE(until([&] { return at_client_.end != End::none; }));
  EXPECT_EQ(at_client_.end, End::fin);
  EXPECT_TRUE(at_client_.bytes == answer) << at_client_.bytes.size();
  EXPECT_EQ(only_connection().end.how, CloseHow::fin);
}

// ------------------------------------------------------------------------------- RST

TEST_F(RelayTest, AClientsResetReachesTheServerBehindTheBytes) {
  start();
  const std::string bytes = pattern(200'000);
  client_.send(bytes);
  EXPECT_TRUE(until([&] { return at_server_.bytes.size() == bytes.size(); }));
  server_.send("answer");
  EXPECT_TRUE(until([&] { return at_client_.bytes == "answer"; }));
  client_.reset();
  EXPECT_TRUE(until([&] { return at_server_.end != End::none; }));
  EXPECT_EQ(at_server_.end, End::reset);
  EXPECT_TRUE(at_server_.bytes == bytes);
  const ToldConnection told = only_connection();
  EXPECT_EQ(told.end.how, CloseHow::rst);
  EXPECT_EQ(told.end.by, ClosedBy::client);
}

TEST_F(RelayTest, AServersResetReachesTheClientBehindTheBytes) {
  start();
  const std::string bytes = pattern(50'000);
  server_.send(bytes);
  server_.reset();
  EXPECT_TRUE(until([&] { return at_client_.end != End::none; }));
  EXPECT_EQ(at_client_.end, End::reset);
  EXPECT_TRUE(at_client_.bytes == bytes);
  const ToldConnection told = only_connection();
  EXPECT_EQ(told.end.how, CloseHow::rst);
  EXPECT_EQ(told.end.by, ClosedBy::server);
  EXPECT_TRUE(told.bytes[1] == bytes);
}

TEST_F(RelayTest, AResetAfterAHalfCloseIsFound) {
  start();
  client_.shutdown();
  EXPECT_TRUE(until([&] { return at_server_.end == End::fin; }));
  at_server_.end = End::none;
  client_.reset();
  EXPECT_TRUE(until([&] { return nothing_open(); }));
  server_reads_ = false;
  char byte;
  EXPECT_TRUE(run_until(proxy_->loop, [&] {
    return ::send(server_.fd(), "x", 1, MSG_NOSIGNAL) < 0 || ::recv(server_.fd(), &byte, 1, 0) < 0;
  }));
  EXPECT_EQ(only_connection().end.how, CloseHow::rst);
}

// ------------------------------------------------------------------------------- connecting

TEST_F(RelayTest, WhenTheUpstreamRefusesTheClientIsClosedAtOnce) {
  RunningProxy::Settings s = settings();
  const uint16_t port = Socket::listening().port();
  s.upstream_port = port;
  start(s);
  EXPECT_TRUE(until([&] { return at_client_.end != End::none; }));
  const ToldConnection told = only_connection();
  EXPECT_FALSE(told.connected);
  EXPECT_EQ(told.end.how, CloseHow::refused);
  EXPECT_EQ(told.end.by, ClosedBy::server);
  EXPECT_EQ(told.end.error, "127.0.0.1:" + std::to_string(port) + ": connection refused");
}

// An upstream that answers no handshake.
class RelayToSilence : public RelayTest {
 protected:
  RelayToSilence() {
    upstream_ = Socket::listening(0);
    for (int i = 0; i < 4; ++i) {
      const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      const sockaddr_in address = test::loopback(upstream_.port());
      (void)::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
      waiting_.emplace_back(fd);
    }
  }
  std::vector<Socket> waiting_;
};

TEST_F(RelayToSilence, TheClientIsClosedWhenTheTimeIsOver) {
  RunningProxy::Settings s = settings();
  s.connect_timeout_ns = 50 * ns_per_ms;
  start(s);
  client_.send("early");
  EXPECT_TRUE(until([&] { return at_client_.end != End::none; }));
  const ToldConnection told = only_connection();
  EXPECT_EQ(told.end.how, CloseHow::timeout);
  EXPECT_EQ(told.bytes[0], "early");
}

TEST_F(RelayToSilence, AClientMayGoWhileWeConnect) {
  start(settings());
  client_.send("early");
  EXPECT_TRUE(until([&] { return proxy_->proxy().open_connections() == 1; }));
  run_for(proxy_->loop, 2 * ns_per_ms);
  client_.reset();
  EXPECT_TRUE(until([&] { return nothing_open(); }));
  const ToldConnection told = only_connection();
  EXPECT_EQ(told.end.how, CloseHow::rst);
  EXPECT_EQ(told.end.by, ClosedBy::client);
  EXPECT_EQ(told.bytes[0], "early");
}

TEST_F(RelayTest, WhatAClientSentAndEndedWhileWeConnectedArrives) {
  proxy_ = std::make_unique<RunningProxy>(settings());
  client_ = Socket::connecting(proxy_->port());
  const std::string bytes = pattern(100'000);
  ASSERT_EQ(client_.send(bytes), bytes.size());
  client_.shutdown();
  accept_server();
  EXPECT_TRUE(until([&] { return at_server_.end == End::fin; }));
  EXPECT_TRUE(at_server_.bytes == bytes);
}

// ------------------------------------------------------------------------------- our own ends

TEST_F(RelayTest, SilenceEndsInATimeout) {
  RunningProxy::Settings s = settings();
  s.idle_timeout_ns = 150 * ns_per_ms;
  start(s);
  accept_server();
  client_.send("x");
  EXPECT_TRUE(until([&] { return at_client_.end != End::none; }));
  EXPECT_TRUE(until([&] { return at_server_.end != End::none; }));
  const ToldConnection told = only_connection();
  EXPECT_EQ(told.end.how, CloseHow::timeout);
  EXPECT_EQ(told.end.by, ClosedBy::us);
}

TEST_F(RelayTest, ADrainEndsIdleHttpAtOnceAndWaitsForTheBusy) {
  start();
  client_.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(until([&] { return at_server_.bytes.ends_with("\r\n\r\n"); }));
  bool ended = false;
  proxy_->proxy().drain(20 * ns_per_s, [&] { ended = true; });
  run_for(proxy_->loop, 250 * ns_per_ms);
  EXPECT_FALSE(ended);
  server_.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  EXPECT_TRUE(until([&] { return ended; }));
  EXPECT_TRUE(until([&] { return at_client_.end == End::fin; }));
  EXPECT_TRUE(at_client_.bytes.ends_with("\r\n\r\nhi"));
}

// The recorder has seen the whole answer, but the client has not got it yet.
TEST_F(RelayTest, ADrainDoesNotCutAnAnswerThatWaitsForItsClient) {
  proxy_ = std::make_unique<RunningProxy>(settings());
  client_ = Socket::connecting(proxy_->port(), 4096);
  accept_server();
  client_reads_ = false;
  client_.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(until([&] { return at_server_.bytes.ends_with("\r\n\r\n"); }));
  const std::string body = pattern(4'000'000);
  const std::string answer =
      "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  size_t sent = 0;
  EXPECT_TRUE(run_until(proxy_->loop, [&] {
    sent += server_.send(std::string_view(answer).substr(sent));
    const bool recorded = proxy_->recorder().counters().exchanges == 1;
    if (!recorded) at_client_.read_from(client_, 30'000);
    return recorded;
  }));
  bool ended = false;
  proxy_->proxy().drain(20 * ns_per_s, [&] { ended = true; });
  run_for(proxy_->loop, 250 * ns_per_ms);
  client_reads_ = true;
  EXPECT_TRUE(until([&] { return at_client_.end != End::none; }));
  EXPECT_EQ(at_client_.end, End::fin);
  EXPECT_TRUE(at_client_.bytes == answer) << at_client_.bytes.size();
  EXPECT_TRUE(until([&] { return ended; }));
}

TEST_F(RelayTest, ADrainsPatienceEnds) {
  start();
  client_.send("busy");
  EXPECT_TRUE(until([&] { return at_server_.bytes == "busy"; }));
  const ToldTape told = proxy_->end(200 * ns_per_ms);
  EXPECT_EQ(told.connections.at(1).end.how, CloseHow::drain);
  EXPECT_EQ(told.connections.at(1).end.by, ClosedBy::us);
  EXPECT_EQ(proxy_->outcome, Recorder::Outcome::whole);
}

TEST_F(RelayTest, AtTheLimitClientsWaitUntilOneLeaves) {
  RunningProxy::Settings s = settings();
  s.connections_max = 1;
  start(s);
  accept_server();
  Socket second = Socket::connecting(proxy_->port());
  second.send("second");
  run_for(proxy_->loop, 20 * ns_per_ms);
  EXPECT_FALSE(upstream_.accept().is_open());
  client_.close();
  server_.close();
  accept_server();
  EXPECT_TRUE(until([&] { return at_server_.bytes == "second"; }));
}

// A slow receiver holds the sender by TCP: what waits in between is bounded.
TEST_F(RelayTest, ASlowReceiverHoldsTheSender) {
  start();
  client_reads_ = false;
  const std::string bytes = pattern(1'000'000);
  size_t sent = 0;
  int64_t stuck_ns = monotonic_ns();
  run_until(proxy_->loop, [&] {
    const size_t n = server_.send(bytes);
    sent += n;
    if (n > 0) stuck_ns = monotonic_ns();
    return monotonic_ns() - stuck_ns > 100 * ns_per_ms || sent > 200'000'000;
  });
  EXPECT_LT(sent, 100'000'000u);
  client_reads_ = true;
  EXPECT_TRUE(until([&] { return at_client_.bytes.size() == sent; }));
}

// ------------------------------------------------------------------------------- at random

// One client and one server with random data, pieces, pauses and ends.
class Conversation {
 public:
  Conversation(uint32_t seed, Socket client, Socket server)
      : random_(seed), sides_{Side(std::move(client)), Side(std::move(server))} {
    for (Side& side : sides_) {
      side.to_send = pattern(random_() % 4 == 0 ? random_() % 300'000 : random_() % 3000, seed++);
      side.ends = static_cast<Ends>(random_() % 8 == 0 ? 1 : 0);
    }
    // Where one resets, the other may not get to say all it wanted.
    reset_ = sides_[0].ends == Ends::reset || sides_[1].ends == Ends::reset;
  }

  void step() {
    for (size_t i = 0; i < 2; ++i) step(sides_[i], sides_[1 - i]);
  }
  bool over() const { return sides_[0].over() && sides_[1].over(); }
  bool reset() const { return reset_; }
  const std::string& sent(size_t side) const { return sides_[side].to_send; }
  size_t sent_bytes(size_t side) const { return sides_[side].sent; }
  const Received& received(size_t side) const { return sides_[side].received; }

 private:
  enum class Ends { fin, reset };
  struct Side {
    explicit Side(Socket s) : socket(std::move(s)) {}
    bool over() const { return !socket.is_open(); }
    Socket socket;
    std::string to_send;
    size_t sent = 0;
    Ends ends = Ends::fin;
    bool said_end = false;
    Received received;
  };

  void step(Side& side, const Side& other) {
    if (side.over()) return;
    if (random_() % 3 != 0) side.received.read_from(side.socket, 1 + random_() % 100'000);
    if (side.sent < side.to_send.size() && random_() % 4 != 0) {
      side.sent += side.socket.send(
          std::string_view(side.to_send).substr(side.sent, 1 + random_() % 50'000));
    }
    if (side.socket.broken()) {  // the send has taken the error: reading ends as if by FIN
      side.received.read_from(side.socket);
      side.received.end = Received::End::reset;
    }
    if (side.received.end == Received::End::reset) return side.socket.close();
    if (side.sent < side.to_send.size()) return;
    if (side.ends == Ends::reset && !side.said_end) {
      // A reset throws away what is still on its way in our own kernel: wait until it has left.
      int unsent = 0;
      ::ioctl(side.socket.fd(), SIOCOUTQ, &unsent);
      if (unsent > 0 || other.received.bytes.size() < side.to_send.size()) return;
      return side.socket.reset();
    }
    if (!side.said_end) side.socket.shutdown();
    side.said_end = true;
    if (side.received.end == Received::End::fin) side.socket.close();
  }

  std::mt19937 random_;
  Side sides_[2];
  bool reset_;
};

class RandomRelays : public testing::TestWithParam<size_t> {};
INSTANTIATE_TEST_SUITE_P(Threads, RandomRelays, testing::Values(1, 2));

TEST_P(RandomRelays, PassAndRecordWhatWasSent) {
  constexpr int relays = 250;  // of each of the two
  Socket upstream = Socket::listening();
  RunningProxy::Settings settings;
  settings.upstream_port = upstream.port();
  settings.threads = GetParam();
  RunningProxy proxy(settings);
  std::vector<std::unique_ptr<Conversation>> all;
  // One after the other they connect, so that the n-th on the tape is the n-th here.
  const auto add = [&] {
    Socket client = Socket::connecting(proxy.port());
    Socket server;
    const bool there = run_until(proxy.loop, [&] {
      server = upstream.accept();
      for (const auto& c : all) c->step();
      return server.is_open();
    });
    ASSERT_TRUE(there);
    const auto seed = static_cast<uint32_t>(1000 * GetParam() + all.size());
    all.push_back(std::make_unique<Conversation>(seed, std::move(client), std::move(server)));
  };
  for (int i = 0; i < relays; ++i) add();
  EXPECT_TRUE(run_until(proxy.loop, [&] {
    bool over = true;
    for (const auto& c : all) {
      c->step();
      over = over && c->over();
    }
    return over && proxy.proxy().open_connections() == 0;
  }));
  const ToldTape told = proxy.end();
  EXPECT_EQ(proxy.outcome, Recorder::Outcome::whole);
  EXPECT_TRUE(test::in_order(told.times_ns));
  EXPECT_TRUE(told.findings.whole());
  ASSERT_EQ(told.connections.size(), all.size());
  int resets = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const Conversation& c = *all[i];
    const ToldConnection& t = told.connections.at(i + 1);
    EXPECT_TRUE(t.opened && t.connected && t.closed) << i;
    for (size_t d = 0; d < 2; ++d) {
      const Received& at_other = c.received(1 - d);
      EXPECT_TRUE(c.sent(d).starts_with(t.bytes[d])) << i << " " << d;
      EXPECT_TRUE(t.bytes[d].starts_with(at_other.bytes)) << i << " " << d;
      if (!c.reset()) {
        EXPECT_TRUE(t.bytes[d] == c.sent(d)) << i << " " << d;
        EXPECT_TRUE(at_other.bytes == c.sent(d)) << i << " " << d;
        EXPECT_EQ(at_other.end, End::fin);
        EXPECT_EQ(t.half_closed_at[d], c.sent(d).size());
      }
    }
    EXPECT_EQ(t.end.how, c.reset() ? CloseHow::rst : CloseHow::fin) << i;
    resets += c.reset();
  }
  EXPECT_GT(resets, 20);
}

}  // namespace
}  // namespace wiretape
