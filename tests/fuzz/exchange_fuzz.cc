// Any bytes, both ways, split anywhere, with gaps and half-closes: the tracker must neither crash
// nor tell two different things of the same bytes, nor lose or claim twice a single byte.
//
// Input: a series of steps. A step's first byte says what happens (bit 0: direction; bits 1 and 2:
// all zero is a gap, else bytes), its second how many bytes of what follows belong to it.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "tests/proto/exchange_watch.h"

namespace wiretape {
namespace {

struct Run {
  ExchangeWatch watch;
  uint64_t length[2] = {0, 0};
};

void play(std::string_view input, size_t piece_max, Run& run) {
  ExchangeTracker tracker(1, run.watch);
  while (input.size() >= 2) {
    const auto kind = static_cast<uint8_t>(input[0]);
    const auto direction = static_cast<Direction>(kind & 1);
    std::string_view bytes = input.substr(2, static_cast<uint8_t>(input[1]));
    input.remove_prefix(2 + bytes.size());
    run.length[kind & 1] += bytes.size();
    if (kind >= 0xf0) tracker.half_closed(direction, 1);
    if ((kind & 0xfe) == 0x80) {
      tracker.gap(direction, 1, bytes.size());
      continue;
    }
    for (; !bytes.empty(); bytes.remove_prefix(std::min(piece_max, bytes.size()))) {
      const std::string piece(bytes.substr(0, piece_max));
      tracker.chunk(direction, 1, as_bytes(piece));
      if (piece_max == 1) tracker.park();
    }
  }
  tracker.closed(2);
}

void check_extents(const Run& run, Direction direction) {
  const std::string stream(run.length[index_of(direction)], '.');
  if (run.watch.unclaimed(direction, stream).starts_with("overlap")) std::abort();
}

}  // namespace
}  // namespace wiretape

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wiretape;
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Run whole, split;
  play(input, 256, whole);
  play(input, 1, split);
  if (whole.watch.told() != split.watch.told()) std::abort();
  check_extents(whole, Direction::client_to_server);
  check_extents(whole, Direction::server_to_client);
  return 0;
}
