// One TCP connection to the target, from the attempt to its end: its socket, and what was said on
// it. A replayed connection has one at a time.
#pragma once

#include <cstdint>
#include <memory>

#include "replayer/action.h"
#include "replayer/conversation.h"
#include "replayer/turn_gate.h"
#include "replayer/wire.h"

namespace wiretape {

struct Link {
  // `first`: the number, in the replayed connection, of the first request that goes out on it.
  Link(ConnectionId id, ConversationListener& listener, uint64_t first)
      : conversation(id, listener), first_request(first) {}

  // The number in the replayed connection of a request of this link's conversation.
  uint64_t number_of(uint64_t request) const { return first_request + request; }
  // Final responses, this link's and those to requests before it.
  uint64_t responses() const { return first_request + conversation.responses(); }
  TurnGate::Seen seen() const {
    return {conversation.length(Direction::server_to_client), conversation.last_response_end(),
            last_received_ns};
  }

  // What the recorded server would still have listened to, and this target does not.
  bool is_deaf_to(const Action& action) const {
    return action.kind == Action::Kind::send && target_ended && !action.server_ended;
  }
  // A request, when no other may begin here.
  bool is_closed_to(const Action& action) const {
    return retired && action.requests > 0 && !conversation.upgraded();
  }
  // The recorded server agreed to the upgrade, and this one did not.
  bool refused_upgrade(const Action& action) const {
    return action.kind == Action::Kind::send && action.upgraded && action.begins_unit &&
           !conversation.upgraded();
  }

  void response_begins(uint64_t request, uint32_t status, bool persistent) {
    const uint64_t through = number_of(request) + 1;
    if (status == 100) told_to_go_on = through;
    if (status < 200 && status != 101) return;
    finals_begun = through;
    if (!persistent) retired = true;
  }

  std::unique_ptr<Wire> wire;
  Conversation conversation;
  TurnGate turns;
  uint64_t first_request;
  uint64_t finals_begun = 0;   // requests, counted from 0, to which a final response has begun
  uint64_t told_to_go_on = 0;  // the same for 100 (Continue)
  int64_t last_received_ns = 0;
  bool connected = false;
  bool flushing = false;      // the kernel has not taken all of the last send
  bool target_ended = false;  // it sent FIN
  bool retired = false;       // no request may begin on it any more
};

}  // namespace wiretape
