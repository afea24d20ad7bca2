// Addresses: an Endpoint is what a user names ("app:3000", "unix:/run/app.sock"); an Address is
// one socket address the kernel can connect to or listen on. Only the resolver turns the first
// into the second, so a name that was never looked up cannot be dialled by mistake.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wiretape {

class Address {
 public:
  Address() = default;  // no address: family() is AF_UNSPEC
  Address(const sockaddr* raw, socklen_t length);

  // A unix socket's path; an empty path is an unnamed socket. Paths over 107 bytes are cut.
  static Address from_unix_path(std::string_view path);
  // The local end of a socket; no address when the kernel tells none.
  static Address local_of(int fd);
  // An IPv4 or IPv6 address in text ("127.0.0.1", "::1"), or no address when it is neither.
  static Address from_ip(const std::string& ip, uint16_t port);

  bool known() const { return length_ != 0; }
  int family() const { return known() ? storage_.sa.sa_family : AF_UNSPEC; }
  const sockaddr* raw() const { return &storage_.sa; }
  socklen_t length() const { return length_; }

  uint16_t port() const;  // 0 for unix sockets
  void set_port(uint16_t port);
  std::string ip() const;         // "127.0.0.1", "::1"; empty for unix sockets
  std::string unix_path() const;  // empty for others

  bool is_loopback() const;  // 127/8, ::1, or a unix socket
  bool is_private() const;   // RFC 1918, RFC 4193 (fc00::/7), link-local

  // "127.0.0.1:80", "[::1]:80", "unix:/path", "unix:" (unnamed), "" (no address).
  std::string text() const;

  friend bool operator==(const Address& a, const Address& b) { return a.text() == b.text(); }

 private:
  union Storage {
    sockaddr sa;
    sockaddr_un un;  // the largest of those we use
    char bytes[sizeof(sockaddr_un)];
  };
  Storage storage_{};
  socklen_t length_ = 0;
};

// What a user asks for. Exactly one of unix_path and host is set.
struct Endpoint {
  std::string scheme;  // "http", "https", "tls", or "" when none was given
  std::string host;    // a name or an IP address, without brackets
  std::string unix_path;
  uint16_t port = 0;

  bool is_unix() const { return !unix_path.empty(); }
  std::string text() const;  // as a user would write it, without the scheme
};

enum class PortZero { refused, allowed };

// Parses ADDR of the command line: HOST:PORT, :PORT (host 127.0.0.1), [v6]:PORT, unix:/path, or a
// URL with a scheme of http, https, tcp or tls (then the port may be left out for the first two).
Result<Endpoint> parse_endpoint(std::string_view text, PortZero port_zero);

}  // namespace wiretape
