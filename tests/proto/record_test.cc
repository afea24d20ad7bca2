// Records that we write by hand against those that the generated classes write: byte for byte, for
// random values of every kind, and back.
#include <google/protobuf/unknown_field_set.h>
#include <gtest/gtest.h>

#include <functional>

#include "proto/record_decoder.h"
#include "proto/tape.pb.h"
#include "proto/wire.h"
#include "tests/support/tape_support.h"

namespace wiretape {
namespace {

using test::bytes_of;

class Random {
 public:
  explicit Random(uint32_t seed) : random_(seed) {}
  // Small, large and extreme numbers alike.
  uint64_t number() { return random_() >> random_() % 64; }
  uint32_t number32() { return static_cast<uint32_t>(number()); }
  int64_t time_ns() { return static_cast<int64_t>(number() >> 1); }
  uint64_t below(uint64_t end) { return random_() % end; }
  bool flip() { return below(2) == 0; }
  std::string text() {
    static const std::string alphabet[] = {
        "a", "Z", "0", " ", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};
    std::string out;
    for (uint64_t n = below(40); n > 0; --n) out += alphabet[below(std::size(alphabet))];
    return out;
  }
  std::string bytes(size_t count) {
    std::string out(count, '\0');
    for (char& c : out) c = static_cast<char>(random_());
    return out;
  }

