// Connecting, without libuv's uv_tcp_connect: what comes out is a plain connected descriptor, so a
// socket can be given options before it connects, and a failed address costs no half-dead handle.
//
//   resolve -> [ socket -> connect -> writable? -> SO_ERROR ] per address -> DialOutcome
//
// On loopback the handshake is over when connect(2) returns EINPROGRESS; calling it once more
// tells, and saves a round through epoll for every connection.
#include "base/dialer.h"

#include <fmt/core.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/clock.h"
#include "base/timer.h"

namespace wiretape {
namespace {

int new_socket(int family) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0 && family != AF_UNIX) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return fd;
}

int error_of(int fd) {
  int error = 0;
  socklen_t length = sizeof(error);
  return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

int connect_error(int fd, const Address& address) {
  return ::connect(fd, address.raw(), address.length()) == 0 ? 0 : errno;
}

}  // namespace

class Dial::Impl : public std::enable_shared_from_this<Dial::Impl> {
 public:
  Impl(Loop& loop, std::string name, int64_t timeout_ns, Done done)
      : loop_(loop),
        name_(std::move(name)),
        done_(std::move(done)),
        deadline_ns_(monotonic_ns() + timeout_ns),
        deadline_(loop, [this] { time_out(); }) {
    deadline_.start_once(timeout_ns);
  }
  ~Impl() { drop_socket(); }

  void resolved(const Result<std::vector<Address>>& answer) {
    if (!done_) return;
    if (!answer) return fail(answer.error().message, false);
    addresses_ = *answer;
    try_next();
  }

  void give_up() {
    done_ = nullptr;
    deadline_.stop();
    drop_socket();
  }

 private:
  struct Watch {
    uv_poll_t handle;
    Impl* dial;
  };

  void try_next() {
    if (next_ == addresses_.size()) return fail(last_error_, last_errno_ == ECONNREFUSED);
    // Each address gets its share of what is left, so that a silent first one is not the only one.
    const int64_t left_ns = deadline_ns_ - monotonic_ns();
    deadline_.start_once(left_ns / static_cast<int64_t>(addresses_.size() - next_));
    const Address& address = addresses_[next_++];
    fd_ = new_socket(address.family());
    if (fd_ < 0) return attempt_failed(errno);
    int error = connect_error(fd_, address);
    if (error == EINPROGRESS) error = connect_error(fd_, address);
    if (error == 0 || error == EISCONN) return connected();
    if (error != EALREADY) return attempt_failed(error);
    watch();
  }

  void watch() {
    watch_ = new Watch{{}, this};
    watch_->handle.data = watch_;
    uv_poll_init(loop_.raw(), &watch_->handle, fd_);
    uv_poll_start(&watch_->handle, UV_WRITABLE, [](uv_poll_t* handle, int, int) {
      const auto self = static_cast<Watch*>(handle->data)->dial->shared_from_this();
      self->unwatch();
      self->judge();
    });
  }

  void unwatch() {
    if (watch_ == nullptr) return;
    uv_poll_stop(&watch_->handle);
    uv_close(reinterpret_cast<uv_handle_t*>(&watch_->handle),
             [](uv_handle_t* handle) { delete static_cast<Watch*>(handle->data); });
    watch_ = nullptr;
  }

  void judge() {
    const int error = error_of(fd_);
    if (error == 0) return connected();
    attempt_failed(error);
  }

  void attempt_failed(int error) {
    drop_socket();
    last_errno_ = error;
    const std::string address = addresses_[next_ - 1].text();
    const std::string what = error == ECONNREFUSED ? "connection refused" : std::strerror(error);
    last_error_ = address == name_ ? fmt::format("{}: {}", name_, what)
                                   : fmt::format("{} ({}): {}", name_, address, what);
    try_next();
  }

  void connected() {
    DialOutcome outcome;
    outcome.fd = fd_;
    fd_ = -1;
    outcome.local = Address::local_of(outcome.fd);
    outcome.peer = addresses_[next_ - 1];
    finish(std::move(outcome));
  }

  void time_out() {
    if (fd_ >= 0 && next_ < addresses_.size()) return attempt_failed(ETIMEDOUT);
    DialOutcome outcome;
    outcome.timed_out = true;
    outcome.error = fmt::format("{}: no answer in time", name_);
    drop_socket();
    finish(std::move(outcome));
  }

  void fail(const std::string& error, bool refused) {
    DialOutcome outcome;
    outcome.refused = refused;
    outcome.error = error;
    finish(std::move(outcome));
  }

  void finish(DialOutcome outcome) {
    deadline_.stop();
    const Done done = std::move(done_);
    done_ = nullptr;
    if (done) done(std::move(outcome));
  }

  void drop_socket() {
    unwatch();
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

  Loop& loop_;
  std::string name_;
  Done done_;
  const int64_t deadline_ns_;
  Timer deadline_;  // of the look-up, then of the address being tried
  std::vector<Address> addresses_;
  size_t next_ = 0;
  int fd_ = -1;
  Watch* watch_ = nullptr;
  int last_errno_ = 0;
  std::string last_error_;
};

Dial::Dial(Loop& loop, Resolver& resolver, const Endpoint& endpoint, int64_t timeout_ns, Done done)
    : resolver_(resolver),
      endpoint_(endpoint),
      impl_(std::make_shared<Impl>(loop, endpoint.text(), timeout_ns, std::move(done))) {}

void Dial::start() {
  resolver_.resolve(endpoint_, [impl = std::weak_ptr(impl_)](const auto& answer) {
    if (const auto alive = impl.lock()) alive->resolved(answer);
  });
}

Dial::~Dial() {
  impl_->give_up();
}

}  // namespace wiretape
