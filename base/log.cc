// Lines on standard error. Each line is put together first and written with one write(2), so that
// lines of several threads, or of us and the COMMAND we started, do not run into each other.
//
// A status line (the counters while recording) is the only thing that stays unterminated: it is
// wiped before any other line is written, and drawn again behind it.
#include "base/log.h"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <mutex>
#include <string>

namespace wiretape {
namespace {

struct Log {
  std::mutex mutex;
  ColorChoice color = ColorChoice::automatic;
  std::atomic<bool> quiet = false;
  std::atomic<bool> verbose = false;
  std::string status;  // what stands on the terminal's last line now
};

Log& the_log() {
  static Log log;
  return log;
}

bool colored(const Log& log) {
  if (log.color != ColorChoice::automatic) return log.color == ColorChoice::always;
  const char* no_color = std::getenv("NO_COLOR");
  return stderr_is_terminal() && (no_color == nullptr || *no_color == '\0');
}

void write_all(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
    if (n <= 0) return;  // nobody is left to tell
    text.remove_prefix(static_cast<size_t>(n));
  }
}

// What peers sent may be in a line (a server's name, a request's target): nothing of it may drive
// the terminal or look like a line of its own.
std::string without_controls(std::string_view line) {
  std::string text;
  for (size_t i = 0; i < line.size(); ++i) {
    const auto c = static_cast<unsigned char>(line[i]);
    const bool c1 = c == 0xC2 && i + 1 < line.size() &&
                    (static_cast<unsigned char>(line[i + 1]) & 0xE0) == 0x80;  // U+0080 to U+009F
    if (c < 0x20 || c == 0x7F || c1) {
      text += fmt::format("\\x{:02x}", c);
    } else {
      text += line[i];
    }
  }
  return text;
}

std::string dressed(const Log& log, LogKind kind, std::string_view line) {
  const bool prefixed = kind == LogKind::warning || kind == LogKind::error;
  std::string text = prefixed ? "wiretape: " : "";
  text += without_controls(line);
  if (!prefixed || !colored(log)) return text + "\n";
  return (kind == LogKind::error ? "\x1b[31m" : "\x1b[33m") + text + "\x1b[0m\n";
}

}  // namespace

bool stderr_is_terminal() {
  static const bool terminal = ::isatty(STDERR_FILENO) == 1;
  return terminal;
}

void set_log_color(ColorChoice choice) {
  the_log().color = choice;
}
void set_log_quiet(bool quiet) {
  the_log().quiet = quiet;
}
void set_log_verbose(bool verbose) {
  the_log().verbose = verbose;
}
bool log_is_verbose() {
  return the_log().verbose;
}

void log_line(LogKind kind, std::string_view line) {
  Log& log = the_log();
  if (kind == LogKind::plain && log.quiet) return;
  if (kind == LogKind::detail && !log_is_verbose()) return;
  const std::lock_guard lock(log.mutex);
  const std::string text = dressed(log, kind, line);
  write_all(log.status.empty() ? text : "\r\x1b[K" + text + log.status);
}

void set_status_line(std::string_view text) {
  Log& log = the_log();
  if (!stderr_is_terminal() || log.quiet) return;
  const std::lock_guard lock(log.mutex);
  if (text == log.status) return;
  log.status = text;
  write_all("\r\x1b[K" + log.status);
}

}  // namespace wiretape
