// Which bytes are a character: every code point, and every wrong way to write one.
#include "proto/utf8.h"

#include <gtest/gtest.h>

#include <string>

namespace wiretape {
namespace {

// The bits of `code` in the shape of a character of `length` bytes, whether that is right or not.
std::string shaped(uint32_t code, size_t length) {
  constexpr unsigned char lead[] = {0, 0x00, 0xC0, 0xE0, 0xF0};
  std::string out(length, '\0');
  for (size_t i = length; i-- > 1; code >>= 6) out[i] = static_cast<char>(0x80 | (code & 0x3F));
  out[0] = static_cast<char>(lead[length] | code);
  return out;
}

size_t right_length(uint32_t code) {
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

TEST(Utf8, EveryCodePointHasOneFormAndSurrogatesHaveNone) {
  const uint32_t shape_bits[] = {0, 7, 11, 16, 21};
  for (size_t length = 1; length <= 4; ++length) {
    for (uint32_t code = 0; code < uint32_t{1} << shape_bits[length]; ++code) {
      const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
      const bool right = right_length(code) == length && !surrogate && code <= 0x10FFFF;
      ASSERT_EQ(utf8_length(shaped(code, length) + "x"), right ? length : 0)
          << code << " in " << length << " bytes";
    }
  }
}

TEST(Utf8, HalfACharacterIsNone) {
  for (const uint32_t code : {0xE9u, 0x20ACu, 0x1F600u}) {
    const std::string whole = shaped(code, right_length(code));
    for (size_t n = 1; n < whole.size(); ++n) {
      EXPECT_EQ(utf8_length(whole.substr(0, n)), 0u);
      EXPECT_EQ(utf8_length(whole.substr(0, n) + "xxxx"), 0u);
      EXPECT_EQ(utf8_length(whole.substr(n)), 0u) << "its tail";
    }
  }
}

TEST(Utf8, BytesThatBeginNothingAreNone) {
  for (int byte = 0x80; byte < 0x100; ++byte) {
    if (byte >= 0xC2 && byte <= 0xF4) continue;
    EXPECT_EQ(utf8_length(static_cast<char>(byte) + std::string("\x80\x80\x80")), 0u) << byte;
  }
}

}  // namespace
}  // namespace wiretape
