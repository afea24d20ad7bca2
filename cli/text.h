// How figures, times and bytes off the wire are written for people.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "cli/tape_walk.h"

namespace wiretape {

// To standard output. A reader that went away shows in ferror(stdout), not as an exception.
void put_text(std::string_view text);
template <typename... A>
void put(fmt::format_string<A...> format, A&&... a) {
  put_text(fmt::format(format, std::forward<A>(a)...));
}

std::string seconds_text(int64_t ns);                          // "12.345"
std::string milliseconds_text(int64_t ns);                     // "1.23", "123"
std::string short_time(int64_t ns);                            // "12 us", "1.2 ms", "3.45 s"
std::string grouped(uint64_t number);                          // "1,234,567"
std::string short_bytes(uint64_t bytes);                       // "999", "1.5K", "12M"
std::string wall_time_text(int64_t wall_ns);                   // "2026-03-01 12:34:56 UTC"
std::string counted(uint64_t number, std::string_view thing);  // "1 gap", "2 gaps"

// Safe for a terminal: "\r\n", "\t" and "\x1b" for what is not printable ASCII.
std::string printable(std::string_view bytes);
// At most `width` columns, the middle of a longer text replaced by "..."; 0: no limit.
std::string elided(std::string_view text, size_t width);
// Columns of the terminal that `stream` is; 0 when it is none.
size_t terminal_width(FILE* stream);

// "http://app:3000/path", as it can be put into a browser.
std::string url_of(const Exchange& exchange, const ConnectionSummary& connection);
// "3"; "1:3" in a further part of the tape.
std::string connection_name(uint32_t part, ConnectionId id);
// "127.0.0.1:40000 -> app:3000", with what went wrong or who is behind the TLS.
std::string ends_of(const ConnectionSummary& connection);

}  // namespace wiretape
