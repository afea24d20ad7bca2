// Socket addresses and their text. Text is what is on tapes and in messages, so it is written in
// one way only: "127.0.0.1:80", "[::1]:80", "unix:/path". An IPv4 address that a dual-stack
// listener sees as ::ffff:1.2.3.4 is written as IPv4, because that is what the user dialled.
#include "base/address.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstring>

namespace wiretape {
namespace {

constexpr size_t path_offset = offsetof(sockaddr_un, sun_path);

// The IPv4 address in network order, also of a v4-mapped IPv6 address.
bool ipv4_of(const Address& address, in_addr* out) {
  if (address.family() == AF_INET) {
    *out = reinterpret_cast<const sockaddr_in*>(address.raw())->sin_addr;
    return true;
  }
  if (address.family() != AF_INET6) return false;
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(address.raw())->sin6_addr;
  if (!IN6_IS_ADDR_V4MAPPED(&v6)) return false;
  std::memcpy(out, v6.s6_addr + 12, sizeof(*out));
  return true;
}

Error bad_address(std::string_view text, std::string_view why) {
  return {ErrorSource::usage,
          fmt::format("bad address '{}': {} (write HOST:PORT, :PORT, [v6]:PORT or unix:/path)",
                      text, why)};
}

bool parse_port(std::string_view text, uint16_t* port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *port);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

uint16_t default_port(std::string_view scheme) {
  if (scheme == "http") return 80;
  if (scheme == "https") return 443;
  return 0;
}

// Takes "http://" and the like off the front, and a lone "/" off the end.
Result<std::string> take_scheme(std::string_view whole, std::string_view* rest) {
  const size_t colon = rest->find("://");
  if (colon == std::string_view::npos) return std::string();
  std::string scheme(rest->substr(0, colon));
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), ::tolower);
  if (scheme != "http" && scheme != "https" && scheme != "tcp" && scheme != "tls") {
    return bad_address(whole, fmt::format("unknown scheme '{}'", scheme));
  }
  rest->remove_prefix(colon + 3);
  if (rest->ends_with('/')) rest->remove_suffix(1);
  if (rest->find('/') != std::string_view::npos)
    return bad_address(whole, "a path has no place here");
  return scheme;
}

// Splits "host:port" or "[v6]:port"; the port is empty when there is none.
bool split_host_port(std::string_view text, std::string_view* host, std::string_view* port) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    *host = text.substr(1, close - 1);
    std::string_view rest = text.substr(close + 1);
    if (!rest.empty() && rest.front() != ':') return false;
    *port = rest.empty() ? rest : rest.substr(1);
    return !host->empty();
  }
  const size_t colon = text.rfind(':');
  *host = text.substr(0, colon);
  *port = colon == std::string_view::npos ? std::string_view() : text.substr(colon + 1);
  return host->find(':') == std::string_view::npos;  // a bare IPv6 address is ambiguous
}

}  // namespace

Address::Address(const sockaddr* raw, socklen_t length)
    : length_(std::min<socklen_t>(length, sizeof(storage_))) {
  std::memcpy(storage_.bytes, raw, length_);
}

Address Address::local_of(int fd) {
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  if (getsockname(fd, reinterpret_cast<sockaddr*>(&raw), &length) != 0) return {};
  return {reinterpret_cast<sockaddr*>(&raw), length};
}

Address Address::from_unix_path(std::string_view path) {
  Address a;
  a.storage_.un.sun_family = AF_UNIX;
  const size_t n = std::min(path.size(), sizeof(a.storage_.un.sun_path) - 1);
  std::memcpy(a.storage_.un.sun_path, path.data(), n);
  a.length_ = static_cast<socklen_t>(path_offset + (n == 0 ? 0 : n + 1));
  return a;
}

