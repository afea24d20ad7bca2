// A relay: the downstream connection of a client and the upstream connection made for it, with the
// bytes, half-closes and resets of each passed on to the other as they came.
//
//              +--------- half-relay client_to_server --------->+
//   client <-> | downstream                            upstream | <-> server
//              +<-------- half-relay server_to_client ----------+
//
// All on one loop's thread. A relay deletes nothing itself: when both sockets are closed it tells
// its owner, who destroys it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/dialer.h"
#include "base/listener.h"
#include "base/stream.h"
#include "proxy/half_relay.h"
#include "recorder/tap.h"

namespace wiretape {

class Relay;

// What a relay needs of the worker that owns it.
struct RelayContext {
  Loop& loop;
  Tap& tap;
  Resolver& resolver;
  int64_t connect_timeout_ns;
};

class RelayOwner {
 public:
  virtual ~RelayOwner() = default;
  virtual void on_upstream_failed(const Relay& relay, const DialOutcome& outcome) = 0;
  // Both sockets are closed: the owner destroys the relay.
  virtual void on_relay_gone(Relay& relay) = 0;
};

class Relay : private StreamHandler {
 public:
  Relay(RelayContext& context, RelayOwner& owner, uint32_t pair)
      : context_(context), owner_(owner), pair_(pair) {}

  // Takes over the client's socket and connects to the upstream.
  void start(const Listener::Accepted& accepted, const Endpoint& upstream);

  // Ends both sides in good order, for a reason of our own (timeout, drain).
  void end(CloseHow how);
  // Reads again after the recorder had no room.
  void resume_reading();
  // A reset that came after end of file is not told by the loop: asked for a few times a second.
  void look_for_reset();

  // Bytes of either direction that are on their way out, here or in the kernel; when that figure
  // has changed since the last call, the peer is taking them, and that is activity.
  void notice_delivery(int64_t now_ns);

  bool ending() const { return state_ == State::ending; }
  // Nothing that was read still waits to be written.
  bool flushed() const {
    return downstream_.pending_bytes() == 0 && upstream_.pending_bytes() == 0;
  }
  bool half_closed() const { return downstream_.read_ended() || upstream_.read_ended(); }
  int64_t last_activity_ns() const { return last_activity_ns_; }
  const TappedConnection& tapped() const { return tapped_; }
  uint32_t pair() const { return pair_; }

  size_t index_in_owner = 0;  // the owner's own

 private:
  enum class State : uint8_t { connecting, relaying, ending };

  bool may_read(Stream& stream) override;
  void on_read(Stream& stream, std::span<const std::byte> bytes) override;
  void on_end(Stream& stream) override;
  void on_broken(Stream& stream, int error) override;
  void on_drained(Stream& stream) override;
  void on_flushed(Stream& stream) override;
  void on_write_failed(Stream& stream) override;
  void on_closed(Stream& stream) override;

  void on_dialed(const DialOutcome& outcome);
  void write_failed(Stream& stream);
  void end_when_both_delivered();
  void record_end(CloseHow how, ClosedBy by, std::string_view error);
  void tell_end(CloseHow how, ClosedBy by, std::string_view error) const;
  void gone_when_both_closed();

  HalfRelay half_from(Stream& from) {
    const Direction direction =
        &from == &downstream_ ? Direction::client_to_server : Direction::server_to_client;
    return {direction, from, other(from), context_.tap, tapped_};
  }
  HalfRelay half_to(Stream& to) { return half_from(other(to)); }
  HalfRelay to_server() { return half_from(downstream_); }
  HalfRelay to_client() { return half_from(upstream_); }
  Stream& other(const Stream& stream) { return &stream == &downstream_ ? upstream_ : downstream_; }
  ClosedBy peer_of(const Stream& stream) const {
    return &stream == &downstream_ ? ClosedBy::client : ClosedBy::server;
  }

  RelayContext& context_;
  RelayOwner& owner_;
  const uint32_t pair_;  // which listener
  State state_ = State::connecting;
  ClosedBy first_end_ = ClosedBy::nobody;
  int64_t last_activity_ns_ = 0;
  size_t undelivered_ = 0;  // bytes, when notice_delivery was called last
  TappedConnection tapped_;
  std::unique_ptr<Dial> dial_;
  Stream downstream_{*this};
  Stream upstream_{*this};
};

}  // namespace wiretape
