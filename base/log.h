// Human text on standard error, one whole line a call, from any thread.
#pragma once

#include <fmt/core.h>

#include <string_view>
#include <utility>

namespace wiretape {

enum class ColorChoice { automatic, always, never };

// Colour is used on a terminal unless NO_COLOR is set (https://no-color.org); `choice` overrides.
void set_log_color(ColorChoice choice);
void set_log_quiet(bool quiet);      // only warnings and errors
void set_log_verbose(bool verbose);  // detail() too
bool log_is_verbose();               // to ask before what a detail() names is put together

enum class LogKind { detail, plain, warning, error };
void log_line(LogKind kind, std::string_view line);

// What went as asked.
template <typename... A>
void say(fmt::format_string<A...> format, A&&... a) {
  log_line(LogKind::plain, fmt::format(format, std::forward<A>(a)...));
}
// What the user should look at; gets the prefix "wiretape: ".
template <typename... A>
void warn(fmt::format_string<A...> format, A&&... a) {
  log_line(LogKind::warning, fmt::format(format, std::forward<A>(a)...));
}
// Why it could not be done; gets the prefix "wiretape: ".
template <typename... A>
void fail(fmt::format_string<A...> format, A&&... a) {
  log_line(LogKind::error, fmt::format(format, std::forward<A>(a)...));
}
// With -v only.
template <typename... A>
void detail(fmt::format_string<A...> format, A&&... a) {
  if (log_is_verbose()) log_line(LogKind::detail, fmt::format(format, std::forward<A>(a)...));
}

// A line that the next one overwrites; only for terminals. Empty text takes it away.
void set_status_line(std::string_view text);
bool stderr_is_terminal();

}  // namespace wiretape
