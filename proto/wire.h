// The protobuf wire format, as far as records need it, written by hand: a value costs an addition
// and a store, where a message object costs an allocation. What is read by hand is only what can't
// be misunderstood; whatever looks unusual is left to the generated classes. Fields that are zero
// or empty are left out, as proto3 does, so that the bytes are those the generated classes would
// write.
//
//   field := (number << 3 | type) as varint, then   type 0  varint
//                                                    type 1  eight bytes, little-endian
//                                                    type 2  varint length, bytes
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>

namespace wiretape::wire {

enum class Type : uint32_t { varint = 0, fixed64 = 1, bytes = 2 };

inline constexpr size_t varint_bytes_max = 10;

constexpr uint32_t tag(uint32_t field, Type type) {
  return field << 3 | static_cast<uint32_t>(type);
}

// How many bytes the varint takes: one for each seven bits begun.
constexpr size_t varint_size(uint64_t value) {
  return (static_cast<size_t>(std::bit_width(value | 1)) * 9 + 64) / 64;
}

// The size of a varint field whose tag is one byte long.
constexpr size_t field_size(uint64_t value) {
  return value == 0 ? 0 : 1 + varint_size(value);
}

inline std::byte* put_varint(std::byte* out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) *out++ = static_cast<std::byte>(value | 0x80);
  *out++ = static_cast<std::byte>(value);
  return out;
}

inline std::byte* put_field(std::byte* out, uint32_t field, uint64_t value) {
  if (value == 0) return out;
  return put_varint(put_varint(out, tag(field, Type::varint)), value);
}

inline std::byte* put_head(std::byte* out, uint32_t field, size_t length) {
  return put_varint(put_varint(out, tag(field, Type::bytes)), length);
}

// Takes a varint off the front of `in`; false when there is none of up to 64 bits.
inline bool take_varint(std::span<const std::byte>& in, uint64_t& value) {
  value = 0;
  for (size_t i = 0; i < in.size() && i < varint_bytes_max; ++i) {
    const auto byte = static_cast<uint64_t>(in[i]);
    if (i == varint_bytes_max - 1 && byte > 1) return false;
    value |= (byte & 0x7F) << (7 * i);
    if (byte < 0x80) {
      in = in.subspan(i + 1);
      return true;
    }
  }
  return false;
}

// Takes a length and as many bytes off the front of `in`; false when there are fewer.
inline bool take_bytes(std::span<const std::byte>& in, std::span<const std::byte>& bytes) {
  uint64_t length = 0;
  if (!take_varint(in, length) || length > in.size()) return false;
  bytes = in.first(length);
  in = in.subspan(length);
  return true;
}

// A message written to the end of a string, field by field; for the records that are not hot.
class Writer {
 public:
  explicit Writer(std::string& out) : out_(out) {}

  void number(uint32_t field, uint64_t value) {
    if (value == 0) return;
    varint(tag(field, Type::varint));
    varint(value);
  }
  void fixed64(uint32_t field, uint64_t value) {
    if (value == 0) return;
    varint(tag(field, Type::fixed64));
    for (int shift = 0; shift < 64; shift += 8) out_ += static_cast<char>(value >> shift);
  }
  void bytes(uint32_t field, std::string_view value) {
    if (!value.empty()) element(field, value);
  }
  // One of a repeated field: written even when it is empty.
  void element(uint32_t field, std::string_view value) {
    varint(tag(field, Type::bytes));
    varint(value.size());
    out_ += value;
  }
  // A message inside this one: `fill` writes its fields.
  template <typename Fill>
  void message(uint32_t field, Fill fill) {
    varint(tag(field, Type::bytes));
    size_t begin = out_.size();
    fill(*this);
    std::byte length[varint_bytes_max];
    size_t count = static_cast<size_t>(put_varint(length, out_.size() - begin) - length);
    out_.insert(begin, reinterpret_cast<const char*>(length), count);
  }

 private:
  void varint(uint64_t value) {
    std::byte raw[varint_bytes_max];
    size_t count = static_cast<size_t>(put_varint(raw, value) - raw);
    out_.append(reinterpret_cast<const char*>(raw), count);
  }

  std::string& out_;
};

}  // namespace wiretape::wire
