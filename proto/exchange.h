// Finds HTTP/1.x exchanges in the bytes of one connection, while they pass, whatever way they are
// split. The bytes are not changed and not kept; what comes out is an index over them.
//
//   chunk(client_to_server) -> request parser  -+
//                                               +-> pairing in order -> ExchangeObserver
//   chunk(server_to_client) -> response parser -+
//
// What does not parse as HTTP/1, what follows an upgrade or a CONNECT (RFC 9110 sections 7.8 and
// 9.3.6), and what comes behind a gap is opaque from there: on_protocol() says where and why. When
// one direction became opaque, the other follows as soon as nothing of it belongs to an exchange:
//
//   the requests are opaque from X: responses go on until the requests before X are answered
//   the responses are opaque from X: the request under way is read to its end
//   101, or 2xx to CONNECT: both, exactly behind the request and behind that response's head;
//     what was taken for requests behind it (they came early) is taken back
//
// A message whose head never came whole is no message: it is opaque from its first byte. So every
// byte of a direction is in a request or response extent, or opaque, or in an interim response, or
// in one of the empty lines that may stand before a message, in that order. What was announced by
// on_request_begin() and is later taken back lies at or behind the opaque offset.
//
// Memory: a few hundred bytes while an exchange is under way, under 100 when park()ed.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proto/event.h"

namespace wiretape {

struct HttpField {
  std::string_view name;   // as it was written
  std::string_view value;  // without surrounding white space
};

// The start line and header fields of a message. Views are valid during the call only.
struct HttpHead {
  std::string_view method;  // requests
  std::string_view target;
  uint32_t status = 0;  // responses
  std::string_view reason;
  uint32_t version = 11;  // 10 or 11
  std::vector<HttpField> fields;
};

// Must not call back into its tracker.
class ExchangeObserver {
 public:
  virtual ~ExchangeObserver() = default;

  // Whether on_request_head and on_response_head are of use. Asked when a connection's state is
  // made; without heads the tracker copies no fields and is twice as fast.
  virtual bool wants_heads() const { return false; }

  // An exchange is over: its final response is complete and so is its request, or the connection
  // ended before. Called in order of index, one after the other.
  virtual void on_exchange(const Exchange& exchange) = 0;
  // The direction is not HTTP/1 from an offset on. Called at most once a direction.
  virtual void on_protocol(const ProtocolFound& found) = 0;

  // The steps on the way, for who needs them. `index` is the exchange's.
  virtual void on_request_begin(uint64_t index, uint64_t offset) { (void)index, (void)offset; }
  virtual void on_request_head(uint64_t index, const HttpHead& head) { (void)index, (void)head; }
  // `offset` is behind the empty line that ends the head.
  virtual void on_request_head_end(uint64_t index, uint64_t offset) { (void)index, (void)offset; }
  virtual void on_request_end(uint64_t index, uint64_t offset) { (void)index, (void)offset; }
  // Interim (1xx, but not 101) and final responses; status tells which.
  virtual void on_response_head(uint64_t index, const HttpHead& head) { (void)index, (void)head; }
  // The same without its fields, told to everyone. `persistent`: the connection may carry another
  // response after it (RFC 9112 section 9.3).
  virtual void on_response_begin(uint64_t index, uint32_t status, bool persistent) {
    (void)index, (void)status, (void)persistent;
  }
  // Body bytes without transfer coding.
  virtual void on_body(uint64_t index, Direction direction, Bytes body) {
    (void)index, (void)direction, (void)body;
  }
  // A final response is complete (101 and 2xx to CONNECT count).
  virtual void on_response_end(uint64_t index, uint64_t offset) { (void)index, (void)offset; }
};

class ExchangeTracker {
 public:
  // The observer must outlive the tracker.
  ExchangeTracker(ConnectionId connection, ExchangeObserver& observer);
  ~ExchangeTracker();
  ExchangeTracker(ExchangeTracker&&) noexcept;
  ExchangeTracker(const ExchangeTracker&) = delete;
  ExchangeTracker& operator=(const ExchangeTracker&) = delete;

  // The next bytes of a direction, in order.
  void chunk(Direction direction, int64_t time_ns, Bytes bytes);
  // `length` bytes of the direction are not known: it is opaque from here.
  void gap(Direction direction, int64_t time_ns, uint64_t length);
  // End of stream: ends a response whose length was not given (RFC 9112 section 6.3).
  void half_closed(Direction direction, int64_t time_ns);
  // The connection is over: exchanges under way are handed out incomplete.
  void closed(int64_t time_ns);

  Protocol protocol() const;  // unknown until the client's first bytes came
  // HTTP/1, and between two exchanges.
  bool idle() const;
  // Gives back the memory of an idle connection until its next byte.
  void park();
  bool parked() const { return state_ == nullptr; }

 private:
  struct State;
  struct Stream;

  State& state();
  void recognise(int64_t time_ns, Bytes bytes);
  void conclude_hello();
  void read_http(Direction direction, int64_t time_ns, Bytes bytes);
  void begin_message(Direction direction);
  void begin_request();
  void begin_response();
  void end_head(Direction direction);
  void end_request_head();
  void end_response_head();
  void end_message(Direction direction);
  void switch_protocols(uint64_t index, std::string_view reason);
  void fail(Direction direction, Protocol protocol, std::string_view reason);
  void fail_request(Protocol protocol, std::string_view reason);
  void fail_response(std::string_view reason);
  void cut(Direction direction, std::string_view reason);
  void close_extent(Direction direction);
  void settle();
  void hand_out_front();
  void become(Protocol protocol, std::string_view reason, const std::string& server_name);
  void become_opaque(Direction direction, uint64_t offset, Protocol protocol,
                     std::string_view reason, const std::string& server_name = {});
  void release();

  // Kept small on purpose: 9,000 idle connections hold one each.
  ConnectionId connection_;
  ExchangeObserver* observer_;
  uint64_t offset_[2] = {0, 0};
  uint64_t next_index_ = 0;
  Protocol protocol_ = Protocol::unknown;
  bool opaque_[2] = {false, false};
  std::unique_ptr<State> state_;
};

}  // namespace wiretape
