// What a replayed connection is to do, and what it must wait for before it does it. The schedule
// makes actions out of the tape; connections carry them out.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "proto/event.h"

namespace wiretape {

// A gate keeps cause before effect, whatever the clock says: what the recorded client had been told
// before it went on, this run's client must have been told too.
struct Gate {
  uint64_t responses = 0;  // HTTP: final responses that were complete
  // Opaque: the server's turn before, in bytes; 0: there was none. A turn that comes out shorter
  // is over when the target has been quiet for as long as this.
  uint64_t turn_bytes = 0;
  int64_t quiet_ns = 0;
};

inline constexpr int64_t quiet_ns_min = 50 * ns_per_ms;

struct Action {
  enum class Kind : uint8_t { open, send, half_close, close, reset, abandon };

  Kind kind = Kind::send;
  ConnectionId connection = 0;
  int64_t time_ns = 0;  // when it happened, on the tape's clock
  // What it followed: when the last response before it was complete, or the server's turn over, or
  // the connection opened. The difference is the client's think time. For an opening it is the
  // client's last completion (clients.h) before; -1: there was none.
  int64_t after_ns = 0;
  Gate gate;
  bool begins_unit = false;  // the first bytes of a request or a turn, or the end: the gate counts
  // The first bytes of a body that the recorded client held back until it was told to continue
  // (RFC 9110 section 10.1.1).
  bool after_continue = false;
  bool opaque = false;         // by turns
  bool upgraded = false;       // opaque only because the recorded server agreed to it
  bool server_ended = false;   // the recorded server had sent FIN before
  uint64_t requests = 0;       // HTTP requests that begin in `bytes`
  uint64_t turns = 0;          // 1: an opaque turn begins
  uint64_t closed_before = 0;  // open: connections that had ended before
  uint64_t client_done = 0;    // open: what its client had completed before
  uint32_t client = 0;         // open: its number
  std::string reason;          // abandon: why the rest can't be sent
  std::vector<std::byte> bytes;

  uint64_t units() const { return requests + turns; }
  bool ends_connection() const { return kind == Kind::close || kind == Kind::reset; }
};

}  // namespace wiretape
