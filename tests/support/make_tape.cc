// Makes tapes of HTTP traffic that nobody could wait for: thousands of connections, gigabytes. They
// are as a recording of tests/support/arrival_log would be, whose answers they hold.
//
//   --open slots, in turn:   [open][request][answer] ... [close][open][request][answer] ...
//                               |      |       |            |
//                               +------+-------+------------+--> TapeWriter, level 0 (stored)
//                                      |       |
//                                      +-------+--> ExchangeTracker -> exchange records
//
// In the first round every slot opens a connection, so that as many are open at the same time; from
// then on each takes a step in each round, and the next connection is opened right behind the end
// of the one before. Requests are a GET, or a POST when they have a body, with their number in the
// path. The time between two records is always the same.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/exchange.h"
#include "proto/tape_writer.h"

namespace {

using namespace wiretape;

constexpr size_t chunk_bytes_max = 64 * 1024;
constexpr std::string_view server = "127.0.0.1:80";

struct Options {
  std::string out;
  uint64_t connections = 1;
  uint64_t open = 1;  // at the same time
  uint64_t requests = 1;
  uint64_t request_bytes = 0;
  uint64_t answer_bytes = 9;
  uint64_t step_us = 10;
};

void must(const Result<void>& done) {
  if (done) return;
  fprintf(stderr, "make_tape: %s\n", done.error().message.c_str());
  exit(1);
}

std::string body_of(uint64_t bytes) {
  constexpr std::string_view text = "ok, done\n";
  std::string body;
  while (body.size() < bytes) body += text;
  body.resize(bytes);
  return body;
}

class Maker final : private ExchangeObserver {
 public:
  Maker(const Options& options, TapeWriter& tape);
  void run();

 private:
  struct Slot {
    ConnectionId connection = 0;  // 0: none is left
    uint64_t requests = 0;        // sent and answered
    bool asked = false;           // the next is sent
    uint64_t length[2] = {0, 0};
    std::unique_ptr<ExchangeTracker> tracker;
  };

  void step(Slot& slot);
  void open(Slot& slot);
  void say(Slot& slot, Direction direction, std::string_view text);
  void close(Slot& slot);
  std::string request(const Slot& slot) const;
  void write(const Event& event) { must(tape_.write(tick(), event)); }
  int64_t tick() { return now_ns_ += static_cast<int64_t>(options_.step_us * 1000); }

  void on_exchange(const Exchange& exchange) override;
  void on_protocol(const ProtocolFound&) override { abort(); }  // all of it is HTTP/1

