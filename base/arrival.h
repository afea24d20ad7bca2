// When bytes reached this machine. A program that is late reads them later than they came; what it
// measures of its peer must not grow with its own delays.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <span>

namespace wiretape {

// Has the kernel note the arrival of each packet of a TCP socket. False: it can't.
bool note_arrivals(int fd);

struct Received {
  ssize_t bytes = 0;       // as recv(2) returns it, errno with it
  int64_t arrived_ns = 0;  // of the last of them, CLOCK_MONOTONIC; the present where not known
};

// recv(2) without waiting.
Received receive_with_arrival(int fd, std::span<char> into);

}  // namespace wiretape
