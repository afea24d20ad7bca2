// A difference is understood by looking at it, so reports quote what differs. What they quote is
// what a server chose to send: it may be binary, endless, or made to play with the reader's
// terminal. So nothing gets out but printable ASCII.
//
//   "price\": 17, \"cur"       text, escaped
//   hex 1f 8b 08 00 00 00      more than a quarter of it is not text
//   http://app/very/l...?z=9   too long: its middle is left out
#include "replayer/quote.h"

#include <fmt/format.h>

#include <algorithm>

namespace wiretape {
namespace {

bool is_printable(char c) {
  return c >= ' ' && c <= '~';
}
bool is_text(std::byte b) {
  const char c = static_cast<char>(b);
  return is_printable(c) || c == '\n' || c == '\r' || c == '\t';
}

void append_escaped(std::string& text, char c) {
  switch (c) {
    case '\n':
      text += "\\n";
      return;
    case '\r':
      text += "\\r";
      return;
    case '\t':
      text += "\\t";
      return;
    default:
      is_printable(c) ? text += c : text += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
  }
}

}  // namespace

std::string quoted(Bytes bytes) {
  const auto texts = static_cast<size_t>(std::count_if(bytes.begin(), bytes.end(), is_text));
  if (4 * texts < 3 * bytes.size()) {
    std::string hex = "hex";
    for (const std::byte b : bytes) hex += fmt::format(" {:02x}", static_cast<uint8_t>(b));
    return hex;
  }
  std::string text = "\"";
  for (const char c : as_text(bytes)) {
    if (c == '"' || c == '\\') text += '\\';
    append_escaped(text, c);
  }
  return text + '"';
}

std::string one_line(std::string_view text, size_t length_max) {
  const bool cut = text.size() > length_max;
  const size_t half = cut ? length_max / 2 : text.size();
  std::string line;
  for (const char c : text.substr(0, half)) append_escaped(line, c);
  if (!cut) return line;
  line += "...";
  for (const char c : text.substr(text.size() - half)) append_escaped(line, c);
  return line;
}

}  // namespace wiretape
