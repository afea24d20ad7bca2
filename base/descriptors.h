// How many files and sockets this process may have open. A proxy wants as many as it can get; a
// child process wants the limit that its user set.
//
// The functions are for the main thread, before and while it starts others.
#pragma once

#include <cstddef>

namespace wiretape {

// Raises the soft limit to the hard one, once; gives how many descriptors there may be.
size_t raise_descriptor_limit();

// While this lives, the soft limit is what it was before it was raised.
class OriginalDescriptorLimit {
 public:
  OriginalDescriptorLimit();
  ~OriginalDescriptorLimit();
  OriginalDescriptorLimit(const OriginalDescriptorLimit&) = delete;
  OriginalDescriptorLimit& operator=(const OriginalDescriptorLimit&) = delete;
};

}  // namespace wiretape
