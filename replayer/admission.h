// Which connections may open now. They open in recorded order; beyond a limit they wait.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "proto/event.h"

namespace wiretape {

class Admission {
 public:
  enum class Order : uint8_t {
    by_due_time,  // a connection opens when it is due, whatever became of those before
    by_ends,      // none opens before as many have ended as had ended before it on the tape
  };

  // At most `open_max`, at least 1, are admitted and not ended at a time.
  Admission(Order order, size_t open_max);

  // The next connection, in recorded order; `ended_before`: how many had ended before it.
  void add(ConnectionId id, uint64_t ended_before);
  // The next that may open. It counts as open from then on.
  std::optional<ConnectionId> admit();
  void ended();  // one that was admitted

  void forget_waiting() { waiting_.clear(); }

  bool may_admit() const;
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    ConnectionId id;
    uint64_t ended_before;
  };

  // Invariant: open_ <= open_max_.
  const Order order_;
  const size_t open_max_;
  std::deque<Waiting> waiting_;
  size_t open_ = 0;
  uint64_t ended_ = 0;
};

}  // namespace wiretape
