// A relay that hashes what it passes on: the witness of the end-to-end tests. One stands on each
// side of Wiretape, and what the two saw must be what the tape says. It shares no code with
// Wiretape, so that a mistake of ours is not made twice.
//
//   client -> hashing_relay -> wiretape record -> hashing_relay -> server
//
// One thread a connection, two pumps a thread, one for each direction. A pump reads when its
// buffer is empty and writes when it is not; poll(2) says which can go on. The end of a stream is
// passed on as it came: FIN as shutdown(SHUT_WR), RST as a close with SO_LINGER 0, once the bytes
// before it have left. When a connection has ended, one line of JSON goes to the log:
//
//   {"client":"127.0.0.1:40000","local":"127.0.0.1:40002","ends":["client fin","server fin"],
//    "client_to_server":{"bytes":78,"sha256":"..."},"server_to_client":{...}}
//
// `client` is who connected to it, `local` its own address towards the upstream. SIGTERM stops
// accepting, gives live connections two seconds to end, and logs them as they are.
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cassert>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace {

constexpr size_t buffer_bytes = 256 * 1024;
constexpr int flush_ms_max = 1000;
constexpr int leave_ms_max = 2000;

std::atomic<bool> leaving{false};
std::atomic<int> live{0};

[[noreturn]] void die(const std::string& what) {
  fprintf(stderr, "hashing_relay: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

// --- Addresses: 127.0.0.1:80, [::1]:80, unix:/path ---

struct Address {
  sockaddr_storage raw{};
  socklen_t length = sizeof(raw);

  sockaddr* get() { return reinterpret_cast<sockaddr*>(&raw); }
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&raw); }
};

Address unix_address(std::string_view path) {
  Address result;
  auto* un = reinterpret_cast<sockaddr_un*>(&result.raw);
  un->sun_family = AF_UNIX;
  if (path.size() >= sizeof(un->sun_path)) {
    errno = ENAMETOOLONG;
    die(std::string(path));
  }
  memcpy(un->sun_path, path.data(), path.size());
  result.length = sizeof(sockaddr_un);
  return result;
}

Address parse(const std::string& text) {
  if (text.starts_with("unix:")) return unix_address(std::string_view(text).substr(5));
  size_t colon = text.rfind(':');
  std::string host = text.substr(0, colon);
  uint16_t port = htons(static_cast<uint16_t>(strtoul(text.c_str() + colon + 1, nullptr, 10)));
  Address result;
  if (host.starts_with('[')) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&result.raw);
    *in6 = {};
    in6->sin6_family = AF_INET6;
    in6->sin6_port = port;
    inet_pton(AF_INET6, host.substr(1, host.size() - 2).c_str(), &in6->sin6_addr);
    result.length = sizeof(*in6);
  } else {
    auto* in = reinterpret_cast<sockaddr_in*>(&result.raw);
    *in = {};
    in->sin_family = AF_INET;
    in->sin_port = port;
    inet_pton(AF_INET, host.c_str(), &in->sin_addr);
    result.length = sizeof(*in);
  }
  return result;
}

std::string text_of(const Address& address) {
  char ip[INET6_ADDRSTRLEN] = "";
  if (address.raw.ss_family == AF_INET) {
    auto* in = reinterpret_cast<const sockaddr_in*>(&address.raw);
    inet_ntop(AF_INET, &in->sin_addr, ip, sizeof(ip));
    return std::string(ip) + ":" + std::to_string(ntohs(in->sin_port));
  }
  if (address.raw.ss_family == AF_INET6) {
    auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address.raw);
    inet_ntop(AF_INET6, &in6->sin6_addr, ip, sizeof(ip));
    std::string bracketed = "[";
    return bracketed.append(ip).append("]:").append(std::to_string(ntohs(in6->sin6_port)));
  }
  return "unix:";
}

std::string own_address(int fd) {
  Address address;
  getsockname(fd, address.get(), &address.length);
  return text_of(address);
}

