// Keeps, for every open connection, how far its streams have come and which HTTP exchange is under
// way in them. Bytes go in, exchange and protocol events come out.
//
// One thread, the recorder's. Times are nanoseconds since the part's start.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "proto/event.h"
#include "proto/exchange.h"
#include "recorder/notices.h"

namespace wiretape {

class Indexer : private ExchangeObserver {
 public:
  // What comes out; times are those of the chunk that completed it.
  using Emit = std::function<void(int64_t time_ns, const Event& event)>;

  // `parse`: false leaves all connections opaque.
  Indexer(bool parse, Notices& notices, Emit emit);

  void opened(ConnectionId id, uint32_t listener);
  void chunk(int64_t time_ns, ConnectionId id, Direction direction, Bytes bytes);
  void gap(int64_t time_ns, ConnectionId id, Direction direction, uint64_t length);
  void half_closed(int64_t time_ns, ConnectionId id, Direction direction);
  // Gives what the connection spoke.
  Protocol closed(int64_t time_ns, ConnectionId id);

  // Gives back the parsers of connections without traffic since the last call.
  void park_quiet();

  struct Idle {
    ConnectionId id;
    uint64_t length[2];
  };
  std::vector<Idle> idle_connections() const;  // HTTP, between two exchanges

  uint64_t exchanges() const { return exchanges_; }
  uint64_t requests() const { return requests_; }
  uint64_t responses() const { return responses_; }
  uint64_t exchanges_with_credentials() const { return with_credentials_; }

 private:
  struct Connection {
    Connection(ConnectionId id, ExchangeObserver& observer, uint32_t l)
        : tracker(id, observer), listener(l) {}
    ExchangeTracker tracker;
    uint64_t length[2] = {0, 0};
    uint32_t listener;
    bool awake = false;  // in awake_
    bool quiet = false;  // no traffic since the last park_quiet
  };

  void touch(ConnectionId id, Connection& c);
  void on_exchange(const Exchange& exchange) override;
  void on_protocol(const ProtocolFound& found) override;

  const bool parse_;
  Notices& notices_;
  Emit emit_;
  std::unordered_map<ConnectionId, Connection> connections_;
  std::vector<ConnectionId> awake_;      // those that may hold parsers; some may have ended since
  int64_t now_ns_ = 0;                   // of the event being worked on
  const Connection* current_ = nullptr;  // its connection
  uint64_t exchanges_ = 0;
  uint64_t requests_ = 0;
  uint64_t responses_ = 0;
  uint64_t with_credentials_ = 0;
};

}  // namespace wiretape
