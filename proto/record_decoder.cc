// The generated classes do the parsing: they are known to be safe with any input, and they skip the
// fields that are younger than we are. Only chunks, nearly all of what a replay at full speed
// reads, have a short cut: one that looks as we write it is taken apart by hand, and its bytes stay
// where they are in the block.
//
//   raw block: 0A len record | 0A len record | ...   ->  a chunk as we write it   ->  Event
//                                                   \->  wiretape.v1.Record      ->  Event
//
// Enumerators
// that we do not know become the one that claims least; only an unknown direction is an error,
// because nothing can be done with bytes that went nowhere.
//
// Invariant: rest_ is what next() has not looked at; it only shrinks until begin().
#include "proto/record_decoder.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "proto/tape.pb.h"
#include "proto/wire.h"

namespace wiretape {

namespace {

using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;

template <typename Enum>
Enum known_or(int value, Enum last, Enum otherwise) {
  return value >= 0 && value <= static_cast<int>(last) ? static_cast<Enum>(value) : otherwise;
}

int64_t signed_of(uint64_t time_ns) {
  return static_cast<int64_t>(std::min<uint64_t>(time_ns, INT64_MAX));
}

Protocol protocol_of(int value) {
  return known_or(value, Protocol::tls, Protocol::unknown);
}

Direction direction_of(int value) {
  return static_cast<Direction>(value & 1);
}

Bytes bytes_of(const std::string& text) {
  return as_bytes(text);
}

Header from(v1::Header& m) {
  Header h;
  h.format_version = m.format_version();
  h.tool_version = std::move(*m.mutable_tool_version());
  h.wall_start_ns = m.wall_start_ns();
  h.host = std::move(*m.mutable_host());
  h.listeners.assign(m.listener().begin(), m.listener().end());
  h.tape_set = std::move(*m.mutable_tape_set());
  h.part = m.part();
  h.indexed = !m.not_indexed();
  h.redaction.assign(m.redaction().begin(), m.redaction().end());
  return h;
}

Opened from(const v1::Opened& m) {
  return {m.connection(),         m.client(), m.listener(), m.upstream(), m.original_destination(),
          m.recorded_connection()};
}

Connected from(const v1::Connected& m) {
  return {m.connection(), m.local(), m.server()};
}

Chunk from(const v1::Chunk& m) {
  return {m.connection(), direction_of(m.direction()), m.offset(), bytes_of(m.data())};
}

HalfClosed from(const v1::HalfClosed& m) {
  return {m.connection(), direction_of(m.direction()), m.offset()};
}

Closed from(const v1::Closed& m) {
  return {m.connection(),
          known_or(m.how(), CloseHow::drain, CloseHow::error),
          known_or(m.by(), ClosedBy::us, ClosedBy::nobody),
          m.error(),
          {m.length_client_to_server(), m.length_server_to_client()},
          protocol_of(m.protocol())};
}

Gap from(const v1::Gap& m) {
  return {m.connection(),
          direction_of(m.direction()),
          m.offset(),
          m.length(),
          known_or(m.reason(), GapReason::capture_loss, GapReason::unknown),
          m.connections()};
}

Stall from(const v1::Stall& m) {
  return {signed_of(m.begin_ns()), signed_of(m.duration_ns())};
}

Mark from(const v1::Mark& m) {
  return {m.name()};
}

ProtocolFound from(const v1::ProtocolFound& m) {
  return {m.connection(), direction_of(m.direction()),
          m.offset(),     protocol_of(m.protocol()),
          m.reason(),     m.server_name()};
}

MessageExtent from(const v1::Message& m) {
  return {m.begin(),
          m.head_end(),
          m.end(),
          signed_of(m.first_ns()),
          signed_of(m.last_ns()),
          m.body_bytes(),
          {m.body_digest_low(), m.body_digest_high()},
          m.complete()};
}

Exchange from(const v1::Exchange& m) {
  return {m.connection(),
          m.index(),
          m.method(),
          m.target(),
          m.authority(),
          m.status(),
          m.interim_responses(),
          m.has_request(),
          m.has_response(),
          m.holds_credentials(),
          from(m.request()),
          from(m.response())};
}

Send from(const v1::Send& m) {
  return {m.connection(),         m.offset(), m.length(), signed_of(m.due_ns()),
          signed_of(m.sent_ns()), m.cause()};
}

Tls from(const v1::Tls& m) {
  return {m.connection(), m.upstream(), m.version(), m.cipher(), m.server_name(), m.alpn()};
}

Trailer from(const v1::Trailer& m) {
  return {m.connections(),
          m.exchanges(),
          m.requests(),
          m.responses(),
          {m.length_client_to_server(), m.length_server_to_client()},
          m.bytes_not_recorded(),
          m.gaps(),
          m.stalls(),
          signed_of(m.stalled_ns()),
          m.exchanges_with_credentials(),
          m.clean()};
}

// False when the record's kind is not known.
bool convert(v1::Record& r, Event& event) {
  switch (r.kind_case()) {
    case v1::Record::kHeader:
      event = from(*r.mutable_header());
      return true;
    case v1::Record::kOpened:
      event = from(r.opened());
      return true;
    case v1::Record::kConnected:
      event = from(r.connected());
      return true;
    case v1::Record::kChunk:
      event = from(r.chunk());
      return true;
    case v1::Record::kHalfClosed:
      event = from(r.half_closed());
      return true;
    case v1::Record::kClosed:
      event = from(r.closed());
      return true;
    case v1::Record::kGap:
      event = from(r.gap());
      return true;
    case v1::Record::kStall:
      event = from(r.stall());
      return true;
    case v1::Record::kMark:
      event = from(r.mark());
      return true;
    case v1::Record::kExchange:
      event = from(r.exchange());
      return true;
    case v1::Record::kProtocolFound:
      event = from(r.protocol_found());
      return true;
    case v1::Record::kSend:
      event = from(r.send());
      return true;
    case v1::Record::kTls:
      event = from(r.tls());
      return true;
    case v1::Record::kTrailer:
      event = from(r.trailer());
      return true;
    case v1::Record::KIND_NOT_SET:
      return false;
  }
  return false;
}

int direction_in(const v1::Record& r) {
  switch (r.kind_case()) {
    case v1::Record::kChunk:
      return r.chunk().direction();
    case v1::Record::kHalfClosed:
      return r.half_closed().direction();
    case v1::Record::kGap:
      return r.gap().direction();
    case v1::Record::kProtocolFound:
      return r.protocol_found().direction();
    default:
      return 0;
  }
}

bool known_direction(const v1::Record& r) {
  return direction_in(r) == v1::CLIENT_TO_SERVER || direction_in(r) == v1::SERVER_TO_CLIENT;
}

// Takes the next field of a Tape off `rest`. False when there is none to be found.
bool take_field(Bytes& rest, uint32_t& tag, Bytes& content) {
  const auto* begin = reinterpret_cast<const uint8_t*>(rest.data());
  CodedInputStream in(begin, static_cast<int>(rest.size()));
  tag = in.ReadTagNoLastTag();
  if (tag == wire::tag(1, wire::Type::bytes)) {
    uint32_t length = 0;
    if (!in.ReadVarint32(&length)) return false;
    auto from = static_cast<size_t>(in.CurrentPosition());
    if (length > rest.size() - from) return false;
    content = rest.subspan(from, length);
    rest = rest.subspan(from + length);
    return true;
  }
  if (tag == 0 || !WireFormatLite::SkipField(&in, tag)) return false;
  rest = rest.subspan(static_cast<size_t>(in.CurrentPosition()));
  return true;
}

// The fields of a Chunk. False when they are not exactly those that we know.
bool take_chunk_fields(Bytes content, Chunk& chunk) {
  uint64_t tag = 0;
  uint64_t value = 0;
  while (!content.empty()) {
    if (!wire::take_varint(content, tag)) return false;
    if (tag == wire::tag(4, wire::Type::bytes)) {
      if (!wire::take_bytes(content, chunk.bytes)) return false;
      continue;
    }
    if (!wire::take_varint(content, value)) return false;
    if (tag == wire::tag(1, wire::Type::varint)) {
      chunk.connection = value;
    } else if (tag == wire::tag(2, wire::Type::varint) && value <= 1) {
      chunk.direction = static_cast<Direction>(value);
    } else if (tag == wire::tag(3, wire::Type::varint)) {
      chunk.offset = value;
    } else {
      return false;
    }
  }
  return true;
}

// Whether a record is an exchange, as we write it: its time, and then its kind.
bool is_exchange(Bytes content) {
  uint64_t tag = 0;
  uint64_t time = 0;
  if (!wire::take_varint(content, tag)) return false;
  if (tag == wire::tag(1, wire::Type::varint)) {
    if (!wire::take_varint(content, time) || !wire::take_varint(content, tag)) return false;
  }
  return tag == wire::tag(11, wire::Type::bytes);
}

// The short cut for a record that is its time and a chunk, in this order. False when it is anything
// else, or could be read in two ways.
bool take_chunk(Bytes content, int64_t& time_ns, Event& event) {
  uint64_t tag = 0;
  uint64_t time = 0;
  Bytes fields;
  if (!wire::take_varint(content, tag)) return false;
  if (tag == wire::tag(1, wire::Type::varint)) {
    if (!wire::take_varint(content, time) || !wire::take_varint(content, tag)) return false;
  }
  if (tag != wire::tag(5, wire::Type::bytes)) return false;
  if (!wire::take_bytes(content, fields) || !content.empty()) return false;
  Chunk chunk;
  if (!take_chunk_fields(fields, chunk)) return false;
  time_ns = signed_of(time);
  event = chunk;
  return true;
}

}  // namespace

struct RecordDecoder::Scratch {
  v1::Record record;
};

RecordDecoder::RecordDecoder() : scratch_(std::make_unique<Scratch>()) {}
RecordDecoder::~RecordDecoder() = default;
RecordDecoder::RecordDecoder(RecordDecoder&&) noexcept = default;
RecordDecoder& RecordDecoder::operator=(RecordDecoder&&) noexcept = default;

void RecordDecoder::begin(Bytes raw) {
  assert(raw.size() <= INT32_MAX);
  rest_ = raw;
}

RecordDecoder::Outcome RecordDecoder::next(int64_t& time_ns, Event& event) {
  while (!rest_.empty()) {
    uint32_t tag = 0;
    Bytes content;
    [[maybe_unused]] size_t before = rest_.size();
    if (!take_field(rest_, tag, content)) {
      rest_ = {};
      return Outcome::bad_block;
    }
    assert(rest_.size() < before);
    if (tag != wire::tag(1, wire::Type::bytes)) continue;
    Outcome outcome = parse(content, time_ns, event);
    if (outcome != Outcome::end) return outcome;
  }
  return Outcome::end;
}

// `end` stands for a record that is to be skipped.
RecordDecoder::Outcome RecordDecoder::parse(Bytes content, int64_t& time_ns, Event& event) {
  if (take_chunk(content, time_ns, event)) return Outcome::record;
  if (leaves_out_exchanges_ && is_exchange(content)) return Outcome::end;
  v1::Record& record = scratch_->record;
  if (!record.ParseFromArray(content.data(), static_cast<int>(content.size()))) {
    return Outcome::bad_record;
  }
  if (!known_direction(record)) return Outcome::bad_record;
  if (leaves_out_exchanges_ && record.has_exchange()) return Outcome::end;
  if (!convert(record, event)) return Outcome::end;
  time_ns = signed_of(record.time_ns());
  return Outcome::record;
}

}  // namespace wiretape
