// Both what a tape stores as text and what is printed as JSON must be UTF-8, and readers of either
// refuse everything for one bad byte. So both go through their strings character by character,
// and put what they like in the place of a byte that begins none.
//
// Well-formed is what table 3-7 of the Unicode standard says: no overlong forms, no surrogates,
// nothing above U+10FFFF. The table needs the first byte for the length and for what the second
// byte may be; all bytes behind that are 80 to BF.
#include "proto/utf8.h"

#include <cassert>
#include <cstdint>

namespace wiretape {
namespace {

uint8_t byte_at(std::string_view text, size_t i) {
  return static_cast<uint8_t>(text[i]);
}

struct LeadByte {
  size_t length;                // of the character; 0: no character starts so
  uint8_t second_least = 0x80;  // what the second byte may be
  uint8_t second_most = 0xBF;
};

LeadByte lead_byte(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte >= 0xC2 && byte <= 0xDF) return {2};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte >= 0xE1 && byte <= 0xEF) return {3};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte >= 0xF1 && byte <= 0xF3) return {4};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0};
}

}  // namespace

size_t utf8_length(std::string_view text) {
  assert(!text.empty());
  const LeadByte lead = lead_byte(byte_at(text, 0));
  if (text.size() < lead.length) return 0;
  if (lead.length < 2) return lead.length;
  if (byte_at(text, 1) < lead.second_least || byte_at(text, 1) > lead.second_most) return 0;
  for (size_t i = 2; i < lead.length; ++i) {
    if ((byte_at(text, i) & 0xC0) != 0x80) return 0;
  }
  return lead.length;
}

}  // namespace wiretape
