// Lists what is on a tape, one line an exchange, in the order in which they ended:
//
//        time  conn  method   URL                           status        ms     bytes
//       0.012     1  GET      http://app:3000/                 200      1.23      1.5K
//       0.010     2  opaque   127.0.0.1:40022 -> app:6379      fin      20.1   120/4.1K
//
// A connection that its exchanges do not tell all about (opaque, TLS, refused, cut off) gets a line
// of its own at its end, so that nothing recorded is invisible. The line of column names is for
// people at a terminal; a pipe gets data lines only, and URLs in full.
#include <fmt/core.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>

#include "base/log.h"
#include "cli/options.h"
#include "cli/show_connection.h"
#include "cli/text.h"
#include "proto/json.h"

namespace wiretape {
namespace {

struct ShowArguments {
  std::string tape;
  std::optional<ConnectionChoice> connection;
  bool json = false;
  bool body = false;
  bool hex = false;
};

constexpr size_t other_columns_width = 54;  // all but the URL
constexpr size_t url_width_piped = 44;

class ExchangeLister : public TapeVisitor {
 public:
  explicit ExchangeLister(bool colored) : colored_(colored) {
    const size_t width = terminal_width(stdout);
    url_width_ = width == 0 ? url_width_piped : std::max<size_t>(20, width - other_columns_width);
    elide_ = width != 0;
    if (elide_) row({"time", "conn", "method", "URL", "status", "ms", "bytes"}, "");
  }

  void on_exchange(const ConnectionSummary& connection, const Exchange& exchange) override;
  void on_connection(const ConnectionSummary& connection) override;
  bool enough() const override { return std::ferror(stdout) != 0; }

 private:
  struct Row {
    std::string time, connection, method, url, status, ms, bytes;
  };
  void row(const Row& row, std::string_view note) const;

  bool colored_;
  size_t url_width_ = 0;
  bool elide_ = false;
};

std::string painted_status(const std::string& padded, char first) {
  if (first == '5' || first == 'r' || first == 'e' || first == 't') {
    return fmt::format("\x1b[31m{}\x1b[0m", padded);  // 5xx, rst, refused, error, timeout
  }
  return first == '4' ? fmt::format("\x1b[33m{}\x1b[0m", padded) : padded;
}

void ExchangeLister::row(const Row& row, std::string_view note) const {
  std::string status = fmt::format("{:>7}", row.status);
  if (colored_ && !row.status.empty()) status = painted_status(status, row.status.front());
  const std::string url = elide_ ? elided(row.url, url_width_) : row.url;
  put("{:>10} {:>5} {:<7} {:<{}} {} {:>8} {:>9}{}{}\n", row.time, row.connection, row.method, url,
      url_width_, status, row.ms, row.bytes, note.empty() ? "" : "  ", note);
}

std::string duration_of(const Exchange& e) {
  if (!e.has_request || !e.has_response) return "-";
  return milliseconds_text(e.response.last_ns - e.request.first_ns);
}

int64_t start_of(const Exchange& e) {
  return e.has_request ? e.request.first_ns : e.response.first_ns;
}

uint64_t size_of(const MessageExtent& message) {
  return message.end - message.begin;
}

void ExchangeLister::on_exchange(const ConnectionSummary& connection, const Exchange& e) {
  const bool whole = (!e.has_request || e.request.complete) && e.response.complete;
  row({.time = seconds_text(start_of(e)),
       .connection = connection_name(connection.part, connection.id),
       .method = e.has_request ? printable(e.method) : "-",
       .url = e.has_request ? printable(url_of(e, connection)) : "(a response nobody asked for)",
       .status = e.has_response ? std::to_string(e.status) : "-",
       .ms = duration_of(e),
       .bytes = short_bytes(size_of(e.response))},
      whole ? "" : "incomplete");
}

// True when the connection's exchanges have said all there is to say.
bool told_by_exchanges(const ConnectionSummary& c) {
  const bool usual_end = c.how == CloseHow::fin || c.how == CloseHow::drain;
  return c.protocol == Protocol::http1 && c.exchanges > 0 && usual_end;
}

// How it ended, unless the error behind its ends says so in more words.
std::string end_of(const ConnectionSummary& c) {
  const bool said = c.how == CloseHow::refused && c.error.find("refused") != std::string::npos;
  return said ? "-" : std::string(name_of(c.how));
}

void ExchangeLister::on_connection(const ConnectionSummary& c) {
  if (told_by_exchanges(c)) return;
  const bool timed = c.opened_ns >= 0 && c.closed_ns >= 0;
  row({.time = c.opened_ns < 0 ? "-" : seconds_text(c.opened_ns),
       .connection = connection_name(c.part, c.id),
       .method = std::string(name_of(c.protocol)),
       .url = ends_of(c),
       .status = end_of(c),
       .ms = timed ? milliseconds_text(c.closed_ns - c.opened_ns) : "-",
       .bytes = fmt::format("{}/{}", short_bytes(c.streams[0].length),
                            short_bytes(c.streams[1].length))},
      "");
}

// A line of JSON an exchange.
class ExchangeJson : public TapeVisitor {
 public:
  explicit ExchangeJson(std::optional<ConnectionChoice> only) : only_(only) {}

  void on_exchange(const ConnectionSummary& connection, const Exchange& exchange) override;
  void on_connection(const ConnectionSummary& connection) override {
    highest_seen_ = std::max(highest_seen_, connection.id);
    if (!is_it(connection)) return;
    found_ = true;
    left_out_ += connection.exchanges == 0;
  }
  // Says what a list of exchanges can't show.
  void say_what_is_left_out() const {
    if (left_out_ == 0) return;
    say("{} without HTTP exchanges {} not in this list (stat --connections has {})",
        counted(left_out_, "connection"), left_out_ == 1 ? "is" : "are",
        left_out_ == 1 ? "it" : "them");
  }
  bool enough() const override { return std::ferror(stdout) != 0; }
  bool found() const { return found_; }
  ConnectionId highest_seen() const { return highest_seen_; }

