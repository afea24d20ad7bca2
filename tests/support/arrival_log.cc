// A server that notes when each request arrived: the witness of replays. It shares no code with
// Wiretape, so that a mistake of ours is not made twice.
//
//   client or replay -> [kernel stamps the segment] -> arrival_log -> a small answer
//                                                          |
//                                                          +-> LOG, written at SIGTERM
//
// HTTP/1 with keep-alive and pipelining, one thread, epoll. Nothing is written or printed while
// requests come, so that noting them does not disturb them. A request's times are the kernel's
// receive stamps (SO_TIMESTAMPNS, of the last segment that a read took), brought to
// CLOCK_MONOTONIC; where the kernel gives none, the time of the read. A line of JSON a request:
//
//   {"connection":1,"index":0,"reads":[[arrived_ns,bytes],...],"stamped":true,"complete":true,
//    "answered":true,"hex":"474554..."}
//
// Connections are numbered from 1 as they were accepted. The flags make it the servers that a
// replay may meet: slow, stalling, closing, without 100, refusing an upload.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace {

constexpr int64_t ns_per_s = 1'000'000'000;
constexpr int64_t ns_per_ms = 1'000'000;

[[noreturn]] void die(const std::string& what) {
  fprintf(stderr, "arrival_log: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

int64_t clock_ns(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return t.tv_sec * ns_per_s + t.tv_nsec;
}

int64_t now_ns() {
  return clock_ns(CLOCK_MONOTONIC);
}

struct Options {
  int port = 0;
  int delay_ms = 0;        // before each answer
  int stall_at_ms = -1;    // after the first request, once
  int stall_ms = 1000;     // for so long nothing is read or answered
  int close_every = 0;     // the connection ends after so many answers
  bool say_close = false;  // and the last one says so
  bool no_100 = false;
  bool early_413 = false;  // to any request with a body, before the body
  bool chunked = false;    // answers, instead of Content-Length
  bool forget = false;     // requests' bytes and times are not kept
  int answer_bytes = 9;    // of the body: the same text, again and again
  std::string log;
};

// --- The bytes of one request ---

// Finds where a request ends. Everything but bodies is lines.
// Invariant: left_ > 0 exactly while in a body.
class Framer {
 public:
  // Takes what belongs to this request from the front of `data`; the rest is the next one's.
  size_t take(std::string_view data) {
    size_t used = 0;
    while (used < data.size() && state_ != State::done) used += step(data.substr(used));
    assert((left_ > 0) == (state_ == State::body));
    return used;
  }

  bool head_done() const { return state_ != State::head; }
  bool done() const { return state_ == State::done; }
  bool has_body() const { return chunked_ || length_ > 0; }
  bool expects_100() const { return expects_100_; }

 private:
  enum class State { head, body, chunk_size, chunk_end, trailer, done };

  size_t step(std::string_view data) {
    if (state_ == State::body) {
      const size_t n = std::min<size_t>(left_, data.size());
      left_ -= n;
      if (left_ == 0) state_ = chunked_ ? State::chunk_end : State::done;
      return n;
    }
    if (data[0] != '\n') {
      line_ += data[0];
      return 1;
    }
    if (!line_.empty() && line_.back() == '\r') line_.pop_back();
    on_line(std::exchange(line_, ""));
    return 1;
  }

  void on_line(const std::string& line) {
    switch (state_) {
      case State::head:
        return line.empty() ? on_head_end() : on_header(line);
      case State::chunk_size:
        left_ = strtoull(line.c_str(), nullptr, 16);
        state_ = left_ > 0 ? State::body : State::trailer;
        return;
      case State::chunk_end:
        state_ = State::chunk_size;
        return;
      case State::trailer:
        if (line.empty()) state_ = State::done;
        return;
      case State::body:
      case State::done:
        break;
    }
  }

  void on_header(const std::string& line) {
    const char* text = line.c_str();
    if (strncasecmp(text, "content-length:", 15) == 0) length_ = strtoull(text + 15, nullptr, 10);
    if (strncasecmp(text, "transfer-encoding:", 18) == 0) chunked_ = strcasestr(text, "chunked");
    if (strncasecmp(text, "expect:", 7) == 0) expects_100_ = strcasestr(text, "100-continue");
  }

  void on_head_end() {
    left_ = chunked_ ? 0 : length_;
    state_ = chunked_ ? State::chunk_size : length_ > 0 ? State::body : State::done;
  }

  State state_ = State::head;
  std::string line_;
  uint64_t length_ = 0;
  uint64_t left_ = 0;
  bool chunked_ = false;
  bool expects_100_ = false;
};

struct Read {
  int64_t arrived_ns = 0;
  size_t bytes = 0;
};

struct Request {
  int connection = 0;
  int index = 0;
  std::vector<Read> reads;
  bool stamped = true;  // all times are the kernel's
  bool complete = false;
  bool answered = false;
  std::string bytes;
};

// --- The server ---

struct Connection {
  int fd = -1;
  int number = 0;
  int requests = 0;
  int answers = 0;
  bool leaving = false;  // our side has ended; what comes is only noted
  Framer framer;
  Request* request = nullptr;  // under way; owned by the log
};

struct Answer {
  int64_t due_ns = 0;
  int connection = 0;
  Request* request = nullptr;
};

class Server {
 public:
  explicit Server(Options options) : options_(std::move(options)) {}
  void run();
  void write_log() const;

 private:
  void listen();
  void watch(int fd, int number) const;
  void accept();
  void stall();
  void read(Connection& connection);
  void arrived(Connection& connection, std::string_view data, const Read& read, bool stamped);
  void head_done(Connection& connection);
  void answer_due();
  void answer(Connection& connection, Request& request);
  std::string answer_text(bool last) const;
  void leave(Connection& connection) const;
  int timeout_ms() const;

  const Options options_;
  int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  int listener_ = -1;
  int stop_ = -1;
  int accepted_ = 0;
  int64_t stall_at_ns_ = 0;  // 0: not known, negative: not wanted any more
  std::map<int, Connection> connections_;
  std::deque<Request> log_;      // in order of arrival; stays where it is
  std::deque<Answer> upcoming_;  // all wait equally long, so it is in order of time
  std::string buffer_ = std::string(256 * 1024, '\0');
};

constexpr int listener_event = 0;
constexpr int stop_event = -1;

void Server::watch(int fd, int number) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = number;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

void Server::listen() {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int on = 1;
  setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  setsockopt(listener_, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on));  // accepted ones inherit it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(options_.port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* raw = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, raw, length) != 0 || ::listen(listener_, 4096) != 0) die("listen");
  getsockname(listener_, raw, &length);
  watch(listener_, listener_event);
  printf("127.0.0.1:%d\n", ntohs(address.sin_port));
  fflush(stdout);
}

void Server::run() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  stop_ = signalfd(-1, &set, SFD_CLOEXEC);
  watch(stop_, stop_event);
  listen();
  while (true) {
    epoll_event events[64];
    const int count = epoll_wait(epoll_, events, 64, timeout_ms());
    stall();
    for (int i = 0; i < count; ++i) {
      const int number = events[i].data.fd;
      if (number == stop_event) return;
      if (number == listener_event) {
        accept();
      } else if (const auto found = connections_.find(number); found != connections_.end()) {
        read(found->second);
      }
    }
    answer_due();
  }
}

