// A replayed connection's view of its socket. The run gives it a real one (target_wire.h); tests
// give it a scripted target and a clock of their own.
#pragma once

#include <string>

#include "base/address.h"
#include "proto/event.h"
#include "replayer/tally.h"

namespace wiretape {

class WireListener {
 public:
  virtual ~WireListener() = default;
  virtual void on_connected() = 0;
  virtual void on_connect_failed(const std::string& why) = 0;
  // `arrived_ns`: when the last of them reached this machine (CLOCK_MONOTONIC); a loop that is
  // late reads them later.
  virtual void on_read(Bytes bytes, int64_t arrived_ns) = 0;
  virtual void on_end() = 0;  // the target sent FIN
  virtual void on_broken(const std::string& why) = 0;
  virtual void on_flushed() = 0;  // after a write() that returned false
};

// How true one send was to its time.
struct SendTimes {
  uint64_t length = 0;
  int64_t due_ns = 0;   // CLOCK_MONOTONIC
  int64_t sent_ns = 0;  // its last byte was accepted by the kernel
  Cause cause = Cause::us;
};

class Wire {
 public:
  virtual ~Wire() = default;
  virtual void connect() = 0;  // answered by on_connected or on_connect_failed
  // True: the kernel has taken it all. False: on_flushed comes when it has; no other write()
  // before.
  virtual bool write(Bytes bytes) = 0;
  // The connection's account of the write() before, for who keeps the run's tape.
  virtual void sent(const SendTimes& times) { (void)times; }
  // Its account of the close() that follows, when it is not the recorded one: "timeout", "stopped",
  // or another reason in words.
  virtual void gives_up(const std::string& reason) { (void)reason; }
  virtual void half_close() = 0;
  // No calls to the listener after these.
  virtual void close() = 0;
  virtual void reset() = 0;  // behind what was written

  // Both ends, from on_connected on; no address when the wire has none.
  virtual Address local_address() const { return {}; }
  virtual Address peer_address() const { return {}; }
  // In what way it failed, within on_connect_failed (refused, timeout, error) and on_broken (rst,
  // timeout, error).
  virtual CloseHow failure() const { return CloseHow::error; }
};

}  // namespace wiretape
