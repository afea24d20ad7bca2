// What a run counts while it goes: how much was sent, how true to time, and how fast the target
// answered.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "replayer/latency.h"

namespace wiretape {

// Why a send was late.
enum class Cause : uint8_t {
  us = 0,          // nothing else: this program or its machine
  target = 1,      // the target answered, connected or took bytes too late for it
  dependency = 2,  // what had to go before it on its connection had been held by the target
  limit = 3,       // a limit held its connection back
};
inline constexpr size_t causes = 4;
std::string_view name_of(Cause cause);

struct Tally {
  uint64_t requests_scheduled = 0;  // HTTP requests and opaque turns
  uint64_t requests_sent = 0;
  uint64_t responses = 0;
  uint64_t connections = 0;  // opened towards the target
  uint64_t connections_failed = 0;
  uint64_t reconnects = 0;
  uint64_t gates_by_quiet = 0;
  uint64_t bytes_sent = 0;
  uint64_t bytes_received = 0;
  std::map<std::string, uint64_t> not_sent;  // requests and turns by reason

  Histogram lateness_ns;  // of every send: its last byte accepted by the kernel, minus due
  std::array<Histogram, causes> lateness_by_cause;
  // To the last byte of the final response (opaque: of the server's turn), from the due time and
  // from the acceptance of the request's last byte.
  Histogram latency_due_ns;
  Histogram latency_sent_ns;
  // The same two by the cause of the request's own lateness.
  std::array<Histogram, causes> latency_due_by_cause;
  std::array<Histogram, causes> latency_sent_by_cause;
  // The same of the recorded server, on the tape's own clock.
  Histogram latency_recorded_ns;

  void add_lateness(int64_t late_ns, Cause cause) {
    lateness_ns.add(late_ns);
    lateness_by_cause[static_cast<size_t>(cause)].add(late_ns);
  }
};

}  // namespace wiretape
