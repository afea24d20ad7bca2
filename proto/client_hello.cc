// A ClientHello (RFC 8446 section 4.1.2) is a handshake message in one or more TLS records:
//
//   record:    16 03 xx  length(2)  fragment...
//   handshake:           01 length(3) | version(2) random(32) session_id<1> cipher_suites<2>
//                                     | compression<1> extensions<2> = { type(2) data<2> }...
//
// A vector<n> is a length of n bytes and so many bytes. Every length is somebody else's claim: a
// Cursor hands out only what is there, and once it was asked for more it is spent and gives
// nothing, so that the code below reads straight on and asks once at the end.
//
// What looks like a ClientHello's beginning and is not all there yet is `incomplete`; what has its
// outer shape but nonsense in its extensions is still TLS, just without a name.
#include "proto/client_hello.h"

#include <algorithm>
#include <cstdint>
#include <optional>

namespace wiretape {
namespace {

constexpr size_t record_head_bytes = 5;
constexpr size_t record_bytes_max = (1 << 14) + 256;
constexpr size_t handshake_head_bytes = 4;
constexpr size_t scanned_bytes_max = 2 * client_hello_bytes_max;  // record heads are in there too
constexpr unsigned handshake_record = 22, client_hello_message = 1;
constexpr unsigned server_name_extension = 0, host_name_type = 0;

// Invariant: rest_ is a tail of the bytes it was made of.
class Cursor {
 public:
  explicit Cursor(std::string_view bytes) : rest_(bytes) {}

  bool empty() const { return rest_.empty(); }

  std::string_view take(size_t n) {
    if (n > rest_.size()) {
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }

  size_t number(size_t n) {
    size_t value = 0;
    for (const char c : take(n)) value = value << 8 | static_cast<unsigned char>(c);
    return value;
  }

  Cursor vector(size_t length_bytes) { return Cursor(take(number(length_bytes))); }
  std::string text(size_t length_bytes) { return std::string(take(number(length_bytes))); }

 private:
  std::string_view rest_;
};

// Whether `bytes` is `pattern` as far as both go; a negative number stands for any byte.
bool starts_like(std::string_view bytes, std::initializer_list<int> pattern) {
  const size_t n = std::min(bytes.size(), pattern.size());
  return std::equal(bytes.begin(), bytes.begin() + n, pattern.begin(), [](char byte, int wanted) {
    return wanted < 0 || static_cast<unsigned char>(byte) == wanted;
  });
}

struct Unwrapped {
  std::string handshake;  // the records' fragments, joined
  bool bad = false;

  // What the handshake message says of its length, or nothing while its head is not all there.
  std::optional<size_t> claimed_bytes() const {
    if (handshake.size() < handshake_head_bytes) return std::nullopt;
    return Cursor(std::string_view(handshake).substr(1)).number(3);
  }
  bool too_long() const { return claimed_bytes().value_or(0) > client_hello_bytes_max; }
  bool complete() const {
    return claimed_bytes() && handshake.size() - handshake_head_bytes >= *claimed_bytes();
  }
};

// Stops where the outcome is certain, so that what comes behind cannot change it.
Unwrapped unwrap_records(std::string_view bytes) {
  Unwrapped out;
  while (!bytes.empty() && !out.complete() && !out.too_long()) {
    if (!starts_like(bytes, {handshake_record, 3})) return {{}, true};
    if (bytes.size() < record_head_bytes) break;
    const size_t length = Cursor(bytes.substr(3)).number(2);
    if (length == 0 || length > record_bytes_max) return {{}, true};
    out.handshake.append(bytes.substr(record_head_bytes, length));
    bytes.remove_prefix(std::min(bytes.size(), record_head_bytes + length));
  }
  return out;
}

ClientHello not_tls() {
  ClientHello hello;
  hello.state = ClientHello::State::not_tls;
  return hello;
}

void read_server_name(Cursor extension, ClientHello& hello) {
  Cursor names = extension.vector(2);
  while (!names.empty()) {
    const size_t type = names.number(1);
    std::string name = names.text(2);
    if (type == host_name_type && hello.server_name.empty()) hello.server_name = std::move(name);
  }
}

void read_extensions(std::string_view body, ClientHello& hello) {
  Cursor cursor(body);
  cursor.take(2 + 32);  // version, random
  cursor.vector(1);     // session id
  cursor.vector(2);     // cipher suites
  cursor.vector(1);     // compression methods
  Cursor extensions = cursor.vector(2);
  while (!extensions.empty()) {
    const size_t type = extensions.number(2);
    const Cursor data = extensions.vector(2);
    if (type == server_name_extension) read_server_name(data, hello);
  }
}

}  // namespace

ClientHello scan_client_hello(Bytes bytes) {
  const std::string_view text = as_text(bytes.first(std::min(bytes.size(), scanned_bytes_max)));
  if (!starts_like(text, {handshake_record, 3, -1, -1, -1, client_hello_message})) return not_tls();
  const Unwrapped unwrapped = unwrap_records(text);
  if (unwrapped.bad) return not_tls();
  ClientHello hello;
  if (unwrapped.complete() || unwrapped.too_long() || text.size() == scanned_bytes_max) {
    hello.state = ClientHello::State::found;
  }
  if (!unwrapped.complete() || unwrapped.too_long()) return hello;
  const std::string_view message = unwrapped.handshake;
  read_extensions(message.substr(handshake_head_bytes, *unwrapped.claimed_bytes()), hello);
  return hello;
}

}  // namespace wiretape
