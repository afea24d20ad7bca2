// A wire that is listened in on: whatever a replayed connection and the target do to each other
// goes on the run's own tape too.
//
// One thread, the run's. Nothing here waits for the tape (recorder/tap.h, policy skip).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "recorder/tap.h"
#include "replayer/wire.h"

namespace wiretape {

class TapedWire final : public Wire, private WireListener {
 public:
  using MakeWire = std::function<std::unique_ptr<Wire>(WireListener&)>;

  // Stands between `listener` and the wire that `make_inner` gives. On the tape the connection
  // names `recorded`, which it replays; a replacement names the same one. The tap and the listener
  // must outlive the wire.
  TapedWire(Tap& tap, ConnectionId recorded, WireListener& listener, const MakeWire& make_inner);
  // A connection that was neither closed nor reset ends as one whose run was stopped (drain).
  ~TapedWire() override;

  void connect() override;
  bool write(Bytes bytes) override;
  void sent(const SendTimes& times) override;
  void gives_up(const std::string& reason) override;
  void half_close() override;
  void close() override;
  void reset() override;
  Address local_address() const override { return inner_->local_address(); }
  Address peer_address() const override { return inner_->peer_address(); }
  CloseHow failure() const override { return inner_->failure(); }

 private:
  enum class State : uint8_t { fresh, connecting, open, over };

  void on_connected() override;
  void on_connect_failed(const std::string& why) override;
  void on_read(Bytes bytes, int64_t arrived_ns) override;
  void on_end() override;
  void on_broken(const std::string& why) override;
  void on_flushed() override { listener_.on_flushed(); }

  void tap_opened();
  void tap_closed(CloseHow how, ClosedBy by, std::string_view error);
  void tap_left();

  // Invariant: accounted_ <= bytes written; the tape knows the connection as open exactly while
  // state_ is open.
  Tap& tap_;
  const ConnectionId recorded_;
  WireListener& listener_;
  std::unique_ptr<Wire> inner_;
  TappedConnection tapped_;
  State state_ = State::fresh;
  ClosedBy first_end_ = ClosedBy::nobody;
  uint64_t accounted_ = 0;  // bytes whose send was told
  std::string gave_up_;     // why the close that follows is not the recorded one
};

}  // namespace wiretape
