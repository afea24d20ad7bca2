// The two mistakes are recognised from what the recorder knows anyway: the protocol that the first
// bytes show, and the form of a request's target. RFC 9112 section 3.2: a request to an origin
// server has a target that begins with "/" (or is "*"); an absolute URL, or CONNECT, is how a
// client speaks to a proxy it was configured with.
#include "recorder/notices.h"

#include "base/log.h"

namespace wiretape {

Notices::Notices(std::vector<Pair> pairs) : pairs_(std::move(pairs)), told_(pairs_.size()) {}

void Notices::on_protocol(uint32_t listener, const ProtocolFound& found) {
  const bool client_hello =
      found.protocol == Protocol::tls && found.direction == Direction::client_to_server;
  if (!client_hello || listener >= told_.size() || told_[listener].tls) return;
  told_[listener].tls = true;
  warn(
      "a client speaks TLS to {} (server name: {}); its bytes are passed on and recorded, but as "
      "an opaque stream: to record readable requests let the client speak http to this port",
      pairs_[listener].listener, found.server_name.empty() ? "none" : found.server_name);
}

void Notices::on_exchange(uint32_t listener, const Exchange& exchange) {
  const bool to_a_proxy = exchange.method == "CONNECT" || exchange.target.starts_with("http://") ||
                          exchange.target.starts_with("https://");
  if (!to_a_proxy || listener >= told_.size() || told_[listener].forward_proxy) return;
  told_[listener].forward_proxy = true;
  warn(
      "a client uses {} as a forward proxy ({} {}), but everything that comes in here goes to {}: "
      "give the client http://{} as the server's address, not as its proxy",
      pairs_[listener].listener, exchange.method, exchange.target, pairs_[listener].upstream,
      pairs_[listener].listener);
}

}  // namespace wiretape
