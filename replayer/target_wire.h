// The socket of a replayed connection.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/dialer.h"
#include "base/stream.h"
#include "replayer/wire.h"

namespace wiretape {

// Where the run goes: addresses that were looked up, and allowed, before it began. Names are not
// looked up again, so that no answer can change in between.
struct Target {
  Loop& loop;
  Resolver& resolver;
  std::vector<Endpoint> addresses;  // at least one; the first to connect stays the preferred one
  int64_t connect_timeout_ns;
  size_t preferred = 0;
};

class TargetWire final : public Wire {
 public:
  // The target and the listener must outlive the wire.
  TargetWire(Target& target, WireListener& listener);
  ~TargetWire() override;

  void connect() override;
  bool write(Bytes bytes) override;
  void half_close() override;
  void close() override;
  void reset() override;
  Address local_address() const override { return local_; }
  Address peer_address() const override { return peer_; }
  CloseHow failure() const override;

 private:
  class Socket;
  void dial(size_t attempt);
  void dialled(size_t attempt, const DialOutcome& outcome);
  Socket* release();

  // Invariant: a dial is under way or the socket is there, never both.
  Target& target_;
  WireListener& listener_;
  std::unique_ptr<Dial> dial_;
  Socket* socket_ = nullptr;  // frees itself when libuv has let go of it
  Address local_;
  Address peer_;
  CloseHow failure_ = CloseHow::error;  // of connecting
};

}  // namespace wiretape
