// A run's tape is a tape like any other with two things more: each of its connections names the
// recorded one, and each send says when it was due and when the kernel had taken its last byte.
//
//   Opened{recorded_connection 7} -> seen_[7]          Send{due, sent, cause} -> histograms
//
// The figures are those of the run's own report, from its tape alone: they can be had again later,
// and by somebody who has only the tape.
#include "cli/run_counter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "cli/text.h"

namespace wiretape {
namespace {

std::string figures(const Histogram& histogram) {
  const Percentiles p = histogram.percentiles();
  return fmt::format("{:>9} late by p50 {:>8}  p99 {:>8}  max {:>8}", grouped(histogram.count()),
                     short_time(p.p50), short_time(p.p99), short_time(p.max));
}

void write_percentiles(JsonWriter& json, std::string_view name, const Histogram& histogram) {
  const Percentiles p = histogram.percentiles();
  json.key(name).begin_object().field("p50", p.p50).field("p90", p.p90).field("p99", p.p99);
  json.field("max", p.max).end_object();
}

}  // namespace

void RunCounter::take(const Opened& opened) {
  const ConnectionId id = opened.recorded_connection;
  if (id == 0) return;
  ++replaying_;
  if (id > recorded_max) return;
  if (seen_.size() <= id) seen_.resize(std::max<size_t>(id + 1, seen_.size() * 2));
  if (seen_[id]) return;
  seen_[id] = true;
  ++recorded_;
}

void RunCounter::take(const Send& send) {
  const int64_t late_ns = std::max<int64_t>(send.sent_ns - send.due_ns, 0);
  lateness_ns_.add(late_ns);
  size_t cause = 0;
  while (cause < causes && name_of(static_cast<Cause>(cause)) != send.cause) ++cause;
  (cause < causes ? by_cause_ns_[cause] : other_ns_).add(late_ns);
}

std::string RunCounter::connections_text() const {
  const std::string recorded = counted(recorded_, "recorded connection");
  return replaying_ == recorded_ ? recorded : recorded + ", on " + grouped(replaying_);
}

void RunCounter::write(JsonWriter& json) const {
  json.field("connections_replaying", replaying_).field("recorded_connections", recorded_);
  json.field("sends", lateness_ns_.count());
  write_percentiles(json, "lateness_ns", lateness_ns_);
  json.key("lateness_by_cause").begin_object();
  for (size_t i = 0; i < causes; ++i) {
    write_percentiles(json, name_of(static_cast<Cause>(i)), by_cause_ns_[i]);
  }
  json.end_object().key("sends_by_cause").begin_object();
  for (size_t i = 0; i < causes; ++i) {
    json.field(name_of(static_cast<Cause>(i)), by_cause_ns_[i].count());
  }
  json.end_object();
}

std::vector<std::pair<std::string, std::string>> RunCounter::rows() const {
  std::vector<std::pair<std::string, std::string>> rows = {{"sends", figures(lateness_ns_)}};
  [[maybe_unused]] uint64_t sum = other_ns_.count();
  for (size_t i = 0; i < causes; ++i) {
    sum += by_cause_ns_[i].count();
    if (by_cause_ns_[i].count() == 0) continue;
    rows.emplace_back(fmt::format("  by {}", name_of(static_cast<Cause>(i))),
                      figures(by_cause_ns_[i]));
  }
  assert(sum == lateness_ns_.count());
  return rows;
}

}  // namespace wiretape