int open_socket(const Address& address) {
  int fd = socket(address.raw.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  return fd;
}

// --- One direction ---

class Digest {
 public:
  Digest() : context_(EVP_MD_CTX_new()) { EVP_DigestInit_ex(context_, EVP_sha256(), nullptr); }
  ~Digest() { EVP_MD_CTX_free(context_); }
  Digest(const Digest&) = delete;
  Digest& operator=(const Digest&) = delete;

  void update(const char* data, size_t size) { EVP_DigestUpdate(context_, data, size); }
  std::string hex() {
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(context_, sum, &size);
    std::string text;
    for (unsigned i = 0; i < size; ++i) {
      char pair[3];
      snprintf(pair, sizeof(pair), "%02x", sum[i]);
      text += pair;
    }
    return text;
  }

 private:
  EVP_MD_CTX* context_;
};

enum class Outcome { went_on, source_fin, source_rst, destination_rst };

// Invariant: begin_ <= end_ <= buffer_bytes, and it reads only when begin_ == end_.
class Pump {
 public:
  Pump(int source, int destination)
      : source_(source), destination_(destination), buffer_(new char[buffer_bytes]) {}

  bool wants_read() const { return open_ && begin_ == end_; }
  bool wants_write() const { return begin_ < end_; }
  bool done() const { return !open_ && begin_ == end_; }
  void drop() { open_ = false, begin_ = end_ = 0; }

  Outcome read_some() {
    ssize_t n = recv(source_, buffer_.get(), buffer_bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return Outcome::went_on;
    if (n <= 0) {
      open_ = false;
      return n == 0 ? Outcome::source_fin : Outcome::source_rst;
    }
    begin_ = 0;
    end_ = static_cast<size_t>(n);
    bytes_ += end_;
    digest_.update(buffer_.get(), end_);
    return write_some();
  }

  Outcome write_some() {
    assert(begin_ <= end_ && end_ <= buffer_bytes);
    ssize_t n =
        send(destination_, buffer_.get() + begin_, end_ - begin_, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n >= 0) begin_ += static_cast<size_t>(n);
    if (n >= 0 || errno == EAGAIN || errno == EINTR) return Outcome::went_on;
    drop();
    return Outcome::destination_rst;
  }

  std::string json() {
    return std::string("{\"bytes\":").append(std::to_string(bytes_)) + ",\"sha256\":\"" +
           digest_.hex() + "\"}";
  }

 private:
  int source_;
  int destination_;
  std::unique_ptr<char[]> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t bytes_ = 0;
  bool open_ = true;
  Digest digest_;
};

// --- One connection ---

void reset(int fd) {
  linger now{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd);
}

void wait_until_sent(int fd) {
  for (int ms = 0; ms < flush_ms_max; ++ms) {
    int queued = 0;
    if (ioctl(fd, SIOCOUTQ, &queued) != 0 || queued == 0) return;
    usleep(1000);
  }
}

class Connection {
 public:
  Connection(int client_fd, int server_fd, std::string client_address, int log)
      : fd_{client_fd, server_fd},
        pump_{{client_fd, server_fd}, {server_fd, client_fd}},
        client_address_(std::move(client_address)),
        local_(own_address(server_fd)),
        log_(log) {}

  void run() {
    while (!reset_ && !(pump_[0].done() && pump_[1].done()) && !leaving) step();
    if (reset_) pass_reset_on();
    write_log();
    if (!reset_) close(fd_[0]), close(fd_[1]);
  }

 private:
  static constexpr int client = 0;
  static constexpr int server = 1;

  // pump_[side] reads from fd_[side]; pump_[1 - side] writes to it.
  void step() {
    pollfd polled[2];
    for (int side : {client, server}) {
      short events = 0;
      if (pump_[side].wants_read()) events |= POLLIN;
      if (pump_[1 - side].wants_write()) events |= POLLOUT;
      polled[side] = {fd_[side], events, 0};
    }
    if (poll(polled, 2, 100) <= 0) return;
    for (int side : {client, server}) serve(side, polled[side]);
  }

  void serve(int side, const pollfd& polled) {
    constexpr short failed = POLLERR | POLLHUP;
    if (reset_ || polled.revents == 0) return;
    if (polled.revents & (POLLOUT | failed) && pump_[1 - side].wants_write()) {
      handle(1 - side, pump_[1 - side].write_some());
    }
    if (reset_ || !(polled.revents & (POLLIN | failed))) return;
    if (pump_[side].wants_read()) return handle(side, pump_[side].read_some());
    if (pump_[side].done() && polled.revents & POLLERR) note_reset(side);
  }

  void handle(int reading_side, Outcome outcome) {
    switch (outcome) {
      case Outcome::went_on:
        break;
      case Outcome::source_rst:
        return note_reset(reading_side);
      case Outcome::destination_rst:
        return note_reset(1 - reading_side);
      case Outcome::source_fin:
        note(reading_side, "fin");
        break;
    }
    // The end of a stream follows its last byte.
    if (pump_[reading_side].done()) shutdown(fd_[1 - reading_side], SHUT_WR);
  }

  void note(int side, const char* how) {
    if (!ends_.empty()) ends_ += ',';
    ends_ += std::string("\"") + (side == client ? "client " : "server ") + how + '"';
  }

  void note_reset(int side) {
    note(side, "rst");
    reset_ = true;
    reset_side_ = side;
  }

  // The bytes that came before the reset go first.
  void pass_reset_on() {
    int other = 1 - reset_side_;
    Pump& pump = pump_[reset_side_];
    for (int ms = 0; pump.wants_write() && ms < flush_ms_max; ++ms) {
      pollfd polled{fd_[other], POLLOUT, 0};
      poll(&polled, 1, 1);
      pump.write_some();
    }
    wait_until_sent(fd_[other]);
    reset(fd_[other]);
    close(fd_[reset_side_]);
  }

  void write_log() {
    std::string line = std::string("{\"client\":\"").append(client_address_) + "\",\"local\":\"" +
                       local_ + "\",\"ends\":[" + ends_ +
                       "],\"client_to_server\":" + pump_[client].json() +
                       ",\"server_to_client\":" + pump_[server].json() + "}\n";
    if (write(log_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) die("log");
  }

  int fd_[2];
  Pump pump_[2];
  std::string client_address_;
  std::string local_;
  int log_;
  std::string ends_;
  bool reset_ = false;
  int reset_side_ = client;
};

void no_delay(int fd) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

struct Arrival {
  int fd;
  Address from;
  const Address* upstream;
  int log;
};

void* serve(void* argument) {
  std::unique_ptr<Arrival> arrival(static_cast<Arrival*>(argument));
  int server = open_socket(*arrival->upstream);
  no_delay(arrival->fd), no_delay(server);
  if (connect(server, arrival->upstream->get(), arrival->upstream->length) == 0) {
    Connection(arrival->fd, server, text_of(arrival->from), arrival->log).run();
  } else {
    reset(arrival->fd), close(server);
  }
  --live;
  return nullptr;
}

void start_thread(std::unique_ptr<Arrival> arrival) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 128 * 1024);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  ++live;
  pthread_t thread;
  errno = pthread_create(&thread, &attributes, serve, arrival.release());
  if (errno != 0) die("pthread_create");
  pthread_attr_destroy(&attributes);
}

int listen_on(const Address& address) {
  int fd = open_socket(address);
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, address.get(), address.length) != 0 || listen(fd, 4096) != 0) die("listen");
  return fd;
}

