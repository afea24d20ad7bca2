// The names of the enumerators, as they are printed and as they stand in JSON.
//
// One table for each enumeration, in the order of the values. The names are part of the command
// line's contract (`stat --connections --json` prints them), so they change only when it does.
//
// Invariant: each table has one name for each enumerator.
#include "proto/event.h"

#include <array>
#include <cassert>

namespace wiretape {

namespace {

template <typename Enum, size_t count>
std::string_view name_in(const std::array<std::string_view, count>& names, Enum value) {
  size_t index = static_cast<size_t>(value);
  assert(index < count);
  return names[index];
}

}  // namespace

std::string_view name_of(Direction d) {
  static constexpr std::array<std::string_view, 2> names = {"client_to_server", "server_to_client"};
  return name_in(names, d);
}

std::string_view name_of(CloseHow how) {
  static constexpr std::array<std::string_view, 7> names = {"open",    "fin",   "rst",  "timeout",
                                                            "refused", "error", "drain"};
  return name_in(names, how);
}

std::string_view name_of(ClosedBy by) {
  static constexpr std::array<std::string_view, 4> names = {"nobody", "client", "server", "us"};
  return name_in(names, by);
}

std::string_view name_of(Protocol protocol) {
  static constexpr std::array<std::string_view, 5> names = {"unknown", "opaque", "http1", "http2",
                                                            "tls"};
  return name_in(names, protocol);
}

std::string_view name_of(GapReason reason) {
  static constexpr std::array<std::string_view, 4> names = {"unknown", "overload", "disk",
                                                            "capture_loss"};
  return name_in(names, reason);
}

}  // namespace wiretape
