// A socket on libuv, with the rules that keep a relay as cheap as bare epoll:
//
//   read   one buffer per loop, not per stream; reading stays on while data flows
//   write  send(2) first; only what the kernel does not take is copied and waits for POLLOUT
//
//   write() -> send(2) --rest--> pending.next --> pending.in_flight -> uv_write -> kernel
//                                (appended to)    (one write under way)
//
// libuv says when a socket can be read, and we read it: given an empty buffer, uv_read_start's
// callback comes without having read. Read by us, the kernel's own answer is at hand (libuv reports
// data and RST that arrive together as end of file), and recv(2) and send(2) are cheaper on a
// socket than libuv's read(2) and write(2). They are called past glibc's wrappers, which in a
// process with threads make each call a cancellation point.
//
// Two things to know about ends:
//   - a failed write says nothing about what the peer sent before: reading goes on to its own end;
//   - after end of file the socket is not polled, so a later RST must be asked for (was_reset).
//
// shutdown(2) is called directly when nothing is pending, because uv_shutdown waits an iteration.
//
// Invariant: pending_ exists only while bytes wait; in_flight is not empty then.
#include "base/stream.h"

#include <fmt/core.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/arrival.h"
#include "base/clock.h"
#include "base/timer.h"

namespace wiretape {

namespace {

constexpr int reads_per_wake_max = 32;  // so that one fast sender does not starve the others

ssize_t receive(int fd, std::span<char> into) {
  return ::syscall(SYS_recvfrom, fd, into.data(), into.size(), MSG_DONTWAIT, nullptr, nullptr);
}

ssize_t send_some(int fd, std::span<const std::byte> bytes) {
  return ::syscall(SYS_sendto, fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL, nullptr,
                   0);
}

void no_buffer(uv_handle_t*, size_t, uv_buf_t* buffer) {
  *buffer = uv_buf_init(nullptr, 0);
}

}  // namespace

struct Stream::Pending {
  uv_write_t request;
  std::vector<char> in_flight;
  std::vector<char> next;
  bool writing = false;
};

struct Stream::Linger {
  Linger(Loop& loop, std::function<void()> check)
      : deadline_ns(monotonic_ns() + reset_wait_max_ns), timer(loop, std::move(check)) {}
  int64_t deadline_ns;
  Timer timer;
};

Stream::Stream(StreamHandler& handler) : handler_(handler) {}

Stream::~Stream() {
  assert(state_ == State::fresh || state_ == State::closed);
}

Result<void> Stream::open(Loop& loop, int fd, int family) {
  assert(state_ == State::fresh);
  is_tcp_ = family != AF_UNIX;
  fd_ = fd;
  uv_tcp_init(loop.raw(), &uv_.tcp);
  const int status = uv_tcp_open(&uv_.tcp, fd);  // takes unix sockets as well, and weighs less
  uv_.handle.data = this;
  state_ = State::open;
  if (status != 0) {
    ::close(fd);
    write_failed_ = true;
    return Error{ErrorSource::system, fmt::format("cannot use a socket: {}", uv_strerror(status))};
  }
  if (pending_) write_pending();
  if (shutdown_wanted_) send_fin();
  if (reading_) {
    reading_ = false;
    read_start();
  }
  return {};
}

// ---------------------------------------------------------------------------------- reading

void Stream::read_start() {
  if (reading_ || ended_ || state_ > State::open) return;
  reading_ = true;
  if (state_ == State::open) uv_read_start(raw(), no_buffer, on_readable);
}

void Stream::read_stop() {
  if (!reading_) return;
  reading_ = false;
  if (state_ == State::open) uv_read_stop(raw());
}

void Stream::on_readable(uv_stream_t* handle, ssize_t status, const uv_buf_t*) {
  Stream& self = *static_cast<Stream*>(handle->data);
  if (status < 0 && status != UV_ENOBUFS) return self.broken(static_cast<int>(status));
  for (int i = 0; i < reads_per_wake_max && self.reading_; ++i) {
    if (!self.read_once()) return;
  }
}

// True when there may be more to read at once.
bool Stream::read_once() {
  if (!handler_.may_read(*this)) {
    read_stop();
    return false;
  }
  const std::span<char> buffer = Loop::of(raw_handle()).read_buffer();
  const ssize_t n = notes_arrivals_ ? receive_noting(buffer) : receive(fd_, buffer);
  if (n > 0) {
    handler_.on_read(*this, std::as_bytes(buffer.first(static_cast<size_t>(n))));
    return static_cast<size_t>(n) == buffer.size();
  }
  if (n == 0) {
    end_of_file();
  } else if (errno != EAGAIN && errno != EINTR) {
    broken(-errno);
  }
  return false;
}

ssize_t Stream::receive_noting(std::span<char> into) {
  const Received received = receive_with_arrival(fd_, into);
  arrived_ns_ = received.arrived_ns;
  return received.bytes;
}

void Stream::note_arrivals() {
  assert(state_ == State::open);
  wiretape::note_arrivals(fd_);  // where it can't, the moment of reading is told
  notes_arrivals_ = true;
}

void Stream::end_of_file() {
  if (write_failed_) return broken(UV_ECONNRESET);
  ended_ = true;
  read_stop();
  handler_.on_end(*this);
}

void Stream::broken(int error) {
  ended_ = true;
  write_failed_ = true;
  read_stop();
  handler_.on_broken(*this, error);
}

bool Stream::was_reset() const {
  if (shut_down_) return false;  // ended both ways, which looks the same as a reset
  if (state_ != State::open || !is_tcp_) return false;
  tcp_info info{};
  socklen_t length = sizeof(info);
  const bool known = getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &length) == 0;
  return known && info.tcpi_state == TCP_CLOSE;
}

