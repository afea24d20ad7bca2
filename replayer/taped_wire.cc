// The run makes a tape of its own, so that comparing, showing and replaying a run are what they are
// for a recording. Here is where its events come from:
//
//   Connection -> TapedWire -> TargetWire -> target
//       ^            |  ^---------- answers ----+
//       +------------+--> Tap -> event queue -> [recorder thread] -> RUN.tape
//
// A client's tape is written from the middle; this one from the client's end. So the client is our
// own socket, the server the target, and a connection is on the tape once it stands or has failed.
//
// Bytes are tapped after they were written: copying them must not make their send late, and no
// answer can be read before. Their Send record follows when the kernel has taken the last of them.
#include "replayer/taped_wire.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace wiretape {
namespace {

constexpr size_t chunk_bytes_max = 64 * 1024;  // of a tape, and of the event queue

}  // namespace

TapedWire::TapedWire(Tap& tap, ConnectionId recorded, WireListener& listener,
                     const MakeWire& make_inner)
    : tap_(tap), recorded_(recorded), listener_(listener), inner_(make_inner(*this)) {}

TapedWire::~TapedWire() {
  if (state_ == State::connecting) tap_opened();
  tap_closed(CloseHow::drain, ClosedBy::us, "");
}

// ------------------------------------------------------------------------------- what we do

void TapedWire::connect() {
  assert(state_ == State::fresh);
  state_ = State::connecting;
  inner_->connect();
}

bool TapedWire::write(Bytes bytes) {
  const bool taken = inner_->write(bytes);
  const int64_t now_ns = tap_.now();
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), chunk_bytes_max);
    tap_.chunk(tapped_, now_ns, Direction::client_to_server, bytes.first(n));
    bytes = bytes.subspan(n);
  }
  return taken;
}

void TapedWire::sent(const SendTimes& times) {
  Send send;
  send.offset = accounted_;
  send.length = times.length;
  send.due_ns = times.due_ns;
  send.sent_ns = times.sent_ns;
  send.cause = name_of(times.cause);
  accounted_ += times.length;
  assert(accounted_ <= tapped_.length[0]);
  tap_.sent(tapped_, tap_.now(), send);
}

void TapedWire::gives_up(const std::string& reason) {
  gave_up_ = reason;
  inner_->gives_up(reason);
}

void TapedWire::half_close() {
  inner_->half_close();
  if (first_end_ == ClosedBy::nobody) first_end_ = ClosedBy::client;
  tap_.half_closed(tapped_, tap_.now(), Direction::client_to_server);
}

void TapedWire::close() {
  tap_left();
  inner_->close();
}

void TapedWire::reset() {
  tap_closed(CloseHow::rst, ClosedBy::client, "");
  inner_->reset();
}

// ------------------------------------------------------------------------------- what comes back
// Each passes on last: the listener may let go of this wire.

void TapedWire::on_connected() {
  tap_opened();
  tap_.connected(tapped_, tap_.now(), inner_->local_address(), inner_->peer_address());
  listener_.on_connected();
}

void TapedWire::on_connect_failed(const std::string& why) {
  tap_opened();
  tap_closed(inner_->failure(), ClosedBy::server, why);
  listener_.on_connect_failed(why);
}

void TapedWire::on_read(Bytes bytes, int64_t arrived_ns) {
  tap_.chunk(tapped_, tap_.now(), Direction::server_to_client, bytes);
  listener_.on_read(bytes, arrived_ns);
}

void TapedWire::on_end() {
  if (first_end_ == ClosedBy::nobody) first_end_ = ClosedBy::server;
  tap_.half_closed(tapped_, tap_.now(), Direction::server_to_client);
  listener_.on_end();
}

void TapedWire::on_broken(const std::string& why) {
  const CloseHow how = inner_->failure();
  tap_closed(how, ClosedBy::server, how == CloseHow::rst ? "" : why);
  listener_.on_broken(why);
}

// ------------------------------------------------------------------------------- its ends

void TapedWire::tap_opened() {
  assert(state_ == State::connecting);
  state_ = State::open;
  tap_.opened(tapped_, tap_.now(), 0, inner_->local_address(), {}, recorded_);
}

void TapedWire::tap_closed(CloseHow how, ClosedBy by, std::string_view error) {
  if (state_ != State::open) return;
  state_ = State::over;
  tap_.closed(tapped_, tap_.now(), how, by, error);
}

// The connection is closed from our side: as it was on the tape, or because we gave up.
void TapedWire::tap_left() {
  if (state_ == State::connecting) tap_opened();
  if (gave_up_ == "timeout") return tap_closed(CloseHow::timeout, ClosedBy::us, "");
  if (gave_up_ == "stopped") return tap_closed(CloseHow::drain, ClosedBy::us, "");
  if (!gave_up_.empty() && first_end_ != ClosedBy::server) {
    return tap_closed(CloseHow::error, ClosedBy::us, gave_up_);
  }
  tap_closed(CloseHow::fin, first_end_ == ClosedBy::nobody ? ClosedBy::client : first_end_, "");
}

}  // namespace wiretape
