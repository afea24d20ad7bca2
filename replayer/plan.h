// What a run would do, found by looking through the tape without sending anything: for --dry-run,
// and for the guard, which must know before the first byte.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "replayer/excerpt.h"
#include "replayer/rewrite.h"
#include "replayer/tape_source.h"

namespace wiretape {

struct Plan {
  uint64_t connections = 0;
  // Scheduled; what of them would not be sent is in not_sent.
  uint64_t requests = 0;                    // HTTP
  uint64_t turns = 0;                       // of opaque connections
  uint64_t bytes = 0;                       // that would be sent
  int64_t recorded_ns = 0;                  // from the first action to the last, at recorded speed
  std::map<std::string, uint64_t> methods;  // of the requests that would be sent
  uint64_t requests_sent = 0;
  uint64_t turns_sent = 0;
  std::map<std::string, uint64_t> not_sent;  // requests and turns by reason
  RewriteTally rewritten;
  bool goes_back = false;  // the target was the upstream of a recorded connection
  uint64_t connections_not_recorded = 0;
  uint64_t blocks_lost = 0;
  bool torn = false;

  // Requests that are none of GET, HEAD and OPTIONS, or of which the method is not known.
  uint64_t requests_writing() const;
  // Those, and opaque turns: who knows what they do.
  uint64_t writes() const { return requests_writing() + turns_sent; }
};

// Reads the tape as a run would, all laps of it, in constant memory. Errors: it can't be read again
// for a further lap (tape).
Result<Plan> look_through(TapeSource& tape, const Endpoint& target,
                          const std::vector<Address>& addresses, Stretch stretch = {},
                          const RewriteRules& rules = {});

// When the tape's first request or turn begins, on its own clock; nothing when it has none. Reads
// the tape from where it is to there.
std::optional<int64_t> first_unit_ns(TapeSource& tape);

}  // namespace wiretape
