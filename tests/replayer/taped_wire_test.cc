// A run's tape: whatever goes over a taped wire is on it, with the connection that it replays, and
// the wire behind does what it would do without.
#include "replayer/taped_wire.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "replayer/run_tape.h"
#include "tests/support/recorder_support.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::tell_tape;
using test::TempDir;
using test::ToldConnection;
using test::ToldTape;

const Address here = Address::from_ip("127.0.0.1", 40000);
const Address there = Address::from_ip("127.0.0.1", 3000);

// Keeps what was asked of it; the test plays the target by its listener.
class InnerWire final : public Wire {
 public:
  explicit InnerWire(WireListener& l) : listener(l) {}
  void connect() override { calls.emplace_back("connect"); }
  bool write(Bytes bytes) override {
    calls.emplace_back("write");
    written += as_text(bytes);
    return takes_all;
  }
  void gives_up(const std::string& reason) override { calls.push_back("gives_up " + reason); }
  void half_close() override { calls.emplace_back("half_close"); }
  void close() override { calls.emplace_back("close"); }
  void reset() override { calls.emplace_back("reset"); }
  Address local_address() const override { return here; }
  Address peer_address() const override { return there; }
  CloseHow failure() const override { return how; }

  WireListener& listener;
  std::vector<std::string> calls;
  std::string written;
  bool takes_all = true;
  CloseHow how = CloseHow::error;
};

class Heard final : public WireListener {
 public:
  void on_connected() override { calls.emplace_back("connected"); }
  void on_connect_failed(const std::string& why) override { calls.push_back("failed " + why); }
  void on_read(Bytes bytes, int64_t arrived_ns) override {
    calls.push_back("read " + std::string(as_text(bytes)) + " at " + std::to_string(arrived_ns));
  }
  void on_end() override { calls.emplace_back("end"); }
  void on_broken(const std::string& why) override { calls.push_back("broken " + why); }
  void on_flushed() override { calls.emplace_back("flushed"); }
  std::vector<std::string> calls;
};

class TapedWireTest : public testing::Test {
 protected:
  TapedWireTest() {
    auto started = RunTape::start({path_, false}, "session.tape", "app:3000");
    EXPECT_TRUE(started.ok());
    tape_ = std::move(started).value();
    make(7);
  }
  void make(ConnectionId recorded) {
    wire_ = tape_->wire(recorded, heard_, [this](WireListener& listener) {
      auto inner = std::make_unique<InnerWire>(listener);
      inner_ = inner.get();
      return inner;
    });
  }
  void connect() {
    wire_->connect();
    inner_->listener.on_connected();
  }
  ToldTape told() {
    wire_.reset();
    end_ = tape_->finish();
    return tell_tape(path_);
  }
  ToldConnection only() {
    ToldTape tape = told();
    EXPECT_EQ(tape.connections.size(), 1u);
    EXPECT_EQ(tape.connections.count(1), 1u);
    return tape.connections[1];
  }
  static std::pair<CloseHow, ClosedBy> end_of(const ToldConnection& c) {
    return {c.end.how, c.end.by};
  }

  TempDir dir_;
  std::string path_ = dir_ / "run.tape";
  std::unique_ptr<RunTape> tape_;
  Heard heard_;
  InnerWire* inner_ = nullptr;
  std::unique_ptr<Wire> wire_;
  RunTapeEnd end_;
};

TEST_F(TapedWireTest, PassesOnBothWays) {
  connect();
  EXPECT_TRUE(wire_->write(as_bytes("ping")));
  inner_->takes_all = false;
  EXPECT_FALSE(wire_->write(as_bytes("more")));
  inner_->listener.on_flushed();
  inner_->listener.on_read(as_bytes("pong"), 5);
  wire_->half_close();
  inner_->listener.on_end();
  wire_->gives_up("why");
  wire_->close();
  EXPECT_EQ(inner_->written, "pingmore");
  EXPECT_EQ(inner_->calls, (std::vector<std::string>{"connect", "write", "write", "half_close",
                                                     "gives_up why", "close"}));
  EXPECT_EQ(heard_.calls,
            (std::vector<std::string>{"connected", "flushed", "read pong at 5", "end"}));
  told();
}

