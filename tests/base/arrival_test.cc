#include "base/arrival.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <thread>

#include "base/clock.h"

namespace wiretape {
namespace {

// Two ends of a TCP connection over loopback.
class Pair {
 public:
  Pair() {
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    EXPECT_EQ(bind(listener, generic, length), 0);
    EXPECT_EQ(listen(listener, 1), 0);
    EXPECT_EQ(getsockname(listener, generic, &length), 0);
    sender = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(connect(sender, generic, length), 0);
    reader = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
  }
  ~Pair() {
    close(sender);
    close(reader);
  }
  int sender = -1;
  int reader = -1;
};

// The kernel begins to stamp a moment after it was asked, so the first packets may go without.
TEST(Arrival, IsWhenTheBytesCameNotWhenTheyWereRead) {
  Pair pair;
  ASSERT_TRUE(note_arrivals(pair.reader));
  for (int i = 0; i < 200; ++i) {
    ASSERT_EQ(send(pair.sender, "late", 4, 0), 4);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    const int64_t read_ns = monotonic_ns();
    char buffer[16];
    const Received received = receive_with_arrival(pair.reader, buffer);
    ASSERT_EQ(received.bytes, 4);
    ASSERT_LE(received.arrived_ns, monotonic_ns());
    if (received.arrived_ns < read_ns - 2 * ns_per_ms) return;  // it had waited, and that is told
  }
  FAIL() << "no arrival was earlier than its reading";
}

TEST(Arrival, IsThePresentWhereTheKernelDoesNotSay) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  ASSERT_EQ(send(ends[0], "x", 1, 0), 1);
  const int64_t before_ns = monotonic_ns();
  char buffer[16];
  const Received received = receive_with_arrival(ends[1], buffer);
  ASSERT_EQ(received.bytes, 1);
  EXPECT_GE(received.arrived_ns, before_ns);
  close(ends[0]);
  close(ends[1]);
}

TEST(Arrival, NothingToReadAndTheEndAreToldAsByRecv) {
  Pair pair;
  ASSERT_TRUE(note_arrivals(pair.reader));
  char buffer[16];
  errno = 0;
  EXPECT_EQ(receive_with_arrival(pair.reader, buffer).bytes, -1);
  EXPECT_EQ(errno, EAGAIN);
  ASSERT_EQ(shutdown(pair.sender, SHUT_WR), 0);
  EXPECT_EQ(receive_with_arrival(pair.reader, buffer).bytes, 0);
}

}  // namespace
}  // namespace wiretape
