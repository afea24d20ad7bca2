// How values are written on the command line. A failure's message says what would be right, and
// reads well behind the flag's name: `--drain: "5x" is not a duration (try 5s, 200ms or 1m)`.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wiretape {

// "5s", "200ms", "1.5m", "10us", "2h"; a number alone is seconds. Nanoseconds, never negative.
Result<int64_t> parse_duration(std::string_view text);
Result<int64_t> parse_integer(std::string_view text, int64_t least, int64_t most);
// A decimal number.
Result<double> parse_number(std::string_view text, double least, double most);

// The candidate that `text` is most likely a slip of; empty when none is near.
std::string_view closest_match(std::string_view text, std::span<const std::string> candidates);

}  // namespace wiretape
