// Events: what can be on a tape, as plain structs. This is the vocabulary that the recorder, the
// tape and the replayer share (docs/glossary.md). Times are nanoseconds since the part's start on
// a tape, and CLOCK_MONOTONIC nanoseconds before they get there.
//
// Text and byte fields are views: they are valid as long as whoever hands the event out says.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace wiretape {

using Bytes = std::span<const std::byte>;

inline Bytes as_bytes(std::string_view text) {
  return std::as_bytes(std::span(text));
}
inline std::string_view as_text(Bytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// One TCP connection; on a tape, the joined downstream and upstream pair. Unique in a part; counts
// from 1 in order of acceptance.
using ConnectionId = uint64_t;

enum class Direction : uint8_t { client_to_server = 0, server_to_client = 1 };

constexpr Direction opposite(Direction d) {
  return d == Direction::client_to_server ? Direction::server_to_client
                                          : Direction::client_to_server;
}
constexpr size_t index_of(Direction d) {
  return static_cast<size_t>(d);
}
std::string_view name_of(Direction d);  // "client_to_server"

// How a connection ended. `open` means it did not, as far as the tape knows.
enum class CloseHow : uint8_t {
  open = 0,
  fin = 1,
  rst = 2,
  timeout = 3,
  refused = 4,
  error = 5,
  drain = 6
};
enum class ClosedBy : uint8_t { nobody = 0, client = 1, server = 2, us = 3 };
std::string_view name_of(CloseHow how);
std::string_view name_of(ClosedBy by);

// What a connection speaks, as far as its bytes tell.
enum class Protocol : uint8_t { unknown = 0, opaque = 1, http1 = 2, http2 = 3, tls = 4 };
std::string_view name_of(Protocol protocol);

// The first record of every part.
struct Header {
  uint32_t format_version = 1;
  std::string tool_version;
  int64_t wall_start_ns = 0;           // wall clock at the part's start, ns since 1970
  std::string host;                    // the machine it was recorded on
  std::vector<std::string> listeners;  // "127.0.0.1:8080 -> app:3000", one a pair
  std::string tape_set;                // the same for all parts made by one process, 32 hex digits
  uint32_t part = 0;                   // counts from 0
  bool indexed = true;                 // false: no exchange records were made (--raw)
  std::vector<std::string> redaction;  // rules in force; none: the bytes are as they were
};

// A client connected to us.
struct Opened {
  ConnectionId connection = 0;
  std::string client;                    // its address
  std::string listener;                  // ours, that it connected to
  std::string upstream;                  // where it is to go, as the user named it
  std::string original_destination;      // what the client dialled, when it was redirected
  ConnectionId recorded_connection = 0;  // on a run's tape: the connection that this one replays
};

// Our own connection to the upstream stands.
struct Connected {
  ConnectionId connection = 0;
  std::string local;   // our address on that side
  std::string server;  // the upstream's
};

// The bytes of one read.
struct Chunk {
  ConnectionId connection = 0;
  Direction direction = Direction::client_to_server;
  uint64_t offset = 0;  // of its first byte in the direction's stream
  Bytes bytes;
};

// End of stream in one direction.
struct HalfClosed {
  ConnectionId connection = 0;
  Direction direction = Direction::client_to_server;
  uint64_t offset = 0;  // the stream's length
};

struct Closed {
  ConnectionId connection = 0;
  CloseHow how = CloseHow::open;
  ClosedBy by = ClosedBy::nobody;
  std::string error;            // why, when how is refused or error: one line
  uint64_t length[2] = {0, 0};  // of each direction's stream, gaps included
  Protocol protocol = Protocol::unknown;
};

enum class GapReason : uint8_t { unknown = 0, overload = 1, disk = 2, capture_loss = 3 };
std::string_view name_of(GapReason reason);

// Bytes that were seen but are not on the tape.
struct Gap {
  ConnectionId connection = 0;  // 0: whole connections, of which nothing else is on the tape
  Direction direction = Direction::client_to_server;
  uint64_t offset = 0;
  uint64_t length = 0;
  GapReason reason = GapReason::unknown;
  uint64_t connections = 0;  // how many, when connection is 0
};

// Reading paused because the recorder was behind; the peers were held by TCP's own backpressure.
struct Stall {
  int64_t begin_ns = 0;
  int64_t duration_ns = 0;
};

// A named moment.
struct Mark {
  std::string name;
};

// From this offset on, the direction is not (or no longer) HTTP/1.
struct ProtocolFound {
  ConnectionId connection = 0;
  Direction direction = Direction::client_to_server;
  uint64_t offset = 0;
  Protocol protocol = Protocol::opaque;
  std::string reason;       // "upgrade", "connect", "tls client hello", or the parser's own words
  std::string server_name;  // SNI, when the protocol is tls and it was named
};

// A message's place in its direction's stream, and when it was seen.
struct MessageExtent {
  uint64_t begin = 0;                // offset of the first byte of the start line
  uint64_t head_end = 0;             // offset behind the empty line after the header fields
  uint64_t end = 0;                  // offset behind the last byte
  int64_t first_ns = 0;              // when its first byte was read
  int64_t last_ns = 0;               // when its last byte was read
  uint64_t body_bytes = 0;           // without transfer coding
  uint64_t body_digest[2] = {0, 0};  // XXH3-128 of the body without transfer coding: low, high
  bool complete = false;
};

// One HTTP request and its response: an index over the bytes, never a replacement.
struct Exchange {
  ConnectionId connection = 0;
  uint64_t index = 0;  // counts from 0 in its connection
  std::string method;  // empty: a response that no request asked for
  std::string target;
  std::string authority;           // the Host field
  uint32_t status = 0;             // of the final response; 0: there was none
  uint32_t interim_responses = 0;  // 1xx
  bool has_request = false;
  bool has_response = false;       // a final response's head was seen
  bool holds_credentials = false;  // Authorization, Cookie, Set-Cookie and their like
  MessageExtent request;
  MessageExtent response;  // first_ns is that of the first interim response, if there was one
};

// On a run's tape: one send of the replayer.
struct Send {
  ConnectionId connection = 0;
  uint64_t offset = 0;
  uint64_t length = 0;
  int64_t due_ns = 0;
  int64_t sent_ns = 0;  // when the kernel had taken its last byte
  std::string cause;    // of its lateness: us, target, dependency, limit
};

// What TLS said of itself on one side of a connection.
struct Tls {
  ConnectionId connection = 0;
  bool upstream = false;
  std::string version;
  std::string cipher;
  std::string server_name;
  std::string alpn;
};

// The last record of a part that was closed cleanly.
struct Trailer {
  uint64_t connections = 0;
  uint64_t exchanges = 0;
  uint64_t requests = 0;
  uint64_t responses = 0;
  uint64_t length[2] = {0, 0};      // sums over the connections, gaps included
  uint64_t bytes_not_recorded = 0;  // sum of the gaps
  uint64_t gaps = 0;
  uint64_t stalls = 0;
  int64_t stalled_ns = 0;
  uint64_t exchanges_with_credentials = 0;
  bool clean = false;  // closed in order and with nothing missing
};

using Event = std::variant<Header, Opened, Connected, Chunk, HalfClosed, Closed, Gap, Stall, Mark,
                           ProtocolFound, Exchange, Send, Tls, Trailer>;

}  // namespace wiretape
