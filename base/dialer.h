// Connects: resolves an endpoint, then tries each of its addresses in order until one accepts.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "base/address.h"
#include "base/loop.h"
#include "base/resolver.h"
#include "base/result.h"

namespace wiretape {

// What came of dialling. `fd` is a connected socket that the receiver now owns, or -1.
struct DialOutcome {
  int fd = -1;
  Address local;
  Address peer;
  bool refused = false;  // the last address tried refused (else: unreachable, time-out, no name)
  bool timed_out = false;
  std::string error;  // one line, when fd is -1
};

// One attempt under way. Destroying it gives up without a call. Not thread-safe.
class Dial {
 public:
  using Done = std::function<void(DialOutcome)>;

  // `timeout_ns` is for all addresses together.
  Dial(Loop& loop, Resolver& resolver, const Endpoint& endpoint, int64_t timeout_ns, Done done);
  ~Dial();  // may be called from within `done`
  Dial(const Dial&) = delete;
  Dial& operator=(const Dial&) = delete;

  // Begins. `done` is called once, possibly from within start().
  void start();

 private:
  class Impl;
  Resolver& resolver_;
  Endpoint endpoint_;
  std::shared_ptr<Impl> impl_;
};

}  // namespace wiretape
