// Sends requests at absolute times, with nothing around it: the client whose traffic is recorded,
// and the bare loop that a replay's timing is held against. It shares no code with Wiretape.
//
//   schedule -> [timerfd, or timerfd and then a spin] -> write -> server
//                       epoll meanwhile: answers are read and thrown away
//
// The schedule has a line a request, in order of time: DUE_NS CONNECTION PATH. Connections are
// numbered from 0 and all opened before the first request. Due times count from 100 ms after
// that. It does not wait for answers before it sends: the schedule alone decides. When all is sent
// and nothing more has come for 300 ms, it closes everything and prints a line of JSON:
//
//   {"t0_ns":123,"sent":2000,"answered_bytes":190000}
//
// t0_ns is CLOCK_MONOTONIC. With --spin-us N the last N microseconds before each due time are
// spent looking at the clock instead of sleeping.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <string>
#include <vector>

namespace {

constexpr int64_t ns_per_s = 1'000'000'000;
constexpr int64_t head_start_ns = ns_per_s / 10;
constexpr int quiet_ms = 300;

[[noreturn]] void die(const std::string& what) {
  fprintf(stderr, "timed_sender: %s: %s\n", what.c_str(), strerror(errno));
  exit(1);
}

int64_t now_ns() {
  timespec t{};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * ns_per_s + t.tv_nsec;
}

struct Request {
  int64_t due_ns = 0;
  size_t connection = 0;
  std::string bytes;
};

std::vector<Request> read_schedule(const char* path) {
  std::ifstream in(path);
  if (!in) die(path);
  std::vector<Request> schedule;
  Request request;
  std::string url;
  while (in >> request.due_ns >> request.connection >> url) {
    request.bytes = "GET " + url +
                    " HTTP/1.1\r\nHost: arrivals\r\nUser-Agent: timed_sender\r\n"
                    "Accept: */*\r\nX-Padding: 0123456789abcdef0123456789abcdef\r\n\r\n";
    schedule.push_back(request);
  }
  return schedule;
}

int connect_to(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0) die("connect");
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  return fd;
}

class Sender {
 public:
  Sender(int port, std::vector<Request> schedule, int64_t spin_ns);
  void run();

 private:
  void watch(int fd) const;
  bool serve(int timeout_ms);  // false when nothing came
  void wait_until(int64_t at_ns);

  const std::vector<Request> schedule_;
  const int64_t spin_ns_;
  const int epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int timer_ = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  std::vector<int> fds_;
  bool woken_ = false;  // by the timer
  uint64_t answered_bytes_ = 0;
};

Sender::Sender(int port, std::vector<Request> schedule, int64_t spin_ns)
    : schedule_(std::move(schedule)), spin_ns_(spin_ns) {
  size_t count = 0;
  for (const Request& request : schedule_) count = std::max(count, request.connection + 1);
  for (size_t i = 0; i < count; ++i) {
    fds_.push_back(connect_to(port));
    watch(fds_.back());
  }
  watch(timer_);
}

void Sender::watch(int fd) const {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.fd = fd;
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

bool Sender::serve(int timeout_ms) {
  epoll_event events[64];
  const int count = epoll_wait(epoll_, events, 64, timeout_ms);
  for (int i = 0; i < count; ++i) {
    char buffer[65536];
    const ssize_t n = read(events[i].data.fd, buffer, sizeof(buffer));
    if (events[i].data.fd == timer_) {
      woken_ = true;
    } else if (n > 0) {
      answered_bytes_ += static_cast<uint64_t>(n);
    } else if (n == 0) {
      epoll_ctl(epoll_, EPOLL_CTL_DEL, events[i].data.fd, nullptr);
    }
  }
  return count > 0;
}

void Sender::wait_until(int64_t at_ns) {
  const int64_t wake_ns = at_ns - spin_ns_;
  if (now_ns() < wake_ns) {
    itimerspec when{};
    when.it_value = {wake_ns / ns_per_s, wake_ns % ns_per_s};
    timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
    for (woken_ = false; !woken_;) serve(-1);
  }
  while (now_ns() < at_ns) {
  }
}

void Sender::run() {
  const int64_t t0_ns = now_ns() + head_start_ns;
  for (const Request& request : schedule_) {
    wait_until(t0_ns + request.due_ns);
    const auto size = static_cast<ssize_t>(request.bytes.size());
    if (write(fds_[request.connection], request.bytes.data(), request.bytes.size()) != size) {
      die("write");
    }
  }
  while (serve(quiet_ms)) {
  }
  for (const int fd : fds_) close(fd);
  printf("{\"t0_ns\":%lld,\"sent\":%zu,\"answered_bytes\":%llu}\n", static_cast<long long>(t0_ns),
         schedule_.size(), static_cast<unsigned long long>(answered_bytes_));
}

}  // namespace

int main(int argc, char** argv) {
  const bool spins = argc == 5 && strcmp(argv[3], "--spin-us") == 0;
  if (argc != 3 && !spins) {
    fprintf(stderr, "usage: timed_sender PORT SCHEDULE [--spin-us N]\n");
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1);
  Sender sender(atoi(argv[1]), read_schedule(argv[2]), spins ? atoi(argv[4]) * 1000LL : 0);
  sender.run();
  return 0;
}
