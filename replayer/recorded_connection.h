// Turns what one connection did on the tape into what its replay is to do.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "proto/event.h"
#include "replayer/action.h"
#include "replayer/conversation.h"
#include "replayer/rewrite.h"

namespace wiretape {

// Is told what the recorded server answered, for comparing.
class RecordedListener {
 public:
  virtual ~RecordedListener() = default;
  // Whether recorded_head() is of use. Asked once a connection; heads cost time.
  virtual bool wants_heads() const { return false; }
  // `part` of the tape, from 0.
  virtual void recorded_opened(ConnectionId id, uint32_t part) { (void)id, (void)part; }
  // The answer to a request as it comes, before its exchange is over; interim responses, too.
  virtual void recorded_head(ConnectionId id, uint64_t request, const HttpHead& head) {
    (void)id, (void)request, (void)head;
  }
  virtual void recorded_body(ConnectionId id, uint64_t request, Bytes body) {
    (void)id, (void)request, (void)body;
  }
  virtual void recorded_exchange(ConnectionId id, uint64_t request, const Exchange& exchange) = 0;
  // Opaque bytes.
  virtual void recorded_client(ConnectionId id, Bytes bytes) = 0;
  virtual void recorded_server(ConnectionId id, Bytes bytes) = 0;
  // The server's turn is over, so long after the end of the client's.
  virtual void recorded_turn(ConnectionId id, int64_t latency_ns) { (void)id, (void)latency_ns; }
  // Bytes of the server's stream are not on the tape.
  virtual void recorded_gap(ConnectionId id) = 0;
  virtual void recorded_closed(ConnectionId id, bool opaque) = 0;
};

class RecordedConnection final : private ConversationListener {
 public:
  // Actions are appended to `out`; both must outlive the connection. With a rewriter they hold its
  // bytes; what they wait for follows the recorded ones.
  RecordedConnection(ConnectionId id, RecordedListener& listener, std::deque<Action>& out,
                     std::unique_ptr<Rewriter> rewriter = nullptr);

  void opened(int64_t time_ns, uint64_t closed_before, uint32_t client);
  void chunk(int64_t time_ns, const Chunk& chunk);
  void gap(int64_t time_ns, const Gap& gap);
  void half_closed(int64_t time_ns, Direction direction);
  void closed(int64_t time_ns, CloseHow how, ClosedBy by);

 private:
  void on_exchange(uint64_t request, const Exchange& exchange) override;
  void on_response_begin(uint64_t request, uint32_t status, bool persistent) override;
  bool wants_heads() const override { return listener_.wants_heads(); }
  void on_response_head(uint64_t request, const HttpHead& head) override;
  void on_response_body(uint64_t request, Bytes body) override;
  void tell_server_turn();
  void client_chunk(int64_t time_ns, Bytes bytes);
  void decide(int64_t time_ns);
  void server_chunk(int64_t time_ns, Bytes bytes);
  // `begin` is the offset of the bytes in the client's stream.
  void send_requests(int64_t time_ns, uint64_t begin, Bytes bytes, uint64_t responses);
  void send_turn(int64_t time_ns, Bytes bytes);
  void missing(int64_t time_ns, Direction direction, uint64_t length, const char* reason);
  void abandon(int64_t time_ns, const char* reason, uint64_t turns);
  Action& add(Action::Kind kind, int64_t time_ns);
  Action& add_send(int64_t time_ns, Bytes bytes);
  void add_rest(int64_t time_ns, Bytes bytes);
  std::vector<std::byte> as_sent(Bytes bytes);
  void flush_rewriter(int64_t time_ns);
  void add_turn_gate(Action& action);

  // Invariant: once abandoned_, no action holds bytes, so that what cannot be sent costs no memory.
  ConnectionId id_;
  RecordedListener& listener_;
  std::deque<Action>& out_;
  Conversation conversation_;
  std::unique_ptr<Rewriter> rewriter_;  // null: nothing is rewritten
  std::vector<std::byte> undecided_;    // the client's first bytes, while they may become TLS
  bool abandoned_ = false;
  bool server_ended_ = false;
  bool told_to_continue_ = false;   // the request under way was, and nothing of it came since
  int64_t answered_ns_ = 0;         // see Action::after_ns
  bool server_spoke_last_ = false;  // among opaque bytes
  uint64_t turns_ = 0;              // of the client, opaque
  uint64_t turn_bytes_ = 0;         // the server's turn under way, or the last one
  int64_t longest_gap_ns_ = 0;      // in it
  int64_t last_server_ns_ = 0;
  int64_t last_client_ns_ = 0;  // of opaque bytes, like the one before
};

}  // namespace wiretape
