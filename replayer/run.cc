// A run from beginning to end. One loop on one thread does everything: reads the tape ahead, wakes
// connections when they are due, serves their sockets.
//
//   tape -> TapeReader -> Schedule -> [actions] -> Connection per recorded one -> TargetWire
//                             |                        ^     |
//                             v                      Pacer   v
//                          Compare <---------------------- answers
//
// All of it happens in tick(), once per iteration of the loop, right before it waits; sockets call
// their connections in between. The tape is read in small slices, some seconds ahead of what is
// due, and not while a send is about to be due: reading must not make sends late.
//
// What is read ahead is bounded in bytes and in time. It cannot come to a standstill: actions leave
// the queues when the target answers, or when it has been silent for too long.
//
// After the first signal the rest of the tape is read only to be counted: every connection gets its
// actions as before, and accounts for them as not sent.
//
// At speed max everything is due at once, and only order limits how many connections are open: one
// opens when as many have ended as had ended before it on the tape.
#include "replayer/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>
#include <csignal>

#include "base/clock.h"
#include "base/descriptors.h"
#include "base/log.h"

namespace wiretape {
namespace {

constexpr int64_t head_start_ns = 100 * ns_per_ms;  // from loading done to the first due time
constexpr int64_t read_ahead_ns_max = 2 * ns_per_s;
constexpr int64_t read_ahead_ns_min = 500 * ns_per_ms;
constexpr int64_t send_is_near_ns = ns_per_ms;
constexpr uint64_t read_ahead_bytes_max = 16 * 1024 * 1024;
constexpr uint64_t read_ahead_bytes_min = 4 * 1024 * 1024;
constexpr uint64_t connection_bytes = 2048;  // of one that waits to open, its answers included
constexpr uint64_t answer_bytes = 512;       // of a recorded answer that waits for the target's
constexpr int records_per_slice_max = 256;
constexpr int wakes_per_tick_max = 64;   // then sockets are served
constexpr size_t descriptors_kept = 64;  // for all but connections
constexpr int64_t progress_every_ns = 200 * ns_per_ms;
constexpr const char* stopped = "stopped";

size_t open_max(const ReplayOptions& options) {
  const size_t descriptors = raise_descriptor_limit();
  const size_t most =
      descriptors > 2 * descriptors_kept ? descriptors - descriptors_kept : descriptors_kept;
  return options.connections_max > 0 ? std::min(options.connections_max, most) : most;
}

Admission::Order order_of(const ReplayOptions& options) {
  if (options.pace == Pace::think) return Admission::Order::by_clients;
  return options.speed.is_max() ? Admission::Order::by_ends : Admission::Order::by_due_time;
}

}  // namespace

Run::Run(const ReplayOptions& options, Loop& loop, TapeSource& tape, Target& target,
         RunTape* run_tape)
    : options_(options),
      loop_(loop),
      tape_(tape),
      target_(target),
      run_tape_(run_tape),
      compare_(options.compare),
      excerpt_(compare_, options.stretch, rules_of(options.rewrite, options.target)),
      admission_(order_of(options), open_max(options)) {}

Run::~Run() {
  loop_.before_wait(nullptr);
}

Result<RunReport> Run::go() {
  auto timer = AbsoluteTimer::create(loop_, [this] { woke(); });
  if (!timer) return timer.error();
  timer_.emplace(std::move(*timer));
  if (auto loaded = load(); !loaded) return loaded.error();
  interrupt_.emplace(loop_, SIGINT, [this] { on_signal(); });
  terminate_.emplace(loop_, SIGTERM, [this] { on_signal(); });
  loop_.before_wait([this] {
    tick();
    if (run_tape_ != nullptr) run_tape_->before_wait();
  });
  timer_->start_at(monotonic_ns());
  loop_.run();
  assert(slots_.empty());
  if (failed_) return *failed_;
  if (!tape_ended_) compare_.stop(stopped);
  return report();
}

// Reads up to the first action, from which all times count.
Result<void> Run::load() {
  while (!tape_ended_ && excerpt_.actions().empty()) read_record();
  const Stretch& stretch = options_.stretch;
  const int64_t read_ns = excerpt_.schedule().time_ns();
  const bool any = !excerpt_.actions().empty();
  if (!any && tape_ended_ && stretch.from_ns > read_ns) {
    return Error{ErrorSource::usage,
                 fmt::format("--from is beyond the end of {}, which is {:.3f} s long", tape_.name(),
                             static_cast<double>(read_ns) / ns_per_s)};
  }
  const int64_t first_ns = any ? excerpt_.actions().front().time_ns : 0;
  const int64_t origin_ns = stretch.from_ns > 0 ? stretch.from_ns : first_ns;
  end_ns_ = monotonic_ns() + head_start_ns;
  pacer_.emplace(options_.speed, origin_ns, end_ns_);
  context_.emplace(RunContext{
      *pacer_, compare_, tally_, options_.timeout_ns, monotonic_ns, options_.pace, {}, 0, {}});
  if (options_.pace == Pace::think) {
    context_->on_settled = [this](ConnectionId id) {
      admission_.completed(slots_.at(id).client, monotonic_ns());
    };
  }
  return {};
}

void Run::tick() {
  if (!timer_) return;  // the run is over, its sockets are closing
  dispatch();
  wake_due();
  check_first_connection();
  show_progress();
  bury();
  admit();
  read_slice();
  if (is_over()) {
    let_go();
  } else {
    arm();
  }
}

bool Run::is_over() {
  return failed_ || signals_ > 1 || (tape_ended_ && slots_.empty() && excerpt_.actions().empty());
}

void Run::on_signal() {
  if (++signals_ > 1) return cut_off();
  say("stopping: nothing more is sent, answers are collected (again to end at once)");
  stop_sending();
}

void Run::stop_sending() {
  tape_.finish_lap();
  admission_.forget_waiting();
  for (auto& [id, slot] : slots_) slot.connection->stop_sending(stopped);
}

void Run::cut_off() {
  for (auto& [id, slot] : slots_) slot.connection->cut_off(stopped);
}

void Run::wake_due() {
  for (int i = 0; i < wakes_per_tick_max; ++i) {
    const auto id = pacer_->take_due(monotonic_ns());
    if (!id) return;
    if (const auto found = slots_.find(*id); found != slots_.end()) found->second.connection->run();
  }
}

// Whether the tape's times tell how far ahead to read.
bool Run::follows_clock() const {
  return !options_.speed.is_max() && options_.pace == Pace::recorded;
}

bool Run::wants_records() {
  if (tape_ended_ || (read_ahead_bytes() >= read_ahead_bytes_max && !is_stuck())) return false;
  if (!follows_clock() || signals_ > 0) return true;
  return pacer_->due_ns(excerpt_.schedule().time_ns()) < monotonic_ns() + read_ahead_ns_max;
}

// What the tape's records take that were read before they are needed, roughly.
uint64_t Run::read_ahead_bytes() const {
  uint64_t settled = tally_.requests_sent;
  for (const auto& [reason, count] : tally_.not_sent) settled += count;
  const uint64_t waiting = tally_.requests_scheduled - std::min(settled, tally_.requests_scheduled);
  return context_->queued_bytes + admission_.waiting() * connection_bytes + waiting * answer_bytes;
}

// What is open waits for records that come behind those of connections that wait to open. (Whoever
// waits for anything else has a wake-up.) Then memory has to give way.
bool Run::is_stuck() {
  return admission_.waiting() > 0 && finished_.empty() && !pacer_->next_wake_ns();
}

// Not while a send is about to be due, unless there is little left to send.
bool Run::may_read_now() {
  const auto next_ns = pacer_->next_wake_ns();
  const int64_t now_ns = monotonic_ns();
  if (options_.speed.is_max() || signals_ > 0 || !next_ns || *next_ns > now_ns + send_is_near_ns)
    return true;
  if (!follows_clock()) return context_->queued_bytes < read_ahead_bytes_min;
  return pacer_->due_ns(excerpt_.schedule().time_ns()) < now_ns + read_ahead_ns_min;
}

void Run::read_slice() {
  for (int i = 0; i < records_per_slice_max && wants_records() && may_read_now(); ++i) {
    read_record();
    dispatch();
  }
}

void Run::read_record() {
  if (const auto* item = tape_.next()) {
    excerpt_.feed(*item);
    tape_ended_ = excerpt_.is_over();
    return;
  }
  excerpt_.finish();
  tape_ended_ = true;
  torn_ = tape_.end() == TapeEnd::torn;
  if (tape_.failure()) failed_ = tape_.failure();
}

void Run::dispatch() {
  while (!excerpt_.actions().empty()) {
    Action action = std::move(excerpt_.actions().front());
    excerpt_.actions().pop_front();
    dispatch(std::move(action));
  }
}

void Run::dispatch(Action action) {
  if (action.kind == Action::Kind::open) open_slot(action);
  if (action.turns > 0) any_turns_ = true;
  Slot& slot = slots_.at(action.connection);
  const bool was_idle = !slot.connection->has_actions();
  slot.connection->push(std::move(action));
  if (was_idle && (!slot.held || signals_ > 0)) slot.connection->run();
}

void Run::open_slot(const Action& action) {
  const ConnectionId id = action.connection;
  if (first_id_ == 0) first_id_ = id;
  assert(!slots_.contains(id));
  Slot& slot = slots_[id];
  slot.connection = std::make_unique<Connection>(
      id, *context_, [this, id](WireListener& listener) { return make_wire(id, listener); });
  slot.connection->on_finished([this, id] { finished(id); });
  slot.held = true;
  if (signals_ > 0) return slot.connection->stop_sending(stopped);
  slot.client = action.client;
  slot.think_ns = action.time_ns - action.after_ns;
  admission_.add({id, action.closed_before, action.client, action.client_done});
  admit();
}

std::unique_ptr<Wire> Run::make_wire(ConnectionId id, WireListener& listener) {
  const auto to_target = [this](WireListener& l) {
    return std::make_unique<TargetWire>(target_, l);
  };
  if (run_tape_ == nullptr) return to_target(listener);
  return run_tape_->wire(recorded_id(id), listener, to_target);
}

void Run::admit() {
  while (const auto id = admission_.admit()) {
    Slot& slot = slots_.at(*id);
    slot.held = false;
    if (slot.connection->has_actions() && follows_clock()) {
      slot.connection->limit_lifted();  // nothing else holds it at a recorded pace
    }
    const int64_t completed_ns = admission_.clients().last_ns(slot.client);
    if (options_.pace == Pace::think && completed_ns >= 0) {
      slot.connection->open_at(completed_ns + options_.speed.scale(slot.think_ns));
    }
    slot.connection->run();
  }
}

void Run::finished(ConnectionId id) {
  finished_.push_back(id);
  const Slot& slot = slots_.at(id);
  if (!slot.held) admission_.ended();
  admission_.completed(slot.client, monotonic_ns());
  end_ns_ = std::max(end_ns_, monotonic_ns());
}

void Run::bury() {
  for (const ConnectionId id : finished_) slots_.erase(id);
  finished_.clear();
  context_->old_wires.clear();
}

// A target that can't be reached at all is not a run.
void Run::check_first_connection() {
  const auto found = slots_.find(first_id_);
  if (found == slots_.end() || found->second.connection->connect_error().empty()) return;
  if (tally_.requests_sent > 0) return;  // others got through
  failed_ = Error{ErrorSource::target, fmt::format("cannot connect to {} (is the target running?)",
                                                   found->second.connection->connect_error())};
}

void Run::arm() {
  const bool busy =
      !finished_.empty() || admission_.may_admit() || (wants_records() && may_read_now());
  const int64_t now_ns = monotonic_ns();
  int64_t next_ns = busy ? now_ns : now_ns + read_ahead_ns_min;
  if (options_.on_progress) next_ns = std::min(next_ns, shown_ns_ + progress_every_ns);
  if (const auto wake_ns = pacer_->next_wake_ns()) next_ns = std::min(next_ns, *wake_ns);
  const bool spins = options_.precise && next_ns - now_ns <= guard_.guard_ns();
  loop_.spin(spins);
  sleeps_until_ns_ = 0;
  if (!spins) sleep_until(options_.precise ? next_ns - guard_.guard_ns() : next_ns);
}

void Run::sleep_until(int64_t at_ns) {
  if (at_ns > monotonic_ns()) sleeps_until_ns_ = at_ns;
  timer_->start_at(at_ns);
}

// To end a sleep is all the timer is for; what there is to do is seen in tick().
void Run::woke() {
  if (sleeps_until_ns_ > 0) guard_.woke_late(monotonic_ns() - sleeps_until_ns_);
}

void Run::show_progress() {
  const int64_t now_ns = monotonic_ns();
  if (!options_.on_progress || now_ns < shown_ns_ + progress_every_ns) return;
  shown_ns_ = now_ns;
  options_.on_progress(progress());
}

Progress Run::progress() const {
  const int64_t now_ns = monotonic_ns();
  const Verdicts& verdicts = compare_.verdicts();
  Progress progress;
  progress.sent = tally_.requests_sent;
  progress.running_ns = std::max<int64_t>(now_ns - pacer_->t0_ns(), 0);
  progress.lateness_p99_ns = tally_.lateness_ns.percentiles().p99;
  progress.differences = verdicts.different;
  progress.errors = verdicts.errors;
  const auto& totals = tape_.totals();
  if (!totals || !options_.stretch.is_all()) return progress;
  if (!any_turns_) progress.total = totals->requests * tape_.laps();
  if (follows_clock()) {
    const auto laps = static_cast<int64_t>(tape_.laps());
    progress.left_ns = std::max<int64_t>(pacer_->due_ns(totals->duration_ns * laps) - now_ns, 0);
  } else if (progress.sent > 0 && progress.total >= progress.sent) {
    const double rest = static_cast<double>(progress.total - progress.sent);
    progress.left_ns = std::llround(rest / static_cast<double>(progress.sent) *
                                    static_cast<double>(progress.running_ns));
  }
  return progress;
}

// Whatever is left closes; the loop ends when the last socket has.
void Run::let_go() {
  slots_.clear();
  finished_.clear();
  context_->old_wires.clear();
  interrupt_.reset();
  terminate_.reset();
  timer_.reset();
}

RunReport Run::report() const {
  RunReport report;
  report.tape = options_.tape;
  report.target = options_.target.text();
  report.speed = options_.speed_text;
  report.compared = options_.compare.enabled;
  report.duration_ns = end_ns_ - pacer_->t0_ns();
  report.tally = tally_;
  report.tally.latency_recorded_ns = compare_.latency_recorded_ns();
  report.verdicts = compare_.verdicts();
  for (Difference& difference : report.verdicts.differences) {
    difference.connection = recorded_id(difference.connection);
  }
  report.blocks_lost = excerpt_.schedule().blocks_lost();
  report.damages = excerpt_.schedule().damages();
  report.parts = excerpt_.schedule().parts();
  report.torn = torn_;
  report.read_to_end = tape_ended_;
  report.connections_not_recorded = excerpt_.schedule().connections_not_recorded();
  add_begun_before(report);
  return report;
}

void Run::add_begun_before(RunReport& report) const {
  constexpr const char* reason = "begun_before";
  const uint64_t turns = excerpt_.turns_begun_before();
  if (turns == 0) return;
  report.tally.requests_scheduled += turns;
  report.tally.not_sent[reason] += turns;
  report.verdicts.not_compared[reason] += excerpt_.connections_begun_before();
}

}  // namespace wiretape
