// Any bytes as a connection's first: the scan must not crash, and what it said of a beginning must
// still be so when more bytes have come.
#include <cstdint>
#include <cstdlib>

#include "proto/client_hello.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wiretape;
  const Bytes bytes = std::as_bytes(std::span(data, size));
  const ClientHello whole = scan_client_hello(bytes);
  const ClientHello half = scan_client_hello(bytes.first(size / 2));
  if (half.state == ClientHello::State::incomplete) return 0;
  if (half.state != whole.state || half.server_name != whole.server_name) std::abort();
  return 0;
}
