// One direction of a relay: what is read from one stream is shown to the tap and written to the
// other. Two of them, equal but for the direction, make a relay.
//
// A half-relay is a view, made when it is needed and not kept: all state is in the streams, and a
// relay that idles should weigh little.
#pragma once

#include <cstddef>
#include <span>

#include "base/stream.h"
#include "recorder/tap.h"

namespace wiretape {

class HalfRelay {
 public:
  HalfRelay(Direction direction, Stream& from, Stream& to, Tap& tap, TappedConnection& tapped)
      : from_(from), to_(to), tap_(tap), tapped_(tapped), direction_(direction) {}

  // Bytes came, at `time_ns`. Afterwards to().write_failed() may be true.
  void pass_on(int64_t time_ns, std::span<const std::byte> bytes);
  // The end of the stream came: it is passed on behind the bytes.
  void pass_on_end(int64_t time_ns);
  // Reads, unless the other side has too much waiting, or there is nothing more to come.
  void read_on();

  bool ended() const { return from_.read_ended(); }
  // The end was read, and every byte before it was handed to the kernel.
  bool delivered() const { return ended() && (to_.pending_bytes() == 0 || to_.write_failed()); }

 private:
  Stream& from_;
  Stream& to_;
  Tap& tap_;
  TappedConnection& tapped_;
  Direction direction_;
};

}  // namespace wiretape
