// What finding exchanges costs the recorder's thread: a small GET as wrk sends it, a GET as a
// browser sends it, and a response with 1 KiB of JSON, each in one chunk, one after the other on a
// keep-alive connection. The digest of the body is measured apart, because it is in the response.
//
//   exchange_bench [ROUNDS]
#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/clock.h"
#include "base/digest.h"
#include "proto/exchange.h"

namespace wiretape {
namespace {

class Counter : public ExchangeObserver {
 public:
  void on_exchange(const Exchange& e) override { exchanges += e.response.complete; }
  void on_protocol(const ProtocolFound&) override { ++opaque; }
  uint64_t exchanges = 0, opaque = 0;
};

const std::string small_get = "GET /api/items HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const std::string browser_get =
    "GET /api/items/4711?expand=owner&lang=en HTTP/1.1\r\nHost: shop.example.com\r\n"
    "Connection: keep-alive\r\nsec-ch-ua: \"Chromium\";v=\"120\", \"Not A Brand\";v=\"99\"\r\n"
    "Accept: application/json, text/plain, */*\r\nsec-ch-ua-mobile: ?0\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36\r\nsec-ch-ua-platform: \"Linux\"\r\nSec-Fetch-Site: "
    "same-origin\r\n"
    "Sec-Fetch-Mode: cors\r\nSec-Fetch-Dest: empty\r\nReferer: https://shop.example.com/items\r\n"
    "Accept-Encoding: gzip, deflate, br\r\nAccept-Language: en-GB,en;q=0.9\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

std::string json_body() {
  std::string body = "[";
  for (int i = 0; body.size() < 1000; ++i) {
    body +=
        "{\"id\":" + std::to_string(i) + ",\"name\":\"item " + std::to_string(i * 7919) + "\"},";
  }
  body.resize(1023, ' ');
  return body + "]";
}

const std::string body = json_body();
const std::string response =
    "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 01 Jan 2024 10:00:00 GMT\r\n"
    "Content-Type: application/json\r\nContent-Length: 1024\r\nConnection: keep-alive\r\n\r\n" +
    body;

struct Cost {
  double request_ns, response_ns;
};

// Batches of pipelined messages, so that reading the clock costs nothing.
Cost measure(const std::string& request, int rounds) {
  constexpr int batch = 10;
  Counter counter;
  ExchangeTracker tracker(1, counter);
  int64_t spent[2] = {0, 0};
  for (int done = 0; done < rounds; done += batch) {
    const int64_t begin = monotonic_ns();
    for (int i = 0; i < batch; ++i) {
      tracker.chunk(Direction::client_to_server, begin, as_bytes(request));
    }
    const int64_t between = monotonic_ns();
    for (int i = 0; i < batch; ++i) {
      tracker.chunk(Direction::server_to_client, begin, as_bytes(response));
    }
    spent[0] += between - begin;
    spent[1] += monotonic_ns() - between;
  }
  if (counter.exchanges != static_cast<uint64_t>(rounds) || counter.opaque != 0) std::abort();
  return {static_cast<double>(spent[0]) / rounds, static_cast<double>(spent[1]) / rounds};
}

// As on the wire: a request, its response, the next request.
double measure_alternating(const std::string& request, int rounds) {
  Counter counter;
  ExchangeTracker tracker(1, counter);
  const int64_t begin = monotonic_ns();
  for (int i = 0; i < rounds; ++i) {
    tracker.chunk(Direction::client_to_server, begin, as_bytes(request));
    tracker.chunk(Direction::server_to_client, begin, as_bytes(response));
  }
  const int64_t spent = monotonic_ns() - begin;
  if (counter.exchanges != static_cast<uint64_t>(rounds)) std::abort();
  return static_cast<double>(spent) / rounds;
}

double measure_digest(int rounds) {
  Xxh3_128 digest;
  uint64_t sum = 0;
  const int64_t begin = monotonic_ns();
  for (int i = 0; i < rounds; ++i) {
    digest.reset();
    digest.update(as_bytes(body));
    sum += digest.digest().first;
  }
  const int64_t spent = monotonic_ns() - begin;
  if (sum == 0) std::abort();
  return static_cast<double>(spent) / rounds;
}

void print(const char* what, const std::string& request, double digest_ns, int rounds) {
  const Cost cost = measure(request, rounds);
  std::printf("%-12s %6zu %10.0f %10.0f %18.0f %10.0f\n", what, request.size(), cost.request_ns,
              cost.response_ns, cost.response_ns - digest_ns, measure_alternating(request, rounds));
}

}  // namespace
}  // namespace wiretape

int main(int argc, char** argv) {
  const int asked = argc > 1 ? std::atoi(argv[1]) : 500'000;
  const int rounds = asked < 100 ? 100 : asked / 100 * 100;
  const double digest_ns = wiretape::measure_digest(rounds);
  std::printf("%-12s %6s %10s %10s %18s %10s\n", "request", "bytes", "ns/request", "ns/resp.",
              "without digest", "ns/exch.");
  for (int i = 0; i < 3; ++i) {
    wiretape::print("small GET", wiretape::small_get, digest_ns, rounds);
    wiretape::print("browser GET", wiretape::browser_get, digest_ns, rounds);
  }
  std::printf("a digest of 1 KiB: %.0f ns\n", digest_ns);
  return 0;
}
