// Tells from a connection's first bytes whether the client speaks TLS, and what it says in the
// clear: the server's name (SNI, RFC 6066 section 3).
#pragma once

#include <string>
#include <string_view>

#include "proto/event.h"

namespace wiretape {

struct ClientHello {
  enum class State { incomplete, not_tls, found };
  State state = State::incomplete;
  std::string server_name;  // empty: none was named
};

// A hello that is longer is found all the same, but not looked into.
inline constexpr size_t client_hello_bytes_max = 64 * 1024;

// `bytes`: everything the client has sent so far. Takes any bytes, and reads none behind them.
ClientHello scan_client_hello(Bytes bytes);

}  // namespace wiretape
