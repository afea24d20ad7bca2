// One replayed connection: carries out its actions in order, each when it is due and its gate is
// open, and accounts for every request exactly once.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>

#include "replayer/action.h"
#include "replayer/compare.h"
#include "replayer/conversation.h"
#include "replayer/pacer.h"
#include "replayer/tally.h"
#include "replayer/wire.h"

namespace wiretape {

// What all connections of a run share. Everything outlives them.
struct RunContext {
  Pacer& pacer;
  Compare& compare;
  Tally& tally;
  int64_t timeout_ns;  // without progress
  std::function<int64_t()> now_ns;
  uint64_t queued_bytes = 0;  // what actions not carried out yet take
};

class Connection final : private WireListener, private ConversationListener {
 public:
  using MakeWire = std::function<std::unique_ptr<Wire>(WireListener&)>;

  Connection(ConnectionId id, RunContext& run, const MakeWire& make_wire);
  ~Connection() override;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  ConnectionId id() const { return id_; }
  // The next action, in order of time; the first one opens, the last one closes or resets.
  void push(Action action);
  bool has_actions() const { return !queue_.empty(); }
  // Does all that can be done by now, and asks the pacer to be woken for the rest.
  void run();
  // Begins no further request or turn: waits for the answers under way (as long as the timeout
  // lets it), then closes. What is still to come is accounted for as not sent, with the reason.
  void stop_sending(const std::string& reason);
  // Closes at once; what was queued is accounted for.
  void cut_off(const std::string& reason);
  // The first connection attempt's failure, in words; empty otherwise.
  const std::string& connect_error() const { return connect_error_; }
  // All actions were carried out or accounted for. The owner may destroy it, but not from within
  // run().
  bool finished() const { return finished_; }
  void on_finished(std::function<void()> call) { on_finished_ = std::move(call); }

 private:
  enum class State : uint8_t { waiting, connecting, open, ended };

  void on_connected() override;
  void on_connect_failed(const std::string& why) override;
  void on_read(Bytes bytes, int64_t arrived_ns) override;
  void on_end() override;
  void on_broken(const std::string& why) override;
  void on_flushed() override;

  void on_exchange(uint64_t request, const Exchange& exchange) override;
  void on_request_end(uint64_t request) override;
  void on_response_end(uint64_t request) override;

  bool step();
  bool may_go(const Action& action);
  bool wind_up(const Action& action);
  int64_t due_of(const Action& action) const;
  bool gate_opens(const Action& action);
  bool turn_is_over(const Action& action);
  uint64_t turn_received() const;
  int64_t quiet_since_ns() const;
  bool cannot_follow(const Action& action);
  void wait_for_target(int64_t due_ns, int64_t or_until_ns);
  int64_t paced_due_ns(const Action& action) const;
  void turn_answered();

  void perform(Action& action);
  void send(const Action& action);
  void sent();
  Cause cause_of(int64_t lateness_ns) const;
  void pop();
  void held_back();

  void give_up(const std::string& reason);
  void end(const std::string& reason);
  void discard(const Action& action);
  void finish();

  // A request's last send, until its response is complete.
  struct Asked {
    uint64_t request;
    int64_t due_ns;
    int64_t sent_ns;  // -1: not yet accepted whole
  };

  // Invariant: requests_sent_ + requests_unsent_ is the number of requests in all actions popped;
  // outcomes_ <= requests_sent_; nothing is queued once finished_.
  ConnectionId id_;
  RunContext& run_;
  std::unique_ptr<Wire> wire_;
  Conversation conversation_;
  State state_ = State::waiting;
  std::deque<Action> queue_;
  bool running_ = false;
  bool finished_ = false;
  bool flushing_ = false;     // the kernel has not taken all of the last send
  bool gate_passed_ = false;  // of the action at the front
  bool gate_held_ = false;    // it was seen closed
  bool target_ended_ = false;
  std::string reason_;          // why it ended early; empty: as recorded
  std::string stop_reason_;     // why it sends nothing more; empty: it does
  std::string stream_failure_;  // why its opaque stream is an error
  std::string connect_error_;
  std::function<void()> on_finished_;

  uint64_t requests_sent_ = 0;
  uint64_t requests_unsent_ = 0;
  uint64_t outcomes_ = 0;  // requests whose exchange is settled, of those sent

  uint64_t consumed_ = 0;          // received bytes that belong to turns that are over
  uint64_t received_at_send_ = 0;  // when our last turn began
  int64_t last_received_ns_ = 0;
  int64_t progress_ns_ = 0;  // when something last happened

  int64_t unit_recorded_ns_ = 0;  // when the request or turn under way began, on the tape
  int64_t unit_began_ns_ = 0;     // and here
  int64_t send_due_ns_ = 0;       // of the send under way
  uint64_t send_bytes_ = 0;       // its length
  bool send_paced_ = false;       // it had to wait for its own beginning's lateness
  int64_t held_until_ns_ = 0;     // the target let us go on
  int64_t lateness_before_ns_ = 0;
  std::deque<Asked> asked_;
  Asked turn_{0, 0, -1};  // the last opaque turn, until it is answered
  bool turn_open_ = false;
};

}  // namespace wiretape
