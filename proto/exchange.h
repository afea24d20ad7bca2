// Finds HTTP/1.x exchanges in the bytes of one connection, while they pass, whatever way they are
// split. The bytes are not changed and not kept; what comes out is an index over them.
//
//   chunk(client_to_server) -> request parser  -+
//                                               +-> pairing in order -> ExchangeObserver
//   chunk(server_to_client) -> response parser -+
//
// What does not parse as HTTP/1, what follows an upgrade or a CONNECT (RFC 9110 sections 7.8 and
// 9.3.6), and what comes behind a gap is opaque from there: on_protocol() says where and why.
//
// Memory: a few hundred bytes while an exchange is under way, under 100 when park()ed.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
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
  uint32_t status = 0;      // responses
  std::string_view reason;
  uint32_t version = 11;    // 10 or 11
  std::vector<HttpField> fields;
};

class ExchangeObserver {
 public:
  virtual ~ExchangeObserver() = default;

  // An exchange is over: its final response is complete and so is its request, or the connection
  // ended before. Called in order of index, one after the other.
  virtual void on_exchange(const Exchange& exchange) = 0;
  // The direction is not HTTP/1 from an offset on. Called at most once a direction.
  virtual void on_protocol(const ProtocolFound& found) = 0;

  // The steps on the way, for who needs them. `index` is the exchange's.
  virtual void on_request_begin(uint64_t index, uint64_t offset) { (void)index, (void)offset; }
  virtual void on_request_head(uint64_t index, const HttpHead& head) { (void)index, (void)head; }
  virtual void on_request_end(uint64_t index, uint64_t offset) { (void)index, (void)offset; }
  // Interim (1xx, but not 101) and final responses; status tells which.
  virtual void on_response_head(uint64_t index, const HttpHead& head) { (void)index, (void)head; }
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

 private:
  struct State;
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
