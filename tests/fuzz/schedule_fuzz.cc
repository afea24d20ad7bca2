// A schedule is made from any records in any order: ids used twice, parts without a header, times
// that jump. Whatever comes, each connection of the run is opened once and ended once, has its
// actions in between, and no time goes back.
//
// Each record is made of five bytes: its kind, its connection, the step of its time, a length, and
// whether a part begins.
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <set>
#include <span>
#include <string>

#include "replayer/compare.h"
#include "replayer/schedule.h"

using namespace wiretape;

namespace {

constexpr size_t bytes_a_record = 5;
const std::string text =
    "GET / HTTP/1.1\r\nHost: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

Event event_of(std::span<const uint8_t> b) {
  const ConnectionId id = b[1] % 8 == 7 ? UINT64_MAX - b[1] : b[1] % 8;
  const auto direction = static_cast<Direction>(b[0] >> 7);
  Opened opened;
  opened.connection = id;
  Closed closed;
  closed.connection = id;
  closed.how = b[3] % 2 ? CloseHow::rst : CloseHow::fin;
  closed.by = ClosedBy::client;
  Header header;
  header.tape_set = b[1] % 2 ? "one" : "other";
  header.wall_start_ns = static_cast<int64_t>(uint64_t{b[2]} << 56);
  switch (b[0] % 6) {
    case 0:
      return opened;
    case 1:
      return closed;
    case 2:
      return HalfClosed{id, direction, b[3]};
    case 3:
      return Gap{id, direction, b[3], b[2], GapReason::overload, 0};
    case 4:
      return header;
    default:
      return Chunk{id, direction, b[3], as_bytes(text).subspan(b[3] % text.size())};
  }
}

void check(std::deque<Action>& actions) {
  std::set<ConnectionId> begun, open;
  int64_t last_ns = 0;
  for (const Action& action : actions) {
    const ConnectionId id = action.connection;
    if (action.kind == Action::Kind::open && (!begun.insert(id).second || !open.insert(id).second))
      abort();
    if (!open.contains(id) || action.time_ns < last_ns) abort();
    if (action.ends_connection()) open.erase(id);
    last_ns = action.time_ns;
  }
  if (!open.empty()) abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  Compare compare{CompareOptions{}};
  Schedule schedule(compare);
  TapeRecord record;
  for (std::span rest(data, size); rest.size() >= bytes_a_record;
       rest = rest.subspan(bytes_a_record)) {
    record.part += rest[4] % 16 == 0;
    record.time_ns = static_cast<int64_t>(rest[2]) << rest[2] % 50;
    record.event = event_of(rest);
    schedule.feed(record);
  }
  schedule.finish();
  check(schedule.actions());
  return 0;
}
