// JSON by appending to a string: what Wiretape prints is flat and known beforehand, so a document
// tree would only cost memory. A list of a million connections is written as it is read.
//
// The hard part is not the commas but the strings. A request target is bytes off the wire: it may
// hold control characters, half a character, or Latin-1. RFC 8259 (section 8.1) wants UTF-8, and
// readers throw on anything else, so well-formed characters pass and every other byte becomes
// U+FFFD.
#include "proto/json.h"

#include <cassert>
#include <cstdint>
#include <utility>

#include "proto/utf8.h"

namespace wiretape {
namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";  // U+FFFD

uint8_t byte_at(std::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]);
}

void append_control(std::string& to, uint8_t byte) {
  constexpr char digits[] = "0123456789abcdef";
  switch (byte) {
    case '\n':
      to += "\\n";
      return;
    case '\r':
      to += "\\r";
      return;
    case '\t':
      to += "\\t";
      return;
    default:
      to += "\\u00";
      to += digits[byte >> 4];
      to += digits[byte & 15];
  }
}

}  // namespace

std::string json_string(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const uint8_t byte = byte_at(text, 0);
    size_t taken = 1;
    if (byte >= 0x80) {
      const size_t length = utf8_length(text);
      quoted += length == 0 ? replacement : text.substr(0, length);
      if (length != 0) taken = length;
    } else if (byte < 0x20 || byte == 0x7F) {
      append_control(quoted, byte);
    } else {
      if (byte == '"' || byte == '\\') quoted += '\\';
      quoted += text[0];
    }
    text.remove_prefix(taken);
  }
  return quoted + '"';
}

void JsonWriter::new_line() {
  if (layout_ == Layout::indented) text_ += '\n' + std::string(2 * open_.size(), ' ');
}

void JsonWriter::before_item() {
  if (after_key_ || open_.empty()) {
    after_key_ = false;
    return;
  }
  if (!open_.back().empty) text_ += ',';
  open_.back().empty = false;
  new_line();
}

JsonWriter& JsonWriter::begin(char open) {
  before_item();
  text_ += open;
  open_.push_back({open == '{' ? '}' : ']'});
  return *this;
}

JsonWriter& JsonWriter::end(char close) {
  assert(!open_.empty() && open_.back().close == close && !after_key_);
  const bool empty = open_.back().empty;
  open_.pop_back();
  if (!empty) new_line();
  text_ += close;
  return *this;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  assert(!open_.empty() && open_.back().close == '}' && !after_key_);
  before_item();
  text_ += json_string(name);
  text_ += layout_ == Layout::indented ? ": " : ":";
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::literal(std::string_view text) {
  before_item();
  text_ += text;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view text) {
  return literal(json_string(text));
}

std::string JsonWriter::take() {
  return std::exchange(text_, {});
}

}  // namespace wiretape
