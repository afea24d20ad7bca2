// Counts what is on a tape. The totals are counted from the records, not copied from the trailer,
// so they are true for torn and damaged tapes too; whether the tape is whole is TapeCheck's word.
//
// With --connections each connection is kept as one small entry until the end, because JSON wants
// the totals first and the list is sorted. The SHA-256 of each direction is computed only then: at
// about 1 GB/s it would be most of the time of a plain stat.
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include "base/log.h"
#include "cli/options.h"
#include "cli/run_counter.h"
#include "cli/text.h"
#include "proto/json.h"

namespace wiretape {
namespace {

struct Totals {
  uint32_t format_version = 0;
  uint64_t parts = 0;
  uint64_t connections = 0;
  uint64_t connections_refused = 0;
  uint64_t connections_without_bytes = 0;  // of the others
  uint64_t connections_by_protocol[5] = {};
  uint64_t exchanges = 0;
  uint64_t requests = 0;
  uint64_t responses = 0;
  uint64_t length[2] = {0, 0};
  uint64_t gap_bytes = 0;
  uint64_t stalls = 0;
  int64_t stalled_ns = 0;
  uint64_t exchanges_with_credentials = 0;
  uint64_t marks = 0;
  int64_t duration_ns = 0;  // of all parts
};

class Counter : public TapeVisitor {
 public:
  explicit Counter(bool keep_connections) : keep_connections_(keep_connections) {}

  void on_record(const TapeRecord& record) override {
    std::visit([this](const auto& event) { take(event); }, record.event);
    totals.duration_ns += std::max<int64_t>(0, record.time_ns - last_ns_);
    last_ns_ = std::max(last_ns_, record.time_ns);
  }

  void on_exchange(const ConnectionSummary&, const Exchange& exchange) override {
    ++totals.exchanges;
    totals.requests += exchange.has_request;
    totals.responses += exchange.has_response;
    totals.exchanges_with_credentials += exchange.holds_credentials;
  }

  void on_connection(const ConnectionSummary& connection) override {
    ++totals.connections;
    count_kind(connection);
    for (size_t d = 0; d < 2; ++d) totals.length[d] += connection.streams[d].length;
    if (keep_connections_) connections.push_back(connection);
  }

  Totals totals;
  RunCounter run;
  Header header;  // the first part's
  std::vector<ConnectionSummary> connections;

 private:
  // Each connection is of one kind, so that the kinds add up.
  void count_kind(const ConnectionSummary& c) {
    const bool empty = c.streams[0].length + c.streams[1].length == 0;
    if (c.how == CloseHow::refused) {
      ++totals.connections_refused;
    } else if (c.protocol == Protocol::unknown && empty) {
      ++totals.connections_without_bytes;
    } else {
      ++totals.connections_by_protocol[static_cast<size_t>(c.protocol)];
    }
  }
  void take(const Header& of_part) {
    if (totals.parts++ == 0) header = of_part;
    totals.format_version = std::max(totals.format_version, of_part.format_version);
    last_ns_ = 0;
  }
  void take(const Gap& gap) {
    totals.gap_bytes += gap.length;
    if (gap.connection != 0) return;  // else its connections have no other record
    totals.length[index_of(gap.direction)] += gap.length;
    totals.connections += gap.connections;
  }
  void take(const Stall& stall) {
    ++totals.stalls;
    totals.stalled_ns += stall.duration_ns;
  }
  void take(const Mark&) { ++totals.marks; }
  void take(const Opened& opened) { run.take(opened); }
  void take(const Send& send) { run.take(send); }
  template <typename Other>
  void take(const Other&) {}

