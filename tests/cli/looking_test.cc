// show, stat and verify on small tapes, as a user sees them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "cli/command.h"
#include "cli/run_counter.h"
#include "proto/tape_writer.h"

namespace wiretape {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr auto up = Direction::client_to_server;
constexpr auto down = Direction::server_to_client;

std::string sha256_of(std::string_view text) {
  Sha256 hash;
  hash.update(as_bytes(text));
  return hash.hex();
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::string line;
  for (std::istringstream in(text); std::getline(in, line);) lines.push_back(line);
  return lines;
}

struct Seen {
  int status;
  std::string out, err;
};

class LookingTest : public testing::Test {
 protected:
  LookingTest() {
    directory_ = testing::TempDir() + "wiretape_looking_XXXXXX";
    EXPECT_NE(mkdtemp(directory_.data()), nullptr);
    tape_ = directory_ + "/session.tape";
  }
  ~LookingTest() override { std::filesystem::remove_all(directory_); }

  Seen run(int (*command)(const Arguments&), Arguments arguments) {
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int status = command(arguments);
    std::fflush(stdout);
    std::string out = testing::internal::GetCapturedStdout();
    return {status, out, testing::internal::GetCapturedStderr()};
  }

  void begin(bool indexed = true) {
    Header header;
    header.tool_version = "0.1.0";
    header.host = "here";
    header.wall_start_ns = 1'700'000'000 * ns_per_s;
    header.listeners = {"127.0.0.1:8080 -> app:3000"};
    header.tape_set = std::string(32, 'a');
    header.indexed = indexed;
    auto writer = TapeWriter::create(tape_, TapeWriter::IfExists::overwrite, 1, header);
    ASSERT_TRUE(writer.ok()) << writer.error().message;
    writer_ = *std::move(writer);
  }
  void put(int64_t ms, const Event& event) {
    const auto written = writer_->write(ms * ns_per_ms, event);
    ASSERT_TRUE(written.ok()) << written.error().message;
  }
  void open(int64_t ms, ConnectionId id, ConnectionId recorded = 0) {
    Opened opened;
    opened.connection = id;
    opened.recorded_connection = recorded;
    opened.client = "127.0.0.1:40000";
    opened.listener = "127.0.0.1:8080";
    opened.upstream = "app:3000";
    put(ms, opened);
    put(ms, Connected{id, "127.0.0.1:40001", "127.0.0.1:3000"});
  }
  void bytes(int64_t ms, ConnectionId id, Direction direction, std::string_view text) {
    uint64_t& offset = offsets_[{id, direction}];
    put(ms, Chunk{id, direction, offset, as_bytes(text)});
    offset += text.size();
  }
  void gap(int64_t ms, ConnectionId id, Direction direction, uint64_t length) {
    Gap gap;
    gap.connection = id;
    gap.direction = direction;
    gap.offset = offsets_[{id, direction}];
    gap.length = length;
    gap.reason = GapReason::overload;
    put(ms, gap);
    offsets_[{id, direction}] += length;
  }
  void close(int64_t ms, ConnectionId id, Protocol protocol, CloseHow how = CloseHow::fin) {
    Closed closed;
    closed.connection = id;
    closed.how = how;
    closed.by = ClosedBy::client;
    closed.length[0] = offsets_[{id, up}];
    closed.length[1] = offsets_[{id, down}];
    closed.protocol = protocol;
    put(ms, closed);
  }
  void finish(int64_t ms, bool clean = true) {
    Trailer trailer;
    trailer.clean = clean;
    const auto finished = writer_->finish(ms * ns_per_ms, trailer);
    ASSERT_TRUE(finished.ok()) << finished.error().message;
    writer_.reset();
    offsets_.clear();
  }

