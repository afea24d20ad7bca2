// Any text as an address: the parser must not crash, and what it accepts must be accepted again, as
// the same, in the way that it is written.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/address.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wiretape;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto parsed = parse_endpoint(text, PortZero::allowed);
  if (!parsed || parsed->host == "unix") return 0;  // which is written as a socket's path would be
  const auto again = parse_endpoint(parsed->text(), PortZero::allowed);
  if (!again || again->text() != parsed->text() || again->port != parsed->port) std::abort();
  return 0;
}
