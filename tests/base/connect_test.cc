// How connections come about: resolver, dialer and listener, on loopback only.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/un.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "base/dialer.h"
#include "base/listener.h"
#include "tests/support/loop_support.h"

namespace wiretape {
namespace {

using test::run_for;
using test::run_until;
using test::Socket;

Endpoint endpoint(std::string host, uint16_t port) {
  Endpoint e;
  e.host = std::move(host);
  e.port = port;
  return e;
}

uint16_t free_port() {
  return Socket::listening().port();
}

class ConnectTest : public testing::Test {
 protected:
  ~ConnectTest() override {
    for (const std::string& path : paths_) std::filesystem::remove(path);
  }
  std::string unix_path() {
    paths_.push_back(testing::TempDir() + "wiretape." + std::to_string(::getpid()) + "." +
                     std::to_string(paths_.size()));
    return paths_.back();
  }
  Loop loop_;
  std::vector<std::string> paths_;
};

// ------------------------------------------------------------------------------- resolver

class ResolverTest : public ConnectTest {
 protected:
  using Answer = std::optional<Result<std::vector<Address>>>;
  Answer resolve(const Endpoint& e) {
    Answer answer;
    resolver_.resolve(e, [&](const auto& a) { answer.emplace(a); });
    run_until(loop_, [&] { return answer.has_value(); });
    return answer;
  }
  Resolver resolver_{loop_, ErrorSource::upstream};
};

TEST_F(ResolverTest, AnswersAddressesAtOnce) {
  for (const char* ip : {"127.0.0.1", "::1"}) {
    bool answered = false;
    resolver_.resolve(endpoint(ip, 80), [&](const auto& answer) {
      answered = true;
      ASSERT_TRUE(answer.ok());
      EXPECT_EQ((*answer)[0].ip(), ip);
      EXPECT_EQ((*answer)[0].port(), 80);
    });
    EXPECT_TRUE(answered);
  }
}

TEST_F(ResolverTest, KnowsLocalhostAndRemembersIt) {
  const Answer first = resolve(endpoint("localhost", 80));
  ASSERT_TRUE(first->ok());
  for (const Address& address : **first) {
    EXPECT_TRUE(address.is_loopback());
    EXPECT_EQ(address.port(), 80);
  }
  bool answered = false;
  resolver_.resolve(endpoint("localhost", 81), [&](const auto& answer) {
    answered = true;
    EXPECT_EQ(answer->size(), (*first)->size());
    EXPECT_EQ((*answer)[0].port(), 81);
  });
  EXPECT_TRUE(answered);
}

TEST_F(ResolverTest, AnswersAllWhoAskedMeanwhile) {
  std::vector<uint16_t> ports;
  for (uint16_t port = 1; port <= 5; ++port) {
    resolver_.resolve(endpoint("localhost", port),
                      [&](const auto& answer) { ports.push_back((*answer)[0].port()); });
  }
  EXPECT_TRUE(ports.empty());
  EXPECT_TRUE(run_until(loop_, [&] { return ports.size() == 5; }));
  EXPECT_EQ(ports, (std::vector<uint16_t>{1, 2, 3, 4, 5}));
}

TEST_F(ResolverTest, SaysWhichNameItDoesNotKnow) {
  const Answer answer = resolve(endpoint("name.invalid", 80));
  ASSERT_FALSE(answer->ok());
  EXPECT_EQ(answer->error().source, ErrorSource::upstream);
  EXPECT_NE(answer->error().message.find("cannot resolve name.invalid"), std::string::npos);
}

TEST_F(ResolverTest, ANameThatCannotBeOneIsAnswered) {
  EXPECT_FALSE(resolve(endpoint(std::string(2000, 'a'), 80))->ok());
}

TEST_F(ResolverTest, MayBeDestroyedWhileItAsks) {
  auto resolver = std::make_unique<Resolver>(loop_, ErrorSource::upstream);
  bool answered = false;
  resolver->resolve(endpoint("localhost", 80), [&](const auto&) { answered = true; });
  resolver->resolve(endpoint(std::string(2000, 'a'), 80), [&](const auto&) { answered = true; });
  resolver.reset();
  run_for(loop_, 20 * ns_per_ms);
  EXPECT_FALSE(answered);
}

// ------------------------------------------------------------------------------- dialer

class DialerTest : public ResolverTest {
 protected:
  DialOutcome dial(const Endpoint& to, int64_t timeout_ns = 5 * ns_per_s) {
    std::optional<DialOutcome> outcome;
    Dial dial(loop_, resolver_, to, timeout_ns, [&](DialOutcome o) { outcome = std::move(o); });
    dial.start();
    EXPECT_TRUE(run_until(loop_, [&] { return outcome.has_value(); }));
    return outcome.value_or(DialOutcome{});
  }
};

TEST_F(DialerTest, ConnectsAndNamesBothEnds) {
  Socket server = Socket::listening();
  const DialOutcome outcome = dial(endpoint("127.0.0.1", server.port()));
  ASSERT_GE(outcome.fd, 0);
  Socket client(outcome.fd);
  EXPECT_EQ(outcome.peer.port(), server.port());
  EXPECT_EQ(outcome.local.port(), client.port());
  EXPECT_EQ(outcome.error, "");
}

TEST_F(DialerTest, SaysWhoRefused) {
  const uint16_t port = free_port();
  const DialOutcome outcome = dial(endpoint("127.0.0.1", port));
  EXPECT_EQ(outcome.fd, -1);
  EXPECT_TRUE(outcome.refused);
  EXPECT_FALSE(outcome.timed_out);
  EXPECT_EQ(outcome.error, "127.0.0.1:" + std::to_string(port) + ": connection refused");
}

// localhost is ::1 first on most machines, and the server listens on 127.0.0.1 only.
TEST_F(DialerTest, TriesTheNextAddressWhenOneRefuses) {
  Socket server = Socket::listening();
  const DialOutcome outcome = dial(endpoint("localhost", server.port()));
  ASSERT_GE(outcome.fd, 0) << outcome.error;
  Socket client(outcome.fd);
  EXPECT_EQ(outcome.peer.ip(), "127.0.0.1");
}

TEST_F(DialerTest, AnUnknownNameIsNotARefusal) {
  const DialOutcome outcome = dial(endpoint("name.invalid", 80));
  EXPECT_EQ(outcome.fd, -1);
  EXPECT_FALSE(outcome.refused);
  EXPECT_NE(outcome.error.find("name.invalid"), std::string::npos);
}

// A server whose queue is full answers no more handshakes.
TEST_F(DialerTest, GivesUpWhenTheTimeIsOver) {
  Socket server = Socket::listening(0);
  std::vector<Socket> waiting;
  for (int i = 0; i < 4; ++i) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    const sockaddr_in address = test::loopback(server.port());
    (void)::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    waiting.emplace_back(fd);
  }
  const int64_t begin_ns = monotonic_ns();
  const DialOutcome outcome = dial(endpoint("127.0.0.1", server.port()), 50 * ns_per_ms);
  EXPECT_EQ(outcome.fd, -1);
  EXPECT_TRUE(outcome.timed_out);
  EXPECT_FALSE(outcome.refused);
  EXPECT_GE(monotonic_ns() - begin_ns, 49 * ns_per_ms);  // libuv counts whole milliseconds
}

TEST_F(DialerTest, DestroyedInFlightItCallsNobody) {
  Socket server = Socket::listening(0);
  for (const char* host : {"127.0.0.1", "localhost"}) {
    bool called = false;
    auto dial = std::make_unique<Dial>(loop_, resolver_, endpoint(host, server.port()), ns_per_s,
                                       [&](const DialOutcome& outcome) {
                                         if (outcome.fd >= 0) ::close(outcome.fd);
                                         called = true;
                                       });
    if (std::string_view(host) == "localhost") dial->start();
    dial.reset();
    run_for(loop_, 20 * ns_per_ms);
    EXPECT_FALSE(called);
  }
}

TEST_F(DialerTest, MayBeDestroyedFromWithinItsAnswer) {
  for (const int64_t timeout_ns : {5 * ns_per_s, ns_per_ms}) {
    const uint16_t port = free_port();
    std::unique_ptr<Dial> dial;
    bool answered = false;
    dial = std::make_unique<Dial>(loop_, resolver_, endpoint("localhost", port), timeout_ns,
                                  [&](const DialOutcome&) {
                                    dial.reset();
                                    answered = true;
                                  });
    dial->start();
    EXPECT_TRUE(run_until(loop_, [&] { return answered; }));
  }
}

// ------------------------------------------------------------------------------- listener

class ListenerTest : public ConnectTest {
 protected:
  std::unique_ptr<Listener> listen(const Address& address) {
    auto listener = Listener::create(loop_, address);
    EXPECT_TRUE(listener.ok()) << listener.error().message;
    (*listener)->on_accept([this](const Listener::Accepted& accepted) {
      accepted_.push_back(accepted);
      sockets_.emplace_back(accepted.fd);
    });
    return std::move(listener).value();
  }
  std::vector<Listener::Accepted> accepted_;
  std::vector<Socket> sockets_;
};

TEST_F(ListenerTest, PicksAPortAndAcceptsOnlyAfterResume) {
  auto listener = listen(Address::from_ip("127.0.0.1", 0));
  ASSERT_NE(listener->address().port(), 0);
  Socket client = Socket::connecting(listener->address().port());
  run_for(loop_, 5 * ns_per_ms);
  EXPECT_TRUE(accepted_.empty());
  listener->resume();
  EXPECT_TRUE(run_until(loop_, [&] { return accepted_.size() == 1; }));
  EXPECT_EQ(accepted_[0].client.port(), client.port());
  EXPECT_TRUE(accepted_[0].local == listener->address());
}

TEST_F(ListenerTest, ClientsWaitOutAPause) {
  auto listener = listen(Address::from_ip("127.0.0.1", 0));
  listener->resume();
  std::vector<Socket> clients;
  clients.push_back(Socket::connecting(listener->address().port()));
  EXPECT_TRUE(run_until(loop_, [&] { return accepted_.size() == 1; }));
  listener->pause();
  for (int i = 0; i < 10; ++i) {
    clients.push_back(Socket::connecting(listener->address().port()));
    clients.back().send("hello");
  }
  run_for(loop_, 5 * ns_per_ms);
  EXPECT_EQ(accepted_.size(), 1u);
  listener->resume();
  EXPECT_TRUE(run_until(loop_, [&] { return accepted_.size() == 11; }));
}

TEST_F(ListenerTest, ManyThatComeAtOnceAreAllAccepted) {
  auto listener = listen(Address::from_ip("127.0.0.1", 0));
  std::vector<Socket> clients;
  for (int i = 0; i < 200; ++i) {
    clients.push_back(Socket::connecting(listener->address().port()));
  }
  listener->resume();
  EXPECT_TRUE(run_until(loop_, [&] { return accepted_.size() == 200; }));
}

// Nobody is lost when there are no descriptors left, and a pause holds meanwhile.
TEST_F(ListenerTest, OutOfDescriptorsClientsWait) {
  auto listener = listen(Address::from_ip("127.0.0.1", 0));
  std::vector<std::string> trouble;
  listener->on_trouble([&](const std::string& what) { trouble.push_back(what); });
  Socket client = Socket::connecting(listener->address().port());
  run_for(loop_, ns_per_ms);
  rlimit before{};
  getrlimit(RLIMIT_NOFILE, &before);
  rlimit none = before;
  none.rlim_cur = static_cast<rlim_t>(client.fd()) + 1;
  setrlimit(RLIMIT_NOFILE, &none);
  listener->resume();
  const bool told = run_until(loop_, [&] { return !trouble.empty(); });
  setrlimit(RLIMIT_NOFILE, &before);
  ASSERT_TRUE(told);
  EXPECT_EQ(trouble[0], "cannot accept on " + listener->address().text() + ": Too many open files");
  listener->pause();
  run_for(loop_, 150 * ns_per_ms);
  EXPECT_TRUE(accepted_.empty());
  listener->resume();
  EXPECT_TRUE(run_until(loop_, [&] { return accepted_.size() == 1; }));
}

TEST_F(ListenerTest, APortInUseIsNamedWithAWayOut) {
  Socket holder = Socket::listening();
  const auto listener = Listener::create(loop_, Address::from_ip("127.0.0.1", holder.port()));
  ASSERT_FALSE(listener.ok());
  EXPECT_EQ(listener.error().source, ErrorSource::downstream);
  EXPECT_EQ(listener.error().message,
            "cannot listen on 127.0.0.1:" + std::to_string(holder.port()) +
                ": address in use (try --listen :0, or stop what holds the port)");
}

TEST_F(ListenerTest, IpV6AndIpV4ReachADualStackListener) {
  auto listener = Listener::create(loop_, Address::from_ip("::", 0));
  if (!listener.ok()) GTEST_SKIP() << "no IPv6 here";
  (*listener)->on_accept([this](const Listener::Accepted& accepted) {
    accepted_.push_back(accepted);
    sockets_.emplace_back(accepted.fd);
  });
  (*listener)->resume();
  Socket client = Socket::connecting((*listener)->address().port());
  EXPECT_TRUE(run_until(loop_, [&] { return accepted_.size() == 1; }));
  EXPECT_EQ(accepted_[0].client.ip(), "127.0.0.1");
  EXPECT_EQ(accepted_[0].local.text(),
            "127.0.0.1:" + std::to_string((*listener)->address().port()));
}

TEST_F(ListenerTest, AStaleUnixSocketIsReplacedAndRemovedAtTheEnd) {
  const std::string path = unix_path();
  const Address address = Address::from_unix_path(path);
  const Socket stale(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(stale.fd(), address.raw(), address.length()), 0);
  listen(address)->resume();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST_F(ListenerTest, ALiveUnixSocketIsNotTaken) {
  const std::string path = unix_path();
  const Address address = Address::from_unix_path(path);
  auto first = listen(address);
  const auto second = Listener::create(loop_, address);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("address in use"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST_F(ListenerTest, ABusyUnixSocketIsNotTakenAndNotWaitedFor) {
  const Address address = Address::from_unix_path(unix_path());
  const Socket busy(::socket(AF_UNIX, SOCK_STREAM, 0));
  ASSERT_EQ(::bind(busy.fd(), address.raw(), address.length()), 0);
  ASSERT_EQ(::listen(busy.fd(), 0), 0);
  std::vector<Socket> waiting;
  int status = 0;
  while (status == 0) {
    waiting.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    status = ::connect(waiting.back().fd(), address.raw(), address.length());
  }
  EXPECT_FALSE(Listener::create(loop_, address).ok());
}

TEST_F(ListenerTest, AFileThatIsNoSocketIsLeftAlone) {
  const std::string path = unix_path();
  const Socket file(::open(path.c_str(), O_CREAT | O_WRONLY, 0600));
  EXPECT_FALSE(Listener::create(loop_, Address::from_unix_path(path)).ok());
  EXPECT_TRUE(std::filesystem::exists(path));
}

}  // namespace
}  // namespace wiretape
