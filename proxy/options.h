// What a proxy is asked to do.
#pragma once

#include <cstdint>
#include <vector>

#include "base/address.h"

namespace wiretape {

struct ProxyPair {
  Endpoint listen;
  Endpoint upstream;
};

struct ProxyOptions {
  std::vector<ProxyPair> pairs;
  size_t threads = 1;
  size_t connections_max = 0;   // 0: as many as the descriptor limit allows
  int64_t idle_timeout_ns = 0;  // 0: never
  int64_t connect_timeout_ns = 5'000'000'000;
};

}  // namespace wiretape
