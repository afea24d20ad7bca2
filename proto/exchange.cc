// How exchanges are found. Each direction is a Stream with a parser of its own; what they find
// meets in the queue of exchanges under way:
//
//   requests:   begin ------- head ---- body ---- end
//                 |push at the back
//   queue:      [ #4 answered? | #5 | #6 | #7 being sent ] -> front is handed out when it is over
//                 |the first without an answer
//   responses:  begin -- head (1xx: again) -- body -- end
//
// Responses come in the order of the requests, so the answered ones are a prefix of the queue
// (`answered`), and the request under way is the last that was pushed. A response that begins when
// all are answered is one that nobody asked for: an exchange without a request.
//
// How a response ends depends on its request (HEAD, CONNECT), so nothing after a lost request can
// be trusted. That is why one direction's end as HTTP makes the other's: settle() looks, after each
// step, at what can be handed out and whether the other direction is still worth parsing. It only
// acts between two messages, so the outcome does not depend on how the bytes were split.
//
// What is kept of a connection is bounded by pending_max, pending_text_bytes_max and the parser's
// head_bytes_max; whoever goes beyond makes his own direction opaque, with the reason.
//
// Cost: llhttp is most of it. One message is one or two calls of the parser, no allocation and one
// virtual call to the observer for each step (tests/bench/exchange_bench.cc).
#include "proto/exchange.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "base/digest.h"
#include "proto/client_hello.h"
#include "proto/exchange_queue.h"
#include "proto/http1.h"

namespace wiretape {
namespace {

constexpr Direction requests = Direction::client_to_server;
constexpr Direction responses = Direction::server_to_client;

constexpr size_t pending_max = 10'000;                      // exchanges under way
constexpr size_t pending_text_bytes_max = 4 * 1024 * 1024;  // of their targets and authorities
constexpr std::byte handshake_record{22};                   // TLS; no HTTP method starts so
constexpr size_t hello_told_bytes = 6;                      // enough to call it TLS

Bytes without_empty_lines(Bytes bytes) {
  const auto first = std::find_if(bytes.begin(), bytes.end(), [](std::byte b) {
    return b != std::byte{'\r'} && b != std::byte{'\n'};
  });
  return bytes.subspan(static_cast<size_t>(first - bytes.begin()));
}

constexpr bool is_interim(uint32_t status) {
  return status / 100 == 1 && status != 101;
}

bool opens_tunnel(const Exchange& e) {
  return e.method == "CONNECT" && e.status / 100 == 2;
}

// RFC 9112 section 6.3, rules 1 and 2.
bool ends_with_head(const Exchange& e) {
  return e.status / 100 == 1 || e.status == 204 || e.status == 304 || e.method == "HEAD" ||
         opens_tunnel(e);
}

}  // namespace

// One direction, while it is HTTP/1. Invariant: while a message is under way, `index` is that of an
// exchange in the queue.
struct ExchangeTracker::Stream final : BodySink {
  Stream(Direction of, Http1Parser::Kind kind, ExchangeObserver& told)
      : parser(kind,
               told.wants_heads() ? Http1Parser::Collect::all_fields
                                  : Http1Parser::Collect::essentials,
               *this),
        observer(told),
        direction(of) {}

  void begin(uint64_t exchange, uint64_t offset) {
    parser.begin();
    digest.reset();
    unhashed = {};
    body_bytes = 0;
    index = exchange;
    begin_offset = offset;
    under_way = true;
  }

  void on_body(Bytes body) override {
    keep_body();
    unhashed = body;
    body_bytes += body.size();
    observer.on_body(index, direction, body);
  }

  // The chunk is about to go: what of the body is in it goes into the digest.
  void keep_body() { digest.update(std::exchange(unhashed, {})); }

  // Most bodies lie in one chunk as one piece, and are cheapest to hash as that.
  Xxh3_128::Value body_digest() {
    if (unhashed.size() == body_bytes) return xxh3_128(unhashed);
    keep_body();
    return digest.digest();
  }

  bool carries(const Exchange& e) const { return under_way && index == e.index; }

  Http1Parser parser;
  ExchangeObserver& observer;
  Xxh3_128 digest;
  Bytes unhashed;  // the last piece of the body, while its chunk is at hand
  uint64_t body_bytes = 0;
  uint64_t index = 0;         // of the exchange
  uint64_t begin_offset = 0;  // of the message
  int64_t chunk_ns = 0;       // time of the last chunk
  Direction direction;
  bool under_way = false;
};

// Invariant: `answered` is at most the queue's size.
struct ExchangeTracker::State {
  explicit State(ExchangeObserver& observer)
      : streams{{requests, Http1Parser::Kind::request, observer},
                {responses, Http1Parser::Kind::response, observer}} {}

