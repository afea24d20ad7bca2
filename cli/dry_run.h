// wiretape replay --dry-run: what a run would do, without connecting to anybody.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "replayer/guard.h"
#include "replayer/plan.h"
#include "replayer/replayer.h"

namespace wiretape {

struct DryRun {
  std::string tape;
  std::string target;
  std::vector<Address> addresses;  // of the target, in the order to dial them
  std::string speed;
  Pace pace = Pace::recorded;
  std::optional<int64_t> duration_ns;  // none: it depends on the target
  RewriteRules rules;
  Plan plan;
  std::string refusal;  // why the target may not be replayed to; empty when it may
};

// Looks the target up and reads the whole tape. Errors: the name is not known (target), the tape
// can't be read (tape).
Result<DryRun> dry_run(const ReplayOptions& options);

std::string dry_run_text(const DryRun& dry);
std::string dry_run_json(const DryRun& dry);

}  // namespace wiretape
