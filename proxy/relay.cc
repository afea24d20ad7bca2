// A relay's life:
//
//   connecting --dialled--> relaying --both ends delivered--> ending --both sockets closed--> gone
//       |                      +--reset, timeout, drain-------> |
//       +--refused, reset by the client, drain ----------------> |
//
// While connecting, the client's bytes are already read, so that their times are true; they wait in
// the upstream's stream.
//
// Ends are passed on as they came. FIN: only the write side of the other is shut down. Reset: the
// other side gets what was read before, and then a reset. A failed write is not an end: what the
// peer had sent before it went away is still read and passed on (a server that answers 413 and
// closes while the upload runs is the everyday case).
//
// Invariant: the closed event is recorded exactly once, on the way into State::ending.
#include "proxy/relay.h"

#include <cassert>

#include "base/log.h"

namespace wiretape {

void Relay::start(const Listener::Accepted& accepted, const Endpoint& upstream) {
  last_activity_ns_ = context_.tap.now();
  context_.tap.opened(tapped_, last_activity_ns_, pair_, accepted.client, accepted.local);
  if (log_is_verbose()) {
    detail("connection {} opened: {} to {}", tapped_.id, accepted.client.text(),
           accepted.local.text());
  }
  const auto opened = downstream_.open(context_.loop, accepted.fd, accepted.client.family());
  if (!opened) {
    record_end(CloseHow::error, ClosedBy::us, opened.error().message);
    upstream_.close();
    return downstream_.close();
  }
  downstream_.read_start();
  dial_ = std::make_unique<Dial>(context_.loop, context_.resolver, upstream,
                                 context_.connect_timeout_ns,
                                 [this](const DialOutcome& outcome) { on_dialed(outcome); });
  dial_->start();
}

void Relay::on_dialed(const DialOutcome& outcome) {
  const std::unique_ptr<Dial> done = std::move(dial_);
  if (outcome.fd < 0) {
    const CloseHow how = outcome.refused     ? CloseHow::refused
                         : outcome.timed_out ? CloseHow::timeout
                                             : CloseHow::error;
    record_end(how, ClosedBy::server, outcome.error);
    owner_.on_upstream_failed(*this, outcome);
    upstream_.close();
    return downstream_.reset_when_flushed();
  }
  context_.tap.connected(tapped_, context_.tap.now(), outcome.local, outcome.peer);
  const auto opened = upstream_.open(context_.loop, outcome.fd, outcome.peer.family());
  if (!opened) {
    record_end(CloseHow::error, ClosedBy::us, opened.error().message);
    upstream_.close();
    return downstream_.reset_when_flushed();
  }
  state_ = State::relaying;
  to_client().read_on();
}

// ---------------------------------------------------------------------------------- readiness

bool Relay::may_read(Stream&) {
  return context_.tap.room_for_read();
}

void Relay::on_read(Stream& stream, std::span<const std::byte> bytes) {
  last_activity_ns_ = context_.tap.now();
  half_from(stream).pass_on(last_activity_ns_, bytes);
  if (other(stream).write_failed()) write_failed(other(stream));
}

void Relay::on_end(Stream& stream) {
  last_activity_ns_ = context_.tap.now();
  if (first_end_ == ClosedBy::nobody) first_end_ = peer_of(stream);
  half_from(stream).pass_on_end(last_activity_ns_);
  end_when_both_delivered();
}

void Relay::on_broken(Stream& stream, int error) {
  if (state_ == State::ending) return stream.close();
  const bool reset = error == UV_ECONNRESET || error == UV_EPIPE;
  const CloseHow how = reset                   ? CloseHow::rst
                       : error == UV_ETIMEDOUT ? CloseHow::timeout
                                               : CloseHow::error;
  record_end(how, peer_of(stream), reset ? "" : uv_strerror(error));
  stream.close();
  other(stream).reset_when_flushed();
}

void Relay::on_drained(Stream& stream) {
  if (state_ != State::ending) half_to(stream).read_on();
}

void Relay::on_flushed(Stream&) {
  end_when_both_delivered();
}

void Relay::on_write_failed(Stream& stream) {
  write_failed(stream);
}

// What else the peer sent is still to be read; when that is over already, so is the connection.
void Relay::write_failed(Stream& stream) {
  if (state_ != State::ending && stream.read_ended()) on_broken(stream, UV_ECONNRESET);
}

void Relay::on_closed(Stream&) {
  gone_when_both_closed();
}

// ---------------------------------------------------------------------------------- ends

void Relay::end_when_both_delivered() {
  if (state_ != State::relaying || !to_server().delivered() || !to_client().delivered()) return;
  record_end(CloseHow::fin, first_end_, "");
  downstream_.close();
  upstream_.close();
}

void Relay::end(CloseHow how) {
  if (state_ == State::ending) return;
  record_end(how, ClosedBy::us, "");
  upstream_.close();
  downstream_.close();
}

void Relay::look_for_reset() {
  if (state_ == State::ending) return;
  for (Stream* stream : {&downstream_, &upstream_}) {
    if (stream->read_ended() && stream->was_reset()) return on_broken(*stream, UV_ECONNRESET);
  }
}

void Relay::notice_delivery(int64_t now_ns) {
  size_t bytes = downstream_.pending_bytes() + upstream_.pending_bytes();
  bytes += static_cast<size_t>(downstream_.unacknowledged_bytes());
  bytes += static_cast<size_t>(upstream_.unacknowledged_bytes());
  if (std::exchange(undelivered_, bytes) != bytes) last_activity_ns_ = now_ns;
}

void Relay::resume_reading() {
  if (state_ == State::ending) return;
  to_server().read_on();
  if (state_ == State::relaying) to_client().read_on();
}

void Relay::record_end(CloseHow how, ClosedBy by, std::string_view error) {
  assert(state_ != State::ending);
  state_ = State::ending;
  dial_.reset();
  downstream_.read_stop();
  upstream_.read_stop();
  context_.tap.closed(tapped_, context_.tap.now(), how, by, error);
  tell_end(how, by, error);
}

void Relay::tell_end(CloseHow how, ClosedBy by, std::string_view error) const {
  if (!log_is_verbose()) return;
  detail("connection {} {}: {} by {}, {} bytes client to server, {} bytes server to client{}{}",
         tapped_.id, error.empty() ? "closed" : "failed", name_of(how), name_of(by),
         tapped_.length[0], tapped_.length[1], error.empty() ? "" : "; ", error);
}

void Relay::gone_when_both_closed() {
  if (downstream_.is_closed() && upstream_.is_closed()) owner_.on_relay_gone(*this);
}

}  // namespace wiretape
