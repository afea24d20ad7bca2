// A replayed connection's view of its socket. The run gives it a real one (target_wire.h); tests
// give it a scripted target and a clock of their own.
#pragma once

#include <string>

#include "proto/event.h"

namespace wiretape {

class WireListener {
 public:
  virtual ~WireListener() = default;
  virtual void on_connected() = 0;
  virtual void on_connect_failed(const std::string& why) = 0;
  virtual void on_read(Bytes bytes) = 0;
  virtual void on_end() = 0;  // the target sent FIN
  virtual void on_broken(const std::string& why) = 0;
  virtual void on_flushed() = 0;  // after a write() that returned false
};

class Wire {
 public:
  virtual ~Wire() = default;
  virtual void connect() = 0;  // answered by on_connected or on_connect_failed
  // True: the kernel has taken it all. False: on_flushed comes when it has; no other write()
  // before.
  virtual bool write(Bytes bytes) = 0;
  virtual void half_close() = 0;
  // No calls to the listener after these.
  virtual void close() = 0;
  virtual void reset() = 0;  // behind what was written
};

}  // namespace wiretape
