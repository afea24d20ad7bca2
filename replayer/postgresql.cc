// A PostgreSQL server tells each client how to cancel its queries: BackendKeyData carries the
// server's process id and a random key. Two runs never agree on those bytes, so without this every
// recorded psql session would come out different on a perfect server. Nothing else is masked.
//
//   client:  [SSLRequest]      StartupMessage                       Query ...
//   server:               'N'                  R... S... K.... Z
//                                                         ^^^^ masked
//
// It is told from the client's first packet: a length, and the code of protocol 3.x, possibly
// after requests for encryption that the server refused with a single 'N' (when it accepts, what
// follows is TLS, and opaque). Server messages are a type byte and a length that counts itself.
// After the first ReadyForQuery ('Z') no further BackendKeyData can come.
//
// Lengths are only counted down, never allocated, so hostile ones do no harm.
#include "replayer/postgresql.h"

#include <algorithm>
#include <cassert>

namespace wiretape {
namespace {

constexpr uint32_t ssl_request = 80877103;
constexpr uint32_t gssenc_request = 80877104;
constexpr uint32_t protocol_major = 3;
constexpr uint32_t request_bytes = 8;
constexpr uint32_t startup_bytes_max = 10'000;

uint32_t big_endian(const std::byte* bytes) {
  uint32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 8 | std::to_integer<uint32_t>(bytes[i]);
  return value;
}

}  // namespace

void PostgresqlMask::client(Bytes bytes) {
  while (watching_ && !started_ && !bytes.empty()) {
    const size_t n = std::min(bytes.size(), request_bytes - client_.size());
    client_.insert(client_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
    bytes = bytes.subspan(n);
    if (client_.size() < request_bytes) return;
    client_message(big_endian(client_.data()), big_endian(client_.data() + 4));
    client_.clear();
  }
}

void PostgresqlMask::client_message(uint32_t length, uint32_t code) {
  if (length == request_bytes && (code == ssl_request || code == gssenc_request)) {
    ++refusals_;
  } else if (code >> 16 == protocol_major && length > request_bytes &&
             length <= startup_bytes_max) {
    started_ = true;
  } else {
    watching_ = false;
  }
}

void PostgresqlMask::server(std::span<std::byte> bytes) {
  for (std::byte& byte : bytes) {
    if (!watching_) return;
    server_byte(byte);
  }
}

void PostgresqlMask::server_byte(std::byte& byte) {
  if (payload_ > 0) {
    if (head_[0] == 'K') byte = std::byte{0};
    --payload_;
    return;
  }
  if (refusals_ > 0) {
    --refusals_;
    if (byte != std::byte{'N'}) watching_ = false;
    return;
  }
  if (!started_) {
    watching_ = false;
    return;
  }
  head_[head_bytes_++] = std::to_integer<uint8_t>(byte);
  if (head_bytes_ == sizeof head_) message_head();
}

void PostgresqlMask::message_head() {
  const uint32_t length = big_endian(reinterpret_cast<const std::byte*>(head_ + 1));
  head_bytes_ = 0;
  if (length < 4 || head_[0] == 'Z') {
    watching_ = false;
    return;
  }
  payload_ = length - 4;
}

}  // namespace wiretape
