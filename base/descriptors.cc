// RLIMIT_NOFILE has a soft and a hard value. The soft one is often 1,024, for the sake of programs
// that use select(2), which cannot count further; every other program may raise it by itself. What
// we start must not inherit that: it may be one of those.
#include "base/descriptors.h"

#include <sys/resource.h>

namespace wiretape {
namespace {

// The soft limit as it was; 0 until it is raised.
rlim_t original = 0;

void set_soft_limit(rlim_t soft) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = soft;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

size_t raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (original == 0) original = limit.rlim_cur;
  set_soft_limit(limit.rlim_max);
  getrlimit(RLIMIT_NOFILE, &limit);
  return limit.rlim_cur;
}

OriginalDescriptorLimit::OriginalDescriptorLimit() {
  if (original != 0) set_soft_limit(original);
}

OriginalDescriptorLimit::~OriginalDescriptorLimit() {
  if (original != 0) raise_descriptor_limit();
}

}  // namespace wiretape
