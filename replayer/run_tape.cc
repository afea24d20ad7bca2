// A run is recorded by the recorder that records everything else: one tap on the run's loop, one
// recorder thread, one tape. Only two things are different. The policy is always to skip, because
// pausing the run for the disk would make its sends late; and nobody is told how to point clients
// at us, because the only client is ourselves.
#include "replayer/run_tape.h"

#include <fmt/format.h>

#include <cassert>
#include <utility>

#include "base/clock.h"

namespace wiretape {
namespace {

constexpr int64_t hang_patience_ns = 10 * ns_per_s;

}  // namespace

Result<std::unique_ptr<RunTape>> RunTape::start(const RunTapeOptions& options,
                                                const std::string& tape,
                                                const std::string& target) {
  RecorderOptions recording;
  recording.path = options.path;
  if (options.overwrite) recording.if_exists = TapeWriter::IfExists::overwrite;
  recording.overload = Overload::skip;
  recording.advise = false;
  recording.in_background = true;  // a send that is due goes first
  recording.listeners = {fmt::format("{} -> {}", tape, target)};
  recording.upstreams = {target};
  auto recorder = Recorder::start(std::move(recording));
  if (!recorder) return recorder.error();
  return std::unique_ptr<RunTape>(new RunTape(options.path, std::move(recorder).value()));
}

std::unique_ptr<Wire> RunTape::wire(ConnectionId recorded, WireListener& listener,
                                    const TapedWire::MakeWire& make_inner) {
  return std::make_unique<TapedWire>(recorder_->tap(0), recorded, listener, make_inner);
}

void RunTape::before_wait() {
  recorder_->tap(0).before_wait();
}

RunTapeEnd RunTape::finish() {
  Tap& tap = recorder_->tap(0);
  tap.finish();
  RunTapeEnd end;
  end.path = path_ == "-" ? "standard output" : path_;
  end.outcome = recorder_->finish(hang_patience_ns);
  const RecorderCounters counters = recorder_->counters();
  end.connections = counters.connections;
  end.bytes_not_recorded = counters.bytes_not_recorded;
  end.exchanges_with_credentials = counters.exchanges_with_credentials;
  end.sends_not_recorded = counters.sends_not_recorded;
  return end;
}

}  // namespace wiretape
