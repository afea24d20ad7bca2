// Bytes of a stream for people: short enough for one line, and harmless to a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "proto/event.h"

namespace wiretape {

// In quotes with C's escapes when most of it is text, "hex 00 ff" when it is not. Always ASCII.
std::string quoted(Bytes bytes);

// Text that may come off the wire, without what a terminal would act on; cut in its middle, at
// "...", when it is longer than `length_max` bytes.
std::string one_line(std::string_view text, size_t length_max);

}  // namespace wiretape
