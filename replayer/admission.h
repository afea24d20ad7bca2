// Which connections may open now. They open in recorded order; beyond a limit they wait, and so
// they do for what their clients had completed before on the tape.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "proto/event.h"
#include "replayer/clients.h"

namespace wiretape {

class Admission {
 public:
  enum class Order : uint8_t {
    by_due_time,  // a connection opens when it is due, whatever became of those before
    by_ends,      // none opens before as many have ended as had ended before it on the tape
    by_clients,   // and, besides, before its client has completed as much
  };

  // At most `open_max`, at least 1, are admitted and not ended at a time.
  Admission(Order order, size_t open_max);

  // The next connection, in recorded order.
  struct Waiting {
    ConnectionId id = 0;
    uint64_t ended_before = 0;  // how many had ended before it
    uint32_t client = 0;
    uint64_t client_done = 0;  // what its client had completed
  };
  void add(const Waiting& connection) { waiting_.push_back(connection); }
  // The next that may open. It counts as open from then on.
  std::optional<ConnectionId> admit();
  void ended();  // one that was admitted
  void completed(uint32_t client, int64_t time_ns) { clients_.completed(client, time_ns); }
  const Clients& clients() const { return clients_; }

  void forget_waiting() { waiting_.clear(); }

  bool may_admit() const;
  size_t waiting() const { return waiting_.size(); }

 private:
  // Invariant: open_ <= open_max_.
  const Order order_;
  const size_t open_max_;
  std::deque<Waiting> waiting_;
  size_t open_ = 0;
  uint64_t ended_ = 0;
  Clients clients_;  // in the run
};

}  // namespace wiretape