int Server::timeout_ms() const {
  int64_t until_ns = INT64_MAX;
  if (!upcoming_.empty()) until_ns = upcoming_.front().due_ns;
  if (stall_at_ns_ > 0) until_ns = std::min(until_ns, stall_at_ns_);
  if (until_ns == INT64_MAX) return -1;
  const int64_t left_ns = std::max<int64_t>(until_ns - now_ns(), 0);
  return static_cast<int>((left_ns + ns_per_ms - 1) / ns_per_ms);
}

// Like a server that collects garbage: nothing is read, answered or accepted.
void Server::stall() {
  if (stall_at_ns_ <= 0 || now_ns() < stall_at_ns_) return;
  stall_at_ns_ = -1;
  usleep(static_cast<useconds_t>(options_.stall_ms) * 1000);
}

void Server::accept() {
  while (true) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    const int number = ++accepted_;
    Connection& connection = connections_[number];
    connection.fd = fd;
    connection.number = number;
    watch(fd, number);
  }
}

// The kernel's time of receipt as CLOCK_MONOTONIC; 0 when there is none.
int64_t stamp_of(msghdr& message) {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPNS) continue;
    timespec t{};
    memcpy(&t, CMSG_DATA(c), sizeof(t));
    const int64_t ahead_ns = clock_ns(CLOCK_REALTIME) - now_ns();
    return t.tv_sec * ns_per_s + t.tv_nsec - ahead_ns;
  }
  return 0;
}

void Server::read(Connection& connection) {
  iovec part{buffer_.data(), buffer_.size()};
  alignas(cmsghdr) char control[256];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t n = recvmsg(connection.fd, &message, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n <= 0) {
    close(connection.fd);
    connections_.erase(connection.number);
    return;
  }
  const int64_t stamp_ns = stamp_of(message);
  const int64_t arrived_ns = stamp_ns > 0 ? stamp_ns : now_ns();
  if (stall_at_ns_ == 0 && options_.stall_at_ms >= 0) {
    stall_at_ns_ = arrived_ns + options_.stall_at_ms * ns_per_ms;
  }
  const auto size = static_cast<size_t>(n);
  arrived(connection, {buffer_.data(), size}, {arrived_ns, size}, stamp_ns > 0);
}

void Server::arrived(Connection& connection, std::string_view data, const Read& read,
                     bool stamped) {
  while (!data.empty()) {
    if (!connection.request) {
      connection.framer = Framer();
      connection.request = &log_.emplace_back();
      connection.request->connection = connection.number;
      connection.request->index = connection.requests++;
    }
    Request& request = *connection.request;
    const bool had_head = connection.framer.head_done();
    const size_t used = connection.framer.take(data);
    request.stamped &= stamped;
    if (!options_.forget) {
      request.reads.push_back({read.arrived_ns, used});
      request.bytes += data.substr(0, used);
    }
    data.remove_prefix(used);
    if (!had_head && connection.framer.head_done()) head_done(connection);
    if (!connection.framer.done()) continue;
    request.complete = true;
    connection.request = nullptr;
    if (connection.leaving) continue;
    upcoming_.push_back(
        {read.arrived_ns + options_.delay_ms * ns_per_ms, connection.number, &request});
  }
}