 private:
  std::mt19937_64 random_;
};

// A random event in both forms. `text` keeps what a chunk's bytes point to.
struct Pair {
  Event event;
  v1::Record record;
  std::string text;
};

template <typename T>
void set_direction(Random& random, T& event, auto& message) {
  event.direction = static_cast<Direction>(random.below(2));
  message.set_direction(static_cast<v1::Direction>(event.direction));
}

#define SET(field, value) message.set_##field(event.field = (value))

void header(Random& random, Pair& pair) {
  Header event;
  v1::Header& message = *pair.record.mutable_header();
  SET(format_version, random.number32());
  SET(tool_version, random.text());
  SET(wall_start_ns, static_cast<int64_t>(random.number()));
  SET(host, random.text());
  SET(tape_set, random.text());
  SET(part, random.number32());
  event.indexed = random.flip();
  message.set_not_indexed(!event.indexed);
  for (uint64_t n = random.below(3); n > 0; --n) {
    message.add_listener(event.listeners.emplace_back(random.text()));
    message.add_redaction(event.redaction.emplace_back(random.text()));
  }
  pair.event = event;
}

void opened(Random& random, Pair& pair) {
  Opened event;
  v1::Opened& message = *pair.record.mutable_opened();
  SET(connection, random.number());
  SET(client, random.text());
  SET(listener, random.text());
  SET(upstream, random.text());
  SET(original_destination, random.text());
  SET(recorded_connection, random.number());
  pair.event = event;
}

void connected(Random& random, Pair& pair) {
  Connected event;
  v1::Connected& message = *pair.record.mutable_connected();
  SET(connection, random.number());
  SET(local, random.text());
  SET(server, random.text());
  pair.event = event;
}

void chunk(Random& random, Pair& pair) {
  Chunk event;
  v1::Chunk& message = *pair.record.mutable_chunk();
  SET(connection, random.number());
  set_direction(random, event, message);
  SET(offset, random.number());
  pair.text = random.bytes(random.below(10) == 0 ? random.below(65'537) : random.below(300));
  event.bytes = as_bytes(pair.text);
  message.set_data(pair.text);
  pair.event = event;
}

void half_closed(Random& random, Pair& pair) {
  HalfClosed event;
  v1::HalfClosed& message = *pair.record.mutable_half_closed();
  SET(connection, random.number());
  set_direction(random, event, message);
  SET(offset, random.number());
  pair.event = event;
}

void closed(Random& random, Pair& pair) {
  Closed event;
  v1::Closed& message = *pair.record.mutable_closed();
  SET(connection, random.number());
  event.how = static_cast<CloseHow>(random.below(7));
  message.set_how(static_cast<v1::CloseHow>(event.how));
  event.by = static_cast<ClosedBy>(random.below(4));
  message.set_by(static_cast<v1::ClosedBy>(event.by));
  SET(error, random.text());
  message.set_length_client_to_server(event.length[0] = random.number());
  message.set_length_server_to_client(event.length[1] = random.number());
  event.protocol = static_cast<Protocol>(random.below(5));
  message.set_protocol(static_cast<v1::Protocol>(event.protocol));
  pair.event = event;
}

void gap(Random& random, Pair& pair) {
  Gap event;
  v1::Gap& message = *pair.record.mutable_gap();
  SET(connection, random.number());
  set_direction(random, event, message);
  SET(offset, random.number());
  SET(length, random.number());
  event.reason = static_cast<GapReason>(random.below(4));
  message.set_reason(static_cast<v1::GapReason>(event.reason));
  SET(connections, random.number());
  pair.event = event;
}

void stall(Random& random, Pair& pair) {
  Stall event;
  v1::Stall& message = *pair.record.mutable_stall();
  SET(begin_ns, random.time_ns());
  SET(duration_ns, random.time_ns());
  pair.event = event;
}

void mark(Random& random, Pair& pair) {
  Mark event;
  v1::Mark& message = *pair.record.mutable_mark();
  SET(name, random.text());
  pair.event = event;
}

void protocol_found(Random& random, Pair& pair) {
  ProtocolFound event;
  v1::ProtocolFound& message = *pair.record.mutable_protocol_found();
  SET(connection, random.number());
  set_direction(random, event, message);
  SET(offset, random.number());
  event.protocol = static_cast<Protocol>(random.below(5));
  message.set_protocol(static_cast<v1::Protocol>(event.protocol));
  SET(reason, random.text());
  SET(server_name, random.text());
  pair.event = event;
}

void extent(Random& random, MessageExtent& event, v1::Message& message) {
  SET(begin, random.number());
  SET(head_end, random.number());
  SET(end, random.number());
  SET(first_ns, random.time_ns());
  SET(last_ns, random.time_ns());
  SET(body_bytes, random.number());
  message.set_body_digest_low(event.body_digest[0] = random.number());
  message.set_body_digest_high(event.body_digest[1] = random.number());
  SET(complete, random.flip());
}

void exchange(Random& random, Pair& pair) {
  Exchange event;
  v1::Exchange& message = *pair.record.mutable_exchange();
  SET(connection, random.number());
  SET(index, random.number());
  SET(method, random.text());
  SET(target, random.bytes(random.below(100)));
  SET(authority, random.bytes(random.below(30)));
  SET(status, random.number32());
  SET(interim_responses, random.number32());
  SET(holds_credentials, random.flip());
  event.has_request = random.flip();
  event.has_response = random.flip();
  if (event.has_request) extent(random, event.request, *message.mutable_request());
  if (event.has_response) extent(random, event.response, *message.mutable_response());
  pair.event = event;
}

void send(Random& random, Pair& pair) {
  Send event;
  v1::Send& message = *pair.record.mutable_send();
  SET(connection, random.number());
  SET(offset, random.number());
  SET(length, random.number());
  SET(due_ns, random.time_ns());
  SET(sent_ns, random.time_ns());
  SET(cause, random.text());
  pair.event = event;
}

void tls(Random& random, Pair& pair) {
  Tls event;
  v1::Tls& message = *pair.record.mutable_tls();
  SET(connection, random.number());
  SET(upstream, random.flip());
  SET(version, random.text());
  SET(cipher, random.text());
  SET(server_name, random.text());
  SET(alpn, random.text());
  pair.event = event;
}

void trailer(Random& random, Pair& pair) {
  Trailer event;
  v1::Trailer& message = *pair.record.mutable_trailer();
  SET(connections, random.number());
  SET(exchanges, random.number());
  SET(requests, random.number());
  SET(responses, random.number());
  message.set_length_client_to_server(event.length[0] = random.number());
  message.set_length_server_to_client(event.length[1] = random.number());
  SET(bytes_not_recorded, random.number());
  SET(gaps, random.number());
  SET(stalls, random.number());
  SET(stalled_ns, random.time_ns());
  SET(exchanges_with_credentials, random.number());
  SET(clean, random.flip());
  pair.event = event;
}

#undef SET

using Fill = void (*)(Random&, Pair&);
constexpr Fill kinds[] = {header, opened, connected, chunk,          half_closed, closed, gap,
                          stall,  mark,   exchange,  protocol_found, send,        tls,    trailer};

std::string tape_of(const v1::Record& record) {
  v1::Tape tape;
  *tape.add_record() = record;
  return tape.SerializeAsString();
}

class EveryKind : public testing::TestWithParam<size_t> {
 protected:
  void for_random_events(const std::function<void(int64_t, Pair&)>& check) {
    Random random(static_cast<uint32_t>(GetParam()) + 1);
    for (int i = 0; i < 300 && !HasFailure(); ++i) {
      Pair pair;
      kinds[GetParam()](random, pair);
      int64_t time_ns = random.time_ns();
      pair.record.set_time_ns(static_cast<uint64_t>(time_ns));
      check(time_ns, pair);
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Record, EveryKind, testing::Range(size_t{0}, std::size(kinds)));

TEST_P(EveryKind, IsWrittenAsTheGeneratedClassWritesIt) {
  for_random_events([](int64_t time_ns, Pair& pair) {
    EXPECT_EQ(bytes_of(time_ns, pair.event), tape_of(pair.record)) << pair.record.DebugString();
  });
}

TEST_P(EveryKind, IsReadAsTheGeneratedClassHoldsIt) {
  for_random_events([](int64_t time_ns, Pair& pair) {
    std::string tape = tape_of(pair.record);
    RecordDecoder decoder;
    decoder.begin(as_bytes(tape));
    int64_t read_ns = -1;
    Event event;
    ASSERT_EQ(decoder.next(read_ns, event), RecordDecoder::Outcome::record);
    EXPECT_EQ(read_ns, time_ns);
    EXPECT_EQ(event.index(), pair.event.index());
    EXPECT_EQ(bytes_of(read_ns, event), tape);
    EXPECT_EQ(decoder.next(read_ns, event), RecordDecoder::Outcome::end);
  });
}

TEST(Record, HotPathWritesWhatTheOthersWrite) {
  Random random(99);
  std::vector<std::byte> out(70'000);
  for (int i = 0; i < 1000; ++i) {
    Pair pair;
    chunk(random, pair);
    int64_t time_ns = random.time_ns();
    std::byte* end = encode_chunk(out.data(), time_ns, std::get<Chunk>(pair.event));
    std::string_view written = as_text(Bytes(out.data(), end));
    ASSERT_EQ(written, bytes_of(time_ns, pair.event));
    ASSERT_LE(written.size(), pair.text.size() + chunk_overhead_bytes_max);
  }
}

TEST(Record, OverheadOfAChunkIsBounded) {
  std::string text(65'536, 'x');
  std::vector<std::byte> out(70'000);
  Chunk largest = {UINT64_MAX, Direction::server_to_client, UINT64_MAX, as_bytes(text)};
  std::byte* end = encode_chunk(out.data(), INT64_MAX, largest);
  EXPECT_LE(static_cast<size_t>(end - out.data()), text.size() + chunk_overhead_bytes_max);
}

TEST(Record, TextThatIsNotUtf8DoesNotSpoilTheTape) {
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    v1::Tape tape;
    std::string tail = i % 2 ? "\xC3\xA4" : "";
    ASSERT_TRUE(tape.ParseFromString(bytes_of(1, Mark{random.bytes(random.below(12)) + tail})));
    ASSERT_EQ(tape.record_size(), 1);
  }
  v1::Tape tape;
  ASSERT_TRUE(tape.ParseFromString(bytes_of(1, Mark{"caf\xC3\xA9 \xFF."})));
  EXPECT_EQ(tape.record(0).mark().name(), "caf\xC3\xA9 ?.");
}

TEST(Record, EndlessTextIsCut) {
  Exchange exchange;
  exchange.target = std::string(1'000'000, 'x');
  exchange.authority = exchange.method = exchange.target;
  EXPECT_LT(bytes_of(1, exchange).size(), 3 * text_bytes_max + 100);
}

TEST(Record, UnknownFieldsKindsAndEnumeratorsAreSkipped) {
  v1::Tape tape;
  v1::Record& known = *tape.add_record();
  known.set_time_ns(7);
  known.mutable_mark()->set_name("here");
  known.GetReflection()->MutableUnknownFields(&known)->AddVarint(200, 5);
  known.mutable_mark()
      ->GetReflection()
      ->MutableUnknownFields(known.mutable_mark())
      ->AddFixed64(9, 9);
  v1::Record& unknown = *tape.add_record();
  unknown.GetReflection()->MutableUnknownFields(&unknown)->AddLengthDelimited(99, "news");
  tape.add_record()->mutable_closed()->set_how(static_cast<v1::CloseHow>(77));
  tape.GetReflection()->MutableUnknownFields(&tape)->AddLengthDelimited(50, "more news");
  std::string bytes = tape.SerializeAsString();

  RecordDecoder decoder;
  decoder.begin(as_bytes(bytes));
  int64_t time_ns = 0;
  Event event;
  ASSERT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::record);
  EXPECT_EQ(std::get<Mark>(event).name, "here");
  ASSERT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::record);
  EXPECT_EQ(std::get<Closed>(event).how, CloseHow::error);
  EXPECT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::end);
}

// A record holding a chunk, its fields and those around them put together by hand.
std::string chunk_record(std::string_view before, std::string_view fields, std::string_view after) {
  std::string content(before);
  wire::Writer(content).element(5, fields);
  content += after;
  std::string tape;
  wire::Writer(tape).element(1, content);
  return tape;
}

// What the decoder finds must be what the generated class finds, however the record is written.
void expect_chunk_as_generated(const std::string& bytes) {
  v1::Tape tape;
  const bool parses = tape.ParseFromString(bytes);
  const bool known = parses && (tape.record(0).chunk().direction() == v1::CLIENT_TO_SERVER ||
                                tape.record(0).chunk().direction() == v1::SERVER_TO_CLIENT);
  RecordDecoder decoder;
  decoder.begin(as_bytes(bytes));
  int64_t time_ns = -1;
  Event event;
  const auto outcome = decoder.next(time_ns, event);
  ASSERT_EQ(outcome, known ? RecordDecoder::Outcome::record : RecordDecoder::Outcome::bad_record);
  if (!known) return;
  const auto& chunk = std::get<Chunk>(event);
  const v1::Chunk& expected = tape.record(0).chunk();
  EXPECT_EQ(static_cast<uint64_t>(time_ns), tape.record(0).time_ns());
  EXPECT_EQ(chunk.connection, expected.connection());
  EXPECT_EQ(static_cast<int>(chunk.direction), static_cast<int>(expected.direction()));
  EXPECT_EQ(chunk.offset, expected.offset());
  EXPECT_EQ(as_text(chunk.bytes), expected.data());
}

TEST(Record, UnusualChunksAreReadAsTheGeneratedClassReadsThem) {
  const std::string time = "\x08\x07";
  const std::string fields = std::string("\x08\x01\x10\x01\x18\x05", 6) + "\x22\x02hi";
  const std::string unknown = "\x50\x09";
  const std::string turned = std::string("\x22\x02hi\x18\x05\x10\x01\x08\x01", 10);
  const std::string endless = std::string("\x08") + std::string(9, '\xFF') + "\x02";
  expect_chunk_as_generated(chunk_record(time, fields, ""));
  expect_chunk_as_generated(chunk_record("", fields, ""));
  expect_chunk_as_generated(chunk_record("", fields, time));
  expect_chunk_as_generated(chunk_record(time + time, fields, ""));
  expect_chunk_as_generated(chunk_record(time, fields, unknown));
  expect_chunk_as_generated(chunk_record(unknown, fields, ""));
  expect_chunk_as_generated(chunk_record(time, turned, ""));
  expect_chunk_as_generated(chunk_record(time, fields + unknown, ""));
  expect_chunk_as_generated(chunk_record(time, fields + fields, ""));
  expect_chunk_as_generated(chunk_record(time, fields + "\x10\x02", ""));
  expect_chunk_as_generated(chunk_record(time,
                                         fields + "\x22\x09"
                                                  "hi",
                                         ""));
  expect_chunk_as_generated(chunk_record(time, fields + endless, ""));
  expect_chunk_as_generated(chunk_record(time, fields + "\x08", ""));
  expect_chunk_as_generated(chunk_record(time, "", ""));
  expect_chunk_as_generated(chunk_record(time, fields, std::string("\x2A\x02\x18\x09", 4)));
}

TEST(Record, ChunksWithAChangedByteAreReadAsTheGeneratedClassReadsThem) {
  Random random(17);
  for (int i = 0; i < 20'000; ++i) {
    std::string fields;
    wire::Writer writer(fields);
    writer.number(1, random.below(1000));
    writer.number(2, random.below(2));
    writer.number(3, random.below(100'000));
    writer.bytes(4, random.bytes(random.below(6)));
    std::string content = "\x08\x07";
    wire::Writer(content).element(5, fields);
    content[random.below(content.size())] = static_cast<char>(random.below(256));
    std::string tape;
    wire::Writer(tape).element(1, content);
    v1::Tape parsed;
    const bool other_kind = parsed.ParseFromString(tape) && !parsed.record(0).has_chunk();
    if (!other_kind) expect_chunk_as_generated(tape);
  }
}

TEST(Record, ExchangesCanBeLeftOut) {
  Exchange exchange;
  exchange.target = "/left/out";
  const std::string bytes = bytes_of(1, Mark{"before"}) + bytes_of(2, exchange) +
                            bytes_of(0, exchange) + bytes_of(3, Mark{"behind"});
  RecordDecoder decoder;
  decoder.leave_out_exchanges();
  decoder.begin(as_bytes(bytes));
  int64_t time_ns = 0;
  Event event;
  ASSERT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::record);
  EXPECT_EQ(std::get<Mark>(event).name, "before");
  ASSERT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::record);
  EXPECT_EQ(std::get<Mark>(event).name, "behind");
  EXPECT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::end);
}

TEST(Record, ThatDoesNotParseIsSaidAndTheNextOneIsRead) {
  std::string bytes = bytes_of(1, Mark{"before"}) + std::string("\x0A\x03\xFF\xFF\xFF", 5) +
                      bytes_of(2, Mark{"behind"}) + "\x0A\x7F";
  RecordDecoder decoder;
  decoder.begin(as_bytes(bytes));
  int64_t time_ns = 0;
  Event event;
  EXPECT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::record);
  EXPECT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::bad_record);
  ASSERT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::record);
  EXPECT_EQ(std::get<Mark>(event).name, "behind");
  EXPECT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::bad_block);
  EXPECT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::end);
}

TEST(Record, DirectionThatIsNoneIsBad) {
  v1::Record record;
  record.mutable_chunk()->set_direction(static_cast<v1::Direction>(2));
  std::string bytes = tape_of(record);
  RecordDecoder decoder;
  decoder.begin(as_bytes(bytes));
  int64_t time_ns = 0;
  Event event;
  EXPECT_EQ(decoder.next(time_ns, event), RecordDecoder::Outcome::bad_record);
}

}  // namespace
}  // namespace wiretape
