// What has to be true before a run can begin, in the order in which it is cheapest to find out: the
// target has an address, the tape can be read, the target may be sent what is on it, and the run's
// own tape can be written.
//
//   options -> resolve -> TapeSource -> guard -> RunTape -> Run -> RunReport
#include "replayer/replayer.h"

#include <optional>
#include <vector>

#include "base/descriptors.h"
#include "base/loop.h"
#include "base/resolver.h"
#include "replayer/plan.h"
#include "replayer/run.h"
#include "replayer/tape_source.h"

namespace wiretape {
namespace {

Result<std::vector<Address>> resolve(Loop& loop, Resolver& resolver, const Endpoint& target) {
  std::optional<Result<std::vector<Address>>> found;
  resolver.resolve(target, [&](const auto& answer) { found.emplace(answer); });
  while (!found) loop.run();
  return *found;
}

// Nothing, when none was asked for.
Result<std::unique_ptr<RunTape>> begin_run_tape(const ReplayOptions& options) {
  if (options.run_tape.path.empty()) return std::unique_ptr<RunTape>();
  return RunTape::start(options.run_tape, options.tape, options.target.text());
}

// A stretch on which nothing begins is a mistake that is easily made: says where the tape begins.
void explain_nothing(const ReplayOptions& options, const TapeSource& tape, RunReport& report) {
  if (options.stretch.is_all() || report.tally.requests_scheduled > 0) return;
  const auto again = TapeSource::open(tape.path(), 1);
  if (again) report.first_unit_ns = first_unit_ns(**again);
}

}  // namespace

Result<std::vector<Address>> resolve_target(const Endpoint& target) {
  Loop loop;
  Resolver resolver(loop, ErrorSource::target);
  return resolve(loop, resolver, target);
}

Result<RunReport> replay(const ReplayOptions& options) {
  raise_descriptor_limit();  // one for each connection that was open at a time
  Loop loop;
  Resolver resolver(loop, ErrorSource::target);
  auto addresses = resolve(loop, resolver, options.target);
  if (!addresses) return addresses.error();
  auto tape = TapeSource::open(options.tape, options.loops);
  if (!tape) return tape.error();
  auto allowed =
      check_target(options.guard, (*tape)->path(), options.target, *addresses, options.stretch);
  if (!allowed) return allowed.error();
  Target target{loop, resolver, {}, options.timeout_ns};
  for (const Address& address : *addresses) {
    target.addresses.push_back({"", address.ip(), address.unix_path(), address.port()});
  }
  auto run_tape = begin_run_tape(options);
  if (!run_tape) return run_tape.error();
  auto report = Run(options, loop, **tape, target, run_tape->get()).go();
  if (report) explain_nothing(options, **tape, *report);
  if (*run_tape == nullptr) return report;
  const RunTapeEnd end = (*run_tape)->finish();
  if (report) report->run_tape = end;
  return report;
}

}  // namespace wiretape