TEST_F(TapedWireTest, PutsTheConnectionOnTheTape) {
  connect();
  wire_->write(as_bytes("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
  inner_->listener.on_read(as_bytes("HTTP/1.1 204 No Content\r\n\r\n"), 1);
  wire_->half_close();
  inner_->listener.on_end();
  wire_->close();
  const ToldTape tape = told();
  const ToldConnection& c = tape.connections.at(1);
  EXPECT_TRUE(c.opened && c.connected && c.closed);
  EXPECT_EQ(c.recorded, 7u);
  EXPECT_EQ(c.half_closed_at[0], c.bytes[0].size());
  EXPECT_EQ(c.half_closed_at[1], c.bytes[1].size());
  EXPECT_EQ(end_of(c), std::pair(CloseHow::fin, ClosedBy::client));
  ASSERT_EQ(c.exchanges.size(), 1u);
  EXPECT_EQ(c.exchanges[0].status, 204u);
  EXPECT_TRUE(tape.findings.whole());
  EXPECT_TRUE(test::in_order(tape.times_ns));
  EXPECT_EQ(end_.outcome, Recorder::Outcome::whole);
  EXPECT_EQ(end_.connections, 1u);
}

TEST_F(TapedWireTest, NamesBothEnds) {
  connect();
  told();
  auto reader = std::move(TapeReader::open(path_)).value();
  Opened opened;
  Connected connected;
  while (const auto* item = reader->next()) {
    const Event& event = std::get<TapeRecord>(*item).event;
    if (const auto* o = std::get_if<Opened>(&event)) opened = *o;
    if (const auto* c = std::get_if<Connected>(&event)) connected = *c;
  }
  EXPECT_EQ(opened.client, here.text());
  EXPECT_EQ(opened.upstream, "app:3000");
  EXPECT_EQ(connected.local, here.text());
  EXPECT_EQ(connected.server, there.text());
}

// One send each, whatever the pieces they are stored in.
TEST_F(TapedWireTest, SendsCoverWhatWasWrittenOnceAndInOrder) {
  connect();
  const std::string large(200'000, 'x');
  for (const std::string& bytes : {std::string("first"), large, std::string("last")}) {
    wire_->write(as_bytes(bytes));
    const int64_t now_ns = monotonic_ns();
    wire_->sent({bytes.size(), now_ns - 1000, now_ns, Cause::target});
  }
  const ToldConnection c = only();
  EXPECT_EQ(c.bytes[0], "first" + large + "last");
  ASSERT_EQ(c.sends.size(), 3u);
  uint64_t offset = 0;
  for (const Send& send : c.sends) {
    EXPECT_EQ(send.offset, offset);
    EXPECT_EQ(send.sent_ns - send.due_ns, 1000);
    EXPECT_EQ(send.cause, "target");
    offset += send.length;
  }
  EXPECT_EQ(offset, c.bytes[0].size());
}

TEST_F(TapedWireTest, AReplacementNamesTheSameConnection) {
  connect();
  wire_->close();
  make(7);
  connect();
  wire_->close();
  const ToldTape tape = told();
  ASSERT_EQ(tape.connections.size(), 2u);
  EXPECT_EQ(tape.connections.at(1).recorded, 7u);
  EXPECT_EQ(tape.connections.at(2).recorded, 7u);
}

TEST_F(TapedWireTest, AWireThatNeverConnectedIsNotOnTheTape) {
  EXPECT_TRUE(told().connections.empty());
}

// ------------------------------------------------------------------------------- ends

TEST_F(TapedWireTest, ARefusalIsAConnection) {
  wire_->connect();
  inner_->how = CloseHow::refused;
  inner_->listener.on_connect_failed("connection refused");
  const ToldConnection c = only();
  EXPECT_EQ(heard_.calls, std::vector<std::string>{"failed connection refused"});
  EXPECT_TRUE(c.opened && !c.connected);
  EXPECT_EQ(end_of(c), std::pair(CloseHow::refused, ClosedBy::server));
  EXPECT_EQ(c.end.error, "connection refused");
  EXPECT_EQ(c.recorded, 7u);
}

TEST_F(TapedWireTest, TheTargetThatEndsFirstClosedIt) {
  connect();
  inner_->listener.on_end();
  wire_->gives_up("closed_by_target");
  wire_->close();
  EXPECT_EQ(end_of(only()), std::pair(CloseHow::fin, ClosedBy::server));
}

TEST_F(TapedWireTest, AResetByTheTarget) {
  connect();
  inner_->how = CloseHow::rst;
  inner_->listener.on_broken("error 104");
  wire_->gives_up("closed_by_target");
  wire_->close();
  EXPECT_EQ(end_of(only()), std::pair(CloseHow::rst, ClosedBy::server));
}

TEST_F(TapedWireTest, AResetByUsIsTheClients) {
  connect();
  wire_->reset();
  EXPECT_EQ(end_of(only()), std::pair(CloseHow::rst, ClosedBy::client));
}

TEST_F(TapedWireTest, ATimeoutIsOurs) {
  connect();
  inner_->listener.on_end();
  wire_->gives_up("timeout");
  wire_->close();
  EXPECT_EQ(end_of(only()), std::pair(CloseHow::timeout, ClosedBy::us));
}

TEST_F(TapedWireTest, ATimeoutOfConnectingIsAConnectionToo) {
  wire_->connect();
  wire_->gives_up("timeout");
  wire_->close();
  const ToldConnection c = only();
  EXPECT_TRUE(c.opened && !c.connected);
  EXPECT_EQ(end_of(c), std::pair(CloseHow::timeout, ClosedBy::us));
}

TEST_F(TapedWireTest, GivingUpForAnotherReasonSaysIt) {
  connect();
  wire_->gives_up("upgrade_refused");
  wire_->close();
  const ToldConnection c = only();
  EXPECT_EQ(end_of(c), std::pair(CloseHow::error, ClosedBy::us));
  EXPECT_EQ(c.end.error, "upgrade_refused");
}

TEST_F(TapedWireTest, AStopIsADrain) {
  connect();
  wire_->gives_up("stopped");
  wire_->close();
  EXPECT_EQ(end_of(only()), std::pair(CloseHow::drain, ClosedBy::us));
}

TEST_F(TapedWireTest, WhatIsOpenAtTheEndOfARunIsDrained) {
  connect();
  EXPECT_EQ(end_of(only()), std::pair(CloseHow::drain, ClosedBy::us));
}

TEST_F(TapedWireTest, AnExistingTapeIsKept) {
  told();
  const auto again = RunTape::start({path_, false}, "session.tape", "app:3000");
  ASSERT_FALSE(again.ok());
  EXPECT_EQ(again.error().source, ErrorSource::usage);
  tape_.reset();  // and with it the lock
  auto forced = RunTape::start({path_, true}, "session.tape", "app:3000");
  ASSERT_TRUE(forced.ok());
  std::move(forced).value()->finish();
}

}  // namespace
}  // namespace wiretape
