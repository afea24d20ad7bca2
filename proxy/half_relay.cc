// The innermost loop of Wiretape. Per chunk: a copy into the recorder's queue, one write(2), and in
// the common case nothing else: reading stays on, so no call to epoll.
//
// Backpressure: when the receiver is slow, what the kernel did not take piles up in its stream; at
// the high watermark we stop reading the sender, whose own kernel then holds it back.
#include "proxy/half_relay.h"

namespace wiretape {

void HalfRelay::pass_on(int64_t time_ns, std::span<const std::byte> bytes) {
  tap_.chunk(tapped_, time_ns, direction_, bytes);
  to_.write(bytes);
  if (to_.pending_bytes() >= Stream::pending_bytes_high || to_.write_failed()) from_.read_stop();
}

void HalfRelay::pass_on_end(int64_t time_ns) {
  tap_.half_closed(tapped_, time_ns, direction_);
  // When this was the second end, the socket is about to be closed, which says the same.
  if (!to_.read_ended()) to_.shutdown();
}

void HalfRelay::read_on() {
  if (to_.pending_bytes() >= Stream::pending_bytes_high || to_.write_failed()) return;
  from_.read_start();
}

}  // namespace wiretape