  // Invariant: the trailer's counts are those of what was written.
  const Options options_;
  TapeWriter& tape_;
  const std::string request_body_;
  const std::string answer_;
  Trailer trailer_;
  int64_t now_ns_ = 0;
};

std::string answer_of(uint64_t bytes) {
  return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(bytes) + "\r\n\r\n" +
         body_of(bytes);
}

Maker::Maker(const Options& options, TapeWriter& tape)
    : options_(options),
      tape_(tape),
      request_body_(body_of(options.request_bytes)),
      answer_(answer_of(options.answer_bytes)) {}

void Maker::run() {
  std::vector<Slot> slots(std::min(options_.open, options_.connections));
  for (Slot& slot : slots) open(slot);
  const auto is_over = [](const Slot& slot) { return slot.connection == 0; };
  while (!std::all_of(slots.begin(), slots.end(), is_over)) {
    for (Slot& slot : slots) step(slot);
  }
  trailer_.clean = true;
  must(tape_.finish(tick(), trailer_));
}

void Maker::step(Slot& slot) {
  if (slot.connection == 0) return;
  if (slot.requests == options_.requests) {
    close(slot);
    if (trailer_.connections < options_.connections) open(slot);
  } else if (!slot.asked) {
    say(slot, Direction::client_to_server, request(slot));
    slot.asked = true;
  } else {
    say(slot, Direction::server_to_client, answer_);
    slot.asked = false;
    ++slot.requests;
  }
}

void Maker::open(Slot& slot) {
  slot.connection = ++trailer_.connections;
  ExchangeObserver& told = *this;
  slot.tracker = std::make_unique<ExchangeTracker>(slot.connection, told);
  Opened opened;
  opened.connection = slot.connection;
  opened.client = "127.0.0.1:" + std::to_string(1024 + slot.connection % 60'000);
  opened.listener = "127.0.0.1:8080";
  opened.upstream = server;
  write(opened);
  write(Connected{slot.connection, opened.client, opened.upstream});
}

std::string Maker::request(const Slot& slot) const {
  const std::string path = std::to_string(slot.connection) + "/" + std::to_string(slot.requests);
  std::string head = (request_body_.empty() ? "GET /" : "POST /") + path +
                     " HTTP/1.1\r\nHost: " + std::string(server) + "\r\n";
  if (!request_body_.empty()) {
    head += "Content-Length: " + std::to_string(request_body_.size()) + "\r\n";
  }
  return head + "\r\n" + request_body_;
}

void Maker::say(Slot& slot, Direction direction, std::string_view text) {
  uint64_t& length = slot.length[index_of(direction)];
  while (!text.empty()) {
    const Bytes bytes = as_bytes(text.substr(0, chunk_bytes_max));
    must(tape_.write_chunk(tick(), slot.connection, direction, length, bytes));
    slot.tracker->chunk(direction, now_ns_, bytes);
    length += bytes.size();
    trailer_.length[index_of(direction)] += bytes.size();
    text.remove_prefix(bytes.size());
  }
}

// As by a client that has all it wanted.
void Maker::close(Slot& slot) {
  for (const auto direction : {Direction::client_to_server, Direction::server_to_client}) {
    write(HalfClosed{slot.connection, direction, slot.length[index_of(direction)]});
  }
  Closed closed;
  closed.connection = slot.connection;
  closed.how = CloseHow::fin;
  closed.by = ClosedBy::client;
  std::copy(std::begin(slot.length), std::end(slot.length), std::begin(closed.length));
  closed.protocol = Protocol::http1;
  write(closed);
  slot = Slot();
}

void Maker::on_exchange(const Exchange& exchange) {
  must(tape_.write(now_ns_, exchange));
  ++trailer_.exchanges;
  ++trailer_.requests;
  ++trailer_.responses;
}

// --- The command line ---

constexpr char usage[] =
    "usage: make_tape TAPE [--connections N] [--open N] [--requests N] [--request-bytes N]\n"
    "                 [--answer-bytes N] [--step-us N]\n";

Options parse(int argc, char** argv) {
  Options options;
  const std::map<std::string_view, uint64_t*> flags = {
      {"--connections", &options.connections},   {"--open", &options.open},
      {"--requests", &options.requests},         {"--request-bytes", &options.request_bytes},
      {"--answer-bytes", &options.answer_bytes}, {"--step-us", &options.step_us}};
  bool good = argc % 2 == 0;
  if (good) options.out = argv[1];
  for (int i = 2; good && i < argc; i += 2) {
    const auto flag = flags.find(argv[i]);
    good = flag != flags.end();
    if (good) *flag->second = strtoull(argv[i + 1], nullptr, 10);
  }
  if (good && options.open > 0) return options;
  fputs(usage, stderr);
  exit(2);
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  Header header;
  header.tool_version = "make_tape";
  header.listeners = {"127.0.0.1:8080 -> " + std::string(server)};
  header.tape_set = "00000000000000000000000000000001";
  auto tape = TapeWriter::create(options.out, TapeWriter::IfExists::refuse, 0, header);
  if (!tape) {
    fprintf(stderr, "make_tape: %s\n", tape.error().message.c_str());
    return 1;
  }
  Maker(options, **tape).run();
  return 0;
}
