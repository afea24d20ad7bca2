// The summary fits a screen and is ordered by what a reader asks first: is it the same, what is
// not, was everything sent, how fast was the target, and can the run itself be trusted (its own
// lateness, and whose fault that was).
//
//   same 4210, different 3, errors 0
//     connection 2 request 17 GET http://app/x: status 200 -> 500
//     connection 4 request 0 GET http://app/y: body $.price: 17 -> 18
//     ...
//
// The JSON holds the same and more; its keys are a contract with scripts and are only added to.
#include "replayer/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "proto/json.h"
#include "replayer/quote.h"

namespace wiretape {
namespace {

constexpr size_t differences_shown_max = 10;
constexpr size_t url_shown_max = 80;
constexpr size_t value_shown_max = 80;

std::string time_text(int64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < 1'000'000) return fmt::format("{:.0f} us", value / 1e3);
  if (ns < 1'000'000'000) return fmt::format("{:.1f} ms", value / 1e6);
  return fmt::format("{:.2f} s", value / 1e9);
}

std::string row(const char* name, const Histogram& histogram) {
  const Percentiles p = histogram.percentiles();
  return fmt::format("{:<30} p50 {:>9}  p90 {:>9}  p99 {:>9}  max {:>9}\n", name, time_text(p.p50),
                     time_text(p.p90), time_text(p.p99), time_text(p.max));
}

std::string counts_text(const std::map<std::string, uint64_t>& counts) {
  std::string text;
  for (const auto& [reason, count] : counts) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", reason, count);
  }
  return text;
}

std::string counted(uint64_t number, std::string_view thing) {
  return fmt::format("{} {}{}", number, thing, number == 1 ? "" : "s");
}

// What differs, and where it begins.
std::string place_text(const Difference& d) {
  if (!d.path.empty()) return d.what + " " + d.path;
  if (d.headers == 1) return "header " + d.header;
  if (d.headers > 1) return fmt::format("header {} and {} more", d.header, d.headers - 1);
  if (!d.offset) return d.what;
  std::string text = fmt::format("{} {} byte {}", d.what,
                                 d.offset_is_exact ? "at" : "within 64 KiB from", *d.offset);
  if (d.recorded_bytes && d.replayed_bytes) {
    text += fmt::format(" ({} -> {} bytes)", *d.recorded_bytes, *d.replayed_bytes);
  }
  return text;
}

std::string difference_text(const Difference& d, bool name_part) {
  std::string text = name_part ? fmt::format("  part {}", d.part) : " ";
  text += fmt::format(" connection {}", d.connection);
  if (d.request) text += fmt::format(" request {}", *d.request);
  if (!d.method.empty()) text += fmt::format(" {} {}", d.method, one_line(d.url, url_shown_max));
  text += fmt::format(": {}{} ", place_text(d),
                      d.offset || d.headers > 0 || !d.path.empty() ? ":" : "");
  if (!d.recorded.empty()) text += one_line(d.recorded, value_shown_max) + " -> ";
  return text + one_line(d.replayed, value_shown_max) + "\n";
}

std::string differences_text(const RunReport& report) {
  const Verdicts& verdicts = report.verdicts;
  std::string text;
  const size_t shown = std::min(verdicts.differences.size(), differences_shown_max);
  for (size_t i = 0; i < shown; ++i) {
    text += difference_text(verdicts.differences[i], report.parts > 1);
  }
  const uint64_t more = verdicts.differences.size() - shown + verdicts.differences_omitted;
  if (more > 0) text += fmt::format("  ... and {} more\n", more);
  return text;
}

std::string why_nothing_compared(const RunReport& report) {
  const auto& reasons = report.verdicts.not_compared;
  if (!reasons.empty()) return "only " + counts_text(reasons);
  if (report.tally.requests_scheduled > 0) return "nothing was sent";
  if (!report.first_unit_ns) return "the tape has nothing to send";
  return fmt::format(
      "nothing on the tape begins between --from and --to (its first request is at {:.3f} s)",
      static_cast<double>(*report.first_unit_ns) / 1e9);
}

std::string verdict_text(const RunReport& report) {
  const Verdicts& v = report.verdicts;
  if (!report.compared) return fmt::format("not compared, errors {}\n", v.errors);
  if (nothing_compared(report)) {
    return fmt::format("nothing was compared: {}\n", why_nothing_compared(report));
  }
  const bool all_same = v.different + v.errors == 0;
  const char* verdict = !all_same                ? ""
                        : v.not_compared.empty() ? "all the same: "
                                                 : "the same as far as compared: ";
  return fmt::format("{}same {}, different {}, errors {}\n", verdict, v.same, v.different,
                     v.errors);
}

std::string sent_text(const RunReport& report) {
  const Tally& t = report.tally;
  std::string text =
      fmt::format("sent {} of {} on {} in {}, {}\n", t.requests_sent,
                  counted(t.requests_scheduled, "request"), counted(t.connections, "connection"),
                  time_text(report.duration_ns), counted(t.responses, "response"));
  if (t.requests_sent > t.responses && report.verdicts.errors > 0) {
    text += fmt::format("sent and never answered: {} (in no latency below)\n",
                        t.requests_sent - t.responses);
  }
  if (t.reconnects + t.connections_failed > 0) {
    text += fmt::format("replaced because the target closed: {}; failed to connect: {}\n",
                        counted(t.reconnects, "connection"), t.connections_failed);
  }
  if (!report.read_to_end) {
    text += "ended before the tape was read to its end: what follows is not counted\n";
  }
  if (!t.not_sent.empty()) text += "not sent: " + counts_text(t.not_sent) + "\n";
  const auto& not_compared = report.verdicts.not_compared;
  if (!not_compared.empty()) text += "not compared: " + counts_text(not_compared) + "\n";
  if (t.gates_by_quiet > 0) {
    text += fmt::format("{} {} taken for over because the target went quiet\n",
                        counted(t.gates_by_quiet, "turn"), t.gates_by_quiet == 1 ? "was" : "were");
  }
  if (t.not_sent.contains("tls")) {
    text +=
        "TLS that was passed through can't be replayed: record where the traffic is in clear, "
        "behind what ends the TLS (TLS is not in this version)\n";
  }
  return text;
}

std::string status_text(const std::map<uint32_t, uint64_t>& status) {
  std::string text;
  for (const auto& [code, count] : status) text += fmt::format(" {} x{}", code, count);
  return text.empty() ? "" : "status" + text + "\n";
}

std::string times_text(const Tally& tally) {
  std::string text;
  if (tally.latency_sent_ns.count() > 0) {
    text += row("latency from the due time", tally.latency_due_ns) +
            row("latency from the sending", tally.latency_sent_ns);
  }
  if (tally.latency_recorded_ns.count() > 0) {
    text += row("latency as recorded", tally.latency_recorded_ns);
  }
  if (tally.lateness_ns.count() == 0) return text;
  text += row("lateness of the run", tally.lateness_ns);
  for (size_t i = 0; i < causes; ++i) {
    const Histogram& histogram = tally.lateness_by_cause[i];
    if (histogram.count() == 0) continue;
    const auto cause = static_cast<Cause>(i);
    const std::string_view whose = cause == Cause::us ? "wiretape" : name_of(cause);
    const auto name = fmt::format("  {} ({})", whose, counted(histogram.count(), "send"));
    text += row(name.c_str(), histogram);
  }
  return text;
}

void percentiles_json(JsonWriter& json, std::string_view key, const Histogram& histogram) {
  const Percentiles p = histogram.percentiles();
  json.key(key).begin_object().field("p50", p.p50).field("p90", p.p90).field("p99", p.p99);
  json.field("max", p.max).field("count", histogram.count()).end_object();
}

void counts_json(JsonWriter& json, std::string_view key,
                 const std::map<std::string, uint64_t>& counts) {
  json.key(key).begin_object();
  for (const auto& [reason, count] : counts) json.field(reason, count);
  json.end_object();
}

void difference_json(JsonWriter& json, const Difference& d, bool name_part) {
  json.begin_object();
  if (name_part) json.field("part", d.part);
  json.field("connection", d.connection).key("index");
  d.request ? json.value(*d.request) : json.null();
  if (!d.method.empty()) json.field("method", d.method);
  if (!d.url.empty()) json.field("url", d.url);
  json.field("what", d.what).field("recorded", d.recorded).field("replayed", d.replayed);
  if (d.headers > 0) json.field("header", d.header).field("headers", d.headers);
  if (!d.path.empty()) json.field("path", d.path);
  if (d.offset) json.field("offset", *d.offset).field("offset_is_exact", d.offset_is_exact);
  if (d.recorded_bytes) json.field("recorded_bytes", *d.recorded_bytes);
  if (d.replayed_bytes) json.field("replayed_bytes", *d.replayed_bytes);
  json.end_object();
}

void add_counts(JsonWriter& json, const RunReport& report) {
  const Tally& t = report.tally;
  const Verdicts& v = report.verdicts;
  json.field("requests_scheduled", t.requests_scheduled).field("requests_sent", t.requests_sent);
  json.field("responses", t.responses).field("connections", t.connections);
  json.field("connections_failed", t.connections_failed).field("reconnects", t.reconnects);
  json.field("same", v.same).field("different", v.different).field("errors", v.errors);
  counts_json(json, "error_reasons", v.error_reasons);
  counts_json(json, "not_sent", t.not_sent);
  counts_json(json, "not_compared", v.not_compared);
  json.field("gates_by_quiet", t.gates_by_quiet).field("bytes_sent", t.bytes_sent);
  json.field("bytes_received", t.bytes_received).field("duration_ns", report.duration_ns);
}

void causes_json(JsonWriter& json, std::string_view key,
                 const std::array<Histogram, causes>& by_cause) {
  json.key(key).begin_object();
  for (size_t i = 0; i < causes; ++i) {
    percentiles_json(json, name_of(static_cast<Cause>(i)), by_cause[i]);
  }
  json.end_object();
}

void add_times(JsonWriter& json, const Tally& tally) {
  percentiles_json(json, "lateness_ns", tally.lateness_ns);
  causes_json(json, "lateness_by_cause", tally.lateness_by_cause);
  causes_json(json, "latency_due_by_cause", tally.latency_due_by_cause);
  causes_json(json, "latency_sent_by_cause", tally.latency_sent_by_cause);
  percentiles_json(json, "latency_due_ns", tally.latency_due_ns);
  percentiles_json(json, "latency_sent_ns", tally.latency_sent_ns);
  percentiles_json(json, "latency_recorded_ns", tally.latency_recorded_ns);
}

void add_differences(JsonWriter& json, const RunReport& report) {
  const Verdicts& verdicts = report.verdicts;
  json.key("status").begin_object();
  for (const auto& [code, count] : verdicts.status) json.field(std::to_string(code), count);
  json.end_object().key("differences").begin_list();
  for (const Difference& d : verdicts.differences) difference_json(json, d, report.parts > 1);
  json.end_list().field("differences_omitted", verdicts.differences_omitted);
}

}  // namespace