void send_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      pollfd writable{fd, POLLOUT, 0};
      if (poll(&writable, 1, 1000) <= 0) return;
      continue;
    }
    if (n < 0) return;
    text.remove_prefix(static_cast<size_t>(n));
  }
}

void Server::head_done(Connection& connection) {
  if (connection.leaving) return;
  if (options_.early_413 && connection.framer.has_body()) {
    send_all(
        connection.fd,
        "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbig\n");
    connection.request->answered = true;
    leave(connection);
  } else if (connection.framer.expects_100() && !options_.no_100) {
    send_all(connection.fd, "HTTP/1.1 100 Continue\r\n\r\n");
  }
}

void Server::answer_due() {
  while (!upcoming_.empty() && upcoming_.front().due_ns <= now_ns()) {
    const Answer next = upcoming_.front();
    upcoming_.pop_front();
    const auto found = connections_.find(next.connection);
    if (found != connections_.end() && !found->second.leaving) answer(found->second, *next.request);
  }
}

void Server::answer(Connection& connection, Request& request) {
  const bool last = options_.close_every > 0 && ++connection.answers >= options_.close_every;
  send_all(connection.fd, answer_text(last));
  request.answered = true;
  if (last) leave(connection);
}

std::string Server::answer_text(bool last) const {
  std::string text = "HTTP/1.1 200 OK\r\n";
  if (last && options_.say_close) text += "Connection: close\r\n";
  if (options_.chunked) {
    return text + "Transfer-Encoding: chunked\r\n\r\n3\r\nok,\r\n6\r\n done\n\r\n0\r\n\r\n";
  }
  text += "Content-Length: " + std::to_string(options_.answer_bytes) + "\r\n\r\n";
  const size_t end = text.size() + static_cast<size_t>(options_.answer_bytes);
  while (text.size() < end) text += "ok, done\n";
  text.resize(end);
  return text;
}

// Ends our side. The other may go on: a request that crosses our end is noted, not answered.
void Server::leave(Connection& connection) const {
  connection.leaving = true;
  shutdown(connection.fd, SHUT_WR);
}

// --- The log ---

std::string hex(const std::string& bytes) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

const char* name_of(bool value) {
  return value ? "true" : "false";
}

void Server::write_log() const {
  FILE* out = fopen(options_.log.c_str(), "w");
  if (!out) die(options_.log);
  for (const Request& request : log_) {
    fprintf(out, "{\"connection\":%d,\"index\":%d,\"reads\":[", request.connection, request.index);
    const char* between = "";
    for (const Read& read : request.reads) {
      fprintf(out, "%s[%lld,%zu]", std::exchange(between, ","),
              static_cast<long long>(read.arrived_ns), read.bytes);
    }
    fprintf(out, "],\"stamped\":%s,\"complete\":%s,\"answered\":%s,\"hex\":\"%s\"}\n",
            name_of(request.stamped), name_of(request.complete), name_of(request.answered),
            hex(request.bytes).c_str());
  }
  if (fclose(out) != 0) die(options_.log);
}

// --- The command line ---

constexpr char usage[] =
    "usage: arrival_log LOG [--port N] [--delay-ms N] [--stall-at-ms N] [--stall-ms N]\n"
    "                   [--close-every N] [--say-close] [--no-100] [--early-413] [--chunked]\n"
    "                   [--answer-bytes N] [--forget]\n";

bool set_switch(Options& options, const std::string& flag) {
  bool* const value = flag == "--say-close"   ? &options.say_close
                      : flag == "--no-100"    ? &options.no_100
                      : flag == "--early-413" ? &options.early_413
                      : flag == "--chunked"   ? &options.chunked
                      : flag == "--forget"    ? &options.forget
                                              : nullptr;
  if (value) *value = true;
  return value != nullptr;
}

bool set_number(Options& options, const std::string& flag, const char* text) {
  int* const value = flag == "--port"           ? &options.port
                     : flag == "--delay-ms"     ? &options.delay_ms
                     : flag == "--stall-at-ms"  ? &options.stall_at_ms
                     : flag == "--stall-ms"     ? &options.stall_ms
                     : flag == "--close-every"  ? &options.close_every
                     : flag == "--answer-bytes" ? &options.answer_bytes
                                                : nullptr;
  if (value) *value = atoi(text);
  return value != nullptr;
}

Options parse(int argc, char** argv) {
  Options options;
  bool good = argc > 1;
  if (good) options.log = argv[1];
  for (int i = 2; good && i < argc; ++i) {
    if (set_switch(options, argv[i])) continue;
    good = i + 1 < argc && set_number(options, argv[i], argv[i + 1]);
    ++i;
  }
  if (good) return options;
  fputs(usage, stderr);
  exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  Server server(parse(argc, argv));
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  server.run();
  server.write_log();
  return 0;
}