  Stream& of(Direction direction) { return streams[index_of(direction)]; }
  Exchange& exchange(Direction direction) { return queue.of_index(of(direction).index); }

  Stream streams[2];
  ExchangeQueue queue;
  size_t answered = 0;  // of the queue, from its front
  std::string hello;    // the client's first bytes, while they may become a ClientHello
  // What made the first direction opaque; the other will follow for the same reason.
  Protocol cause_protocol = Protocol::opaque;
  std::string cause;
};

ExchangeTracker::ExchangeTracker(ConnectionId connection, ExchangeObserver& observer)
    : connection_(connection), observer_(&observer) {}
ExchangeTracker::~ExchangeTracker() = default;
ExchangeTracker::ExchangeTracker(ExchangeTracker&&) noexcept = default;

// --- What happens on the connection ---

void ExchangeTracker::chunk(Direction direction, int64_t time_ns, Bytes bytes) {
  if (bytes.empty()) return;
  if (protocol_ == Protocol::unknown) {
    if (direction == requests) return recognise(time_ns, bytes);
    conclude_hello();
    if (protocol_ == Protocol::unknown) become(Protocol::opaque, "server spoke first", {});
  }
  read_http(direction, time_ns, bytes);
}

void ExchangeTracker::gap(Direction direction, int64_t, uint64_t length) {
  if (length == 0) return;
  conclude_hello();
  if (protocol_ == Protocol::unknown) protocol_ = Protocol::opaque;
  cut(direction, "gap");
  become_opaque(direction, offset_[index_of(direction)], Protocol::opaque, "gap");
  settle();
  offset_[index_of(direction)] += length;
  release();
}

void ExchangeTracker::half_closed(Direction direction, int64_t) {
  if (direction == requests) conclude_hello();
  if (direction == responses && state_ && state_->of(responses).under_way &&
      state_->of(responses).parser.finish()) {
    end_message(responses);
  }
  release();
}

void ExchangeTracker::closed(int64_t) {
  conclude_hello();
  cut(requests, "connection ended within a head");
  cut(responses, "connection ended within a head");
  while (state_ && !state_->queue.empty()) hand_out_front();
  state_.reset();
}

Protocol ExchangeTracker::protocol() const {
  return protocol_;
}

bool ExchangeTracker::idle() const {
  if (protocol_ != Protocol::http1 || opaque_[0] || opaque_[1]) return false;
  return !state_ || state_->queue.empty();
}

void ExchangeTracker::park() {
  if (idle()) state_.reset();
}

// --- The first bytes ---

ExchangeTracker::State& ExchangeTracker::state() {
  if (!state_) state_ = std::make_unique<State>(*observer_);
  return *state_;
}

// The client's bytes, as long as it is not known what it speaks. HTTP is what has to prove wrong.
void ExchangeTracker::recognise(int64_t time_ns, Bytes bytes) {
  std::string& hello = state().hello;
  if (hello.empty() && bytes.front() != handshake_record) {
    protocol_ = Protocol::http1;
    return read_http(requests, time_ns, bytes);
  }
  hello.append(as_text(bytes));
  state_->of(requests).chunk_ns = time_ns;
  const ClientHello found = scan_client_hello(as_bytes(hello));
  if (found.state == ClientHello::State::not_tls) {
    protocol_ = Protocol::http1;
    read_http(requests, time_ns, as_bytes(std::exchange(hello, {})));
  } else if (found.state == ClientHello::State::found) {
    become(Protocol::tls, "tls client hello", found.server_name);
    release();
  }
}

// No more bytes come that could complete a ClientHello: what is it, then?
void ExchangeTracker::conclude_hello() {
  if (protocol_ != Protocol::unknown || !state_ || state_->hello.empty()) return;
  if (state_->hello.size() >= hello_told_bytes) {
    become(Protocol::tls, "incomplete tls client hello", {});
    return release();
  }
  protocol_ = Protocol::http1;
  const std::string bytes = std::exchange(state_->hello, {});
  read_http(requests, state_->of(requests).chunk_ns, as_bytes(bytes));
}

// The whole connection, from its first byte.
void ExchangeTracker::become(Protocol protocol, std::string_view reason,
                             const std::string& server_name) {
  assert(protocol_ == Protocol::unknown);
  protocol_ = protocol;
  offset_[index_of(requests)] += state().hello.size();
  become_opaque(requests, 0, protocol, reason, server_name);
  become_opaque(responses, 0, protocol, reason, server_name);
}

// --- HTTP/1 ---

void ExchangeTracker::read_http(Direction direction, int64_t time_ns, Bytes bytes) {
  const size_t i = index_of(direction);
  if (!opaque_[i]) state().of(direction).chunk_ns = time_ns;
  while (!opaque_[i]) {
    Stream& stream = state_->of(direction);
    if (!stream.under_way) {
      const Bytes rest = without_empty_lines(bytes);
      offset_[i] += bytes.size() - rest.size();
      bytes = rest;
      if (bytes.empty()) return;
      begin_message(direction);
      continue;
    }
    const Http1Parser::Step step = stream.parser.advance(bytes);
    offset_[i] += step.used;
    bytes = bytes.subspan(step.used);
    if (step.stop == Http1Parser::Stop::more) return stream.keep_body();
    if (step.stop == Http1Parser::Stop::head) end_head(direction);
    if (step.stop == Http1Parser::Stop::end) end_message(direction);
    if (step.stop == Http1Parser::Stop::http2) fail(direction, Protocol::http2, "http/2 preface");
    if (step.stop == Http1Parser::Stop::failed) {
      fail(direction, Protocol::opaque, stream.parser.error());
    }
  }
  offset_[i] += bytes.size();
  release();
}

void ExchangeTracker::begin_message(Direction direction) {
  const bool asked = direction == responses && state_->answered < state_->queue.size();
  if (!asked && state_->queue.size() >= pending_max) {
    become_opaque(direction, offset_[index_of(direction)], Protocol::opaque,
                  "more than 10000 exchanges under way");
    return settle();
  }
  direction == requests ? begin_request() : begin_response();
}

void ExchangeTracker::begin_request() {
  Stream& stream = state_->of(requests);
  const uint64_t offset = offset_[index_of(requests)];
  Exchange& e = state_->queue.push(connection_, next_index_++);
  stream.begin(e.index, offset);
  e.request.begin = offset;
  e.request.first_ns = stream.chunk_ns;
  observer_->on_request_begin(e.index, offset);
}

void ExchangeTracker::begin_response() {
  Stream& stream = state_->of(responses);
  const uint64_t offset = offset_[index_of(responses)];
  ExchangeQueue& queue = state_->queue;
  const bool asked = state_->answered < queue.size();
  Exchange& e = asked ? queue.at(state_->answered) : queue.push(connection_, next_index_++);
  stream.begin(e.index, offset);
  e.response.begin = offset;
  if (e.interim_responses == 0) e.response.first_ns = stream.chunk_ns;
}

void ExchangeTracker::end_head(Direction direction) {
  direction == requests ? end_request_head() : end_response_head();
}

void ExchangeTracker::end_request_head() {
  Http1Parser& parser = state_->of(requests).parser;
  Exchange& e = state_->exchange(requests);
  state_->queue.set_request_line(e, parser.method(), parser.target(), parser.authority());
  e.has_request = true;
  e.holds_credentials |= parser.holds_credentials();
  e.request.head_end = offset_[index_of(requests)];
  if (parser.collects_fields()) observer_->on_request_head(e.index, parser.head());
  observer_->on_request_head_end(e.index, e.request.head_end);
  if (state_->queue.text_bytes() > pending_text_bytes_max) {
    return fail(requests, Protocol::opaque, "more than 4 MiB of request lines without an answer");
  }
  if (parser.is_bodiless_request()) end_message(requests);
}

void ExchangeTracker::end_response_head() {
  Stream& stream = state_->of(responses);
  Exchange& e = state_->exchange(responses);
  e.holds_credentials |= stream.parser.holds_credentials();
  if (stream.parser.collects_fields()) observer_->on_response_head(e.index, stream.parser.head());
  observer_->on_response_begin(e.index, stream.parser.status(), stream.parser.persistent());
  if (is_interim(stream.parser.status())) {
    ++e.interim_responses;
    stream.under_way = false;
    return;
  }
  e.has_response = true;
  e.status = stream.parser.status();
  e.response.head_end = offset_[index_of(responses)];
  if (ends_with_head(e)) end_message(responses);
}

void ExchangeTracker::end_message(Direction direction) {
  const uint64_t offset = offset_[index_of(direction)];
  Exchange& e = state_->exchange(direction);
  close_extent(direction);
  if (direction == requests) {
    e.request.complete = true;
    observer_->on_request_end(e.index, offset);
  } else {
    e.response.complete = true;
    ++state_->answered;
    assert(state_->answered <= state_->queue.size());
    observer_->on_response_end(e.index, offset);
    if (e.status == 101) switch_protocols(e.index, "upgrade");
    if (opens_tunnel(e)) switch_protocols(e.index, "connect");
  }
  settle();
}

// The message under way ends at the current offset.
void ExchangeTracker::close_extent(Direction direction) {
  Stream& stream = state_->of(direction);
  Exchange& e = state_->exchange(direction);
  MessageExtent& extent = direction == requests ? e.request : e.response;
  stream.under_way = false;
  e.holds_credentials |= stream.parser.holds_credentials();  // trailers may hold them too
  extent.end = offset_[index_of(direction)];
  extent.last_ns = stream.chunk_ns;
  extent.body_bytes = stream.body_bytes;
  if (stream.body_bytes == 0) return;
  const auto [low, high] = stream.body_digest();
  extent.body_digest[0] = low;
  extent.body_digest[1] = high;
}

// --- The end of HTTP/1 ---

// Exchange `index` has switched. What came behind its request was early, and never a request.
void ExchangeTracker::switch_protocols(uint64_t index, std::string_view reason) {
  become_opaque(responses, offset_[index_of(responses)], Protocol::opaque, reason);
  Stream& stream = state_->of(requests);
  if (stream.under_way && stream.index <= index) return;  // settle() waits for its end
  ExchangeQueue& queue = state_->queue;
  const Exchange& e = queue.of_index(index);
  uint64_t offset = e.has_request ? e.request.end : offset_[index_of(requests)];
  while (queue.back().index > index) {
    if (!e.has_request) offset = queue.back().request.begin;
    queue.pop_back();
  }
  next_index_ = index + 1;
  stream.under_way = false;
  become_opaque(requests, offset, Protocol::opaque, reason);
}

void ExchangeTracker::fail(Direction direction, Protocol protocol, std::string_view reason) {
  direction == requests ? fail_request(protocol, reason) : fail_response(reason);
  settle();
}

// The request under way is none. It leaves the queue, unless an answer to it was seen; if it would
// have been the first, the connection was never HTTP/1.
void ExchangeTracker::fail_request(Protocol protocol, std::string_view reason) {
  ExchangeQueue& queue = state_->queue;
  Stream& stream = state_->of(requests);
  Exchange& e = state_->exchange(requests);
  const size_t position = e.index - queue.front().index;
  const bool answered =
      position < state_->answered || e.interim_responses > 0 || state_->of(responses).carries(e);
  const bool first = e.index == 0 && !answered;
  stream.under_way = false;
  if (answered) {
    queue.set_request_line(e, {}, {}, {});
    e.has_request = false;
    e.request = {};
  } else {
    assert(&e == &queue.back());
    queue.pop_back();
    --next_index_;
  }
  if (first) protocol_ = protocol;
  become_opaque(requests, stream.begin_offset, first ? protocol : Protocol::opaque, reason);
}

void ExchangeTracker::fail_response(std::string_view reason) {
  Stream& stream = state_->of(responses);
  Exchange& e = state_->exchange(responses);
  stream.under_way = false;
  e.has_response = false;
  e.status = 0;
  e.response = {};
  become_opaque(responses, stream.begin_offset, Protocol::opaque, reason);
}

// Nothing more comes of the message under way.
void ExchangeTracker::cut(Direction direction, std::string_view reason) {
  if (!state_ || !state_->of(direction).under_way) return;
  if (state_->of(direction).parser.in_head()) return fail(direction, Protocol::opaque, reason);
  close_extent(direction);
}

// Hands out what is over, and lets a direction follow the other one when nothing of it is under
// way any more.
void ExchangeTracker::settle() {
  if (!state_) return;
  ExchangeQueue& queue = state_->queue;
  const bool &no_requests = opaque_[index_of(requests)],
             &no_responses = opaque_[index_of(responses)];
  while (!queue.empty() && !state_->of(requests).carries(queue.front()) &&
         (state_->answered > 0 || no_responses)) {
    hand_out_front();
  }
  if (no_responses && !no_requests && !state_->of(requests).under_way) {
    become_opaque(requests, offset_[index_of(requests)], state_->cause_protocol, state_->cause);
  }
  if (no_requests && !no_responses && queue.empty()) {
    become_opaque(responses, offset_[index_of(responses)], state_->cause_protocol, state_->cause);
  }
}

// An exchange of which neither message turned out to be one is nothing to tell.
void ExchangeTracker::hand_out_front() {
  const Exchange& front = state_->queue.front();
  if (front.has_request || front.has_response) observer_->on_exchange(front);
  state_->queue.pop_front();
  if (state_->answered > 0) --state_->answered;
}

void ExchangeTracker::become_opaque(Direction direction, uint64_t offset, Protocol protocol,
                                    std::string_view reason, const std::string& server_name) {
  if (std::exchange(opaque_[index_of(direction)], true)) return;
  ProtocolFound found;
  found.connection = connection_;
  found.direction = direction;
  found.offset = offset;
  found.protocol = protocol;
  found.reason = reason;
  found.server_name = server_name;
  observer_->on_protocol(found);
  state().cause_protocol = protocol;
  state().cause = found.reason;
}

// When neither direction is parsed any more, nothing has to be remembered.
void ExchangeTracker::release() {
  if (opaque_[0] && opaque_[1] && state_ && state_->queue.empty()) state_.reset();
}

}  // namespace wiretape