  // Recorded connection 7 on connection 1, with an exchange, and again on its replacement, 3.
  void write_run() {
    begin();
    open(10, 1, 7);
    bytes(11, 1, up, "abc");
    put(11, Send{1, 0, 3, 11 * ns_per_ms - 40'000, 11 * ns_per_ms, "us"});
    open(12, 2, 8);
    put(13, Send{1, 3, 5, 10 * ns_per_ms, 13 * ns_per_ms, "target"});
    put(13, Send{1, 8, 5, 11 * ns_per_ms, 13 * ns_per_ms, "target"});
    put(13, Send{1, 13, 5, 11 * ns_per_ms, 13 * ns_per_ms, "a later version's cause"});
    Exchange e;
    e.connection = 1;
    e.has_request = true;
    put(14, e);
    open(15, 3, 7);
    for (const ConnectionId id : {1, 2, 3}) close(16, id, Protocol::opaque);
    finish(20);
  }

  // Connection 1: one GET. Connection 2: opaque. Connection 3: refused.
  void write_example() {
    begin();
    open(10, 1);
    bytes(11, 1, up, request_);
    open(12, 2);
    bytes(13, 2, down, "hello\n");
    bytes(15, 1, down, response_);
    Exchange e;
    e.connection = 1;
    e.method = "GET";
    e.target = "/a?b=c";
    e.authority = "app";
    e.status = 200;
    e.has_request = e.has_response = true;
    e.request = {.end = request_.size(),
                 .first_ns = 11 * ns_per_ms,
                 .last_ns = 11 * ns_per_ms,
                 .complete = true};
    e.response = {.end = response_.size(),
                  .first_ns = 15 * ns_per_ms,
                  .last_ns = 15 * ns_per_ms,
                  .body_bytes = 2,
                  .complete = true};
    put(15, e);
    close(20, 1, Protocol::http1);
    bytes(21, 2, up, "bye\n");
    close(30, 2, Protocol::opaque, CloseHow::rst);
    Opened opened;
    opened.connection = 3;
    opened.client = "127.0.0.1:40009";
    opened.upstream = "app:3000";
    put(40, opened);
    Closed refused;
    refused.connection = 3;
    refused.how = CloseHow::refused;
    refused.by = ClosedBy::server;
    refused.error = "connection refused";
    put(41, refused);
    finish(50);
  }

  std::string directory_, tape_;
  std::unique_ptr<TapeWriter> writer_;
  std::map<std::pair<ConnectionId, Direction>, uint64_t> offsets_;
  std::vector<uint64_t> blocks_end_;
  const std::string request_ = "GET /a?b=c HTTP/1.1\r\nHost: app\r\n\r\n";
  const std::string response_ = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
};

// --- show ---

TEST_F(LookingTest, ShowPrintsALineAnExchangeAndALineForWhatIsNot) {
  write_example();
  const Seen seen = run(show_main, {tape_});
  EXPECT_EQ(seen.status, 0);
  EXPECT_EQ(seen.err, "");
  const auto lines = lines_of(seen.out);
  ASSERT_EQ(lines.size(), 3u) << seen.out;
  EXPECT_THAT(lines[0], AllOf(HasSubstr("0.011     1 GET     http://app/a?b=c "),
                              HasSubstr(" 200 "), HasSubstr(" 4.00 ")));
  EXPECT_THAT(lines[1], AllOf(HasSubstr("2 opaque  127.0.0.1:40000 -> app:3000"), HasSubstr("rst"),
                              HasSubstr("4/6")));
  EXPECT_THAT(lines[2],
              AllOf(HasSubstr("app:3000: connection refused "), Not(HasSubstr("  refused"))));
}

TEST_F(LookingTest, ShowSaysOnceWhereAnAttemptWentAndHowItEnded) {
  begin();
  Opened opened;
  opened.connection = 1;
  opened.client = "127.0.0.1:40009";
  opened.upstream = "127.0.0.1:39199";
  put(40, opened);
  Closed refused;
  refused.connection = 1;
  refused.how = CloseHow::refused;
  refused.by = ClosedBy::server;
  refused.error = "127.0.0.1:39199: connection refused";
  put(41, refused);
  finish(50);
  const std::string out = run(show_main, {tape_}).out;
  EXPECT_THAT(out, HasSubstr("127.0.0.1:40009 -> 127.0.0.1:39199: connection refused "));
  EXPECT_THAT(out, Not(HasSubstr("refused refused")));
}

TEST_F(LookingTest, ShowJsonSaysWhatItLeavesOut) {
  write_example();
  const Seen seen = run(show_main, {tape_, "--json"});
  EXPECT_EQ(seen.status, 0);
  EXPECT_EQ(seen.err,
            "2 connections without HTTP exchanges are not in this list (stat --connections has "
            "them)\n");
  EXPECT_EQ(run(show_main, {tape_, "--json", "--connection", "1"}).err, "");
}

TEST_F(LookingTest, ShowLinesFitIn100Columns) {
  write_example();
  for (const std::string& line : lines_of(run(show_main, {tape_}).out)) {
    EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST_F(LookingTest, ShowJsonHasTheKeysOfTheContract) {
  write_example();
  const auto lines = lines_of(run(show_main, {tape_, "--json"}).out);
  ASSERT_EQ(lines.size(), 1u);
  const json e = json::parse(lines[0]);
  EXPECT_EQ(e["connection"], 1);
  EXPECT_EQ(e["index"], 0);
  EXPECT_EQ(e["start_ns"], 11 * ns_per_ms);
  EXPECT_EQ(e["method"], "GET");
  EXPECT_EQ(e["url"], "http://app/a?b=c");
  EXPECT_EQ(e["status"], 200);
  EXPECT_EQ(e["request_bytes"], request_.size());
  EXPECT_EQ(e["response_bytes"], response_.size());
  EXPECT_EQ(e["first_byte_ns"], 15 * ns_per_ms);
  EXPECT_EQ(e["end_ns"], 15 * ns_per_ms);
}

TEST_F(LookingTest, ShowFindsExchangesOnATapeWithoutThem) {
  begin(/*indexed=*/false);
  open(10, 1);
  bytes(11, 1, up, request_.substr(0, 9));
  bytes(12, 1, up, request_.substr(9));
  bytes(15, 1, down, response_);
  close(20, 1, Protocol::unknown);
  finish(30);
  const Seen seen = run(show_main, {tape_, "--json"});
  const json e = json::parse(seen.out);
  EXPECT_EQ(e["url"], "http://app/a?b=c");
  EXPECT_EQ(e["status"], 200);
  EXPECT_EQ(e["start_ns"], 11 * ns_per_ms);
  const json totals = json::parse(run(stat_main, {tape_, "--json"}).out);
  EXPECT_EQ(totals["exchanges"], 1);
}

TEST_F(LookingTest, ShowEscapesWhatATerminalWouldObey) {
  begin();
  open(10, 1);
  Exchange e;
  e.connection = 1;
  e.method = "GET";
  e.target = "/\x1b[2J\xff";
  e.status = 200;
  e.has_request = e.has_response = true;
  put(15, e);
  close(20, 1, Protocol::http1);
  finish(30);
  EXPECT_THAT(run(show_main, {tape_}).out, HasSubstr("/\\x1b[2J\\xff"));
  EXPECT_TRUE(json::accept(run(show_main, {tape_, "--json"}).out));
}

TEST_F(LookingTest, ShowConnectionTellsTheConversationInOrder) {
  write_example();
  const Seen seen = run(show_main, {tape_, "--connection", "2"});
  EXPECT_EQ(seen.status, 0);
  const auto lines = lines_of(seen.out);
  ASSERT_EQ(lines.size(), 5u) << seen.out;
  EXPECT_THAT(lines[0], HasSubstr("opened connection 2: 127.0.0.1:40000"));
  EXPECT_THAT(lines[2], AllOf(HasSubstr("0.013000  server  <"), HasSubstr("6  hello\\n")));
  EXPECT_THAT(lines[3], AllOf(HasSubstr("0.021000  client  >"), HasSubstr("4  bye\\n")));
  EXPECT_THAT(lines[4], HasSubstr("client    closed: rst"));
}

TEST_F(LookingTest, ShowHexHasEveryByte) {
  write_example();
  const Seen seen = run(show_main, {tape_, "--connection", "2", "--hex"});
  EXPECT_THAT(seen.out, HasSubstr("00000000  68 65 6c 6c 6f 0a"));
  EXPECT_THAT(seen.out, HasSubstr("|hello.|"));
}

TEST_F(LookingTest, ShowBodyPutsOnlyBodiesOnStandardOutput) {
  write_example();
  const Seen seen = run(show_main, {tape_, "--connection", "1", "--body"});
  EXPECT_EQ(seen.out, "hi");
  EXPECT_THAT(seen.err, AllOf(HasSubstr("request 0: GET /a?b=c"), HasSubstr("response 0: 200 OK")));
}

TEST_F(LookingTest, ShowBodyOfWhatIsNotHttpIsItsBytes) {
  write_example();
  EXPECT_EQ(run(show_main, {tape_, "--connection", "2", "--body"}).out, "hello\nbye\n");
}

TEST_F(LookingTest, ShowRefusesAConnectionThatIsNotThere) {
  write_example();
  const Seen seen = run(show_main, {tape_, "--connection", "99"});
  EXPECT_EQ(seen.status, exit_status::usage);
  EXPECT_EQ(seen.out, "");
  EXPECT_THAT(seen.err, HasSubstr("no such connection (they go up to 3)"));
}

TEST_F(LookingTest, ShowRefusesFlagsThatDoNotGoTogether) {
  EXPECT_EQ(run(show_main, {tape_, "--hex"}).status, exit_status::usage);
  EXPECT_EQ(run(show_main, {tape_, "--connection", "1", "--hex", "--body"}).status,
            exit_status::usage);
  EXPECT_EQ(run(show_main, {tape_, "--follow"}).status, exit_status::usage);
}

TEST_F(LookingTest, FurtherPartsAreNamed) {
  write_example();
  const std::string once = tape_;
  std::ifstream in(once, std::ios::binary);
  const std::string whole{std::istreambuf_iterator<char>(in), {}};
  std::ofstream(directory_ + "/two.tape", std::ios::binary) << whole << whole;
  const std::string two = directory_ + "/two.tape";
  EXPECT_THAT(run(show_main, {two}).out, HasSubstr(" 1:1 GET"));
  EXPECT_EQ(json::parse(run(stat_main, {two, "--json"}).out)["connections"], 6);
  EXPECT_THAT(run(show_main, {two, "--connection", "1:2"}).out, HasSubstr("connection 1:2"));
  EXPECT_THAT(run(show_main, {two, "--connection", "2"}).out, Not(HasSubstr("1:2")));
}

// --- stat ---

TEST_F(LookingTest, StatJsonHasTheKeysOfTheContract) {
  write_example();
  const Seen seen = run(stat_main, {tape_, "--json"});
  EXPECT_EQ(seen.status, 0);
  const json t = json::parse(seen.out);
  EXPECT_EQ(t["connections"], 3);
  EXPECT_EQ(t["exchanges"], 1);
  EXPECT_EQ(t["requests"], 1);
  EXPECT_EQ(t["responses"], 1);
  EXPECT_EQ(t["bytes_client_to_server"], request_.size() + 4);
  EXPECT_EQ(t["bytes_server_to_client"], response_.size() + 6);
  EXPECT_EQ(t["bytes_not_recorded"], 0);
  EXPECT_EQ(t["duration_ns"], 50 * ns_per_ms);
  EXPECT_EQ(t["complete"], true);
  EXPECT_EQ(t["format_version"], 1);
  EXPECT_FALSE(t.contains("connection_list"));
}

TEST_F(LookingTest, StatConnectionsJsonHasTheHashesOfBothDirections) {
  write_example();
  const json t = json::parse(run(stat_main, {tape_, "--connections", "--json"}).out);
  ASSERT_EQ(t["connection_list"].size(), 3u);
  const json c = t["connection_list"][0];
  EXPECT_EQ(c["id"], 1);
  EXPECT_EQ(c["client"], "127.0.0.1:40000");
  EXPECT_EQ(c["server"], "127.0.0.1:3000");
  EXPECT_EQ(c["opened_ns"], 10 * ns_per_ms);
  EXPECT_EQ(c["closed_ns"], 20 * ns_per_ms);
  EXPECT_EQ(c["protocol"], "http1");
  EXPECT_EQ(c["bytes_client_to_server"], request_.size());
  EXPECT_EQ(c["sha256_client_to_server"], sha256_of(request_));
  EXPECT_EQ(c["sha256_server_to_client"], sha256_of(response_));
  EXPECT_EQ(c["requests"], 1);
  EXPECT_EQ(c["close"], "fin");
  EXPECT_EQ(c["closed_by"], "client");
  EXPECT_EQ(t["connection_list"][2]["close"], "refused");
  EXPECT_EQ(t["connection_list"][2]["sha256_client_to_server"], sha256_of(""));
}

TEST_F(LookingTest, GapsCountAsZerosInTheHash) {
  begin();
  open(10, 1);
  bytes(11, 1, up, "ab");
  gap(12, 1, up, 3);
  bytes(13, 1, up, "cd");
  close(20, 1, Protocol::opaque);
  finish(30, /*clean=*/false);
  const Seen seen = run(stat_main, {tape_, "--connections", "--json"});
  EXPECT_EQ(seen.status, 0);
  EXPECT_THAT(seen.err, HasSubstr("lacks 3 bytes"));
  const json t = json::parse(seen.out);
  EXPECT_EQ(t["complete"], false);
  EXPECT_EQ(t["bytes_not_recorded"], 3);
  EXPECT_EQ(t["connection_list"][0]["bytes_client_to_server"], 7);
  EXPECT_EQ(t["connection_list"][0]["sha256_client_to_server"],
            sha256_of(std::string_view("ab\0\0\0cd", 7)));
}

TEST_F(LookingTest, StatTextSaysWhatIsOnTheTape) {
  write_example();
  const Seen seen = run(stat_main, {tape_, "--connections"});
  EXPECT_THAT(seen.out,
              AllOf(HasSubstr("3 (1 http1, 1 opaque, 1 refused)"), HasSubstr("1 (1 request, "),
                    HasSubstr("127.0.0.1:8080 -> app:3000"), HasSubstr("complete          yes"),
                    HasSubstr("2023-11-14 22:13:20 UTC on here")));
}

TEST_F(LookingTest, KindsOfConnectionsAddUp) {
  begin();
  open(10, 1);
  bytes(11, 1, up, "ab");
  close(20, 1, Protocol::opaque);
  open(21, 2);
  close(22, 2, Protocol::unknown);
  finish(30);
  EXPECT_THAT(run(stat_main, {tape_}).out, HasSubstr("2 (1 opaque, 1 without bytes)"));
}

TEST_F(LookingTest, StatSaysThatATapeIsBeingWritten) {
  begin();
  open(10, 1);
  bytes(11, 1, up, "ab");
  ASSERT_TRUE(writer_->flush().ok());
  const Seen seen = run(stat_main, {tape_, "--json"});
  EXPECT_EQ(seen.status, 0);
  EXPECT_EQ(json::parse(seen.out)["end"], "being_written");
  EXPECT_THAT(seen.err, HasSubstr("still being written"));
  EXPECT_THAT(run(verify_main, {tape_}).out, HasSubstr("being written"));
}

// --- a run's tape ---

TEST_F(LookingTest, StatTellsARunWithHowTrueToTimeItWas) {
  write_run();
  const json t = json::parse(run(stat_main, {tape_, "--connections", "--json"}).out);
  EXPECT_EQ(t["is_run"], true);
  EXPECT_EQ(t["connections_replaying"], 3);
  EXPECT_EQ(t["recorded_connections"], 2);
  EXPECT_EQ(t["sends"], 4);
  EXPECT_EQ(t["lateness_ns"]["max"], 3 * ns_per_ms);
  EXPECT_EQ(t["lateness_by_cause"]["target"]["max"], 3 * ns_per_ms);
  EXPECT_EQ(t["lateness_by_cause"]["us"]["max"], 40'000);
  EXPECT_EQ(t["sends_by_cause"], json({{"us", 1}, {"target", 2}, {"dependency", 0}, {"limit", 0}}));
  EXPECT_EQ(t["connection_list"][0]["recorded_connection"], 7);
  EXPECT_EQ(t["connection_list"][2]["recorded_connection"], 7);
}

TEST_F(LookingTest, StatTextTellsARunFromARecording) {
  write_run();
  const std::string run_text = run(stat_main, {tape_}).out;
  EXPECT_THAT(run_text, AllOf(HasSubstr("a run of"), Not(HasSubstr("listened on")),
                              HasSubstr("2 recorded connections, on 3\n"), HasSubstr("40 us"),
                              HasSubstr("by target"), Not(HasSubstr("by limit"))));
  write_example();
  EXPECT_THAT(run(stat_main, {tape_}).out, AllOf(HasSubstr("listened on"), Not(HasSubstr("late"))));
  const json recording = json::parse(run(stat_main, {tape_, "--json"}).out);
  EXPECT_EQ(recording["is_run"], false);
  EXPECT_FALSE(recording.contains("sends"));
}

// A cause of a later version counts among all sends; ids are no sizes.
TEST_F(LookingTest, StatTrustsNoNumberOfARun) {
  begin();
  for (const ConnectionId recorded : {RunCounter::recorded_max, RunCounter::recorded_max + 1,
                                      std::numeric_limits<ConnectionId>::max()}) {
    open(10, recorded, recorded);
  }
  put(11, Send{1, 0, 1, 9 * ns_per_s, 1, "us"});
  put(11, Send{1, 0, 1, 0, std::numeric_limits<int64_t>::max(), "the moon"});
  finish(12);
  const json t = json::parse(run(stat_main, {tape_, "--json"}).out);
  EXPECT_EQ(t["connections_replaying"], 3);
  EXPECT_EQ(t["recorded_connections"], 1);
  EXPECT_EQ(t["sends"], 2);
  EXPECT_EQ(t["lateness_by_cause"]["us"]["max"], 0);
  EXPECT_EQ(t["lateness_ns"]["max"], std::numeric_limits<int64_t>::max());
}

TEST_F(LookingTest, ShowNamesTheRecordedConnection) {
  write_run();
  const std::string out = run(show_main, {tape_, "--connection", "1"}).out;
  EXPECT_THAT(out, HasSubstr("opened connection 1: 127.0.0.1:40000 -> app:3000, replaying "
                             "connection 7\n"));
  EXPECT_THAT(out, HasSubstr("sent 3 bytes from 0 on, 40 us late (us)"));
  const json e = json::parse(lines_of(run(show_main, {tape_, "--json"}).out).at(0));
  EXPECT_EQ(e["recorded_connection"], 7);
  write_example();
  EXPECT_FALSE(json::parse(run(show_main, {tape_, "--json"}).out).contains("recorded_connection"));
}

// --- verify ---

TEST_F(LookingTest, VerifyFindsAWholeTapeWhole) {
  write_example();
  const Seen seen = run(verify_main, {tape_});
  EXPECT_EQ(seen.status, 0);
  EXPECT_THAT(lines_of(seen.out), ElementsAre(HasSubstr("session.tape: whole (")));
  EXPECT_EQ(json::parse(run(verify_main, {tape_, "--json"}).out)["whole"], true);
}

TEST_F(LookingTest, VerifyNamesWhatWasNotRecorded) {
  begin();
  open(10, 7);
  gap(12, 7, down, 1234);
  close(20, 7, Protocol::opaque);
  finish(30, /*clean=*/false);
  const Seen seen = run(verify_main, {tape_});
  EXPECT_EQ(seen.status, exit_status::differs);
  EXPECT_THAT(seen.out, HasSubstr("connection 7: 1,234 bytes server_to_client not recorded"));
}

TEST_F(LookingTest, VerifyNamesWhatDamageTookAndTheOthersGoOn) {
  begin();
  open(10, 1);
  for (int i = 0; i < 3; ++i) {
    bytes(200 + 200 * i, 1, up, std::string(1000, static_cast<char>('a' + i)));
    ASSERT_TRUE(writer_->flush().ok());
    blocks_end_.push_back(writer_->stored_bytes());
  }
  close(900, 1, Protocol::opaque);
  finish(1000);
  std::fstream file(tape_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(static_cast<std::streamoff>(blocks_end_[1] - 3));  // in the block of the b's
  file << "UU";
  file.close();

  const Seen verified = run(verify_main, {tape_});
  EXPECT_EQ(verified.status, exit_status::differs);
  EXPECT_THAT(verified.out, AllOf(HasSubstr("session.tape: damaged"), HasSubstr("damage at byte"),
                                  HasSubstr("connection 1: 1,000 bytes client_to_server lost")));
  const Seen counted = run(stat_main, {tape_, "--connections", "--json"});
  EXPECT_EQ(counted.status, 0);
  EXPECT_THAT(counted.err, HasSubstr("is damaged at 1 place;"));
  const json c = json::parse(counted.out)["connection_list"][0];
  EXPECT_EQ(c["sha256_client_to_server"],
            sha256_of(std::string(1000, 'a') + std::string(1000, '\0') + std::string(1000, 'c')));
}

TEST_F(LookingTest, VerifyTakesATornEndForWhatItIs) {
  write_example();
  std::filesystem::resize_file(tape_, std::filesystem::file_size(tape_) / 2);
  const Seen seen = run(verify_main, {tape_});
  EXPECT_EQ(seen.status, exit_status::differs);
  EXPECT_THAT(seen.out, AllOf(HasSubstr("session.tape: torn"), HasSubstr("without its trailer")));
  EXPECT_EQ(run(show_main, {tape_}).status, 0);
}

TEST_F(LookingTest, WhatIsNotATapeIsRefusedByAll) {
  std::ofstream(tape_) << "{\"log\": {\"version\": \"1.2\"}}";
  for (auto command : {show_main, stat_main, verify_main}) {
    const Seen seen = run(command, {tape_});
    EXPECT_EQ(seen.status, exit_status::could_not);
    EXPECT_THAT(seen.out, IsEmpty());
    EXPECT_THAT(seen.err, HasSubstr("session.tape"));
  }
  EXPECT_EQ(run(show_main, {directory_ + "/none.tape"}).status, exit_status::could_not);
}

}  // namespace
}  // namespace wiretape