 private:
  // The first part that has the connection is the one that is meant.
  bool is_it(const ConnectionSummary& connection) {
    if (!only_) return true;
    if (only_->id != connection.id) return false;
    if (!only_->part) only_->part = connection.part;
    return *only_->part == connection.part;
  }

  std::optional<ConnectionChoice> only_;
  JsonWriter json_;
  bool found_ = false;
  uint64_t left_out_ = 0;
  ConnectionId highest_seen_ = 0;
};

// A field that is null where there is nothing to say.
template <typename Value>
void field_or_null(JsonWriter& json, std::string_view name, bool known, const Value& value) {
  json.key(name);
  known ? json.value(value) : json.null();
}

void ExchangeJson::on_exchange(const ConnectionSummary& connection, const Exchange& e) {
  if (!is_it(connection)) return;
  json_.begin_object();
  json_.field("part", connection.part).field("connection", connection.id).field("index", e.index);
  if (connection.recorded_connection != 0) {
    json_.field("recorded_connection", connection.recorded_connection);
  }
  json_.field("start_ns", start_of(e));
  field_or_null(json_, "method", e.has_request, e.method);
  field_or_null(json_, "url", e.has_request, url_of(e, connection));
  field_or_null(json_, "status", e.has_response, e.status);
  json_.field("request_bytes", size_of(e.request)).field("response_bytes", size_of(e.response));
  field_or_null(json_, "first_byte_ns", e.has_response, e.response.first_ns);
  json_.field("end_ns", e.has_response ? e.response.last_ns : e.request.last_ns);
  json_.field("complete", e.response.complete && (!e.has_request || e.request.complete));
  json_.end_object();
  put("{}\n", json_.take());
}

// "3" or "1:3".
Result<ConnectionChoice> parse_connection(std::string_view text) {
  ConnectionChoice choice;
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto part = parse_integer(text.substr(0, colon), 0, UINT32_MAX);
    if (!part) return part.error();
    choice.part = static_cast<uint32_t>(*part);
    text.remove_prefix(colon + 1);
  }
  const auto id = parse_integer(text, 1, INT64_MAX);
  if (!id) return id.error();
  choice.id = static_cast<ConnectionId>(*id);
  return choice;
}

void describe(Options& options, ShowArguments& to) {
  options.usage("TAPE [--connection N [--body|--hex]] [--json]");
  options.example("what is on the tape, one line an exchange", "wiretape show session.tape");
  options.example("every byte of connection 3, with times",
                  "wiretape show session.tape --connection 3 --hex");
  options.positional("TAPE", "the tape; - is standard input", &to.tape);
  options.custom("--connection", "N", "show this connection, both directions (P:N: of part P)",
                 [&to](std::string_view value) -> Result<void> {
                   const auto choice = parse_connection(value);
                   if (!choice) return choice.error();
                   to.connection = *choice;
                   return {};
                 });
  options.flag("--body",
               "the bodies of its messages, without transfer coding, or its bytes as they "
               "are where it is not HTTP",
               &to.body);
  options.flag("--hex", "all its bytes, in hexadecimal", &to.hex);
  options.flag("--json", "a line of JSON an exchange", &to.json);
  options.not_built({"--follow", "--filter"});
}

// What is wrong with the flags together; "" when nothing is.
std::string_view conflict(const ShowArguments& a) {
  if ((a.body || a.hex) && !a.connection) return "--body and --hex need --connection N";
  if (a.body && a.hex) return "--body and --hex exclude one another";
  if (a.json && (a.body || a.hex)) return "--json goes with neither --body nor --hex";
  return "";
}

int report(const std::string& tape, const Result<TapeFindings>& walked) {
  if (!walked) {
    fail("{}", walked.error().message);
    return exit_status::could_not;
  }
  std::fflush(stdout);
  warn_of_findings(tape, *walked);
  return exit_status::done;
}

// Runs a visitor that looks for one connection, if one was asked for.
template <typename Printer>
int print_with(Printer& printer, const ShowArguments& a, const Options& options) {
  const int status = report(a.tape, walk_tape(a.tape, printer, TapeWalk::Digests::none));
  if (status != exit_status::done || !a.connection || printer.found()) return status;
  return options.refuse(
      fmt::format("--connection {}: {} has no such connection (they go up to {})",
                  connection_name(a.connection->part.value_or(0), a.connection->id), a.tape,
                  printer.highest_seen()));
}

ConnectionView view_of(const ShowArguments& a) {
  if (a.body) return ConnectionView::bodies;
  return a.hex ? ConnectionView::hex : ConnectionView::turns;
}

}  // namespace

int show_main(const Arguments& arguments) {
  ShowArguments a;
  Options options("show",
                  "Lists what is on a tape, one line an exchange, or shows one connection "
                  "in both directions. Times are seconds since the recording began.");
  describe(options, a);
  if (auto status = options.parse(arguments)) return *status;
  if (!conflict(a).empty()) return options.refuse(conflict(a));
  if (a.json) {
    ExchangeJson printer(a.connection);
    const int status = print_with(printer, a, options);
    if (status == exit_status::done) printer.say_what_is_left_out();
    return status;
  }
  if (a.connection) {
    ConnectionPrinter printer(*a.connection, view_of(a));
    return print_with(printer, a, options);
  }
  ExchangeLister lister(options.colored(stdout));
  return report(a.tape, walk_tape(a.tape, lister, TapeWalk::Digests::none));
}

}  // namespace wiretape
