// Whose fault it was, in the words of the report and of the run's tape. A replay that blames its
// target for its own lateness, or the other way round, is worse than none, so every send has
// exactly one cause, and the causes' histograms add up to the one of all sends.
//
//   us           due, free to go, and still late: the loop, the machine
//   target       its answer, its handshake or its window came after the due time
//   dependency   what goes before on the same connection had been held by the target
//   limit        a limit kept the connection from opening
#include "replayer/tally.h"

namespace wiretape {

std::string_view name_of(Cause cause) {
  constexpr std::string_view names[] = {"us", "target", "dependency", "limit"};
  return names[static_cast<size_t>(cause)];
}

}  // namespace wiretape
