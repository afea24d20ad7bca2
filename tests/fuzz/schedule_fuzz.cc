// A schedule is made from any records in any order: ids used twice, parts without a header, times
// that jump; and from any stretch of them, with and without rules. Whatever comes, each connection
// of the run is opened once and ended once, has its actions in between, waits for no more answers
// than it has requests, and no time goes back. The stretch that is all leaves nothing out.
//
// Each record is made of five bytes: its kind, its connection, the step of its time, a length, and
// whether a part begins. Of up to four bytes that remain the first is where the stretch begins, the
// second its length, the third whether there are rules.
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>
#include <span>
#include <string>

#include "replayer/compare.h"
#include "replayer/excerpt.h"

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

int64_t time_of(uint8_t byte) {
  return static_cast<int64_t>(byte) << byte % 50;
}

void check(const std::deque<Action>& actions) {
  std::set<ConnectionId> begun, open;
  std::map<ConnectionId, uint64_t> requests;
  uint64_t ended = 0;
  int64_t last_ns = 0;
  for (const Action& action : actions) {
    const ConnectionId id = action.connection;
    if (action.kind == Action::Kind::open && (!begun.insert(id).second || !open.insert(id).second))
      abort();
    if (!open.contains(id) || action.time_ns < last_ns) abort();
    if (action.gate.responses > requests[id] || action.closed_before > ended) abort();
    requests[id] += action.requests;
    ended += action.ends_connection();
    if (action.ends_connection()) open.erase(id);
    last_ns = action.time_ns;
  }
  if (!open.empty()) abort();
}

// Until the end, or until nothing more belongs to the plan.
template <typename Plan>
void feed(Plan& plan, std::span<const uint8_t> rest) {
  TapeRecord record;
  for (; rest.size() >= bytes_a_record; rest = rest.subspan(bytes_a_record)) {
    record.part += rest[4] % 16 == 0;
    record.time_ns = time_of(rest[2]);
    record.event = event_of(rest);
    plan.feed(record);
    if constexpr (requires { plan.is_over(); }) {
      if (plan.is_over()) return;
    }
  }
  plan.finish();
}

std::deque<Action> excerpt_of(std::span<const uint8_t> input, Stretch stretch,
                              const RewriteRules& rules) {
  Compare compare{CompareOptions{}};
  Excerpt excerpt(compare, stretch, rules);
  feed(excerpt, input);
  check(excerpt.actions());
  return std::move(excerpt.actions());
}

void check_same(const std::deque<Action>& all, const std::deque<Action>& excerpt) {
  if (all.size() != excerpt.size()) abort();
  for (size_t i = 0; i < all.size(); ++i) {
    if (all[i].kind != excerpt[i].kind || all[i].connection != excerpt[i].connection ||
        all[i].time_ns != excerpt[i].time_ns || all[i].bytes != excerpt[i].bytes) {
      abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span input(data, size);
  const std::span options = input.last(size % bytes_a_record);
  const auto option = [&](size_t i) { return i < options.size() ? options[i] : uint8_t{0}; };
  RewriteRules rules;
  if (option(2) % 2 == 1) rules = {{"Host", "other"}, {"Content-Type", {}}, {"Accept", "b"}};

  Compare compare{CompareOptions{}};
  Schedule schedule(compare, rules);
  feed(schedule, input);
  check(schedule.actions());
  check_same(schedule.actions(), excerpt_of(input, {}, rules));
  const int64_t from_ns = time_of(option(0));
  excerpt_of(input, {from_ns, from_ns + 1 + time_of(option(1))}, rules);
  return 0;
}
