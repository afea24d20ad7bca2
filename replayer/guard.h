// Keeps a replay from writing where nobody meant it to: what is neither loopback nor private is
// sent nothing but reading requests, and never the server that was recorded, unless allowed.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace wiretape {

struct GuardOptions {
  std::vector<std::string> allow_hosts;  // globs, on the host as named or its addresses
  bool allow_recorded_upstream = false;
};

// Looks at what the target's name stands for, and, only where that is public, through the tape.
// An error is a refusal (ErrorSource::usage) or a tape that can't be read.
Result<void> check_target(const GuardOptions& options, const std::string& tape_path,
                          const Endpoint& target, const std::vector<Address>& addresses);

}  // namespace wiretape