bool nothing_compared(const RunReport& report) {
  const Verdicts& v = report.verdicts;
  return report.compared && v.same + v.different + v.errors == 0;
}

bool left_unsent(const RunReport& report) {
  const auto& not_sent = report.tally.not_sent;
  return std::any_of(not_sent.begin(), not_sent.end(), [](const auto& entry) {
    const bool not_on_the_tape =
        entry.first == "gap" || entry.first == "damaged_tape" || entry.first == "begun_before";
    return entry.second > 0 && !not_on_the_tape;
  });
}

std::string summary_of(const RunReport& report) {
  return fmt::format("replayed {} to {} at speed {}\n", report.tape, report.target, report.speed) +
         verdict_text(report) + differences_text(report) + sent_text(report) +
         status_text(report.verdicts.status) + times_text(report.tally);
}

std::string json_of(const RunReport& report) {
  JsonWriter json(JsonWriter::Layout::indented);
  json.begin_object().field("tape", report.tape).field("target", report.target);
  json.field("speed", report.speed);
  add_counts(json, report);
  add_times(json, report.tally);
  add_differences(json, report);
  json.field("tape_damages", report.damages).field("tape_blocks_lost", report.blocks_lost);
  json.field("tape_torn", report.torn).field("tape_read_to_end", report.read_to_end);
  json.field("connections_not_recorded", report.connections_not_recorded).end_object();
  return json.take() + "\n";
}

}  // namespace wiretape