  const bool keep_connections_;
  int64_t last_ns_ = 0;
};

std::string_view name_of(TapeEnd end) {
  constexpr std::string_view names[] = {"whole", "torn", "being_written"};
  return names[static_cast<size_t>(end)];
}

// --- JSON ---

void write_connection(JsonWriter& json, const ConnectionSummary& c) {
  json.begin_object().field("part", c.part).field("id", c.id).field("client", c.client);
  if (c.recorded_connection != 0) json.field("recorded_connection", c.recorded_connection);
  json.field("server", c.server.empty() ? c.upstream : c.server).field("upstream", c.upstream);
  c.opened_ns < 0 ? json.key("opened_ns").null() : json.field("opened_ns", c.opened_ns);
  c.closed_ns < 0 ? json.key("closed_ns").null() : json.field("closed_ns", c.closed_ns);
  json.field("protocol", name_of(c.protocol));
  if (!c.server_name.empty()) json.field("server_name", c.server_name);
  json.field("bytes_client_to_server", c.streams[0].length);
  json.field("bytes_server_to_client", c.streams[1].length);
  json.field("bytes_not_recorded", c.streams[0].gap_bytes + c.streams[1].gap_bytes);
  for (Direction d : {Direction::client_to_server, Direction::server_to_client}) {
    const std::string& sha256 = c.streams[index_of(d)].sha256;
    json.key(fmt::format("sha256_{}", name_of(d)));
    sha256.empty() ? json.null() : json.value(sha256);
  }
  json.field("requests", c.requests).field("responses", c.responses);
  json.field("close", name_of(c.how)).key("closed_by");
  c.by == ClosedBy::nobody ? json.null() : json.value(name_of(c.by));
  if (!c.error.empty()) json.field("error", c.error);
  json.end_object();
}

void write_totals(JsonWriter& json, const Counter& counter, const TapeFindings& findings) {
  const Totals& t = counter.totals;
  json.field("connections", t.connections).field("exchanges", t.exchanges);
  json.field("requests", t.requests).field("responses", t.responses);
  json.field("bytes_client_to_server", t.length[0]).field("bytes_server_to_client", t.length[1]);
  json.field("bytes_not_recorded", t.gap_bytes).field("duration_ns", t.duration_ns);
  json.field("complete", findings.whole()).field("format_version", t.format_version);
  json.field("end", name_of(findings.end)).field("bytes_lost", findings.bytes_lost);
  json.field("parts", t.parts).field("stalls", t.stalls).field("stalled_ns", t.stalled_ns);
  json.field("marks", t.marks);
  json.field("exchanges_with_credentials", t.exchanges_with_credentials);
  json.field("wall_start_ns", counter.header.wall_start_ns).field("host", counter.header.host);
  json.field("tool_version", counter.header.tool_version);
  json.field("is_run", counter.run.is_run());
  if (counter.run.is_run()) counter.run.write(json);
}

void print_json(const Counter& counter, const TapeFindings& findings, bool with_connections) {
  JsonWriter json(JsonWriter::Layout::indented);
  json.begin_object();
  write_totals(json, counter, findings);
  if (with_connections) {
    json.key("connection_list").begin_list();
    for (const ConnectionSummary& connection : counter.connections) {
      write_connection(json, connection);
      put_text(json.take());
    }
    json.end_list();
  }
  json.end_object();
  put("{}\n", json.take());
}

// --- Text ---

void row(std::string_view name, std::string_view value) {
  put("  {:<18}{}\n", name, value);
}

std::string connections_text(const Totals& t) {
  std::string kinds;
  uint64_t others = t.connections;  // of which no record says more
  const auto add = [&](uint64_t number, std::string_view kind) {
    if (number == 0) return;
    kinds += fmt::format("{}{} {}", kinds.empty() ? "" : ", ", grouped(number), kind);
    others -= number;
  };
  for (Protocol p : {Protocol::http1, Protocol::http2, Protocol::tls, Protocol::opaque}) {
    add(t.connections_by_protocol[static_cast<size_t>(p)], name_of(p));
  }
  add(t.connections_refused, "refused");
  add(t.connections_without_bytes, "without bytes");
  add(others, "unknown");
  return grouped(t.connections) + (kinds.empty() ? "" : fmt::format(" ({})", kinds));
}

std::string complete_text(const TapeFindings& findings) {
  if (findings.whole()) return "yes";
  if (findings.end == TapeEnd::being_written) return "no: it is still being written";
  if (!findings.damage.empty()) return "no: it is damaged (wiretape verify says what is lost)";
  if (findings.end == TapeEnd::torn) return "no: it ends without its trailer";
  return findings.gap_bytes > 0 ? "no: bytes were not recorded" : "no (wiretape verify says why)";
}

// Size of the file, when it is one.
void disk_row(const std::string& path, const Totals& t) {
  struct stat file {};
  if (path == "-" || ::stat(path.c_str(), &file) != 0 || !S_ISREG(file.st_mode)) return;
  const uint64_t bytes = t.length[0] + t.length[1];
  std::string text = fmt::format("{} bytes", grouped(static_cast<uint64_t>(file.st_size)));
  if (bytes > 0) text += fmt::format(" ({:.1f} % of what passed)", 100.0 * file.st_size / bytes);
  row("on disk", text);
}

void print_text(const std::string& path, const Counter& counter, const TapeFindings& findings) {
  const Totals& t = counter.totals;
  put("{}\n", path);
  row("recorded",
      fmt::format("{} on {}, by wiretape {}", wall_time_text(counter.header.wall_start_ns),
                  printable(counter.header.host), printable(counter.header.tool_version)));
  const bool is_run = counter.run.is_run();
  for (const std::string& pair : counter.header.listeners) {
    row(is_run ? "a run of" : "listened on", printable(pair));
  }
  if (is_run) row("replayed", counter.run.connections_text());
  for (const std::string& rule : counter.header.redaction) row("redacted by", printable(rule));
  if (t.parts > 1) row("parts", grouped(t.parts));
  row("duration", seconds_text(t.duration_ns) + " s");
  row("connections", connections_text(t));
  row("exchanges", fmt::format("{} ({}, {})", grouped(t.exchanges), counted(t.requests, "request"),
                               counted(t.responses, "response")));
  row("client to server", grouped(t.length[0]) + " bytes");
  row("server to client", grouped(t.length[1]) + " bytes");
  row("not recorded", grouped(t.gap_bytes) + " bytes");
  if (is_run) {
    for (const auto& [name, figures] : counter.run.rows()) row(name, figures);
  }
  if (t.stalls > 0) {
    row("stalls", fmt::format("{} ({} s)", grouped(t.stalls), seconds_text(t.stalled_ns)));
  }
  if (t.marks > 0) row("marks", grouped(t.marks));
  if (t.exchanges_with_credentials > 0) {
    row("credentials", fmt::format("in {}", counted(t.exchanges_with_credentials, "exchange")));
  }
  disk_row(path, t);
  row("complete", complete_text(findings));
}

void print_connections(const std::vector<ConnectionSummary>& connections) {
  put("\n{:>6}  {:<44} {:>9} {:>9} {:<7} {:>7} {:>7} {}\n", "conn", "client -> server", "opened",
      "seconds", "", "up", "down", "close");
  for (const ConnectionSummary& c : connections) {
    const bool timed = c.opened_ns >= 0 && c.closed_ns >= 0;
    put("{:>6}  {:<44} {:>9} {:>9} {:<7} {:>7} {:>7} {}\n", connection_name(c.part, c.id),
        ends_of(c), c.opened_ns < 0 ? "-" : seconds_text(c.opened_ns),
        timed ? seconds_text(c.closed_ns - c.opened_ns) : "-", name_of(c.protocol),
        short_bytes(c.streams[0].length), short_bytes(c.streams[1].length), name_of(c.how));
  }
}

}  // namespace

int stat_main(const Arguments& arguments) {
  std::string tape;
  bool json = false, with_connections = false;
  Options options("stat",
                  "Counts what is on a tape: connections, exchanges, bytes, and whether "
                  "all of it is there.");
  options.usage("TAPE [--connections] [--json]");
  options.example("what is on the tape, in short", "wiretape stat session.tape");
  options.example("each connection with the SHA-256 of its two directions",
                  "wiretape stat session.tape --connections --json");
  options.positional("TAPE", "the tape; - is standard input", &tape);
  options.flag("--connections",
               "list the connections too; with --json, with the SHA-256 of each "
               "direction (bytes that are missing count as zeros)",
               &with_connections);
  options.flag("--json", "print JSON", &json);
  if (auto status = options.parse(arguments)) return *status;

  Counter counter(with_connections);
  const bool hash = with_connections && json;
  const auto walked =
      walk_tape(tape, counter, hash ? TapeWalk::Digests::sha256 : TapeWalk::Digests::none);
  if (!walked) {
    fail("{}", walked.error().message);
    return exit_status::could_not;
  }
  std::sort(counter.connections.begin(), counter.connections.end(),
            [](const ConnectionSummary& a, const ConnectionSummary& b) {
              return std::tie(a.part, a.id) < std::tie(b.part, b.id);
            });
  json ? print_json(counter, *walked, with_connections) : print_text(tape, counter, *walked);
  if (with_connections && !json) print_connections(counter.connections);
  std::fflush(stdout);
  warn_of_findings(tape, *walked);
  return exit_status::done;
}

}  // namespace wiretape
