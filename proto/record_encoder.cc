// A record is written once a read on the hot path, so it is not built as a message object first:
// the sizes are added up, then every byte is stored once, in its final place.
//
//   0A len | 08 time | 2A len | 08 connection 10 direction 18 offset 22 len bytes
//   Tape.record        Record.chunk                               Chunk.data
//
// Other records are rarer and go through wire::Writer, which inserts the lengths afterwards. Both
// write fields in the order of their numbers, so the bytes equal those of the generated classes;
// the tests hold that.
//
// Strings in proto3 are UTF-8 and a parser refuses the whole tape where one is not. Some of ours
// come off the wire (a server name, a parser's complaint), so what is not UTF-8 becomes '?'.
#include "proto/record_encoder.h"

#include <cassert>
#include <cstring>

#include "proto/tape_format.h"
#include "proto/utf8.h"
#include "proto/wire.h"

namespace wiretape {

namespace {

using wire::Writer;

// The numbers of Record's kinds in tape.proto.
enum Kind : uint32_t {
  kind_header = 2,
  kind_opened,
  kind_connected,
  kind_chunk,
  kind_half_closed,
  kind_closed,
  kind_gap,
  kind_stall,
  kind_mark,
  kind_exchange,
  kind_protocol_found,
  kind_send,
  kind_tls,
  kind_trailer
};

uint64_t number_of(Direction d) {
  return index_of(d);
}
uint64_t unsigned_of(int64_t time_ns) {
  return static_cast<uint64_t>(time_ns);
}

std::string utf8_of(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    size_t length = utf8_length(text);
    out += length == 0 ? std::string_view("?") : text.substr(0, length);
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return out;
}

std::string_view cut(std::string_view text) {
  return text.substr(0, text_bytes_max);
}

bool is_ascii(std::string_view text) {
  for (char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

void text(Writer& out, uint32_t field, std::string_view value) {
  value = cut(value);
  is_ascii(value) ? out.bytes(field, value) : out.bytes(field, utf8_of(value));
}

void texts(Writer& out, uint32_t field, const std::vector<std::string>& values) {
  for (const std::string& value : values) out.element(field, utf8_of(cut(value)));
}

void fill(Writer& out, const Header& h) {
  out.number(1, h.format_version);
  text(out, 2, h.tool_version);
  out.fixed64(3, unsigned_of(h.wall_start_ns));
  text(out, 4, h.host);
  texts(out, 5, h.listeners);
  text(out, 6, h.tape_set);
  out.number(7, h.part);
  out.number(8, !h.indexed);
  texts(out, 9, h.redaction);
}

void fill(Writer& out, const Opened& o) {
  out.number(1, o.connection);
  text(out, 2, o.client);
  text(out, 3, o.listener);
  text(out, 4, o.upstream);
  text(out, 5, o.original_destination);
  out.number(6, o.recorded_connection);
}

void fill(Writer& out, const Connected& c) {
  out.number(1, c.connection);
  text(out, 2, c.local);
  text(out, 3, c.server);
}

void fill(Writer& out, const Chunk& c) {
  out.number(1, c.connection);
  out.number(2, number_of(c.direction));
  out.number(3, c.offset);
  out.bytes(4, as_text(c.bytes));
}

void fill(Writer& out, const HalfClosed& h) {
  out.number(1, h.connection);
  out.number(2, number_of(h.direction));
  out.number(3, h.offset);
}

void fill(Writer& out, const Closed& c) {
  out.number(1, c.connection);
  out.number(2, static_cast<uint64_t>(c.how));
  out.number(3, static_cast<uint64_t>(c.by));
  text(out, 4, c.error);
  out.number(5, c.length[0]);
  out.number(6, c.length[1]);
  out.number(7, static_cast<uint64_t>(c.protocol));
}

void fill(Writer& out, const Gap& g) {
  out.number(1, g.connection);
  out.number(2, number_of(g.direction));
  out.number(3, g.offset);
  out.number(4, g.length);
  out.number(5, static_cast<uint64_t>(g.reason));
  out.number(6, g.connections);
}

void fill(Writer& out, const Stall& s) {
  out.number(1, unsigned_of(s.begin_ns));
  out.number(2, unsigned_of(s.duration_ns));
}

void fill(Writer& out, const Mark& m) {
  text(out, 1, m.name);
}

void fill(Writer& out, const ProtocolFound& p) {
  out.number(1, p.connection);
  out.number(2, number_of(p.direction));
  out.number(3, p.offset);
  out.number(4, static_cast<uint64_t>(p.protocol));
  text(out, 5, p.reason);
  text(out, 6, p.server_name);
}

void fill(Writer& out, const MessageExtent& m) {
  out.number(1, m.begin);
  out.number(2, m.head_end);
  out.number(3, m.end);
  out.number(4, unsigned_of(m.first_ns));
  out.number(5, unsigned_of(m.last_ns));
  out.number(6, m.body_bytes);
  out.fixed64(7, m.body_digest[0]);
  out.fixed64(8, m.body_digest[1]);
  out.number(9, m.complete);
}

void fill(Writer& out, const Exchange& e) {
  out.number(1, e.connection);
  out.number(2, e.index);
  text(out, 3, e.method);
  out.bytes(4, cut(e.target));
  out.bytes(5, cut(e.authority));
  out.number(6, e.status);
  out.number(7, e.interim_responses);
  out.number(8, e.holds_credentials);
  if (e.has_request) out.message(9, [&](Writer& inner) { fill(inner, e.request); });
  if (e.has_response) out.message(10, [&](Writer& inner) { fill(inner, e.response); });
}

void fill(Writer& out, const Send& s) {
  out.number(1, s.connection);
  out.number(2, s.offset);
  out.number(3, s.length);
  out.number(4, unsigned_of(s.due_ns));
  out.number(5, unsigned_of(s.sent_ns));
  text(out, 6, s.cause);
}

void fill(Writer& out, const Tls& t) {
  out.number(1, t.connection);
  out.number(2, t.upstream);
  text(out, 3, t.version);
  text(out, 4, t.cipher);
  text(out, 5, t.server_name);
  text(out, 6, t.alpn);
}

void fill(Writer& out, const Trailer& t) {
  out.number(1, t.connections);
  out.number(2, t.exchanges);
  out.number(3, t.requests);
  out.number(4, t.responses);
  out.number(5, t.length[0]);
  out.number(6, t.length[1]);
  out.number(7, t.bytes_not_recorded);
  out.number(8, t.gaps);
  out.number(9, t.stalls);
  out.number(10, unsigned_of(t.stalled_ns));
  out.number(11, t.exchanges_with_credentials);
  out.number(12, t.clean);
}

constexpr uint32_t kind_of(const Header&) {
  return kind_header;
}
constexpr uint32_t kind_of(const Opened&) {
  return kind_opened;
}
constexpr uint32_t kind_of(const Connected&) {
  return kind_connected;
}
constexpr uint32_t kind_of(const Chunk&) {
  return kind_chunk;
}
constexpr uint32_t kind_of(const HalfClosed&) {
  return kind_half_closed;
}
constexpr uint32_t kind_of(const Closed&) {
  return kind_closed;
}
constexpr uint32_t kind_of(const Gap&) {
  return kind_gap;
}
constexpr uint32_t kind_of(const Stall&) {
  return kind_stall;
}
constexpr uint32_t kind_of(const Mark&) {
  return kind_mark;
}
constexpr uint32_t kind_of(const Exchange&) {
  return kind_exchange;
}
constexpr uint32_t kind_of(const ProtocolFound&) {
  return kind_protocol_found;
}
constexpr uint32_t kind_of(const Send&) {
  return kind_send;
}
constexpr uint32_t kind_of(const Tls&) {
  return kind_tls;
}
constexpr uint32_t kind_of(const Trailer&) {
  return kind_trailer;
}

}  // namespace

std::byte* encode_chunk(std::byte* out, int64_t time_ns, const Chunk& chunk) {
  assert(time_ns >= 0 && chunk.bytes.size() <= tape_format::chunk_bytes_max);
  uint64_t direction = number_of(chunk.direction);
  size_t length = chunk.bytes.size();
  size_t data = length == 0 ? 0 : 1 + wire::varint_size(length) + length;
  size_t body = wire::field_size(chunk.connection) + wire::field_size(direction) +
                wire::field_size(chunk.offset) + data;
  size_t record = wire::field_size(unsigned_of(time_ns)) + 1 + wire::varint_size(body) + body;

  out = wire::put_head(out, 1, record);
  out = wire::put_field(out, 1, unsigned_of(time_ns));
  out = wire::put_head(out, kind_chunk, body);
  out = wire::put_field(out, 1, chunk.connection);
  out = wire::put_field(out, 2, direction);
  out = wire::put_field(out, 3, chunk.offset);
  if (length == 0) return out;
  out = wire::put_head(out, 4, length);
  std::memcpy(out, chunk.bytes.data(), length);
  return out + length;
}

void encode_record(std::string& out, int64_t time_ns, const Event& event) {
  assert(time_ns >= 0);
  Writer(out).message(1, [&](Writer& record) {
    record.number(1, unsigned_of(time_ns));
    std::visit(
        [&](const auto& e) { record.message(kind_of(e), [&](Writer& body) { fill(body, e); }); },
        event);
  });
}

void write_trailer(Writer& out, const Trailer& trailer) {
  fill(out, trailer);
}

}  // namespace wiretape