// ---------------------------------------------------------------------------------- writing

size_t Stream::pending_bytes() const {
  return pending_ ? pending_->in_flight.size() + pending_->next.size() : 0;
}

void Stream::write(std::span<const std::byte> bytes) {
  assert(!shutdown_wanted_);
  if (write_failed_ || state_ > State::open) return;
  if (state_ == State::open && !pending_) {
    const ssize_t n = send_some(fd_, bytes);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
      write_failed_ = true;
      return;
    }
    if (n > 0) bytes = bytes.subspan(static_cast<size_t>(n));
  }
  if (!bytes.empty()) keep(bytes);
}

void Stream::keep(std::span<const std::byte> bytes) {
  if (!pending_) pending_ = std::make_unique<Pending>();
  std::vector<char>& to = pending_->in_flight.empty() ? pending_->in_flight : pending_->next;
  const char* data = reinterpret_cast<const char*>(bytes.data());
  to.insert(to.end(), data, data + bytes.size());
  if (pending_bytes() > pending_bytes_low) above_low_ = true;
  if (state_ == State::open && !pending_->writing) write_pending();
}

void Stream::write_pending() {
  pending_->writing = true;
  const uv_buf_t buffer =
      uv_buf_init(pending_->in_flight.data(), static_cast<unsigned>(pending_->in_flight.size()));
  const int status = uv_write(&pending_->request, raw(), &buffer, 1, on_written);
  assert(status == 0 && "uv_write refuses only closed streams");
  (void)status;
}

void Stream::on_written(uv_write_t* request, int status) {
  static_cast<Stream*>(request->handle->data)->written(status);
}

void Stream::written(int status) {
  if (state_ != State::open) return;  // cancelled by close
  if (status < 0) return fail_writing(status);
  pending_->writing = false;
  pending_->in_flight.clear();
  pending_->in_flight.swap(pending_->next);
  if (pending_->in_flight.empty()) {
    pending_.reset();
  } else {
    write_pending();
  }
  const bool drained = above_low_ && pending_bytes() <= pending_bytes_low;
  if (drained) above_low_ = false;
  if (!pending_ && shutdown_wanted_) send_fin();
  if (drained) handler_.on_drained(*this);
  if (state_ == State::open && !pending_) handler_.on_flushed(*this);
}

void Stream::fail_writing(int) {
  write_failed_ = true;
  pending_.reset();
  handler_.on_write_failed(*this);
}

void Stream::shutdown() {
  if (shutdown_wanted_ || write_failed_) return;
  shutdown_wanted_ = true;
  if (state_ == State::open && !pending_) send_fin();
}

void Stream::send_fin() {
  if (pending_) return;  // written() comes here again
  ::shutdown(fd_, SHUT_WR);
  shut_down_ = true;
}

// ---------------------------------------------------------------------------------- the end

void Stream::close() {
  if (state_ != State::open) {
    if (state_ == State::fresh) state_ = State::closed;
    return;
  }
  reading_ = false;
  state_ = State::closing;
  linger_.reset();
  uv_close(raw_handle(), [](uv_handle_t* handle) {
    Stream& self = *static_cast<Stream*>(handle->data);
    self.state_ = State::closed;
    self.pending_.reset();
    self.handler_.on_closed(self);
  });
}

int Stream::unacknowledged_bytes() const {
  int bytes = 0;
  if (state_ == State::open && is_tcp_) ioctl(fd_, SIOCOUTQ, &bytes);
  return bytes;
}

void Stream::reset_when_flushed() {
  if (state_ != State::open) return close();
  if (linger_) return;
  read_stop();
  if (write_failed_ || (!pending_ && unacknowledged_bytes() == 0)) return reset_now();
  linger_ = std::make_unique<Linger>(Loop::of(raw_handle()), [this] {
    const bool flushed = !pending_ && unacknowledged_bytes() == 0;
    if (flushed || write_failed_ || monotonic_ns() >= linger_->deadline_ns) reset_now();
  });
  linger_->timer.start_every(ns_per_ms);
}

void Stream::reset_now() {
  const linger option{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &option, sizeof(option));
  close();
}

}  // namespace wiretape