Address Address::from_ip(const std::string& ip, uint16_t port) {
  sockaddr_in v4{};
  if (inet_pton(AF_INET, ip.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    return {reinterpret_cast<const sockaddr*>(&v4), sizeof(v4)};
  }
  sockaddr_in6 v6{};
  if (inet_pton(AF_INET6, ip.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    return {reinterpret_cast<const sockaddr*>(&v6), sizeof(v6)};
  }
  return {};
}

uint16_t Address::port() const {
  if (family() == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in*>(raw())->sin_port);
  if (family() == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6*>(raw())->sin6_port);
  return 0;
}

void Address::set_port(uint16_t port) {
  if (family() == AF_INET) reinterpret_cast<sockaddr_in*>(&storage_.sa)->sin_port = htons(port);
  if (family() == AF_INET6) reinterpret_cast<sockaddr_in6*>(&storage_.sa)->sin6_port = htons(port);
}

std::string Address::ip() const {
  char text[INET6_ADDRSTRLEN] = "";
  in_addr v4;
  if (ipv4_of(*this, &v4)) {
    inet_ntop(AF_INET, &v4, text, sizeof(text));
  } else if (family() == AF_INET6) {
    inet_ntop(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(raw())->sin6_addr, text,
              sizeof(text));
  }
  return text;
}

std::string Address::unix_path() const {
  if (family() != AF_UNIX || length_ <= path_offset) return "";
  const size_t room = length_ - path_offset;
  if (storage_.un.sun_path[0] == '\0') {  // Linux's abstract names begin with a zero byte
    return "@" + std::string(storage_.un.sun_path + 1, room - 1);
  }
  return {storage_.un.sun_path, strnlen(storage_.un.sun_path, room)};
}

bool Address::is_loopback() const {
  in_addr v4;
  if (ipv4_of(*this, &v4)) return (ntohl(v4.s_addr) >> 24) == 127;
  if (family() == AF_INET6) {
    return IN6_IS_ADDR_LOOPBACK(&reinterpret_cast<const sockaddr_in6*>(raw())->sin6_addr);
  }
  return family() == AF_UNIX;
}

bool Address::is_private() const {
  in_addr v4;
  if (ipv4_of(*this, &v4)) {
    const uint32_t ip = ntohl(v4.s_addr);
    return (ip >> 24) == 10 || (ip >> 20) == 0xAC1 || (ip >> 16) == 0xC0A8 || (ip >> 16) == 0xA9FE;
  }
  if (family() != AF_INET6) return false;
  const in6_addr& v6 = reinterpret_cast<const sockaddr_in6*>(raw())->sin6_addr;
  return (v6.s6_addr[0] & 0xFE) == 0xFC || IN6_IS_ADDR_LINKLOCAL(&v6);
}

std::string Address::text() const {
  if (!known()) return "";
  if (family() == AF_UNIX) return "unix:" + unix_path();
  in_addr v4;
  if (ipv4_of(*this, &v4)) return fmt::format("{}:{}", ip(), port());
  return fmt::format("[{}]:{}", ip(), port());
}

std::string Endpoint::text() const {
  if (is_unix()) return "unix:" + unix_path;
  if (host.find(':') != std::string::npos) return fmt::format("[{}]:{}", host, port);
  return fmt::format("{}:{}", host, port);
}

Result<Endpoint> parse_endpoint(std::string_view text, PortZero port_zero) {
  Endpoint endpoint;
  std::string_view rest = text;
  if (rest.starts_with("unix:")) {
    endpoint.unix_path = rest.substr(5);
    if (endpoint.unix_path.empty()) return bad_address(text, "no path after unix:");
    if (endpoint.unix_path.size() >= sizeof(sockaddr_un::sun_path)) {
      return bad_address(text, "a unix socket's path is at most 107 bytes long");
    }
    return endpoint;
  }
  auto scheme = take_scheme(text, &rest);
  if (!scheme) return scheme.error();
  endpoint.scheme = *scheme;

  std::string_view host, port;
  if (!split_host_port(rest, &host, &port)) return bad_address(text, "cannot tell host from port");
  endpoint.host = host.empty() ? "127.0.0.1" : std::string(host);
  if (endpoint.host.find_first_of("[]/@ \t\r\n") != std::string::npos) {
    return bad_address(text, "that is not a host's name");
  }
  if (port.empty()) {
    endpoint.port = default_port(endpoint.scheme);
    if (endpoint.port == 0) return bad_address(text, "no port");
    return endpoint;
  }
  if (!parse_port(port, &endpoint.port)) return bad_address(text, "a port is a number up to 65535");
  if (endpoint.port == 0 && port_zero == PortZero::refused) {
    return bad_address(text, "port 0 is only for listening");
  }
  return endpoint;
}

}  // namespace wiretape