int block_sigterm() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return signalfd(-1, &set, SFD_CLOEXEC);
}

void accept_until(int stop, int listener, const Address& upstream, int log) {
  while (true) {
    pollfd polled[2] = {{stop, POLLIN, 0}, {listener, POLLIN, 0}};
    if (poll(polled, 2, -1) < 0) continue;
    if (polled[0].revents) return;
    auto arrival = std::make_unique<Arrival>(Arrival{-1, {}, &upstream, log});
    arrival->fd = accept4(listener, arrival->from.get(), &arrival->from.length, SOCK_CLOEXEC);
    if (arrival->fd >= 0) start_thread(std::move(arrival));
  }
}

void wait_for_connections() {
  for (int ms = 0; live > 0 && ms < leave_ms_max; ++ms) usleep(1000);
  leaving = true;
  for (int ms = 0; live > 0 && ms < leave_ms_max; ++ms) usleep(1000);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: hashing_relay LISTEN UPSTREAM LOG\n");
    return 2;
  }
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);

  int stop = block_sigterm();
  int log = open(argv[3], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) die(argv[3]);
  int listener = listen_on(parse(argv[1]));
  Address upstream = parse(argv[2]);
  printf("%s\n", own_address(listener).c_str());
  fflush(stdout);
  accept_until(stop, listener, upstream, log);
  close(listener);
  wait_for_connections();
  return 0;
}
