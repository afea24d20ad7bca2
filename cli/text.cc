// Text for people. What comes off the wire is never printed as it is: a request target may hold
// escape sequences that a terminal would obey, so printable() lets only text through.
#include "cli/text.h"

#include <fmt/chrono.h>
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <ctime>

#include "base/clock.h"

namespace wiretape {
namespace {

std::string escaped(char c) {
  switch (c) {
    case '\n':
      return "\\n";
    case '\r':
      return "\\r";
    case '\t':
      return "\\t";
    default:
      return fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
}

bool is_plain(char c) {
  return c >= 0x20 && c < 0x7f;
}

}  // namespace

void put_text(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

std::string seconds_text(int64_t ns) {
  return fmt::format("{:.3f}", double(ns) / ns_per_s);
}

std::string milliseconds_text(int64_t ns) {
  const double ms = double(ns) / ns_per_ms;
  return fmt::format("{:.{}f}", ms, ms < 10 ? 2 : ms < 100 ? 1 : 0);
}

std::string short_time(int64_t ns) {
  const auto value = static_cast<double>(ns);
  if (ns < ns_per_ms) return fmt::format("{:.0f} us", value / ns_per_us);
  if (ns < ns_per_s) return fmt::format("{:.1f} ms", value / ns_per_ms);
  return fmt::format("{:.2f} s", value / ns_per_s);
}

std::string grouped(uint64_t number) {
  std::string digits = std::to_string(number);
  for (size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, 1, ',');
  return digits;
}

std::string short_bytes(uint64_t bytes) {
  if (bytes < 1000) return std::to_string(bytes);
  double amount = double(bytes);
  const char* unit = "";
  for (const char* next : {"K", "M", "G", "T"}) {
    if (amount < 999.5) break;
    amount /= 1024;
    unit = next;
  }
  return fmt::format("{:.{}f}{}", amount, amount < 9.95 ? 1 : 0, unit);
}

std::string wall_time_text(int64_t wall_ns) {
  const std::time_t seconds = wall_ns / ns_per_s;
  std::tm utc{};
  if (gmtime_r(&seconds, &utc) == nullptr) return "at an unknown time";
  return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", utc);
}

std::string counted(uint64_t number, std::string_view thing) {
  return fmt::format("{} {}{}", grouped(number), thing, number == 1 ? "" : "s");
}

std::string printable(std::string_view bytes) {
  std::string text;
  for (char c : bytes) text += is_plain(c) ? std::string(1, c) : escaped(c);
  return text;
}

std::string elided(std::string_view text, size_t width) {
  if (width == 0 || text.size() <= width) return std::string(text);
  if (width < 8) return std::string(text.substr(0, width));
  const size_t tail = (width - 3) / 3;
  const size_t head = width - 3 - tail;
  return fmt::format("{}...{}", text.substr(0, head), text.substr(text.size() - tail));
}

size_t terminal_width(FILE* stream) {
  if (isatty(fileno(stream)) == 0) return 0;
  winsize size{};
  const bool known = ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col >= 20;
  return known ? size.ws_col : 100;
}

std::string url_of(const Exchange& exchange, const ConnectionSummary& connection) {
  if (!exchange.has_request) return "";
  if (exchange.method == "CONNECT" || exchange.target.find("://") != std::string::npos) {
    return exchange.target;
  }
  const std::string& server = connection.server.empty() ? connection.upstream : connection.server;
  const std::string& host = exchange.authority.empty() ? server : exchange.authority;
  return fmt::format("http://{}{}", host, exchange.target);
}

std::string connection_name(uint32_t part, ConnectionId id) {
  return part == 0 ? std::to_string(id) : fmt::format("{}:{}", part, id);
}

std::string ends_of(const ConnectionSummary& connection) {
  const std::string& server = connection.upstream.empty() ? connection.server : connection.upstream;
  const std::string client = connection.client.empty() ? "?" : connection.client;
  std::string text = fmt::format("{} -> {}", client, server);
  if (!connection.server_name.empty()) text += fmt::format(" ({})", connection.server_name);
  std::string_view error = connection.error;
  if (error.starts_with(server + ": ")) error.remove_prefix(server.size() + 2);
  if (!error.empty()) text += fmt::format(": {}", error);
  return printable(text);
}

}  // namespace wiretape
