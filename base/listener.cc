// Accepting by accept4(2) on a polled descriptor rather than by uv_listen: libuv accepts one
// connection ahead, and out of descriptors it accepts and closes, which loses clients. Here a
// connection that cannot be taken stays in the kernel's queue.
//
// TCP_NODELAY is set on the listening socket: on Linux accepted sockets inherit it, which saves a
// system call per connection.
#include "base/listener.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.h"

namespace wiretape {
namespace {

constexpr int backlog = 4096;             // the kernel cuts it to net.core.somaxconn
constexpr int accepts_per_wake_max = 16;  // more at a time, and the relays starve (measured)
constexpr uint64_t retry_ms = 100;
constexpr int64_t tell_again_ns = 5 * ns_per_s;

// True when a socket file is there and nobody listens on it.
bool is_stale_socket(const Address& address) {
  struct stat info;
  if (::stat(address.unix_path().c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  const bool stale = ::connect(fd, address.raw(), address.length()) != 0 && errno == ECONNREFUSED;
  ::close(fd);
  return stale;
}

Error cannot_listen(const Address& address, int error) {
  std::string hint;
  std::string what = std::strerror(error);
  if (error == EADDRINUSE) {
    what = "address in use";
    hint = address.family() == AF_UNIX ? " (remove the file, or stop what holds it)"
                                       : " (try --listen :0, or stop what holds the port)";
  } else if (error == EACCES) {
    what = "permission denied";
    hint = address.family() == AF_UNIX
               ? " (choose a folder that you may write to)"
               : " (ports below 1024 need CAP_NET_BIND_SERVICE; try a higher port)";
  } else if (error == EADDRNOTAVAIL) {
    what = "not an address of this machine";
    hint = " (try 127.0.0.1, or 0.0.0.0 for all interfaces)";
  }
  return {ErrorSource::downstream,
          fmt::format("cannot listen on {}: {}{}", address.text(), what, hint)};
}

void set_options(int fd, int family) {
  if (family == AF_UNIX) return;
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

bool is_wildcard(const Address& address) {
  if (address.family() == AF_INET) return address.ip() == "0.0.0.0";
  return address.family() == AF_INET6 && address.ip() == "::";
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::create(Loop& loop, const Address& address) {
  const int fd = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return cannot_listen(address, errno);
  set_options(fd, address.family());
  int status = ::bind(fd, address.raw(), address.length());
  if (status != 0 && errno == EADDRINUSE && address.family() == AF_UNIX &&
      is_stale_socket(address)) {
    ::unlink(address.unix_path().c_str());
    status = ::bind(fd, address.raw(), address.length());
  }
  if (status != 0 || ::listen(fd, backlog) != 0) {
    const int error = errno;
    ::close(fd);
    return cannot_listen(address, error);
  }
  const Address bound = address.family() == AF_UNIX ? address : Address::local_of(fd);
  return std::unique_ptr<Listener>(new Listener(loop, fd, bound));
}

Listener::Listener(Loop& loop, int fd, const Address& address)
    : watch_(new Watch{{}, {}, this, 2}),
      fd_(fd),
      address_(address),
      wildcard_(is_wildcard(address)) {
  uv_poll_init(loop.raw(), &watch_->poll, fd);
  uv_timer_init(loop.raw(), &watch_->retry);
  watch_->poll.data = watch_;
  watch_->retry.data = watch_;
}

Listener::~Listener() {
  const auto closed = [](uv_handle_t* handle) {
    Watch* watch = static_cast<Watch*>(handle->data);
    if (--watch->handles_open == 0) delete watch;
  };
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->poll), closed);
  uv_close(reinterpret_cast<uv_handle_t*>(&watch_->retry), closed);
  ::close(fd_);
  if (address_.family() == AF_UNIX) ::unlink(address_.unix_path().c_str());
}

void Listener::pause() {
  paused_ = true;
  uv_timer_stop(&watch_->retry);
  uv_poll_stop(&watch_->poll);
}

void Listener::resume() {
  if (!paused_) return;
  paused_ = false;
  uv_poll_start(&watch_->poll, UV_READABLE, [](uv_poll_t* handle, int, int) {
    static_cast<Watch*>(handle->data)->listener->accept_ready();
  });
}

void Listener::accept_ready() {
  for (int i = 0; i < accepts_per_wake_max && !paused_; ++i) {
    if (!accept_one()) return;
  }
}

bool Listener::accept_one() {
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);
  const int fd =
      ::accept4(fd_, reinterpret_cast<sockaddr*>(&raw), &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (fd >= 0) {
    on_accept_({fd, Address(reinterpret_cast<sockaddr*>(&raw), length),
                wildcard_ ? Address::local_of(fd) : address_});
    return true;
  }
  if (errno == ECONNABORTED || errno == EINTR) return true;  // that client gave up: the next one
  if (errno != EAGAIN) hold_off(errno);
  return false;
}

// Out of descriptors or memory: clients wait in the kernel's queue until some are free again.
void Listener::hold_off(int error) {
  pause();
  const int64_t now_ns = monotonic_ns();
  const bool told_lately = told_ns_ != 0 && now_ns - told_ns_ < tell_again_ns;
  if (on_trouble_ && !told_lately) {
    told_ns_ = now_ns;
    on_trouble_(fmt::format("cannot accept on {}: {}", address_.text(), std::strerror(error)));
  }
  uv_timer_start(
      &watch_->retry,
      [](uv_timer_t* handle) { static_cast<Watch*>(handle->data)->listener->resume(); }, retry_ms,
      0);
}

}  // namespace wiretape
