// What the tests with real sockets share: running a loop until something is so, and plain sockets
// that play the other side without any of the product's code.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "base/clock.h"
#include "base/loop.h"
#include "base/timer.h"

namespace wiretape::test {

// Far more than any test takes; only a test that fails waits as long.
inline constexpr int64_t patience_ns = 20 * ns_per_s;

// Runs the loop until `done` holds, looking once a millisecond. False: it never did.
inline bool run_until(Loop& loop, const std::function<bool()>& done,
                      int64_t within_ns = patience_ns) {
  const int64_t deadline_ns = monotonic_ns() + within_ns;
  bool held = done();
  Timer look(loop, [&] {
    held = done();
    if (held || monotonic_ns() > deadline_ns) loop.stop();
  });
  look.start_every(ns_per_ms);
  if (!held) loop.run();
  return held;
}

inline void run_for(Loop& loop, int64_t ns) {
  run_until(
      loop, [] { return false; }, ns);
}

inline sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void must(bool held) {
  if (!held) std::abort();
}

// A plain non-blocking socket that is closed with its owner.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) { must(fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) == 0); }
  ~Socket() { close(); }
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(broken_, other.broken_);
    return *this;
  }

  static Socket listening(int backlog = 1024) {
    Socket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(0);
    must(::bind(made.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
    must(::listen(made.fd_, backlog) == 0);
    return made;
  }
  // The handshake may still be under way.
  static Socket connecting(uint16_t port, int receive_buffer = 0) {
    Socket made(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (receive_buffer > 0) made.set(SO_RCVBUF, receive_buffer);
    const sockaddr_in address = loopback(port);
    const int status =
        ::connect(made.fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    must(status == 0 || errno == EINPROGRESS);
    return made;
  }
  Socket accept() { return Socket(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)); }

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  uint16_t port() const {
    sockaddr_in address{};
    socklen_t length = sizeof(address);
    must(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    return ntohs(address.sin_port);
  }
  void set(int option, int value) {
    must(::setsockopt(fd_, SOL_SOCKET, option, &value, sizeof(value)) == 0);
  }

  // How many bytes the kernel took.
  size_t send(std::string_view bytes) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK) broken_ = true;
    return n > 0 ? static_cast<size_t>(n) : 0;
  }
  bool broken() const { return broken_; }  // a send has failed
  void shutdown() { ::shutdown(fd_, SHUT_WR); }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void reset() {
    const linger option{1, 0};
    must(::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &option, sizeof(option)) == 0);
    close();
  }

 private:
  int fd_ = -1;
  bool broken_ = false;
};

// What one side of a conversation has received, and how it ended.
class Received {
 public:
  enum class End { none, fin, reset };

  // Takes what is there, at most `most` bytes.
  void read_from(Socket& socket, size_t most = SIZE_MAX) {
    char buffer[64 * 1024];
    while (most > 0 && end == End::none) {
      const ssize_t n = ::recv(socket.fd(), buffer, std::min(sizeof(buffer), most), MSG_DONTWAIT);
      if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return;
      if (n <= 0) {
        end = n == 0 ? End::fin : End::reset;
        return;
      }
      bytes.append(buffer, static_cast<size_t>(n));
      most -= static_cast<size_t>(n);
    }
  }

  std::string bytes;
  End end = End::none;
};

// Two ends of one TCP connection over loopback.
struct Pair {
  Socket near;
  Socket far;
};

inline Pair connected_pair(int near_send_buffer = 0, int far_receive_buffer = 0) {
  Socket listener = Socket::listening();
  if (near_send_buffer > 0) listener.set(SO_SNDBUF, near_send_buffer);
  Pair pair;
  pair.far = Socket::connecting(listener.port(), far_receive_buffer);
  pollfd ready{listener.fd(), POLLIN, 0};
  must(::poll(&ready, 1, 5000) == 1);
  pair.near = listener.accept();
  must(pair.near.is_open());
  return pair;
}

// Bytes in which a shifted, lost or doubled stretch shows.
inline std::string pattern(size_t count, uint32_t seed = 1) {
  std::string out(count, '\0');
  uint64_t state = seed * 0x9E3779B97F4A7C15u + 1;
  for (char& c : out) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    c = static_cast<char>(state >> 56);
  }
  return out;
}

}  // namespace wiretape::test
