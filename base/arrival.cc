// The kernel stamps packets with the wall clock (SO_TIMESTAMPNS) before any process runs:
//
//   packet -> kernel: stamp -> socket ...... our loop, at last -> recvmsg: bytes and stamp
//                                    our delay
//
// Times here are monotonic, so the stamp is moved over by the distance between the two clocks at
// the moment of reading. Where the wall clock was set in between, or where there is no stamp (unix
// sockets), the present is the best answer there is, and never a moment in the future.
#include "base/arrival.h"

#include <sys/socket.h>

#include <cstring>
#include <ctime>

#include "base/clock.h"

namespace wiretape {
namespace {

constexpr int64_t delay_ns_max = 60 * ns_per_s;  // more is a wall clock that was set

int64_t monotonic_of(int64_t wall_stamp_ns) {
  // In this order: whoever is interrupted in between tells a later moment, never one too early.
  const int64_t delay_ns = wall_ns() - wall_stamp_ns;
  const int64_t now_ns = monotonic_ns();
  return delay_ns < 0 || delay_ns > delay_ns_max ? now_ns : now_ns - delay_ns;
}

}  // namespace

bool note_arrivals(int fd) {
  const int on = 1;
  return setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) == 0;
}

Received receive_with_arrival(int fd, std::span<char> into) {
  iovec piece{into.data(), into.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(timespec))];
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  Received received;
  received.bytes = ::recvmsg(fd, &message, MSG_DONTWAIT);
  if (received.bytes <= 0) return received;
  const cmsghdr* part = CMSG_FIRSTHDR(&message);
  const bool stamped =
      part != nullptr && part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_TIMESTAMPNS;
  if (!stamped) {
    received.arrived_ns = monotonic_ns();
    return received;
  }
  timespec stamp;
  std::memcpy(&stamp, CMSG_DATA(part), sizeof(stamp));
  received.arrived_ns = monotonic_of(stamp.tv_sec * ns_per_s + stamp.tv_nsec);
  return received;
}

}  // namespace wiretape
