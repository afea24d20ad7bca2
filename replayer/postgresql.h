// What differs by nature between any two connections to a PostgreSQL server, as Date does in HTTP:
// the process id and the secret key in BackendKeyData. Masked on both sides before comparing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "proto/event.h"

namespace wiretape {

class PostgresqlMask {
 public:
  // The client's bytes, in order, before the server's answers to them.
  void client(Bytes bytes);
  // The server's bytes, in order; those that vary become zeros.
  void server(std::span<std::byte> bytes);
  // False once nothing can be masked any more: server() need not be called then.
  bool watching() const { return watching_; }

 private:
  void client_message(uint32_t length, uint32_t code);
  void server_byte(std::byte& byte);
  void message_head();

  // Invariant: watching_ is true until the server was ready for a first query, or something came
  // that is not PostgreSQL; it never becomes true again.
  bool watching_ = true;
  bool started_ = false;           // the client's StartupMessage was seen
  uint32_t refusals_ = 0;          // single-byte answers due to SSLRequest and GSSENCRequest
  std::vector<std::byte> client_;  // the client's first packet, as far as it came
  uint8_t head_[5] = {0, 0, 0, 0, 0};
  size_t head_bytes_ = 0;
  uint32_t payload_ = 0;  // bytes of the message under way still to come
};

}  // namespace wiretape
