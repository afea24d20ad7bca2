// Between a replayed connection and base's Stream. A Stream must live until libuv has closed it,
// which is after the connection may have gone; so it is kept in a Socket of its own that frees
// itself at the very end, and that forgets its listener as soon as the connection is done.
//
//   Connection -> TargetWire -> Socket (Stream) -> kernel
//        ^------- WireListener ----+
//
// A name can have several addresses (localhost is ::1 first). Each is tried in order; the one that
// connected first is tried first from then on.
#include "replayer/target_wire.h"

#include <cassert>
#include <cstring>
#include <utility>

namespace wiretape {

class TargetWire::Socket final : public StreamHandler {
 public:
  explicit Socket(WireListener& listener) : stream(*this), listener_(&listener) {}

  void forget() { listener_ = nullptr; }

  void on_read(Stream&, std::span<const std::byte> bytes) override {
    if (listener_ != nullptr) listener_->on_read(bytes, stream.arrived_ns());
  }
  void on_end(Stream&) override {
    if (listener_ != nullptr) listener_->on_end();
  }
  void on_broken(Stream&, int error) override {
    if (error == UV_ECONNRESET || error == UV_EPIPE) failure = CloseHow::rst;
    if (error == UV_ETIMEDOUT) failure = CloseHow::timeout;
    if (listener_ != nullptr) listener_->on_broken(std::strerror(-error));
  }
  void on_flushed(Stream&) override {
    if (listener_ != nullptr) listener_->on_flushed();
  }
  // What the target sent before may still be read; when nothing is left to read, it is over.
  void on_write_failed(Stream& broken) override {
    if (listener_ == nullptr || !broken.read_ended()) return;
    failure = CloseHow::rst;
    listener_->on_broken("write failed");
  }
  void on_closed(Stream&) override { delete this; }

  Stream stream;
  CloseHow failure = CloseHow::error;

 private:
  WireListener* listener_;
};

TargetWire::TargetWire(Target& target, WireListener& listener)
    : target_(target), listener_(listener) {}

TargetWire::~TargetWire() {
  close();
}

void TargetWire::connect() {
  assert(!target_.addresses.empty() && socket_ == nullptr);
  dial(0);
}

void TargetWire::dial(size_t attempt) {
  const size_t i = (target_.preferred + attempt) % target_.addresses.size();
  dial_ = std::make_unique<Dial>(
      target_.loop, target_.resolver, target_.addresses[i], target_.connect_timeout_ns,
      [this, attempt](const DialOutcome& outcome) { dialled(attempt, outcome); });
  dial_->start();
}

void TargetWire::dialled(size_t attempt, const DialOutcome& outcome) {
  if (outcome.fd < 0) {
    if (attempt + 1 < target_.addresses.size()) return dial(attempt + 1);
    if (outcome.refused) failure_ = CloseHow::refused;
    if (outcome.timed_out) failure_ = CloseHow::timeout;
    return listener_.on_connect_failed(outcome.error);
  }
  local_ = outcome.local;
  peer_ = outcome.peer;
  dial_.reset();
  target_.preferred = (target_.preferred + attempt) % target_.addresses.size();
  auto socket = std::make_unique<Socket>(listener_);
  const auto opened = socket->stream.open(target_.loop, outcome.fd, outcome.peer.family());
  socket_ = socket.release();
  if (!opened) {
    close();
    return listener_.on_connect_failed(opened.error().message);
  }
  socket_->stream.note_arrivals();
  socket_->stream.read_start();
  listener_.on_connected();
}

bool TargetWire::write(Bytes bytes) {
  assert(socket_ != nullptr);
  socket_->stream.write(bytes);
  return socket_->stream.pending_bytes() == 0;
}

void TargetWire::half_close() {
  assert(socket_ != nullptr);
  socket_->stream.shutdown();
}

CloseHow TargetWire::failure() const {
  return socket_ != nullptr ? socket_->failure : failure_;
}

TargetWire::Socket* TargetWire::release() {
  dial_.reset();
  if (socket_ != nullptr) socket_->forget();
  return std::exchange(socket_, nullptr);
}

void TargetWire::close() {
  if (Socket* socket = release()) socket->stream.close();
}

void TargetWire::reset() {
  if (Socket* socket = release()) socket->stream.reset_when_flushed();
}

}  // namespace wiretape
